"""Constraints of tables as catalog objects: made of clauses, named as PostgreSQL names them, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import operators
from engine.expressions import Expression, IsNull, Not, Reference
from engine.members import alike
from engine.operators import references as keep
from sql import names
from sql.changes import writing
from sql.changes.writing import over_columns
from sql.constraints import ConstraintClause, ReferencesClause
from sql.context import ParameterTypes
from sql.expressions import references
from sql.foreignkeys import rules_of
from sql.parse import parse_expression_tokens
from sql.sortable import must_index
from sql.statements.host import Host
from sql.statements.ownership import must_reference
from sql.storageparameters import INDEX, checked
from sql.storedexpressions import kept_text
from storage.definitions import Constraint, Index, References, Schema, Table
from storage.errors import (
    CheckViolation,
    DatatypeMismatch,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidForeignKey,
    InvalidTableDefinition,
    NotNullViolation,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)

_WORDS = {"p": "primary key", "u": "unique"}


def name_taken(host: Host, schema: Schema, name: str, taken: set[str]) -> bool:
    """Whether a relation of the schema has the name, an index among them, or `taken` does."""
    catalog = host.catalog
    return (
        name in taken
        or catalog.relation(schema.oid, name) is not None
        or catalog.index(schema.oid, name) is not None
    )


def free_name(host: Host, schema: Schema, parts: tuple[str, ...], taken: set[str]) -> str:
    """PostgreSQL's name for an object that was given none: table_column_key, with a number if needed."""
    *front, suffix = parts
    stem = "_".join(front)
    room = 63 - len(suffix) - 4
    number = 0
    while True:
        name = f"{stem[:room]}_{suffix}{number or ''}"
        if not name_taken(host, schema, name, taken):
            taken.add(name)
            return name
        number += 1


def add_constraints(
    host: Host, table: Table, clauses: Sequence[ConstraintClause], text: str, taken: set[str]
) -> Table:
    """The table with the constraints of these clauses; foreign keys last, for they may point to the others.

    `taken` are names that the statement has given away.
    """
    taken |= {constraint.name for constraint in table.constraints}
    given = [clause.name for clause in clauses if clause.kind == "c" and clause.name]
    for name in given:
        if given.count(name) > 1:
            raise DuplicateObject(f'check constraint "{name}" already exists')
    for clause in sorted(clauses, key=lambda clause: clause.kind == "f"):
        table = _added(host, table, clause, text, taken)
    return table


def _added(host: Host, table: Table, clause: ConstraintClause, text: str, taken: set[str]) -> Table:
    schema = host.catalog.schemas[table.schema]
    if clause.name and any(constraint.name == clause.name for constraint in table.constraints):
        raise DuplicateObject(f'constraint "{clause.name}" for relation "{table.name}" already exists')
    if clause.kind == "c":
        constraint = _check(host, table, schema, clause, text, taken)
    elif clause.kind == "f":
        constraint = _foreign_key(host, table, schema, clause, taken)
    else:
        table, constraint = _key(host, table, schema, clause, taken)
    taken.add(constraint.name)
    return replace(table, constraints=(*table.constraints, constraint))


def _key(
    host: Host, table: Table, schema: Schema, clause: ConstraintClause, taken: set[str]
) -> tuple[Table, Constraint]:
    if clause.kind == "p" and any(constraint.kind == "p" for constraint in table.constraints):
        raise InvalidTableDefinition(f'multiple primary keys for table "{table.name}" are not allowed')
    index: Index | None = None
    if clause.index:
        index = next((index for index in table.indexes if index.name == clause.index), None)
        table = replace(table, indexes=tuple(other for other in table.indexes if other is not index))
        numbers = _usable(table, clause.index, index).columns
    else:
        numbers = numbers_of(table, clause.columns, 'column "{}" named in key does not exist')
        if len(set(numbers)) != len(numbers):
            twice = next(name for name in clause.columns if clause.columns.count(name) > 1)
            message = f'column "{twice}" appears twice in {_WORDS[clause.kind]} constraint'
            raise DuplicateColumn(message, position=clause.position)
        for number in numbers:
            must_index(table.definition(number).type, "btree")
    parts = (table.name, "pkey") if clause.kind == "p" else (table.name, *clause.columns, "key")
    name = clause.name or (index.name if index is not None else free_name(host, schema, parts, taken))
    if clause.name and index is None and name_taken(host, schema, name, taken):
        raise DuplicateTable(f'relation "{name}" already exists')
    if index is not None and name != index.name:
        message = f'ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index "{index.name}" to "{name}"'
        host.notice("NOTICE", "00000", message)
    transaction = host.transaction
    oid = transaction.allocate_oid() if index is None else index.oid
    nulls = clause.nulls if index is None else index.nulls
    options = checked(INDEX["btree"], clause.options) if index is None else index.options
    made = Constraint(
        transaction.allocate_oid(), name, clause.kind, numbers, index=oid, nulls=nulls, options=options
    )
    if clause.kind == "p":
        columns = (replace(c, not_null=c.not_null or c.number in numbers) for c in table.columns)
        table = replace(table, columns=tuple(columns))
    return table, made


