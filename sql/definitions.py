"""CREATE TABLE, read: in the talk's spelling, SingleStore's, the short one and PostgreSQL's.

    CREATE TABLE features (id bigint(11) NOT NULL AUTO_INCREMENT, image binary(4096) DEFAULT NULL,
                           KEY id (id) USING CLUSTERED COLUMNSTORE)
    CREATE TABLE t (a int, SORT KEY (a), SHARD KEY (a))        CREATE TABLE t (a int) COLUMNSTORE
    CREATE TABLE t (a bigserial PRIMARY KEY, b text CHECK (b <> ''), UNIQUE (b))

Every table is a columnstore, so saying so changes nothing but the sort key. Expressions (defaults, checks)
are kept as text; sqlglot reads them when they are bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sql.commands import CreateTable
from sql.commands.sequences import Options, sequence_options
from sql.commands.tables import read_on_commit
from sql.constraints import (
    ConstraintClause,
    read_constraint,
    read_references,
    read_storage,
    read_timing,
)
from sql.reading import Reader
from sql.tokens import Kind, Token
from sql.typenames import Lookup
from storage.errors import DuplicateColumn, FeatureNotSupported, InvalidTableDefinition, SqlSyntaxError
from storage.types import INT2, INT4, INT8, Type

_SERIAL = {
    "serial": INT4, "serial4": INT4, "bigserial": INT8, "serial8": INT8, "smallserial": INT2, "serial2": INT2,
}  # fmt: skip


@dataclass(frozen=True)
class ColumnClause:
    """A column as it was written. `sequence` is its options where it counts by itself."""

    name: str
    type: Type
    position: int
    not_null: bool = False
    null: bool | None = None  # what NULL and NOT NULL said
    default: tuple[Token, ...] = ()
    identity: str = ""
    sequence: Options | None = None
    kept: str | None = None  # a default that is kept as text already: of another table's column
    generated: tuple[tuple[Token, ...], ...] = ()  # of each clause: there may be one
    computed: str = ""  # such an expression that is kept as text already
    comment: str = ""


@dataclass(frozen=True)
class LikeClause:
    """LIKE source: the columns of another relation, and what INCLUDING says of them."""

    source: tuple[str, ...]
    including: frozenset[str]
    position: int


@dataclass(frozen=True)
class TableClause:
    """A whole CREATE TABLE."""

    name: tuple[str, ...]
    if_not_exists: bool
    columns: tuple[ColumnClause | LikeClause, ...]
    constraints: tuple[ConstraintClause, ...]
    sort_key: tuple[tuple[str, bool], ...] = ()
    shard_key: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    on_commit: str = ""


@dataclass
class _Table:
    columns: list[ColumnClause | LikeClause] = field(default_factory=list)
    constraints: list[ConstraintClause] = field(default_factory=list)
    sort_key: tuple[tuple[str, bool], ...] = ()
    shard_key: tuple[str, ...] = ()
    options: list[tuple[str, str]] = field(default_factory=list)
    on_commit: str = ""
    name: str = ""


def read_table(command: CreateTable, text: str, types: Lookup | None = None) -> TableClause:
    """What CREATE TABLE says. Raises SqlSyntaxError, FeatureNotSupported, DuplicateColumn."""
    reader = Reader(command.tokens, text, types=types)
    if_not_exists = reader.word("if", "not", "exists")
    name = reader.qualified()
    if reader.token is not None and reader.token.is_word("partition", "of"):
        raise FeatureNotSupported(f"CREATE TABLE ... {reader.token.text.upper()} is not supported")
    reader.must_mark("(")
    table = _Table(name=name[-1])
    if not reader.mark(")"):
        while True:
            _element(reader, table)
            if not reader.mark(","):
                break
        reader.must_mark(")")
    _table_options(reader, table)
    reader.end()
    refuse_doubled(name[-1], table.columns, table.constraints)
    return TableClause(
        name,
        if_not_exists,
        tuple(table.columns),
        tuple(table.constraints),
        table.sort_key,
        table.shard_key,
        tuple(table.options),
        table.on_commit,
    )


def refuse_doubled(
    name: str, columns: Iterable[ColumnClause | LikeClause], constraints: Iterable[ConstraintClause]
) -> None:
    """Raise DuplicateColumn for a name that two columns have, InvalidTableDefinition for two primary keys."""
    seen: set[str] = set()
    for column in columns:
        if isinstance(column, ColumnClause):
            if column.name in seen:
                raise DuplicateColumn(f'column "{column.name}" specified more than once')
            seen.add(column.name)
    if sum(constraint.kind == "p" for constraint in constraints) > 1:
        raise InvalidTableDefinition(f'multiple primary keys for table "{name}" are not allowed')


def read_column(
    tokens: Sequence[Token], text: str, types: Lookup | None = None
) -> tuple[ColumnClause, tuple[ConstraintClause, ...]]:
    """The definition of one column, and the constraints in it. Raises SqlSyntaxError, FeatureNotSupported."""
    reader, table = Reader(tokens, text, types=types), _Table()
    _column(reader, table)
    reader.end()
    column = table.columns[0]
    assert isinstance(column, ColumnClause)
    return column, tuple(table.constraints)


def _element(reader: Reader, table: _Table) -> None:
    """A column, a key or a constraint."""
    token, after = reader.token, reader.peek()
    key_follows = after is not None and (after.is_word("key") or after.is_mark("("))
    if token is not None and token.is_word("like"):
        table.columns.append(_like(reader))
        return
    if reader.word("sort", "key"):
        table.sort_key = _sort_columns(reader)
        _key_options(reader, table)
    elif reader.word("shard", "key"):
        table.shard_key = tuple(name for name, _ in _sort_columns(reader))
    elif token is not None and token.is_word("key", "index") and after is not None:
        _columnstore_key(reader, table)
    elif token is not None and (
        token.is_word("constraint", "exclude")
        or (token.is_word("primary", "foreign") and key_follows)
        or (token.is_word("unique", "check") and after is not None)
    ):
        table.constraints.append(read_constraint(reader))
    else:
        _column(reader, table)


_PARTS = frozenset(
    ("comments", "compression", "constraints", "defaults", "generated", "identity", "indexes", "statistics")
) | {"storage"}


def _like(reader: Reader) -> LikeClause:
    """LIKE source [{INCLUDING | EXCLUDING} part ...]."""
    position = reader.token.position if reader.token is not None else 0
    reader.must_word("like")
    source = reader.qualified()
    including: set[str] = set()
    while word := reader.one_of("including", "excluding"):
        part = reader.one_of("all", *_PARTS)
        if not part:
            raise reader.wrong()
        parts = _PARTS if part == "all" else {part}
        including = including | parts if word == "including" else including - parts
    return LikeClause(source, frozenset(including), position)


def _sort_columns(reader: Reader) -> tuple[tuple[str, bool], ...]:
    """(name, descending) between parentheses; none at all is a key too."""
    reader.must_mark("(")
    found: list[tuple[str, bool]] = []
    while not reader.mark(")"):
        name = reader.name()
        found.append((name, reader.one_of("asc", "desc") == "desc"))
        reader.mark(",")
    return tuple(found)


def _columnstore_key(reader: Reader, table: _Table) -> None:
    """KEY [name] (columns) USING CLUSTERED COLUMNSTORE: the sort key, in its older spelling."""
    position = reader.token.position if reader.token is not None else 0
    reader.index += 1
    if reader.token is not None and not reader.token.is_mark("("):
        reader.name()
    columns = _sort_columns(reader)
    if not reader.word("using", "clustered", "columnstore"):
        raise FeatureNotSupported(
            "KEY without USING CLUSTERED COLUMNSTORE is not supported",
            hint="Scans skip what zone maps rule out; PRIMARY KEY and UNIQUE have indexes.",
            position=position,
        )
    table.sort_key = columns
    _key_options(reader, table)


def _key_options(reader: Reader, table: _Table) -> None:
    if reader.word("with"):
        table.options += reader.options()


def _column(reader: Reader, table: _Table) -> None:
    token = reader.token
    position = token.position if token is not None else 0
    name = reader.name()
    serial = (
        _SERIAL.get(reader.token.text)
        if reader.token is not None and reader.token.kind is Kind.WORD
        else None
    )
    if serial is not None:
        reader.index += 1
        column = ColumnClause(name, serial, position, not_null=True, sequence=())
    else:
        column = ColumnClause(name, reader.type(), position)
    while (token := reader.token) is not None and not token.is_mark(",") and not token.is_mark(")"):
        column = _column_clause(reader, table, column)
    table.columns.append(column)


_ENDS = (
    "not", "null", "default", "primary", "unique", "check", "references", "generated", "constraint",
    "auto_increment", "collate", "comment", "on", "sparse", "series",
)  # fmt: skip


def _column_clause(reader: Reader, table: _Table, column: ColumnClause) -> ColumnClause:
    """One clause behind a column's type."""
    start = reader.token
    assert start is not None
    constraint = reader.name() if reader.word("constraint") else ""
    if reader.word("not", "null"):
        return replace(column, not_null=True, null=_agreed(column, False, table, start))
    if reader.word("null"):
        return replace(column, null=_agreed(column, True, table, start))
    if reader.word("default"):
        return replace(column, default=_default(reader))
    if reader.word("auto_increment"):
        return replace(column, sequence=())
    of_column = _column_constraint(reader, constraint, column.name, start.position)
    if of_column is not None:
        table.constraints.append(read_timing(reader, of_column))
        return replace(column, not_null=column.not_null or of_column.kind == "p")
    if reader.word("generated"):
        return _generated(reader, column)
    if reader.word("comment"):
        reader.string()
        raise FeatureNotSupported(
            "COMMENT in a column's definition is not supported", position=start.position
        )
    if reader.word("compression") or reader.word("storage"):
        raise FeatureNotSupported(
            f"{start.text.upper()} in a column's definition is not supported", position=start.position
        )
    if reader.word("collate"):
        named = reader.qualified()
        if named[-1] not in ("C", "default", "POSIX", "c"):
            raise FeatureNotSupported(
                f'collation "{named[-1]}" is not supported: C is', position=start.position
            )
        return column
    raise reader.wrong()


