"""CREATE MATERIALIZED VIEW and REFRESH: a table that holds the rows of a query, which it keeps as views do.

REFRESH puts the query's rows in place of the old ones. CONCURRENTLY leaves those that are the same, and
readers go on with what was there until it is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from engine.forms import text_of
from engine.groups import KeyIndex
from engine.run import Run
from sql import commands
from sql.changes import writing
from sql.context import BindContext, ParameterTypes, Plan
from sql.outcome import Done, Outcome
from sql.parse import parse_query
from sql.query import plan_query
from sql.statements.control import done
from sql.statements.dropping import find, locked
from sql.statements.host import Host
from sql.statements.places import owner, place
from sql.statements.tables import segment_rows_of
from sql.statements.tablesas import columns_of, filled, is_free
from sql.storageparameters import TABLE, checked
from sql.storedviews import Query, stored
from sql.tokens import lex
from sql.viewtexts import PATH
from storage.batch import Batch
from storage.column import Mask, Positions
from storage.definitions import Materialized, Sequence, Table, View
from storage.errors import (
    CardinalityViolation,
    FeatureNotSupported,
    ObjectNotInPrerequisiteState,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import (
    BOOL,
    BYTEA,
    DATE,
    INT2,
    INT4,
    INT8,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UUID,
    VARCHAR,
)

_WRITING = "materialized views must not use data-modifying statements in WITH"
_EXACT = frozenset(
    type.oid
    for type in (
        BOOL,
        BYTEA,
        DATE,
        INT2,
        INT4,
        INT8,
        TEXT,
        TIME,
        TIMETZ,
        TIMESTAMP,
        TIMESTAMPTZ,
        UUID,
        VARCHAR,
    )
)
"""Types whose equal values look the same: of 1.0 and 1.00, 0 and -0 one is not the other's row."""


def create_materialized_view(host: Host, command: commands.CreateMaterializedView, text: str) -> Outcome:
    """CREATE MATERIALIZED VIEW ... [WITH [NO] DATA]."""
    table = created(host, command, text)
    if table is None or not command.with_data:
        return done("CREATE MATERIALIZED VIEW")
    assert table.materialized is not None
    count = filled(host, table, _rows(host, table.materialized.text))
    return Done(lambda: f"SELECT {count}")


def created(host: Host, command: commands.CreateMaterializedView, text: str) -> Table | None:
    """The view, without rows; None: a relation of its name is there, and IF NOT EXISTS lets it be."""
    query = host.settled(
        lambda given: stored(command.query, given, _WRITING),
        lambda: host.planner.context(ParameterTypes((), fixed=True), text),
    )
    _refuse_temporary(host, query)
    if not is_free(host, command):
        return None
    schema, name = place(host, command.name), command.name[-1]
    options = checked(TABLE, command.options)
    transaction = host.transaction
    oid, type, array, rule = (transaction.allocate_oid() for _ in range(4))
    table = Table(
        oid,
        schema.oid,
        name,
        columns_of(command.columns, [(column.name, column.type) for column in query.columns]),
        owner=owner(host),
        type_oid=type,
        array_type_oid=array,
        segment_rows=segment_rows_of(host, options),
        options=options,
        materialized=Materialized(query.text, query.depends, rule, command.with_data),
    )
    transaction.define(table)
    return table


def _refuse_temporary(host: Host, query: Query) -> None:
    for oid, _ in query.depends:
        found = host.catalog.relations.get(oid)
        if found is not None and found.temporary:
            raise FeatureNotSupported("materialized views must not use temporary tables or views")


def plan_of(host: Host, text: str) -> Plan:
    """The plan of a query that is kept as this text."""

    def context() -> BindContext:
        parameters = ParameterTypes((), fixed=True)
        return BindContext(host.catalog, PATH, host, parameters, text)

    def made(given: BindContext) -> Plan:
        return plan_query(parse_query(lex(text), text), given)

    plan = host.settled(made, context)
    host.check_needs(plan.needs)
    plan.check()
    plan.check_populated()
    return plan


def _rows(host: Host, text: str) -> Iterator[Batch]:
    """The rows of a query that is kept as this text."""
    plan = plan_of(host, text)
    run = host.new_run(())
    for batch in plan.operator.batches(run):
        run.check()
        if batch.rows:
            yield batch


def refresh(host: Host, command: commands.RefreshMaterializedView, text: str) -> Outcome:
    """REFRESH MATERIALIZED VIEW [CONCURRENTLY] ... [WITH [NO] DATA]."""
    mode = TableMode.ExclusiveLock if command.concurrently else TableMode.AccessExclusiveLock
    table = _must_find(host, command, mode)
    assert table.materialized is not None
    query = table.materialized
    if command.concurrently:
        if not query.populated:
            raise FeatureNotSupported(
                "CONCURRENTLY cannot be used when the materialized view is not populated"
            )
        if not command.with_data:
            raise FeatureNotSupported("CONCURRENTLY and WITH NO DATA options cannot be used together")
        _change(host, table, _rows(host, query.text))
    else:
        _replace(host, table, command.with_data)
    return done("REFRESH MATERIALIZED VIEW")


