"""Upsert: INSERT ... ON CONFLICT. Rows whose keys are free are inserted; the others give way, or change who
has their key.

Rows are taken in their order, many at a time where that cannot make a difference: a row that has a key is
changed by the first of the batch's rows that wants it, and a second one is an error, as it is for
PostgreSQL. Where another transaction changed such a row since it was found, everything begins anew for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.nodes import true_rows
from engine.operators.base import Operator
from engine.operators.constraints import ANY_ROW, Invariants
from engine.operators.project import project
from engine.operators.references import Keeper, Rules
from engine.operators.targets import existing, refuse_retaken
from engine.operators.writing import Writing
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Positions
from storage.definitions import UniqueKey
from storage.errors import CardinalityViolation
from storage.transactions.locks import RowMode
from storage.types import XID

_XIDS = 1 << 32


@dataclass(frozen=True)
class SetRow:
    """DO UPDATE: over the row that has the key, and then the row that was to be inserted.

    `row` gives all columns of the table. `keeps_keys`: none of them that is in a key is assigned.
    """

    row: tuple[Expression, ...]
    condition: Expression | None = None
    keeps_keys: bool = False


@dataclass(frozen=True)
class Upsert(Writing):
    """`child` gives all columns of `table` (an OID), in its order; see Insert for the rest.

    `returning` is over the rows, and then their xmax: 0 of inserted ones, else that of this transaction.
    `update` says what to do with a row that has one of the `arbiters`' keys; None: nothing, its row is left
    out. `replaces`: such rows are deleted, and the new one is inserted.
    """

    table: int
    child: Operator
    arbiters: tuple[UniqueKey, ...]
    update: SetRow | None = None
    replaces: bool = False
    returning: tuple[Expression, ...] | None = None
    invariants: Invariants = ANY_ROW
    rules: Rules | None = None

    def explain(self) -> str:
        return "Insert"

    def _rows(self, run: Run) -> Iterator[Batch]:
        update = self.update
        set_row = () if update is None else (*update.row, update.condition)
        prepare(run, *self.invariants.expressions, *(self.returning or ()), *set_row)
        table = run.transaction.catalog.table(self.table)
        # A row that is given another key may be in the way of the next: then one by one.
        one_by_one = self.replaces or (update is not None and not update.keeps_keys)
        keeper = None if self.rules is None else Keeper(self.rules, run)
        for batch in self.child.batches(run):
            if not batch.rows:
                continue
            batch = self.invariants.computed(batch, run)
            self.invariants.enforce(table, batch, run)
            step = 1 if one_by_one else batch.rows
            for start in range(0, batch.rows, step):
                run.check()
                rows = self._put(batch.slice(start, min(start + step, batch.rows)), keeper, run)
                if rows.rows:
                    yield self._result(rows, run)
        if keeper is not None:
            keeper.close()

    def _put(self, batch: Batch, keeper: Keeper | None, run: Run) -> Batch:
        """The rows that came to be, and their xmax, in the order of those that were to be inserted."""
        done: list[Batch] = []
        places = [np.zeros(0, np.int64)]
        left = np.arange(batch.rows)
        while len(left):
            stored = self.invariants.stored(batch.take(left), run)
            holders = run.transaction.insert_free(self.table, stored, self.arbiters)
            inserted = left[holders == 0]
            new = batch.take(inserted)
            if keeper is not None:
                keeper.inserted(new, None)
            done.append(_with_xmax(new, 0))
            places.append(inserted)
            if self.update is None and not self.replaces:
                break
            left, holders = left[holders != 0], holders[holders != 0]
            if self.replaces:
                self._delete(np.unique(holders), keeper, run)
                continue
            _, first = np.unique(holders, return_index=True)  # the others find the row changed, or as it was
            rows, kept, again = self._change(
                self.update, batch.take(left[first]), holders[first], keeper, run
            )
            done.append(_with_xmax(rows, run.now % _XIDS or 1))
            places.append(left[first][kept])
            others = np.setdiff1d(np.arange(len(left)), first)
            left = np.sort(left[np.concatenate([others, first[again]])])
        order = np.argsort(np.concatenate(places), kind="stable")
        return Batch.concat(done).take(order)

    def _delete(self, row_ids: Positions, keeper: Keeper | None, run: Run) -> None:
        """REPLACE: the rows that have the keys go."""
        deleted = run.transaction.delete(self.table, row_ids)
        if keeper is not None:
            keeper.deleted_ids(deleted)

    def _change(
        self, update: SetRow | None, proposed: Batch, row_ids: Positions, keeper: Keeper | None, run: Run
    ) -> tuple[Batch, Positions, Positions]:
        """DO UPDATE: (the new rows, which of those proposed made them, which have to be tried again)."""
        assert update is not None
        transaction = run.transaction
        if transaction.made_since(self.table, row_ids, run.snapshot.command).any():
            raise CardinalityViolation(
                "ON CONFLICT DO UPDATE command cannot affect row a second time",
                hint="Ensure that no rows proposed for insertion within the same command have duplicate "
                "constrained values.",
            )
        mode = RowMode.NO_KEY_UPDATE if update.keeps_keys else RowMode.UPDATE
        there = transaction.lock(self.table, row_ids, mode) == row_ids
        rows = np.flatnonzero(there)
        both = Batch(
            (*existing(self.table, row_ids[rows], run), *proposed.take(rows).columns),
            len(rows),
        )
        if update.condition is not None and len(rows):
            met = np.flatnonzero(true_rows(update.condition.evaluate(both, run), both.rows))
            rows, both = rows[met], both.take(met)
        new = self.invariants.computed(project(update.row, both, run), run)
        if len(rows):
            table = transaction.catalog.table(self.table)
            self.invariants.enforce(table, new, run)
            stored = self.invariants.stored(new, run)
            changed = transaction.update(self.table, row_ids[rows], stored, mode)
            refuse_retaken(self.table, row_ids[rows][changed == 0], "updated", run)
            assert (changed != 0).all(), "a row that is locked was changed by another"
            if keeper is not None:
                keeper.updated(row_ids[rows], new, changed)
        return new, rows, np.flatnonzero(~there)


def _with_xmax(batch: Batch, xmax: int) -> Batch:
    column = Column(XID, np.full(batch.rows, xmax, np.uint32))
    return Batch((*batch.columns, column), batch.rows)