def _agreed(column: ColumnClause, null: bool, table: _Table, token: Token) -> bool:
    """What NULL or NOT NULL says, if nothing before says otherwise. Raises SqlSyntaxError."""
    if column.null is not None and column.null is not null:
        raise SqlSyntaxError(
            f'conflicting NULL/NOT NULL declarations for column "{column.name}" of table "{table.name}"',
            position=token.position,
        )
    return null


def _column_constraint(reader: Reader, name: str, column: str, position: int) -> ConstraintClause | None:
    """A key, check or reference behind a column's type; None for another clause."""
    if reader.word("primary", "key"):
        return read_storage(reader, ConstraintClause("p", name, (column,), position=position))
    if reader.word("unique"):
        reader.word("key")
        nulls = reader.word("nulls", "not", "distinct")
        if not nulls:
            reader.word("nulls", "distinct")
        clause = ConstraintClause("u", name, (column,), position=position, nulls=nulls)
        return read_storage(reader, clause)
    if reader.word("check"):
        return ConstraintClause("c", name, (), reader.parenthesised(), position)
    if reader.word("references"):
        return ConstraintClause("f", name, (column,), (), position, read_references(reader))
    return None


def _default(reader: Reader) -> tuple[Token, ...]:
    """The tokens of a default: up to the next clause of the column at this depth."""
    first = reader.index
    reader.index += 1  # NULL and NOT begin an expression too
    rest = reader.until(*_ENDS)
    del rest
    tokens = tuple(reader.tokens[first : reader.index])
    if not tokens:
        raise reader.wrong()
    if tokens[0].is_mark("("):
        reader.index = first
        inner = reader.parenthesised()
        after = reader.until(*_ENDS)
        query = bool(inner) and inner[0].is_word("select", "values", "with")  # for the binder to refuse
        tokens = tuple(reader.tokens[first : reader.index]) if after or query else inner
    return () if len(tokens) == 1 and tokens[0].is_word("null") else tokens