def _must_find(host: Host, command: commands.RefreshMaterializedView, mode: TableMode) -> Table:
    name = command.name[-1]
    found = find(host, command.name)
    if isinstance(found, View | Sequence):
        raise WrongObjectType(f'"{name}" is not a table or materialized view')
    found = locked(host, command.name, mode)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(command.name)}" does not exist')
    if not isinstance(found, Table) or found.materialized is None:
        raise FeatureNotSupported(f'"{name}" is not a materialized view')
    if command.concurrently and not any(index.unique and not index.keys for index in found.indexes):
        schema = host.catalog.schemas[found.schema].name
        if found.materialized.populated:
            raise ObjectNotInPrerequisiteState(
                f'cannot refresh materialized view "{schema}.{name}" concurrently',
                hint="Create a unique index with no WHERE clause on one or more columns of the "
                "materialized view.",
            )
    return found


def _replace(host: Host, table: Table, with_data: bool) -> None:
    """The query's rows in place of all that were there; unique indexes are looked at when all have come."""
    assert table.materialized is not None
    transaction, query = host.transaction, table.materialized
    if query.populated != with_data or table.unique_keys:
        query = replace(query, populated=with_data)
        open_ = tuple(index for index in table.indexes if not index.unique)
        transaction.define(replace(table, materialized=query, indexes=open_))
    transaction.truncate(table.oid)
    for batch in _rows(host, query.text) if with_data else ():
        transaction.insert(table.oid, _stored(host, table, batch))
    if table.unique_keys:
        newest = host.catalog.table(table.oid)
        transaction.define(replace(newest, indexes=table.indexes))


def _change(host: Host, table: Table, rows: Iterator[Batch]) -> None:
    """What differs from the rows that are there: deleted, and inserted."""
    transaction = host.transaction
    new = Batch.concat([Batch.empty([column.type for column in table.columns]), *rows])
    index, codes = _distinct(host, table, new)
    exact = all(type.oid in _EXACT for type in new.types)
    kept = np.zeros(index.count, np.bool_)
    for row_ids, batch in list(_there(table, host.new_run(()))):
        found = index.find(batch.columns, batch.rows)
        found = np.where(_nulls(batch) | (not exact), -1, found)
        kept[found[found >= 0]] = True
        if (found < 0).any():
            transaction.delete(table.oid, row_ids[found < 0])
    coming = new.take(np.flatnonzero((codes < 0) | ~np.append(kept, False)[codes]))
    if coming.rows:
        transaction.insert(table.oid, _stored(host, table, coming))


def _stored(host: Host, table: Table, batch: Batch) -> Batch:
    """Rows with the table's hidden columns."""
    if not table.hidden:
        return batch
    context = host.planner.context(ParameterTypes((), fixed=True), "")
    return writing.invariants(table, context).stored(batch, host.new_run(()))


def _distinct(host: Host, table: Table, new: Batch) -> tuple[KeyIndex, Positions]:
    """Rows by number, -1 for one with a null, which is the same as no other. Raises CardinalityViolation."""
    index, codes = KeyIndex(new.types), np.full(new.rows, -1, np.int64)
    full = np.flatnonzero(~_nulls(new))
    codes[full], first = index.assign([column.take(full) for column in new.columns], len(full))
    if len(first) < len(full):
        doubled = int(full[np.setdiff1d(np.arange(len(full)), first)[0]])
        texts = (text_of(column.take(np.array([doubled])), host.style).tolist()[0] for column in new.columns)
        raise CardinalityViolation(
            f'new data for materialized view "{table.name}" contains duplicate rows without any null columns',
            detail=f"Row: ({','.join(texts)})",
        )
    return index, codes


def _there(table: Table, run: Run) -> Iterator[tuple[Positions, Batch]]:
    """The rows that are there, with their ids."""
    for morsel in run.snapshot.table(table.oid).morsels():
        run.check()
        visible = morsel.visible()
        rows = np.arange(morsel.rows) if visible is None else np.flatnonzero(visible)
        columns = tuple(morsel.column(column, rows) for column in table.columns)
        yield morsel.row_ids(rows), Batch(columns, len(rows))


def _nulls(batch: Batch) -> Mask:
    """Which rows have a null somewhere."""
    found: Mask = np.zeros(batch.rows, np.bool_)
    for column in batch.columns:
        found |= ~column.is_valid()
    return found
