"""EXPLAIN, of queries and of the statements that hold one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands import objects
from sql.commands.base import Command, value
from sql.commands.prepared import read_declare, read_execute
from sql.commands.tables import CreateTableAs, select_into
from sql.commands.views import CreateMaterializedView, refresh
from sql.reading import Reader
from sql.tokens import Token, near

Option = tuple[str, str | None, int]


@dataclass(frozen=True)
class Explain(Command):
    """`options` with their values (None where none is given) and positions.

    `body`: the query, unless it is a `command`.
    """

    options: tuple[Option, ...]
    body: tuple[Token, ...]
    command: Command | None = None


def _explain(reader: Reader) -> Command:
    options: list[Option] = []
    after = reader.peek()
    query = after is not None and (after.is_word("select", "values", "with", "table") or after.is_mark("("))
    if not query and reader.token is not None and reader.token.is_mark("("):
        reader.must_mark("(")
        while True:
            start, name, token = reader.token, reader.label(), reader.token
            bare = token is None or token.is_mark(",") or token.is_mark(")")
            place = 0 if start is None else start.position
            options.append((name, None if bare else value(reader).lower(), place))
            if not reader.mark(","):
                break
        reader.must_mark(")")
    else:
        if reader.one_of("analyze", "analyse"):
            options.append(("analyze", None, 0))
        if reader.word("verbose"):
            options.append(("verbose", None, 0))
    command = _command(reader)
    return Explain(tuple(options), () if command else reader.rest(), command)


def _command(reader: Reader) -> Command | None:
    """What is explained, if it is a statement that has a query in it; None for a query."""
    first, second = reader.token, reader.peek()
    if first is None:
        raise reader.wrong()
    if reader.word("execute"):
        return read_execute(reader)
    if reader.word("declare"):
        return read_declare(reader)
    if reader.word("refresh"):
        return refresh(reader)
    if reader.word("create"):
        created = objects.READERS["create"](reader)
        if not isinstance(created, CreateTableAs | CreateMaterializedView):
            raise near(reader.text, second)
        return created
    if first.is_word("select", "with"):
        into = select_into(reader.tokens[reader.index :], reader.text)
        if into is not None:
            reader.rest()
        return into
    return None


READERS: dict[str, Callable[[Reader], Command]] = {
    "explain": _explain,
}
