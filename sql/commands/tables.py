"""CREATE TABLE and CREATE TABLE AS; what a table's definition says is read in sql.definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sql.commands.base import Command, Name
from sql.commands.prepared import Execute, read_execute
from sql.keywords import BEHIND_LIST
from sql.reading import Reader
from sql.tokens import Token, near


@dataclass(frozen=True)
class CreateTable(Command):
    """CREATE TABLE: the tokens behind these words."""

    tokens: tuple[Token, ...]
    temporary: bool = False
    unlogged: bool = False


@dataclass(frozen=True)
class CreateTableAs(Command):
    """CREATE TABLE AS and SELECT INTO. `execute`: the query is a prepared statement."""

    name: Name
    columns: tuple[str, ...]
    query: tuple[Token, ...]
    if_not_exists: bool = False
    temporary: bool = False
    on_commit: str = ""
    with_data: bool = True
    options: tuple[tuple[str, str], ...] = ()
    execute: Execute | None = None
    unlogged: bool = False


def create_table(reader: Reader, adjectives: frozenset[str]) -> Command:
    """CREATE [TEMPORARY | UNLOGGED] TABLE, from the name on."""
    temporary, unlogged = "temporary" in adjectives, "unlogged" in adjectives
    start = reader.index
    found = _table_as(reader, temporary)
    if found is not None:
        return replace(found, unlogged=unlogged)
    reader.index = start
    return CreateTable(reader.rest(), temporary, unlogged)


def _table_as(reader: Reader, temporary: bool) -> CreateTableAs | None:
    """[IF NOT EXISTS] name [(columns)] [WITH (...)] [ON COMMIT ...] AS query [WITH [NO] DATA]."""
    if_not_exists = reader.word("if", "not", "exists")
    name = reader.qualified()
    columns = _bare_names(reader)
    reader.word("using", "heap")
    options = reader.options() if reader.word("with") else ()
    if not options:
        reader.word("without", "oids")
    on_commit = read_on_commit(reader)
    reader.word("tablespace", "pg_default")
    if not reader.word("as"):
        return None
    query, with_data = without_data_clause(reader.rest())
    found = CreateTableAs(name, columns, query, if_not_exists, temporary, on_commit, with_data, options)
    if not query or not query[0].is_word("execute"):
        return found
    inner = Reader(query, reader.text, 1)
    execute = read_execute(inner)
    inner.end()
    return replace(found, query=(), execute=execute)


def without_data_clause(query: tuple[Token, ...]) -> tuple[tuple[Token, ...], bool]:
    """A query without the WITH [NO] DATA behind it, and whether it is to be run."""
    if len(query) > 2 and query[-1].is_word("data"):
        front = 3 if query[-2].is_word("no") else 2
        if len(query) > front and query[-front].is_word("with"):
            return query[:-front], front == 2
    return query, True


def _bare_names(reader: Reader) -> tuple[str, ...]:
    """A list of names and nothing else in parentheses, if that is what comes."""
    token, start = reader.token, reader.index
    if token is None or not token.is_mark("("):
        return ()
    inside = reader.parenthesised()
    if inside and all((t.is_mark(",")) == bool(at % 2) for at, t in enumerate(inside)) and len(inside) % 2:
        return tuple(t.text for t in inside[::2])
    reader.index = start
    return ()


def read_on_commit(reader: Reader) -> str:
    """ON COMMIT PRESERVE ROWS, DELETE ROWS or DROP: '', 'delete' or 'drop'."""
    if not reader.word("on", "commit"):
        return ""
    if reader.word("preserve", "rows"):
        return ""
    if reader.word("delete", "rows"):
        return "delete"
    reader.must_word("drop")
    return "drop"


def select_into(tokens: Sequence[Token], text: str) -> CreateTableAs | None:
    """SELECT ... INTO [TEMPORARY | UNLOGGED] [TABLE] name FROM ...: CREATE TABLE AS in an older spelling."""
    depth = 0
    for at, token in enumerate(tokens):
        if token.is_mark("("):
            depth += 1
        elif token.is_mark(")"):
            depth -= 1
        elif depth:
            continue
        elif token.is_word("insert", "merge", "replace", "from", "values"):
            return None
        elif token.is_word("into"):
            return _into(tokens, at, text)
    return None


def _into(tokens: Sequence[Token], at: int, text: str) -> CreateTableAs:
    reader = Reader(tokens, text, at + 1)
    temporary = bool(reader.one_of("temp", "temporary"))
    if not temporary and reader.word("local"):
        temporary = bool(reader.one_of("temp", "temporary"))
    unlogged = not temporary and reader.word("unlogged")
    reader.word("table")
    name = reader.qualified()
    if reader.token is not None and not reader.token.is_word(*BEHIND_LIST):
        raise near(text, reader.token)
    query = (*tokens[:at], *reader.rest())
    return CreateTableAs(name, (), query, temporary=temporary, unlogged=unlogged)