def _generated(reader: Reader, column: ColumnClause) -> ColumnClause:
    """GENERATED ...: AS IDENTITY [(options)], or ALWAYS AS (expression) STORED."""
    position = reader.tokens[reader.index].position if reader.token is not None else 0
    identity = "a" if reader.word("always") else "d"
    if identity == "d":
        reader.must_word("by", "default")
    reader.must_word("as")
    if not reader.word("identity"):
        expression = reader.parenthesised()
        reader.must_word("stored")
        if identity == "d":
            raise SqlSyntaxError(
                "for a generated column, GENERATED ALWAYS must be specified", position=position
            )
        return replace(column, generated=(*column.generated, expression))
    options: Options = ()
    if reader.mark("("):
        options = sequence_options(reader)
        reader.must_mark(")")
    # What counts by itself has a default already.
    default = column.default if column.sequence is None else reader.tokens[reader.index - 1 : reader.index]
    return replace(column, identity=identity, sequence=options, not_null=True, default=tuple(default))


def _table_options(reader: Reader, table: _Table) -> None:
    """What stands behind the closing parenthesis."""
    while (token := reader.token) is not None:
        if (
            reader.one_of("columnstore")
            or reader.word("using", "columnstore")
            or reader.word("using", "heap")
            or reader.word("without", "oids")
            or reader.word("tablespace", "pg_default")
        ):
            continue
        if reader.word("with"):
            table.options += reader.options()
            continue
        if token.is_word("on") and (after := reader.peek()) is not None and after.is_word("commit"):
            table.on_commit = read_on_commit(reader)
            continue
        word = token.text.upper() if token.kind is Kind.WORD else ""
        if word in ("PARTITION", "INHERITS", "TABLESPACE", "ON", "ENGINE", "CHARSET", "DEFAULT", "COMMENT"):
            raise FeatureNotSupported(f"CREATE TABLE ... {word} is not supported", position=token.position)
        raise reader.wrong()