def _usable(table: Table, name: str, index: Index | None) -> Index:
    """An index that a constraint is to take over."""
    if index is None:
        raise UndefinedObject(f'index "{name}" does not exist')
    detail = "Cannot create a primary key or unique constraint using such an index."
    if not index.unique:
        raise WrongObjectType(f'"{name}" is not a unique index', detail=detail)
    if any(index.expressions):
        raise WrongObjectType(f'index "{name}" contains expressions', detail=detail)
    if index.predicate:
        raise WrongObjectType(f'"{name}" is a partial index', detail=detail)
    return index


def numbers_of(table: Table, columns: Sequence[str], message: str) -> tuple[int, ...]:
    """The attnums of columns. Raises UndefinedColumn with `message` about the first that is not there."""
    found = []
    for name in columns:
        column = table.column(name)
        if column is None:
            raise UndefinedColumn(message.format(name))
        found.append(column.number)
    return tuple(found)


def _check(
    host: Host, table: Table, schema: Schema, clause: ConstraintClause, text: str, taken: set[str]
) -> Constraint:
    context = host.planner.keeping(text)
    tree = parse_expression_tokens(list(clause.expression), text)
    bound = over_columns(table, "check constraints", context).condition(tree, "CHECK")
    numbers = tuple(table.columns[position].number for position in sorted(references(bound)))
    named = [table.definition(number).name for number in numbers] if len(numbers) == 1 else []
    name = clause.name or free_name(host, schema, (table.name, *named, "check"), taken)
    return Constraint(
        host.transaction.allocate_oid(),
        name,
        "c",
        numbers,
        kept_text(tree, context),
        validated=clause.validated,
    )


# foreign keys


def _foreign_key(
    host: Host, table: Table, schema: Schema, clause: ConstraintClause, taken: set[str]
) -> Constraint:
    said = clause.references
    assert said is not None
    parent = _parent(host, table, schema, said)
    message = 'column "{}" referenced in foreign key constraint does not exist'
    numbers = numbers_of(table, clause.columns, message)
    pointed, index = _pointed(parent, said, numbers, message)
    name = clause.name or free_name(host, schema, (table.name, *clause.columns, "fkey"), taken)
    _refuse_less_lasting(table, parent)
    _refuse_actions(table, numbers, said)
    must_reference(host, parent, pointed)
    for number, other in zip(numbers, pointed, strict=True):
        _comparable(name, table, number, parent, other)
    outside = [column for column in said.set_columns if column not in clause.columns]
    if outside:
        raise InvalidColumnReference(
            f'column "{outside[0]}" referenced in ON DELETE SET action must be part of foreign key'
        )
    set_numbers = numbers_of(table, said.set_columns, message)
    made = References(parent.oid, pointed, index.oid, said.match, said.on_update, said.on_delete, set_numbers)
    return Constraint(
        host.transaction.allocate_oid(),
        name,
        "f",
        numbers,
        references=made,
        deferrable=clause.deferrable,
        deferred=clause.deferred,
        validated=clause.validated,
    )


def _refuse_less_lasting(table: Table, parent: Table) -> None:
    """Raise InvalidTableDefinition for a table whose rows may go while those that point to them stay."""
    if table.temporary or parent.temporary:
        if not (table.temporary and parent.temporary):
            kind = "temporary" if table.temporary else "unlogged" if table.unlogged else "permanent"
            others = "permanent or unlogged" if kind == "unlogged" else kind
            raise InvalidTableDefinition(f"constraints on {kind} tables may reference only {others} tables")
    elif parent.unlogged and not table.unlogged:
        raise InvalidTableDefinition("constraints on permanent tables may reference only permanent tables")


def _refuse_actions(table: Table, numbers: Sequence[int], said: ReferencesClause) -> None:
    """Raise SqlSyntaxError for an action that would give a generated column a value."""
    if not any(table.definition(number).generated for number in numbers):
        return
    for word, action, refused in (("UPDATE", said.on_update, "ndc"), ("DELETE", said.on_delete, "nd")):
        if action in refused:
            raise SqlSyntaxError(
                f"invalid ON {word} action for foreign key constraint containing generated column"
            )


