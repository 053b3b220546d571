"""EXPLAIN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command, value
from sql.reading import Reader
from sql.tokens import Token
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class Explain(Command):
    options: tuple[tuple[str, str], ...]
    body: tuple[Token, ...]


def _explain(reader: Reader) -> Command:
    options: list[tuple[str, str]] = []
    after = reader.peek()
    query = after is not None and (after.is_word("select", "values", "with", "table") or after.is_mark("("))
    if not query and reader.token is not None and reader.token.is_mark("("):
        reader.must_mark("(")
        while True:
            name = reader.name()
            token = reader.token
            bare = token is None or token.is_mark(",") or token.is_mark(")")
            options.append((name, "true" if bare else value(reader).lower()))
            if not reader.mark(","):
                break
        reader.must_mark(")")
    else:
        if reader.one_of("analyze", "analyse"):
            options.append(("analyze", "true"))
        if reader.word("verbose"):
            options.append(("verbose", "true"))
    body = reader.token
    if body is None:
        raise reader.wrong()
    if body.is_word("create", "declare", "execute", "refresh"):
        raise FeatureNotSupported(f"EXPLAIN of {body.text.upper()} is not supported", position=body.position)
    return Explain(tuple(options), reader.rest())


READERS: dict[str, Callable[[Reader], Command]] = {
    "explain": _explain,
}
