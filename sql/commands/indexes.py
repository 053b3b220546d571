"""CREATE INDEX and ALTER INDEX."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name
from sql.reading import Reader
from sql.tokens import Kind, Token
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class CreateIndex(Command):
    """CREATE INDEX; `name` of '': PostgreSQL's. `orders` stand behind the columns: DESC, NULLS FIRST."""

    table: Name
    name: str
    unique: bool
    concurrently: bool
    if_not_exists: bool
    method: str
    columns: tuple[str, ...]
    orders: tuple[str, ...]
    included: tuple[str, ...] = ()
    nulls: bool = False  # NULLS NOT DISTINCT
    options: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()  # operator classes behind the columns; '': the default one
    expressions: tuple[tuple[Token, ...], ...] = ()  # what stands in place of a column, whose name is ''
    predicate: tuple[Token, ...] = ()  # WHERE


@dataclass(frozen=True)
class RenameIndex(Command):
    index: Name
    if_exists: bool
    name: str


def create_unique_index(reader: Reader) -> Command:
    """CREATE UNIQUE INDEX, from INDEX on."""
    reader.must_word("index")
    return create_index(reader, unique=True)


def create_index(reader: Reader, unique: bool = False) -> Command:
    """CREATE INDEX, from the name on. Raises SqlSyntaxError, FeatureNotSupported."""
    concurrently = reader.word("concurrently")
    if_not_exists = reader.word("if", "not", "exists")
    name = ""
    if reader.token is not None and not reader.token.is_word("on"):
        name = reader.name()
    elif if_not_exists:
        raise reader.wrong()
    reader.must_word("on")
    reader.word("only")
    table = reader.qualified()
    method = reader.name() if reader.word("using") else "btree"
    reader.must_mark("(")
    columns = [_column(reader)]
    while reader.mark(","):
        columns.append(_column(reader))
    reader.must_mark(")")
    included = reader.names() if reader.word("include") else ()
    nulls = reader.word("nulls", "not", "distinct")
    if not nulls:
        reader.word("nulls", "distinct")
    options = reader.options() if reader.word("with") else ()
    position = reader.token.position if reader.token is not None else 0
    if reader.word("tablespace"):
        raise FeatureNotSupported("CREATE INDEX ... TABLESPACE is not supported", position=position)
    predicate = reader.rest() if reader.word("where") else ()
    names, orders, classes, expressions = zip(*columns, strict=True)
    return CreateIndex(
        table,
        name,
        unique,
        concurrently,
        if_not_exists,
        method,
        names,
        orders,
        included,
        nulls,
        options,
        classes,
        expressions,
        predicate,
    )


def _column(reader: Reader) -> tuple[str, str, str, tuple[Token, ...]]:
    """A column, its order, its operator class, and the expression in its place."""
    expression = _expression(reader)
    name = "" if expression else reader.name()
    if len(expression) == 1 and expression[0].kind in (Kind.WORD, Kind.QUOTED):
        name, expression = expression[0].text, ()  # (a) is a
    if reader.word("collate"):
        position = reader.token.position if reader.token is not None else 0
        collation = reader.qualified()[-1]
        if collation not in ("C", "POSIX", "default"):
            raise FeatureNotSupported(f'collation "{collation}" is not supported: C is', position=position)
    token, kind = reader.token, ""
    if token is not None and not token.is_word("asc", "desc", "nulls") and token.text not in (",", ")"):
        kind = reader.qualified()[-1]
    descending = reader.one_of("asc", "desc") == "desc"
    words = ["DESC"] if descending else []
    if reader.word("nulls"):
        place = reader.one_of("first", "last")
        if not place:
            raise reader.wrong()
        if (place == "first") != descending:
            words.append(f"NULLS {place.upper()}")
    return name, " ".join(words), kind, expression


def _expression(reader: Reader) -> tuple[Token, ...]:
    """An expression in parentheses, without these, or a function's call; () where a name stands."""
    token, after, first = reader.token, reader.peek(1), reader.index
    bare = token is not None and token.is_mark("(")
    if not bare and (after is None or not after.is_mark("(")):
        return ()
    while token is not None and not token.is_mark("("):
        reader.index += 1
        token = reader.token
    depth = 0
    while (token := reader.token) is not None:
        depth += token.is_mark("(") - token.is_mark(")")
        reader.index += 1
        if not depth:
            return tuple(reader.tokens[first : reader.index])[bare : -1 if bare else None]
    raise reader.wrong()


def alter_index(reader: Reader) -> Command:
    """ALTER INDEX, from the name on: RENAME TO."""
    if_exists = reader.word("if", "exists")
    index = reader.qualified()
    if reader.word("rename", "to"):
        return RenameIndex(index, if_exists, reader.name())
    position = reader.token.position if reader.token is not None else 0
    word = reader.token.text.upper() if reader.token is not None else ""
    raise FeatureNotSupported(f"ALTER INDEX ... {word} is not supported", position=position)