def _parent(host: Host, table: Table, schema: Schema, said: ReferencesClause) -> Table:
    """The table that a foreign key points to: the one that is being made, perhaps."""
    if said.table[-1] == table.name and (len(said.table) == 1 or said.table[-2] == schema.name):
        return table
    found = names.find(host.catalog, host.search_path(True), said.table)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(said.table)}" does not exist')
    if not isinstance(found, Table) or found.materialized is not None:
        raise WrongObjectType(f'referenced relation "{said.table[-1]}" is not a table')
    return found


def _pointed(
    parent: Table, said: ReferencesClause, numbers: tuple[int, ...], message: str
) -> tuple[tuple[int, ...], Index]:
    """The columns pointed to, pairwise with `numbers`, and the unique index that holds them."""
    if said.columns:
        columns = numbers_of(parent, said.columns, message)
    else:
        primary = next((c for c in parent.constraints if c.kind == "p"), None)
        if primary is None:
            raise UndefinedObject(f'there is no primary key for referenced table "{parent.name}"')
        columns = primary.columns
    if len(columns) != len(numbers):
        raise InvalidForeignKey("number of referencing and referenced columns for foreign key disagree")
    if len(set(columns)) == len(columns):
        for index in parent.every_index:
            if index.unique and not index.keys and sorted(index.columns) == sorted(columns):
                return columns, index
    raise InvalidForeignKey(
        f'there is no unique constraint matching given keys for referenced table "{parent.name}"'
    )


def _comparable(name: str, table: Table, number: int, parent: Table, other: int) -> None:
    """Whether a column can point to another."""
    ours, theirs = table.definition(number), parent.definition(other)
    if alike(ours.type, theirs.type):
        return
    if ours.type.category == theirs.type.category:
        raise FeatureNotSupported(
            f"a foreign key from {ours.type.base} to {theirs.type.base} is not supported",
            hint=f'Give column "{ours.name}" the type {theirs.type}.',
        )
    raise DatatypeMismatch(
        f'foreign key constraint "{name}" cannot be implemented',
        detail=f'Key columns "{ours.name}" and "{theirs.name}" are of incompatible types: '
        f"{ours.type} and {theirs.type}.",
    )


def touch_referenced(host: Host, table: Table, foreign_keys: Sequence[Constraint]) -> None:
    """Have plans that write to the tables these point to made anew: a new definition, nothing changed."""
    pointed = {c.references.table for c in foreign_keys if c.references is not None} - {table.oid}
    for oid in sorted(pointed):
        host.transaction.define(host.catalog.table(oid))


# rows that are there


def validate(host: Host, table: Table, constraint: Constraint) -> None:
    """Whether the table's rows meet a constraint that is in its definition now.

    Unique keys are checked as they are defined. Raises CheckViolation, ForeignKeyViolation.
    """
    context = host.planner.context(ParameterTypes((), fixed=True), "")
    if constraint.kind == "c":
        check = next(c for c in writing.checks(table, context) if c.name == constraint.name)
        if _any_row(host, table, Not(check.expression)):
            raise CheckViolation(
                f'check constraint "{constraint.name}" of relation "{table.name}" is violated by some row',
                schema=host.catalog.schemas[table.schema].name,
                table=table.name,
                constraint=constraint.name,
            )
    elif constraint.kind == "f":
        rules = rules_of(
            table,
            context,
            writing.own_rules,
            outgoing=lambda other: other.oid == constraint.oid,
            incoming=lambda _: False,
        )
        assert rules is not None
        keep.validate(rules, constraint.name, host.new_run(()))


def require_values(host: Host, table: Table, numbers: Sequence[int]) -> None:
    """Raise NotNullViolation where one of these columns (attnums) has a null."""
    for number in numbers:
        position = table.position(number)
        column = table.columns[position]
        if _any_row(host, table, IsNull(Reference(position, column.type, column.name))):
            raise NotNullViolation(
                f'column "{column.name}" of relation "{table.name}" contains null values',
                schema=host.catalog.schemas[table.schema].name,
                table=table.name,
                column=column.name,
            )


def _any_row(host: Host, table: Table, condition: Expression) -> bool:
    """Whether a condition is true of some row that the newest snapshot sees."""
    numbers = tuple(column.number for column in table.columns)
    types = tuple(column.type for column in table.columns)
    scan = operators.Scan(table.oid, table.name, numbers, types, (), condition)
    return any(batch.rows for batch in scan.batches(host.new_run(())))
