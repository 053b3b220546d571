"""DDL: tables, sequences, schemas; TRUNCATE, COMMENT, maintenance."""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.bind import bind_condition, bind_expression, table_scope
from sql.coerce import assign
from sql.commands import CreateTable
from sql.commands.sequences import Options
from sql.context import ParameterTypes
from sql.definitions import ColumnClause, ConstraintClause, TableClause, read_table
from sql.outcome import Outcome
from sql.parse import parse_expression_tokens
from sql.scope import Frame, Scope
from sql.statements.control import done
from sql.statements.host import Host
from sql.tokens import Token
from storage.catalog import (
    PG_CATALOG,
    ColumnDefinition,
    Constraint,
    Relation,
    Schema,
    Sequence,
    Table,
)
from storage.errors import (
    ActiveSqlTransaction,
    DependentObjectsStillExist,
    DuplicateSchema,
    DuplicateTable,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidParameterValue,
    InvalidSchemaName,
    InvalidTableDefinition,
    TooManyColumns,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from storage.types import BINARY, BY_NAME, INT2, INT4, INT8, VECTOR, Type

_MOST_COLUMNS = 1600
_BOUNDS = {INT2.oid: 2**15 - 1, INT4.oid: 2**31 - 1, INT8.oid: 2**63 - 1}


def schema_of(host: Host, parts: tuple[str, ...]) -> Schema:
    """Where a new relation of this name goes. Raises InvalidSchemaName, InsufficientPrivilege."""
    catalog = host.catalog
    if len(parts) > 1:
        schema = catalog.must_schema(parts[-2])
    else:
        path = host.search_path(False)
        if not path:
            raise InvalidSchemaName("no schema has been selected to create in")
        schema = catalog.must_schema(path[0])
    if schema.oid < 2200 or schema.oid == 13_000:
        raise InsufficientPrivilege(
            f'permission denied to create "{schema.name}.{parts[-1]}"',
            detail="System catalog modifications are currently disallowed.",
        )
    return schema


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
    schema = schema_of(host, clause.name)
    name = clause.name[-1]
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


def _check_type(column: ColumnClause) -> None:
    type = column.type
    if type.category == "P" or (type.oid in (BINARY.oid, VECTOR.oid) and type.modifier == -1):
        if type.category == "P":
            message = f'column "{column.name}" has pseudo-type {type}'
            raise InvalidTableDefinition(message, position=column.position)
        raise FeatureNotSupported(
            f"a column of type {type} needs its size: {type}({'4096' if type.oid == BINARY.oid else '1024'})",
            position=column.position,
        )
    if column.sequence is not None and type.oid not in _BOUNDS:
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
            sequences.append(replace(sequence, owned_by=(oid, number)))
            sequence_oid = sequence.oid
            if not column.identity:
                shown = names.quoted(sequence_name)
                default = f"nextval('{shown}'::regclass)"
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
        owner=_role(host),
        type_oid=transaction.allocate_oid(),
        array_type_oid=transaction.allocate_oid(),
        segment_rows=int(rows),
        options=clause.options,
    )
    return table, sequences


def _role(host: Host) -> int:
    role = host.catalog.role(host.user)
    return role.oid if role is not None else 10


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


