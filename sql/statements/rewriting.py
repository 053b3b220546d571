"""Making a table anew: its rows, as the newest snapshot sees them, under another definition.

The table is truncated and they are inserted, all in this transaction. Older snapshots keep the old rows and
the old definition. The table is locked AccessExclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.expressions import Expression, Reference
from engine.operators import Scan
from engine.operators.project import project
from engine.run import Run
from sql.changes import writing
from sql.context import ParameterTypes
from sql.statements.constraints import require_values, validate
from sql.statements.host import Host
from storage.batch import Batch
from storage.definitions import Table


def same(table: Table) -> list[Expression]:
    """The columns of a table as they are."""
    return [Reference(i, c.type, c.name) for i, c in enumerate(table.columns)]


def rewrite(host: Host, old: Table, new: Table, expressions: Sequence[Expression]) -> None:
    """The table's rows by these expressions over the old columns, under a new definition.

    Hidden columns are computed. Raises what the constraints raise of rows that do not meet them.
    """
    transaction, run = host.transaction, host.new_run(())
    invariants = writing.invariants(new, host.planner.context(ParameterTypes((), fixed=True), ""))
    rows = _rows(old, run)
    first = next(rows, None)  # the old rows are pinned before the table is truncated
    transaction.truncate(old.oid)
    current = host.catalog.table(old.oid)
    transaction.define(replace(new, constraints=(), indexes=(), version=current.version))
    while first is not None:
        run.check()
        made = project(tuple(expressions), first, run)
        transaction.insert(old.oid, invariants.stored(made, run))
        first = next(rows, None)
    bare = host.catalog.table(old.oid)
    transaction.define(replace(bare, constraints=new.constraints, indexes=new.indexes))
    for constraint in new.constraints:
        if constraint.kind == "c" and constraint.validated:
            validate(host, host.catalog.table(old.oid), constraint)
    nulls = [column.number for column in new.columns if column.not_null]
    require_values(host, host.catalog.table(old.oid), nulls)


def _rows(table: Table, run: Run) -> Iterator[Batch]:
    numbers = tuple(column.number for column in table.columns)
    types = tuple(column.type for column in table.columns)
    scan = Scan(table.oid, table.name, numbers, types)
    return (batch for batch in scan.batches(run) if batch.rows)
