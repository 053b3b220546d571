"""Targets: the rows that an UPDATE or DELETE means, each once, and again after a concurrent change.

The child of both gives the table's columns (of UPDATE the new row, of DELETE the old one), then the row
id, then whatever else RETURNING reads. Where a join finds a row several times, the first one counts.

Under READ COMMITTED a row that another transaction has changed meanwhile is looked at anew: its newest
version is locked, and the child is run once more over it alone, so that WHERE and SET see that version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from engine.operators.base import Operator
from engine.operators.scan import only
from engine.parallel import root_memo
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.locks import RowMode

Apply = Callable[[Batch, Positions], Mask]


def each_target(child: Operator, table: int, mode: RowMode, apply: Apply, run: Run) -> Iterator[Batch]:
    """Have `apply` change the rows of the child; gives those that it says it has changed.

    `apply` gets rows and their ids and tells which of them were still there to be changed. It holds changed
    rows in `mode`.
    """
    width = len(run.transaction.catalog.table(table).columns)
    seen = np.zeros(0, np.int64)
    while True:
        lost = [np.zeros(0, np.int64)]
        for batch in child.batches(run):
            run.check()
            ids = batch.columns[width].values
            new = _first_seen(ids, seen)
            if len(new) < batch.rows:
                batch, ids = batch.take(new), ids[new]
            if not batch.rows:
                continue
            seen = np.union1d(seen, ids)
            changed = apply(batch, ids)
            if not changed.all():
                lost.append(ids[~changed])
                batch = batch.take(changed)
            if batch.rows:
                yield batch
        gone = np.concatenate(lost)
        if not len(gone):
            return
        newest = run.transaction.lock(table, gone, mode)
        newest = newest[newest != 0]
        if not len(newest):
            return
        memo = {**root_memo(run), only(0): newest}
        run = replace(run, snapshot=run.transaction.refreshed(), memo=memo)


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
    _, firsts = np.unique(ids, return_index=True)
    firsts.sort()
    return firsts[~np.isin(ids[firsts], seen)]