def make_sequence(oid: int, schema: int, name: str, type: Type, options: Options) -> Sequence:
    """A sequence of these options. Raises InvalidParameterValue."""
    given = dict(options)
    named = given.get("as")
    if isinstance(named, str):
        type = BY_NAME[named]
    if type.oid not in _BOUNDS:
        raise InvalidParameterValue("sequence type must be smallint, integer, or bigint")
    increment = _int(given, "increment", 1)
    if increment == 0:
        raise InvalidParameterValue("INCREMENT must not be zero")
    bound = _BOUNDS[type.oid]
    minimum = _int(given, "minvalue", 1 if increment > 0 else -bound - 1)
    maximum = _int(given, "maxvalue", bound if increment > 0 else -1)
    start = _int(given, "start", minimum if increment > 0 else maximum)
    if minimum >= maximum:
        raise InvalidParameterValue(f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")
    if start < minimum:
        raise InvalidParameterValue(f"START value ({start}) cannot be less than MINVALUE ({minimum})")
    if start > maximum:
        raise InvalidParameterValue(f"START value ({start}) cannot be greater than MAXVALUE ({maximum})")
    cycle = bool(given.get("cycle", 0))
    return Sequence(oid, schema, name, type, start, increment, minimum, maximum, cycle)


def _int(options: dict[str, int | str | None], name: str, default: int) -> int:
    value = options.get(name)
    return value if isinstance(value, int) else default


def create_sequence(host: Host, command: commands.CreateSequence, text: str) -> Outcome:
    """CREATE SEQUENCE."""
    schema = schema_of(host, command.name)
    if host.catalog.relation(schema.oid, command.name[-1]) is not None:
        if command.if_not_exists:
            host.notice("NOTICE", "42P07", f'relation "{command.name[-1]}" already exists, skipping')
            return done("CREATE SEQUENCE")
        raise DuplicateTable(f'relation "{command.name[-1]}" already exists')
    transaction = host.transaction
    oid = transaction.allocate_oid()
    transaction.define(make_sequence(oid, schema.oid, command.name[-1], INT8, command.options))
    return done("CREATE SEQUENCE")


def find(host: Host, parts: tuple[str, ...]) -> Relation | None:
    """The table or sequence of this name; None where there is none. Views are refused."""
    found = names.find(host.catalog, host.search_path(True), parts)
    if isinstance(found, Table | Sequence):
        return found
    if found is not None:
        raise InsufficientPrivilege(f'permission denied: "{parts[-1]}" is a system catalog')
    return None


def must_table(host: Host, parts: tuple[str, ...]) -> Table:
    """The table of this name. Raises UndefinedTable, WrongObjectType."""
    found = find(host, parts)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
    if not isinstance(found, Table):
        raise WrongObjectType(f'"{parts[-1]}" is not a table')
    return found


def drop(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP TABLE, SEQUENCE, SCHEMA."""
    tag = f"DROP {command.kind.upper()}"
    for parts in command.names:
        if command.kind == "schema":
            _drop_schema(host, parts[-1], command)
        else:
            _drop_relation(host, parts, command)
    return done(tag)


def _drop_relation(host: Host, parts: tuple[str, ...], command: commands.Drop) -> None:
    found = find(host, parts)
    if found is None:
        message = f'{command.kind} "{".".join(parts)}" does not exist'
        if not command.if_exists:
            raise UndefinedTable(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return
    kind = "table" if isinstance(found, Table) else "sequence"
    if kind != command.kind:
        raise WrongObjectType(
            f'"{parts[-1]}" is not a {command.kind}', hint=f"Use DROP {kind.upper()} to remove a {kind}."
        )
    if isinstance(found, Sequence) and found.owned_by is not None:
        owner = host.catalog.relations.get(found.owned_by[0])
        if isinstance(owner, Table) and not command.cascade:
            raise _dependent(
                f"cannot drop sequence {found.name} because other objects depend on it", owner, found
            )
    _remove(host, found)


def _dependent(message: str, table: Table, sequence: Sequence) -> DependentObjectsStillExist:
    assert sequence.owned_by is not None
    column = table.columns[table.position(sequence.owned_by[1])].name
    return DependentObjectsStillExist(
        message,
        detail=f"default value for column {column} of table {table.name} depends on sequence {sequence.name}",
        hint="Use DROP ... CASCADE to drop the dependent objects too.",
    )


def _remove(host: Host, relation: Relation) -> None:
    if isinstance(relation, Table):
        for sequence in list(host.catalog.sequences()):
            if sequence.owned_by is not None and sequence.owned_by[0] == relation.oid:
                host.transaction.drop(sequence)
    host.transaction.drop(relation)


def _drop_schema(host: Host, name: str, command: commands.Drop) -> None:
    schema = host.catalog.schema(name)
    if schema is None:
        if not command.if_exists:
            raise InvalidSchemaName(f'schema "{name}" does not exist')
        host.notice("NOTICE", "00000", f'schema "{name}" does not exist, skipping')
        return
    if schema.oid in (PG_CATALOG, 13_000):
        raise DependentObjectsStillExist(
            f"cannot drop schema {name} because it is required by the database system"
        )
    inside = [relation for relation in host.catalog.relations.values() if relation.schema == schema.oid]
    if inside and not command.cascade:
        kind = "table" if isinstance(inside[0], Table) else "sequence"
        raise DependentObjectsStillExist(
            f"cannot drop schema {name} because other objects depend on it",
            detail=f"{kind} {name}.{inside[0].name} depends on schema {name}",
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )
    for relation in inside:
        if relation.oid in host.catalog.relations:
            _remove(host, relation)
    host.transaction.drop(schema)


def create_schema(host: Host, command: commands.CreateSchema, text: str) -> Outcome:
    """CREATE SCHEMA."""
    if host.catalog.schema(command.name) is not None:
        if command.if_not_exists:
            host.notice("NOTICE", "42P06", f'schema "{command.name}" already exists, skipping')
            return done("CREATE SCHEMA")
        raise DuplicateSchema(f'schema "{command.name}" already exists')
    if command.name.startswith("pg_"):
        raise InvalidParameterValue(
            f'unacceptable schema name "{command.name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    host.transaction.define(Schema(host.transaction.allocate_oid(), command.name, _role(host)))
    return done("CREATE SCHEMA")


def truncate(host: Host, command: commands.Truncate, text: str) -> Outcome:
    """TRUNCATE [RESTART IDENTITY]."""
    for parts in command.names:
        table = must_table(host, parts)
        host.transaction.truncate(table.oid)
        if command.restart:
            for sequence in host.catalog.sequences():
                if sequence.owned_by is not None and sequence.owned_by[0] == table.oid:
                    host.transaction.set_value(sequence.oid, sequence.start, False)
    return done("TRUNCATE TABLE")


def comment(host: Host, command: commands.Comment, text: str) -> Outcome:
    """COMMENT ON TABLE."""
    table = must_table(host, command.name)
    host.transaction.define(replace(table, comment=command.text or ""))
    return done("COMMENT")


def maintain(host: Host, command: commands.Maintain, text: str) -> Outcome:
    """ANALYZE, VACUUM: there is nothing to do by hand."""
    if command.tag == "VACUUM" and host.explicit:
        raise ActiveSqlTransaction("VACUUM cannot run inside a transaction block")
    for parts in command.names:
        must_table(host, parts)
    return done(command.tag)


def optimize(host: Host, command: commands.Optimize, text: str) -> Outcome:
    """OPTIMIZE TABLE: seal and merge its segments now."""
    host.store.optimize(must_table(host, command.name).oid, command.mode or "some")
    return done("OPTIMIZE TABLE")
