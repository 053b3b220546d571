"""CREATE VIEW and ALTER VIEW; CREATE, ALTER and REFRESH MATERIALIZED VIEW."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sql.commands.altering import actions_of
from sql.commands.base import Command, Name
from sql.commands.renaming import renamed
from sql.commands.tables import without_data_clause
from sql.reading import Reader
from sql.tokens import Kind, Token, near
from storage.errors import FeatureNotSupported, UndefinedObject


@dataclass(frozen=True)
class CreateView(Command):
    name: Name
    columns: tuple[str, ...]
    query: tuple[Token, ...]
    replace: bool = False
    temporary: bool = False
    options: tuple[tuple[str, str], ...] = ()


def create_view(reader: Reader, adjectives: frozenset[str]) -> Command:
    """CREATE [OR REPLACE] [TEMPORARY] [RECURSIVE] VIEW, from the name on."""
    at, name = reader.index, reader.qualified()
    token = reader.token
    columns = reader.names() if token is not None and token.is_mark("(") else ()
    options = reader.options() if reader.word("with") else ()
    reader.must_word("as")
    query, option = _check_option(reader.rest())
    options = (*options, *option)
    if "recursive" in adjectives:
        if not columns:
            raise near(reader.text, token)
        query = _recursive(name[-1], columns, query, reader.tokens[at])
    temporary = "temporary" in adjectives
    return CreateView(name, columns, query, "replace" in adjectives, temporary, options)


@dataclass(frozen=True)
class CreateMaterializedView(Command):
    name: Name
    columns: tuple[str, ...]
    query: tuple[Token, ...]
    if_not_exists: bool = False
    with_data: bool = True
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RefreshMaterializedView(Command):
    name: Name
    concurrently: bool = False
    with_data: bool = True


def create_materialized_view(reader: Reader, adjectives: frozenset[str]) -> Command:
    """CREATE MATERIALIZED VIEW, from VIEW on. Raises FeatureNotSupported."""
    if "unlogged" in adjectives:
        raise FeatureNotSupported("materialized views cannot be unlogged")
    reader.must_word("view")
    if_not_exists = reader.word("if", "not", "exists")
    name = reader.qualified()
    token = reader.token
    columns = reader.names() if token is not None and token.is_mark("(") else ()
    if reader.word("using"):
        method = reader.name()
        if method != "heap":
            raise UndefinedObject(f'access method "{method}" does not exist')
    options = reader.options() if reader.word("with") else ()
    reader.must_word("as")
    query, with_data = without_data_clause(reader.rest())
    return CreateMaterializedView(name, columns, query, if_not_exists, with_data, options)


def refresh(reader: Reader) -> Command:
    """REFRESH MATERIALIZED VIEW."""
    reader.must_word("materialized", "view")
    concurrently = reader.word("concurrently")
    name = reader.qualified()
    with_data = True
    if reader.word("with"):
        with_data = not reader.word("no")
        reader.must_word("data")
    return RefreshMaterializedView(name, concurrently, with_data)


def alter_materialized_view(reader: Reader) -> Command:
    """ALTER MATERIALIZED VIEW, from VIEW on: its names, owner and storage parameters."""
    reader.must_word("view")
    found = renamed(reader, "materialized view")
    return replace(actions_of(reader), kind="materialized view") if found is None else found


def alter_view(reader: Reader) -> Command:
    """ALTER VIEW, from the name on: its names, owner and parameters."""
    found = renamed(reader, "view")
    return replace(actions_of(reader), kind="view") if found is None else found


def _recursive(name: str, columns: Sequence[str], query: Sequence[Token], place: Token) -> tuple[Token, ...]:
    """WITH RECURSIVE name (columns) AS (query) SELECT columns FROM name, as if it stood at `place`."""

    def made(kind: Kind, *texts: str) -> list[Token]:
        return [Token(kind, text, place.start, place.end) for text in texts]

    comma, opening, closing = (made(Kind.PUNCTUATION, mark) for mark in ",()")
    named = made(Kind.QUOTED, name)
    listed = [token for column in columns for token in (*comma, *made(Kind.QUOTED, column))][1:]
    head = [*made(Kind.WORD, "with", "recursive"), *named, *opening, *listed, *closing]
    body = [*made(Kind.WORD, "as"), *opening, *query, *closing]
    return (*head, *body, *made(Kind.WORD, "select"), *listed, *made(Kind.WORD, "from"), *named)


def _check_option(query: tuple[Token, ...]) -> tuple[tuple[Token, ...], tuple[tuple[str, str], ...]]:
    """A query without the WITH [CASCADED | LOCAL] CHECK OPTION behind it, and that as a parameter."""
    if len(query) < 4 or not (query[-1].is_word("option") and query[-2].is_word("check")):
        return query, ()
    said = query[-3].text if query[-3].is_word("cascaded", "local") else ""
    front = 4 if said else 3
    if not query[-front].is_word("with"):
        return query, ()
    return query[:-front], (("check_option", said or "cascaded"),)
