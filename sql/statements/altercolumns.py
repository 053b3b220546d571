"""ALTER TABLE's actions on columns: added, dropped, given another type, default or identity.

A column that is added with a constant default costs nothing: rows older than it have its `missing` value.
What changes the rows themselves (another type, a volatile default, a generated column) makes the table anew:
see sql.statements.rewriting.
"""

from __future__ import annotations

from dataclasses import replace

from engine.expressions import Expression, Reference
from sql import commands
from sql.bind import bind_expression, table_scope
from sql.changes import writing
from sql.coerce import can_coerce, coerce
from sql.context import BindContext, ParameterTypes
from sql.definitions import ColumnClause, read_column
from sql.dependencies import Object
from sql.expressions import is_volatile
from sql.parse import parse_expression_tokens
from sql.statements.composites import refuse_itself
from sql.statements.constraints import free_name, require_values
from sql.statements.defaults import kept_default
from sql.statements.dropping import kind_of
from sql.statements.generated import with_generated
from sql.statements.hiddenkeys import renewed
from sql.statements.host import Host
from sql.statements.removing import remove
from sql.statements.rewriting import rewrite, same
from sql.statements.sequences import BOUNDS, make_sequence, restarted, with_options
from sql.statements.tables import MOST_COLUMNS, check_column, check_name, segment_rows_of
from sql.storageparameters import TABLE, changed
from sql.typenames import named, type_of
from storage.batch import Batch
from storage.definitions import ColumnDefinition, Sequence, Table
from storage.errors import (
    CannotCoerce,
    DatatypeMismatch,
    DuplicateColumn,
    FeatureNotSupported,
    InvalidColumnDefinition,
    InvalidParameterValue,
    InvalidTableDefinition,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    TooManyColumns,
    UndefinedColumn,
)
from storage.systemcolumns import SYSTEM_NAMES
from storage.types import Type, format_type


def _context(host: Host, text: str) -> BindContext:
    return host.planner.context(ParameterTypes((), fixed=True), text)


def _must_column(table: Table, name: str) -> ColumnDefinition:
    if name in SYSTEM_NAMES:
        raise FeatureNotSupported(f'cannot alter system column "{name}"')
    column = table.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" of relation "{table.name}" does not exist')
    return column


def _with(table: Table, column: ColumnDefinition) -> Table:
    """The table with a column changed."""
    return replace(table, columns=tuple(column if c.number == column.number else c for c in table.columns))


# ADD COLUMN


def add_column(host: Host, table: Table, action: commands.AddColumn, text: str) -> list[commands.Action]:
    """ADD COLUMN; returns the constraints that its definition asks for, to be added next."""
    clause, constraints = read_column(action.tokens, text, named(host.catalog, host.search_path(True)))
    if table.column(clause.name) is not None:
        message = f'column "{clause.name}" of relation "{table.name}" already exists'
        if not action.if_not_exists:
            raise DuplicateColumn(message)
        host.notice("NOTICE", "42701", f"{message}, skipping")
        return []
    check_name(clause.name)
    number = table.last_number + 1
    if number > MOST_COLUMNS:
        raise TooManyColumns(f"tables can have at most {MOST_COLUMNS} columns")
    check_column(clause, table.name)
    refuse_itself(clause.type, table.row_type)
    column = _made(host, table, clause, number, text)
    context = _context(host, text)
    new = replace(table, columns=(*table.columns, column))
    if clause.generated:
        new = with_generated(host, new, column, clause, text)
        expression = writing.generated_value(new, new.columns[-1], context)
    else:
        expression = writing.default_of(column, context)
    if clause.generated or is_volatile(expression):
        rewrite(host, table, new, [*same(table), expression])
    else:
        value = expression.evaluate(Batch((), 1), host.new_run(())).tolist()[0]
        host.transaction.define(_with(new, replace(column, missing=value)))
    if column.not_null:
        require_values(host, host.catalog.table(table.oid), [number])
    return [commands.AddConstraint(constraint) for constraint in constraints]


def _made(host: Host, table: Table, clause: ColumnClause, number: int, text: str) -> ColumnDefinition:
    sequence = 0
    if clause.sequence is not None:
        sequence = _new_sequence(host, table, clause.name, clause, number).oid
    made = ColumnDefinition(
        clause.name, clause.type, number, clause.not_null, None, clause.identity, sequence
    )
    return replace(made, default=kept_default(host, made, clause.default, text))


def _new_sequence(host: Host, table: Table, name: str, clause: ColumnClause, number: int) -> Sequence:
    assert clause.sequence is not None
    schema = host.catalog.schemas[table.schema]
    named = free_name(host, schema, (table.name, name, "seq"), set())
    made = make_sequence(host.transaction.allocate_oid(), schema.oid, named, clause.type, clause.sequence)
    made = replace(made, owned_by=(table.oid, number), temporary=table.temporary, owner=table.owner)
    made = replace(made, unlogged=table.unlogged)
    host.transaction.define(made)
    return made


# DROP COLUMN


