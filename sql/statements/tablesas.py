"""CREATE TABLE AS and SELECT INTO: a table of a query's columns, filled with its rows."""

from __future__ import annotations

from collections.abc import Sequence

from sql import commands
from sql.context import BindContext, ParameterTypes, Plan
from sql.outcome import Done, Outcome
from sql.parse import parse_query
from sql.planned import Planned
from sql.query import plan_query
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner, place
from sql.statements.tables import MOST_COLUMNS, check_name, check_type, segment_rows_of
from storage.column import Column
from storage.definitions import ColumnDefinition, Table
from storage.errors import (
    DuplicateColumn,
    DuplicateTable,
    InvalidTableDefinition,
    SqlSyntaxError,
    TooManyColumns,
)
from storage.types import Type


def create_table_as(
    host: Host, command: commands.CreateTableAs, planned: Planned, parameters: Sequence[Column]
) -> Outcome:
    """CREATE TABLE AS query [WITH NO DATA], SELECT INTO."""
    text = planned.text
    name = command.name[-1]

    def context() -> BindContext:
        return host.planner.context(ParameterTypes(planned.parameters, fixed=True), text)

    def made(given: BindContext) -> Plan:
        return plan_query(parse_query(list(command.query), text), given)

    plan = host.settled(made, context)
    schema = place(host, command.name, command.temporary)
    if command.on_commit and not schema.temporary:
        raise InvalidTableDefinition("ON COMMIT can only be used on temporary tables")
    if host.catalog.relation(schema.oid, name) is not None:
        if command.if_not_exists:
            host.notice("NOTICE", "42P07", f'relation "{name}" already exists, skipping')
            return done("CREATE TABLE AS")
        raise DuplicateTable(f'relation "{name}" already exists')
    transaction = host.transaction
    table = Table(
        transaction.allocate_oid(),
        schema.oid,
        name,
        columns_of(command.columns, [(field.name, field.type) for field in plan.fields]),
        owner=owner(host),
        type_oid=transaction.allocate_oid(),
        array_type_oid=transaction.allocate_oid(),
        segment_rows=segment_rows_of(host, dict(command.options)),
        options=command.options,
        temporary=schema.temporary,
        on_commit=command.on_commit,
    )
    transaction.define(table)
    if not command.with_data:
        return done("CREATE TABLE AS")
    run = host.new_run(parameters)
    count = 0
    for batch in plan.operator.batches(run):
        run.check()
        if batch.rows:
            transaction.insert(table.oid, batch)
            count += batch.rows
    return Done(lambda: f"SELECT {count}")


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
