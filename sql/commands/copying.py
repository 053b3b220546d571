"""COPY, with its options in parentheses or in PostgreSQL 8's spelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command, Name, value
from sql.reading import Reader
from sql.tokens import Token
from storage.errors import FeatureNotSupported, SqlSyntaxError


@dataclass(frozen=True)
class Copy(Command):
    """COPY. `query` instead of `table`: COPY (SELECT ...) TO. `file` of None: STDIN or STDOUT."""

    table: Name | None
    columns: tuple[str, ...] | None
    query: tuple[Token, ...]
    to: bool
    file: str | None
    options: tuple[tuple[str, object], ...]
    where: tuple[Token, ...] = ()  # of COPY FROM


def _copy(reader: Reader) -> Command:
    binary = reader.word("binary")  # PostgreSQL 7's spelling
    table: Name | None = None
    columns: tuple[str, ...] | None = None
    query: tuple[Token, ...] = ()
    if reader.token is not None and reader.token.is_mark("("):
        query = reader.parenthesised()
    else:
        table = reader.qualified()
        if reader.token is not None and reader.token.is_mark("("):
            columns = reader.names()
    direction = reader.one_of("from", "to")
    if not direction or (query and direction == "from"):
        raise reader.wrong()
    file = None
    if reader.word("program"):
        raise FeatureNotSupported("COPY ... PROGRAM is not supported")
    if not reader.one_of("stdin", "stdout"):
        file = reader.string()
    reader.word("with")
    options = _copy_options(reader) if reader.mark("(") else _old_copy_options(reader)
    where: tuple[Token, ...] = ()
    at = reader.token
    if at is not None and reader.word("where"):
        if direction == "to":
            raise SqlSyntaxError("WHERE clause not allowed with COPY TO", position=at.start + 1)
        where = reader.rest()
        if not where:
            raise reader.wrong()
    if binary:
        options.insert(0, ("format", "binary"))
    return Copy(table, columns, query, direction == "to", file, tuple(options), where)


def _copy_options(reader: Reader) -> list[tuple[str, object]]:
    options: list[tuple[str, object]] = []
    while True:
        name = reader.label()
        token = reader.token
        setting: object
        if token is not None and token.is_mark("("):
            setting = reader.names()
        elif reader.mark("*"):
            setting = "*"
        elif token is None or token.is_mark(",") or token.is_mark(")"):
            setting = "true"
        else:
            setting = value(reader)
        options.append((name, setting))
        if not reader.mark(","):
            reader.must_mark(")")
            return options


def _old_copy_options(reader: Reader) -> list[tuple[str, object]]:
    """The spelling of PostgreSQL 8: DELIMITER AS ',' NULL AS '' CSV HEADER."""
    options: list[tuple[str, object]] = []
    while reader.token is not None and not reader.token.is_word("where"):
        name = reader.one_of(
            "binary", "csv", "header", "delimiter", "delimiters", "null", "quote", "escape", "force"
        )
        if name in ("binary", "csv"):
            options.append(("format", name))
        elif name == "header":
            options.append(("header", "true"))
        elif name in ("delimiter", "delimiters", "null", "quote", "escape"):
            reader.word("as")
            options.append((name.removesuffix("s"), reader.string()))
        elif name == "force":
            kind = reader.one_of("quote", "null") or ("not_null" if reader.word("not", "null") else "")
            if not kind:
                raise reader.wrong()
            if reader.mark("*"):
                options.append((f"force_{kind}", "*"))
                continue
            names = [reader.name()]
            while reader.mark(","):
                names.append(reader.name())
            options.append((f"force_{kind}", tuple(names)))
        else:
            raise reader.wrong()
    return options


READERS: dict[str, Callable[[Reader], Command]] = {
    "copy": _copy,
}