def drop_column(host: Host, table: Table, action: commands.DropColumn, text: str) -> None:
    """DROP COLUMN; its values go when segments are merged."""
    if action.name in SYSTEM_NAMES:
        raise FeatureNotSupported(f'cannot drop system column "{action.name}"')
    column = table.column(action.name)
    if column is None:
        message = f'column "{action.name}" of relation "{table.name}" does not exist'
        if not action.if_exists:
            raise UndefinedColumn(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return
    sorts = any(number == column.number for number, _ in table.sort_key)
    if (sorts or column.number in table.shard_key) and not action.cascade:
        key = "sort" if sorts else "shard"
        raise FeatureNotSupported(
            f'dropping column "{action.name}" of the {key} key is not supported without CASCADE',
            hint=f"With CASCADE the table has no {key} key any more.",
        )
    remove(host, [Object("column", table.oid, column.number)], action.cascade)


# ALTER COLUMN TYPE


def alter_type(host: Host, table: Table, action: commands.AlterType, text: str) -> None:
    """ALTER COLUMN TYPE [USING]: its rows are made anew, constraints and default kept as far as they hold."""
    column = _must_column(table, action.name)
    _refuse_used(host, table, column)
    type = type_of(action.type, named(host.catalog, host.search_path(True)))
    check_column(ColumnClause(action.name, type, action.position), table.name)
    if column.generated and action.using:
        raise InvalidColumnDefinition(
            "cannot specify USING when altering type of generated column",
            detail=f'Column "{column.name}" is a generated column.',
        )
    if column.sequence and type.oid not in BOUNDS and column.identity:
        raise InvalidParameterValue("identity column type must be smallint, integer, or bigint")
    context = _context(host, text)
    changed = replace(column, type=type, missing=None)
    expression = _converted(table, column, type, action, text, context)
    new = _with(table, changed)
    _check_default(new, changed, context)
    writing.checks(new, context)  # whether the checks have a meaning for the new type
    if not action.using and _same_values(column, changed):
        host.transaction.define(_with(table, replace(changed, missing=column.missing)))
    else:
        columns = same(table)
        columns[table.position(column.number)] = expression
        rewrite(host, table, renewed(new, column.number, context), columns)
    if column.sequence and type.oid in BOUNDS:
        sequence = host.catalog.relations[column.sequence]
        assert isinstance(sequence, Sequence)
        host.transaction.define(with_options(sequence, (("as", type.name),)))


def _refuse_used(host: Host, table: Table, column: ColumnDefinition) -> None:
    for other in table.columns:
        if column.number in other.reads:
            raise FeatureNotSupported(
                "cannot alter type of a column used by a generated column",
                detail=f'Column "{column.name}" is used by generated column "{other.name}".',
            )
    for view, query in host.catalog.queries():
        if (table.oid, column.number) in query.depends:
            raise FeatureNotSupported(
                "cannot alter type of a column used by a view or rule",
                detail=f'rule _RETURN on {kind_of(view)} {view.name} depends on column "{column.name}"',
            )
    own = [c for c in table.foreign_keys if column.number in c.columns]
    pointing = [
        c
        for _, c in host.catalog.pointing_to(table.oid)
        if c.references is not None and column.number in c.references.columns
    ]
    for constraint in (*own, *pointing):
        raise FeatureNotSupported(
            "changing the type of a column of a foreign key is not supported",
            detail=f'Column "{column.name}" is part of foreign key "{constraint.name}".',
            hint="Drop the foreign key, change both columns, and add it again.",
        )


def _converted(
    table: Table,
    column: ColumnDefinition,
    type: Type,
    action: commands.AlterType,
    text: str,
    context: BindContext,
) -> Expression:
    """The new value of each row, over the old ones."""
    shown = f'column "{column.name}" cannot be cast automatically to type {type.base}'
    if action.using:
        tree = parse_expression_tokens(list(action.using), text)
        bound = bind_expression(tree, table_scope(table), context, "transform expressions")
        if not can_coerce(bound.type, type, "a"):
            raise DatatypeMismatch(
                f"result of USING clause for {shown}", hint="You might need to add an explicit cast."
            )
        return coerce(bound, type, "a", action.using[0].position, context)
    place = table.position(column.number)
    old = Reference(place, column.type, column.name)
    if not can_coerce(column.type, type, "a"):
        using = f'"USING {column.name}::{format_type(type)}"'
        raise DatatypeMismatch(shown, hint="" if column.generated else f"You might need to specify {using}.")
    return coerce(old, type, "a", action.position, context)


def _check_default(new: Table, changed: ColumnDefinition, context: BindContext) -> None:
    """Whether the default, or what the column is generated by, is of its new type."""
    what = "generation expression" if changed.generated else "default"
    try:
        if changed.generated:
            writing.generated_value(new, changed, context)
        elif changed.default is not None:
            writing.default_value(changed.default, changed, context)
    except (DatatypeMismatch, CannotCoerce):
        raise DatatypeMismatch(
            f'{what} for column "{changed.name}" cannot be cast automatically to type {changed.type.base}'
        ) from None


def _same_values(old: ColumnDefinition, new: ColumnDefinition) -> bool:
    """Whether every value of the old type is one of the new as it stands: varchar(10) as varchar(20)."""
    if old.type == new.type:
        return True
    if old.type.oid != new.type.oid or old.type.name != "varchar":
        return False
    return new.type.modifier == -1 or -1 < old.type.modifier <= new.type.modifier


# defaults, nulls, identity


def set_default(host: Host, table: Table, action: commands.SetDefault, text: str) -> None:
    """SET DEFAULT, DROP DEFAULT."""
    column = _must_column(table, action.name)
    if column.generated:
        raise SqlSyntaxError(
            f'column "{column.name}" of relation "{table.name}" is a generated column',
            hint="" if action.tokens else "Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.",
        )
    if column.identity:
        raise SqlSyntaxError(
            f'column "{column.name}" of relation "{table.name}" is an identity column',
            hint="" if action.tokens else "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.",
        )
    default = kept_default(host, column, action.tokens, text)
    if len(action.tokens) == 1 and action.tokens[0].is_word("null"):
        default = None
    host.transaction.define(_with(table, replace(column, default=default, sequence=0)))


def set_not_null(host: Host, table: Table, action: commands.SetNotNull, text: str) -> None:
    """SET NOT NULL, which the rows have to meet; DROP NOT NULL."""
    column = _must_column(table, action.name)
    if action.not_null:
        if not column.not_null:
            require_values(host, table, [column.number])
            host.transaction.define(_with(table, replace(column, not_null=True)))
        return
    if column.identity:
        raise SqlSyntaxError(f'column "{column.name}" of relation "{table.name}" is an identity column')
    if any(c.kind == "p" and column.number in c.columns for c in table.constraints):
        raise InvalidTableDefinition(f'column "{column.name}" is in a primary key')
    if column.not_null:
        host.transaction.define(_with(table, replace(column, not_null=False)))


def add_identity(host: Host, table: Table, action: commands.AddIdentity, text: str) -> None:
    """ADD GENERATED AS IDENTITY."""
    column = _must_column(table, action.name)
    named = f'column "{column.name}" of relation "{table.name}"'
    if not column.not_null:
        raise ObjectNotInPrerequisiteState(f"{named} must be declared NOT NULL before identity can be added")
    if column.identity:
        raise ObjectNotInPrerequisiteState(f"{named} is already an identity column")
    if column.default is not None or column.sequence or column.generated:
        raise ObjectNotInPrerequisiteState(f"{named} already has a default value")
    clause = ColumnClause(column.name, column.type, 0, sequence=action.options, identity=action.identity)
    check_column(clause, table.name)
    sequence = _new_sequence(host, table, column.name, clause, column.number)
    changed = replace(column, identity=action.identity, sequence=sequence.oid)
    host.transaction.define(_with(table, changed))


def set_identity(host: Host, table: Table, action: commands.SetIdentity, text: str) -> None:
    """SET GENERATED, and the options of an identity column's sequence."""
    column = _must_column(table, action.name)
    if not column.identity:
        _is_not(host, table, column, "an identity column")
    if action.options:
        sequence = host.catalog.relations[column.sequence]
        assert isinstance(sequence, Sequence)
        changed = with_options(sequence, action.options)
        host.transaction.define(changed)
        restarted(host, changed, action.options)
    if action.identity:
        host.transaction.define(_with(table, replace(column, identity=action.identity)))


def _is_not(host: Host, table: Table, column: ColumnDefinition, what: str, *, skip: bool = False) -> None:
    """Raise that a column is not this; a notice where the statement may `skip` it."""
    message = f'column "{column.name}" of relation "{table.name}" is not {what}'
    if not skip:
        raise ObjectNotInPrerequisiteState(message)
    host.notice("NOTICE", "00000", f"{message}, skipping")


def drop_identity(host: Host, table: Table, action: commands.DropIdentity, text: str) -> None:
    """DROP IDENTITY: its sequence goes."""
    column = _must_column(table, action.name)
    if not column.identity:
        _is_not(host, table, column, "an identity column", skip=action.if_exists)
        return
    host.transaction.drop(host.catalog.relations[column.sequence])
    host.transaction.define(_with(table, replace(column, identity="", sequence=0)))


def drop_expression(host: Host, table: Table, action: commands.DropExpression, text: str) -> None:
    """DROP EXPRESSION: its values stay, and are written like any other's from now on."""
    column = _must_column(table, action.name)
    if not column.generated:
        _is_not(host, table, column, "a stored generated column", skip=action.if_exists)
        return
    host.transaction.define(_with(table, replace(column, generated="", reads=())))


def set_options(host: Host, table: Table, action: commands.SetOptions, text: str) -> None:
    """SET and RESET of storage parameters: columnstore_segment_rows has an effect from now on."""
    options = changed(TABLE, table.options, action.options)
    host.transaction.define(replace(table, options=options, segment_rows=segment_rows_of(host, options)))
