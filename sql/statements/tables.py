"""CREATE TABLE."""

from __future__ import annotations

from dataclasses import replace

from sql.commands import CreateTable
from sql.definitions import ColumnClause, read_table
from sql.outcome import Outcome
from sql.statements.constraints import add_constraints, free_name, touch_referenced
from sql.statements.control import done
from sql.statements.defaults import kept_default
from sql.statements.generated import with_generated
from sql.statements.host import Host
from sql.statements.likes import Expanded, expanded, with_copied
from sql.statements.places import owner, place
from sql.statements.sequences import BOUNDS, make_sequence
from sql.storageparameters import SEGMENT_ROWS, TABLE, Options, checked, whole_of
from sql.typenames import named
from storage.definitions import ColumnDefinition, Schema, Sequence, Table
from storage.errors import (
    DuplicateColumn,
    DuplicateTable,
    FeatureNotSupported,
    InvalidParameterValue,
    InvalidTableDefinition,
    SqlSyntaxError,
    TooManyColumns,
    UndefinedColumn,
)
from storage.systemcolumns import SYSTEM_NAMES
from storage.types import BINARY, Type

MOST_COLUMNS = 1600


def create_table(host: Host, command: CreateTable, text: str) -> Outcome:
    """CREATE TABLE, in any of its spellings."""
    clause = read_table(command, text, named(host.catalog, host.search_path(True)))
    schema = place(host, clause.name, command.temporary)
    name = clause.name[-1]
    if clause.on_commit and not schema.temporary:
        raise InvalidTableDefinition("ON COMMIT can only be used on temporary tables")
    existing = host.catalog.relation(schema.oid, name)
    if existing is not None:
        if clause.if_not_exists:
            host.notice("NOTICE", "42P07", f'relation "{name}" already exists, skipping')
            return done("CREATE TABLE")
        raise DuplicateTable(f'relation "{name}" already exists')
    whole = expanded(host, clause)
    if len(whole.columns) > MOST_COLUMNS:
        raise TooManyColumns(f"tables can have at most {MOST_COLUMNS} columns")
    for column in whole.columns:
        check_column(column, clause.name[-1])
    table, sequences = _define(host, whole, schema, command.unlogged, text)
    for sequence in sequences:
        host.transaction.define(sequence)
    host.transaction.define(table)
    touch_referenced(host, table, table.foreign_keys)
    return done("CREATE TABLE")


def check_name(name: str) -> None:
    """Raise DuplicateColumn for the name of a column that every table has."""
    if name in SYSTEM_NAMES:
        raise DuplicateColumn(f'column name "{name}" conflicts with a system column name')


def check_pseudo(name: str, type: Type, position: int = 0) -> None:
    """Raise for a type that no column may have, of a view either."""
    if (type.element or type).category == "P":
        raise InvalidTableDefinition(f'column "{name}" has pseudo-type {type}', position=position)


def check_type(name: str, type: Type, position: int) -> None:
    """Raise for a type that no column may have: pseudo-types, fixed-size ones without their size."""
    check_pseudo(name, type, position)
    if type.oid == BINARY.oid and type.modifier == -1:
        raise FeatureNotSupported(
            f"a column of type {type} needs its size: {type.of(4096)}",
            position=position,
        )


def check_column(column: ColumnClause, table: str) -> None:
    """Raise for a column that cannot be: its type, its default beside an identity."""
    type = column.type
    check_name(column.name)
    check_type(column.name, type, column.position)
    if column.sequence is not None and type.oid not in BOUNDS:
        raise InvalidParameterValue(
            "identity column type must be smallint, integer, or bigint", position=column.position
        )
    _check_generated(column, table)
    if column.sequence is not None and column.default:
        raise SqlSyntaxError(
            f'both default and identity specified for column "{column.name}" of table "{table}"',
            position=column.position,
        )


def _check_generated(column: ColumnClause, table: str) -> None:
    """Raise SqlSyntaxError for what a column cannot be besides generated."""
    if not column.generated:
        return
    of = f'specified for column "{column.name}" of table "{table}"'
    message = f"multiple generation clauses {of}" if len(column.generated) > 1 else ""
    if column.default or (column.sequence is not None and not column.identity):
        message = f"both default and generation expression {of}"
    elif column.identity:
        message = f"both identity and generation expression {of}"
    if message:
        raise SqlSyntaxError(message, position=column.position)


def _define(
    host: Host, whole: Expanded, schema: Schema, unlogged: bool, text: str
) -> tuple[Table, list[Sequence]]:
    transaction, clause = host.transaction, whole.clause
    oid = transaction.allocate_oid()
    taken = {clause.name[-1]}
    columns, sequences = [], []
    for number, column in enumerate(whole.columns, 1):
        sequence_oid = 0
        if column.sequence is not None:
            sequence_name = free_name(host, schema, (clause.name[-1], column.name, "seq"), taken)
            sequence = make_sequence(
                transaction.allocate_oid(), schema.oid, sequence_name, column.type, column.sequence
            )
            owned = replace(sequence, owned_by=(oid, number), temporary=schema.temporary, unlogged=unlogged)
            sequences.append(owned)
            sequence_oid = sequence.oid
        made = ColumnDefinition(
            column.name, column.type, number, column.not_null, column.kept, column.identity, sequence_oid
        )
        if column.default:
            made = replace(made, default=kept_default(host, made, column.default, text))
        columns.append(replace(made, comment=column.comment))
    options = checked(TABLE, clause.options)
    numbers = {column.name: column.number for column in columns}
    table = Table(
        oid,
        schema.oid,
        clause.name[-1],
        tuple(columns),
        (),
        tuple((_number(numbers, name), descending) for name, descending in clause.sort_key),
        tuple(_number(numbers, name) for name in clause.shard_key),
        owner=owner(host),
        type_oid=transaction.allocate_oid(),
        array_type_oid=transaction.allocate_oid(),
        segment_rows=segment_rows_of(host, options),
        options=options,
        temporary=schema.temporary,
        on_commit=clause.on_commit,
        unlogged=unlogged,
    )
    for column, definition in zip(whole.columns, columns, strict=True):
        if column.generated or column.computed:
            table = with_generated(host, table, definition, column, text)
    table = add_constraints(host, table, clause.constraints, text, taken)
    return with_copied(host, table, whole.copied), sequences


def _number(numbers: dict[str, int], name: str) -> int:
    if name not in numbers:
        raise UndefinedColumn(f'column "{name}" named in key does not exist')
    return numbers[name]


def segment_rows_of(host: Host, options: Options) -> int:
    """The most rows of a segment of a table that has these storage parameters."""
    return whole_of(options, SEGMENT_ROWS, int(host.settings.values[SEGMENT_ROWS]))
