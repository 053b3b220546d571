"""CREATE TABLE AS and SELECT INTO: a table of a query's columns, filled with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sql import commands
from sql.changes import CHANGES
from sql.context import BindContext, ParameterTypes, Plan
from sql.outcome import Done, Outcome
from sql.parse import parse_query
from sql.planned import Planned
from sql.query import plan_query
from sql.statements import prepared
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner, place
from sql.statements.tables import MOST_COLUMNS, check_name, check_type, segment_rows_of
from sql.storageparameters import TABLE, checked
from storage.batch import Batch
from storage.column import Column
from storage.definitions import ColumnDefinition, Table
from storage.errors import (
    DuplicateColumn,
    DuplicateTable,
    InvalidTableDefinition,
    SqlSyntaxError,
    TooManyColumns,
    WrongObjectType,
)
from storage.types import Type


def create_table_as(
    host: Host, command: commands.CreateTableAs, planned: Planned, parameters: Sequence[Column]
) -> Outcome:
    """CREATE TABLE AS query [WITH NO DATA], CREATE TABLE AS EXECUTE, SELECT INTO."""
    plan, values = source_of(host, command, planned, parameters)
    host.check_needs(plan.needs)
    table = created(host, command, plan)
    if table is None or (not command.with_data and command.execute is None):
        return done("CREATE TABLE AS")
    batches = plan.operator.batches(host.new_run(values)) if command.with_data else iter(())
    count = filled(host, table, batches)
    return Done(lambda: f"SELECT {count}")


def source_of(
    host: Host, command: commands.CreateTableAs, planned: Planned, parameters: Sequence[Column]
) -> tuple[Plan, Sequence[Column]]:
    """The plan of the query, and its parameters. Raises WrongObjectType where EXECUTE is no query."""
    text = planned.text
    if command.execute is not None:
        found, values = prepared.executed(host, command.execute, text)
        if found.plan is None or found.statement is None or type(found.statement.tree) in CHANGES:
            raise WrongObjectType("prepared statement is not a SELECT")
        found.plan.check()
        return found.plan, values

    def context() -> BindContext:
        return host.planner.context(ParameterTypes(planned.parameters, fixed=True), text)

    def made(given: BindContext) -> Plan:
        return plan_query(parse_query(list(command.query), text), given)

    return host.settled(made, context), parameters


def created(host: Host, command: commands.CreateTableAs, plan: Plan) -> Table | None:
    """The table, without rows; None: one of its name is there, and IF NOT EXISTS lets it be."""
    schema = place(host, command.name, command.temporary)
    if command.on_commit and not schema.temporary:
        raise InvalidTableDefinition("ON COMMIT can only be used on temporary tables")
    if not is_free(host, command):
        return None
    options = checked(TABLE, command.options)
    transaction = host.transaction
    table = Table(
        transaction.allocate_oid(),
        schema.oid,
        command.name[-1],
        columns_of(command.columns, [(field.name, field.type) for field in plan.fields]),
        owner=owner(host),
        type_oid=transaction.allocate_oid(),
        array_type_oid=transaction.allocate_oid(),
        segment_rows=segment_rows_of(host, options),
        options=options,
        temporary=schema.temporary,
        on_commit=command.on_commit,
        unlogged=command.unlogged,
    )
    transaction.define(table)
    return table


def is_free(host: Host, command: commands.CreateTableAs | commands.CreateMaterializedView) -> bool:
    """Whether the name is free; a notice where IF NOT EXISTS lets it be taken, else DuplicateTable."""
    temporary = isinstance(command, commands.CreateTableAs) and command.temporary
    schema, name = place(host, command.name, temporary), command.name[-1]
    if host.catalog.relation(schema.oid, name) is None:
        return True
    if not command.if_not_exists:
        raise DuplicateTable(f'relation "{name}" already exists')
    host.notice("NOTICE", "42P07", f'relation "{name}" already exists, skipping')
    return False


def filled(host: Host, table: Table, batches: Iterable[Batch]) -> int:
    """Put rows into a table; returns how many they were."""
    count = 0
    for batch in batches:
        if batch.rows:
            host.transaction.insert(table.oid, batch)
            count += batch.rows
    return count


def columns_of(names: Sequence[str], columns: Sequence[tuple[str, Type]]) -> tuple[ColumnDefinition, ...]:
    """A table's columns for those of a query, of which the first get these names."""
    if len(names) > len(columns):
        raise SqlSyntaxError("too many column names were specified")
    if len(columns) > MOST_COLUMNS:
        raise TooManyColumns(f"tables can have at most {MOST_COLUMNS} columns")
    given = [*names, *(name for name, _ in columns[len(names) :])]
    doubled = next((name for at, name in enumerate(given) if name in given[:at]), None)
    if doubled is not None:
        raise DuplicateColumn(f'column "{doubled}" specified more than once')
    types = [type for _, type in columns]
    for name, type in zip(given, types, strict=True):
        check_name(name)
        check_type(name, type, 0)
    return tuple(
        ColumnDefinition(name, type, number)
        for number, (name, type) in enumerate(zip(given, types, strict=True), 1)
    )
