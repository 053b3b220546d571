"""Targets: the rows that an UPDATE or DELETE means, each once, and again after a concurrent change.

The child of both gives the table's columns (of UPDATE the new row, of DELETE the old one), then the row
id, then whatever else RETURNING reads. Where a join finds a row several times, the first one counts.

Under READ COMMITTED a row that another transaction has changed meanwhile is looked at anew: its newest
version is locked, and the child is run once more over it alone, so that WHERE and SET see that version.
Everything else stays as it was: the statement's snapshot, and the rows of other tables that stood beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.operators.base import Operator
from engine.operators.scan import only
from engine.parallel import root_memo
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.errors import TriggeredDataChangeViolation
from storage.transactions.locks import RowMode

_NONE = np.zeros(0, np.int64)
Apply = Callable[[Batch, Positions], Mask]
Computed = Callable[[Batch, Run], Batch]
Verb = Literal["updated", "deleted"]


@dataclass(frozen=True)
class Beside:
    """Another table's row ids, in column `column` of the child, from the scan of this `slot`."""

    column: int
    slot: int


def each_target(
    child: Operator,
    table: int,
    mode: RowMode,
    apply: Apply,
    run: Run,
    beside: tuple[Beside, ...] = (),
    verb: Verb = "updated",
    computed: Computed | None = None,
) -> Iterator[Batch]:
    """Have `apply` change the rows of the child; gives those that it says it has changed, in their order.

    `computed` makes the rows what they have to be. `apply` gets them and their ids, and tells which of them
    were still there to be changed; it holds changed rows in `mode`. Raises TriggeredDataChangeViolation for a
    row that a function changed on the way.
    """
    width = len(run.transaction.catalog.table(table).columns)
    seen: list[Positions] = []
    for batch in child.batches(run):
        run.check()
        ids = batch.columns[width].values
        new = _first_seen(ids, np.concatenate(seen) if seen else _NONE)
        if len(new) < batch.rows:
            batch, ids = batch.take(new), ids[new]
        if not batch.rows:
            continue
        seen.append(ids)
        if computed is not None:
            batch = computed(batch, run)
        changed = apply(batch, ids)
        if not changed.all():
            refuse_retaken(table, ids[~changed], verb, run)
            batch = _with_newest(child, width, table, mode, apply, batch, changed, run, beside, computed)
        if batch.rows:
            yield batch


def _with_newest(
    child: Operator,
    width: int,
    table: int,
    mode: RowMode,
    apply: Apply,
    batch: Batch,
    changed: Mask,
    run: Run,
    beside: tuple[Beside, ...],
    computed: Computed | None,
) -> Batch:
    """The changed rows of a batch, with what comes of the newest versions of the others."""
    lost = np.flatnonzero(~changed)
    # what another part of the statement has changed stays as that has made it
    lost = lost[~run.transaction.took(table, batch.columns[width].values[lost])]
    newest = run.transaction.lock(table, batch.columns[width].values[lost], mode)
    lost, newest = lost[newest != 0], newest[newest != 0]
    parts, places = [batch.take(changed)], [np.flatnonzero(changed)]
    for rows in [np.array([row]) for row in range(len(lost))] if beside else [np.arange(len(lost))]:
        memo = {**root_memo(run), only(0): newest[rows]}
        for other in beside:
            column = batch.columns[other.column].take(lost[rows])
            memo[only(other.slot)] = column.values if column.valid is None else column.values[column.valid]
        for again in child.batches(replace(run, memo=memo)) if len(rows) else ():
            ids = again.columns[width].values
            first = _first_seen(ids, _NONE)
            again, ids = again.take(first), ids[first]
            if again.rows:
                again = again if computed is None else computed(again, run)
                assert apply(again, ids).all(), "a row that is locked was changed by another"
                parts.append(again)
                places.append(lost[[newest.tolist().index(row_id) for row_id in ids.tolist()]])
    order = np.argsort(np.concatenate(places), kind="stable")
    return Batch.concat(parts).take(order)


def refuse_retaken(table: int, row_ids: Positions, verb: Verb, run: Run) -> None:
    """Raises TriggeredDataChangeViolation where a later command of the transaction took one of these rows.

    It was run by a function that the statement calls. Which change is to stay could not be said.
    """
    if run.transaction.took_since(table, row_ids, run.snapshot.command + 1).any():
        raise TriggeredDataChangeViolation(
            f"tuple to be {verb} was already modified by an operation triggered by the current command",
            hint="Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other "
            "rows.",
        )


def existing(table: int, row_ids: Positions, run: Run) -> list[Column]:
    """The table's columns of these versions of rows, in their order; the snapshot need not see them."""
    view = run.snapshot.table(table)
    parts: list[list[Column]] = []
    places: list[Positions] = []
    for morsel, positions, asked in view.located(row_ids):
        parts.append([morsel.column(column, positions) for column in view.table.columns])
        places.append(asked)
    if not parts:
        return [Column.nulls(column.type, 0) for column in view.table.columns]
    order = np.argsort(np.concatenate(places))
    return [Column.concat(list(columns)).take(order) for columns in zip(*parts, strict=True)]


def _first_seen(ids: Positions, seen: Positions) -> Positions:
    """The rows whose id neither an earlier row nor an earlier batch has, in row order."""
    if len(ids) == 1 and not len(seen):
        return np.zeros(1, np.int64)
    _, firsts = np.unique(ids, return_index=True)
    firsts.sort()
    return firsts[~np.isin(ids[firsts], seen)]
