"""CREATE TABLE."""

from __future__ import annotations

from dataclasses import replace

from sql.bind import bind_condition, bind_expression, table_scope
from sql.coerce import assign
from sql.commands import CreateTable
from sql.context import ParameterTypes
from sql.definitions import ColumnClause, ConstraintClause, TableClause, read_table
from sql.outcome import Outcome
from sql.parse import parse_expression_tokens
from sql.scope import Frame, Scope
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner, place
from sql.statements.sequences import BOUNDS, make_sequence
from sql.tokens import Token
from storage.catalog import (
    ColumnDefinition,
    Constraint,
    Schema,
    Sequence,
    Table,
)
from storage.errors import (
    DuplicateTable,
    FeatureNotSupported,
    InvalidParameterValue,
    InvalidTableDefinition,
    TooManyColumns,
    UndefinedColumn,
)
from storage.types import BINARY, VECTOR, Type

_MOST_COLUMNS = 1600


def _taken(host: Host, schema: Schema, name: str, taken: set[str]) -> bool:
    catalog = host.catalog
    indexes = {key.name for t in catalog.tables() if t.schema == schema.oid for key in t.keys}
    return name in taken or name in indexes or catalog.relation(schema.oid, name) is not None


def _free(host: Host, schema: Schema, parts: tuple[str, ...], taken: set[str]) -> str:
    """PostgreSQL's name for an object that was given none: table_column_key, with a number if needed."""
    *front, suffix = parts
    stem = "_".join(front)
    room = 63 - len(suffix) - 4
    number = 0
    while True:
        name = f"{stem[:room]}_{suffix}{number or ''}"
        if not _taken(host, schema, name, taken):
            taken.add(name)
            return name
        number += 1


def create_table(host: Host, command: CreateTable, text: str) -> Outcome:
    """CREATE TABLE, in any of its spellings."""
    clause = read_table(command, text)
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
    if len(clause.columns) > _MOST_COLUMNS:
        raise TooManyColumns(f"tables can have at most {_MOST_COLUMNS} columns")
    for column in clause.columns:
        _check_type(column)
    table, sequences = _define(host, clause, schema, text)
    _check_expressions(host, clause, table, text)
    for sequence in sequences:
        host.transaction.define(sequence)
    host.transaction.define(table)
    return done("CREATE TABLE")


def check_type(name: str, type: Type, position: int) -> None:
    """Raise for a type that no column may have: pseudo-types, fixed-size ones without their size."""
    if type.category == "P":
        raise InvalidTableDefinition(f'column "{name}" has pseudo-type {type}', position=position)
    if type.oid in (BINARY.oid, VECTOR.oid) and type.modifier == -1:
        raise FeatureNotSupported(
            f"a column of type {type} needs its size: {type}({'4096' if type.oid == BINARY.oid else '1024'})",
            position=position,
        )


def _check_type(column: ColumnClause) -> None:
    type = column.type
    check_type(column.name, type, column.position)
    if column.sequence is not None and type.oid not in BOUNDS:
        raise InvalidParameterValue(
            "identity column type must be smallint, integer, or bigint", position=column.position
        )
    if column.sequence is not None and column.default:
        raise InvalidTableDefinition(
            f'both default and identity specified for column "{column.name}"', position=column.position
        )


def _define(host: Host, clause: TableClause, schema: Schema, text: str) -> tuple[Table, list[Sequence]]:
    transaction = host.transaction
    oid = transaction.allocate_oid()
    taken = {clause.name[-1]}
    keyed = {name for c in clause.constraints if c.kind == "p" for name in c.columns}
    columns, sequences = [], []
    for number, column in enumerate(clause.columns, 1):
        default = _source(column.default, text)
        sequence_oid = 0
        if column.sequence is not None:
            sequence_name = _free(host, schema, (clause.name[-1], column.name, "seq"), taken)
            sequence = make_sequence(
                transaction.allocate_oid(), schema.oid, sequence_name, column.type, column.sequence
            )
            sequences.append(replace(sequence, owned_by=(oid, number), temporary=schema.temporary))
            sequence_oid = sequence.oid
        not_null = column.not_null or column.name in keyed
        columns.append(
            ColumnDefinition(
                column.name, column.type, number, not_null, default, column.identity, sequence_oid
            )
        )
    numbers = {column.name: column.number for column in columns}
    constraints = [_constraint(host, clause, c, schema, numbers, taken, text) for c in clause.constraints]
    options = dict(clause.options)
    rows = options.get("columnstore_segment_rows") or host.settings.values["columnstore_segment_rows"]
    table = Table(
        oid,
        schema.oid,
        clause.name[-1],
        tuple(columns),
        tuple(constraints),
        tuple((_number(numbers, name), descending) for name, descending in clause.sort_key),
        tuple(_number(numbers, name) for name in clause.shard_key),
        owner=owner(host),
        type_oid=transaction.allocate_oid(),
        array_type_oid=transaction.allocate_oid(),
        segment_rows=int(rows),
        options=clause.options,
        temporary=schema.temporary,
        on_commit=clause.on_commit,
    )
    return table, sequences


def _number(numbers: dict[str, int], name: str) -> int:
    if name not in numbers:
        raise UndefinedColumn(f'column "{name}" named in key does not exist')
    return numbers[name]


def _source(tokens: tuple[Token, ...], text: str) -> str | None:
    return text[tokens[0].start : tokens[-1].end] if tokens else None


def _constraint(
    host: Host,
    clause: TableClause,
    constraint: ConstraintClause,
    schema: Schema,
    numbers: dict[str, int],
    taken: set[str],
    text: str,
) -> Constraint:
    table = clause.name[-1]
    columns = tuple(_number(numbers, name) for name in constraint.columns)
    if len(set(columns)) != len(columns):
        raise InvalidTableDefinition("a key names a column twice", position=constraint.position)
    parts = {
        "p": (table, "pkey"),
        "u": (table, *constraint.columns, "key"),
        "c": (table, *constraint.columns, "check"),
    }[constraint.kind]
    name = constraint.name or _free(host, schema, parts, taken)
    if constraint.name and constraint.kind != "c" and _taken(host, schema, name, taken):
        raise DuplicateTable(f'relation "{name}" already exists')
    taken.add(name)
    transaction = host.transaction
    if constraint.kind == "c":
        source = _source(constraint.expression, text) or ""
        return Constraint(transaction.allocate_oid(), name, "c", columns, source)
    index = transaction.allocate_oid()
    return Constraint(transaction.allocate_oid(), name, constraint.kind, columns, "", index)


def _check_expressions(host: Host, clause: TableClause, table: Table, text: str) -> None:
    """Bind defaults and checks once, so that what is wrong with them is said now."""
    context = host.planner.context(ParameterTypes((), fixed=True), text)
    for column, definition in zip(clause.columns, table.columns, strict=True):
        if column.default:
            tree = parse_expression_tokens(list(column.default), text)
            bound = bind_expression(tree, Scope(Frame()), context, "DEFAULT expressions")
            assign(bound, definition, column.default[0].position, context)
    for constraint in clause.constraints:
        if constraint.kind == "c":
            tree = parse_expression_tokens(list(constraint.expression), text)
            bind_condition(tree, table_scope(table), context, "CHECK")
