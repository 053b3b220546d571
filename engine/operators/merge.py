"""Merge: MERGE. Each row of the source meets a row of the table, or none; the first fitting action counts.

The child joins them. Where another transaction has changed the table's row meanwhile, its newest version is
locked and the join's condition asked again: a pair that it no longer joins counts as not matched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.counters import timed
from engine.nodes import true_rows
from engine.operators.base import Operator
from engine.operators.constraints import ANY_ROW, Invariants
from engine.operators.project import project
from engine.operators.references import Keeper, Rules
from engine.operators.targets import existing
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.errors import CardinalityViolation
from storage.transactions.locks import RowMode
from storage.types import INT8, Type


@dataclass(frozen=True)
class Action:
    """WHEN [NOT] MATCHED [AND condition] THEN ...; expressions are over the child's row.

    `row` gives all columns of the table, for an insert or update. `keeps_keys`: see Update.
    """

    matched: bool
    kind: Literal["insert", "update", "delete", "nothing"]
    condition: Expression | None = None
    row: tuple[Expression, ...] = ()
    keeps_keys: bool = False


@dataclass(frozen=True)
class Merge:
    """`child` gives the source's columns, then all of `table`'s (an OID) and its row id, null for none.

    `condition` is the join's. One batch of no columns comes out that has as many rows as were changed.
    """

    table: int
    child: Operator
    condition: Expression
    actions: tuple[Action, ...]
    invariants: Invariants = ANY_ROW
    rules: Rules | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return ()

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Merge"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._merged(run))

    def _merged(self, run: Run) -> Iterator[Batch]:
        prepare(run, self.condition, *self.invariants.expressions)
        for action in self.actions:
            prepare(run, action.condition, *action.row)
        seen: set[int] = set()
        changed = 0
        keeper = None if self.rules is None else Keeper(self.rules, run)
        for batch in self.child.batches(run):
            run.check()
            while batch.rows:
                count, batch = self._act(batch, seen, keeper, run)
                changed += count
        if keeper is not None:
            keeper.close()
        yield Batch((), changed)

    def _act(self, batch: Batch, seen: set[int], keeper: Keeper | None, run: Run) -> tuple[int, Batch]:
        """How many rows were changed, and the rows to look at again."""
        ids = _row_ids(batch)
        chosen = self._chosen(batch, ids != 0, run)
        changed = 0
        again = [batch.slice(0, 0)]
        for number in sorted(range(len(self.actions)), key=lambda at: _ORDER.index(self.actions[at].kind)):
            rows = np.flatnonzero(chosen == number)
            action = self.actions[number]
            if not len(rows) or action.kind == "nothing":
                continue
            part = batch.take(rows)
            if action.kind == "insert":
                new = self.invariants.computed(project(action.row, part, run), run)
                self._enforce(new, run)
                row_ids = run.transaction.insert(self.table, self.invariants.stored(new, run))
                if keeper is not None:
                    keeper.inserted(new, row_ids)
                changed += new.rows
                continue
            done = self._change(action, part, ids[rows], seen, keeper, run)
            changed += int(done.sum())
            if not done.all():
                again.append(self._renewed(action, part.take(~done), ids[rows][~done], run))
        return changed, Batch.concat(again)

    def _chosen(self, batch: Batch, matched: Mask, run: Run) -> Positions:
        """(rows,) the number of the first action whose condition is true; -1 for none."""
        chosen = np.full(batch.rows, -1, np.int64)
        for number, action in enumerate(self.actions):
            rows = np.flatnonzero((chosen < 0) & (matched == action.matched))
            if action.condition is not None and len(rows):
                met = true_rows(action.condition.evaluate(batch.take(rows), run), len(rows))
                rows = rows[met]
            chosen[rows] = number
        return chosen

    def _change(
        self,
        action: Action,
        part: Batch,
        ids: Positions,
        seen: set[int],
        keeper: Keeper | None,
        run: Run,
    ) -> Mask:
        """Update or delete the table's rows: which of them were still there."""
        doubled = len(np.unique(ids)) < len(ids) or not seen.isdisjoint(ids.tolist())
        if doubled:
            raise _twice()
        seen.update(ids.tolist())
        done: Mask
        if action.kind == "delete":
            done = np.isin(ids, run.transaction.delete(self.table, ids))
            if keeper is not None:
                keeper.deleted_ids(ids[done])
        else:
            new = self.invariants.computed(project(action.row, part, run), run)
            stored = self.invariants.stored(new, run)
            new_ids = run.transaction.update(self.table, ids, stored, _mode(action))
            done = new_ids != 0
            self._enforce(new.take(done), run)
            if keeper is not None:
                keeper.updated(ids[done], new.take(done), new_ids[done])
        return done

    def _enforce(self, new: Batch, run: Run) -> None:
        self.invariants.enforce(run.transaction.catalog.table(self.table), new, run)

    def _renewed(self, action: Action, part: Batch, ids: Positions, run: Run) -> Batch:
        """Rows whose table row was changed or deleted meanwhile: with its newest version, if that joins."""
        if run.transaction.took(self.table, ids).any():
            raise _twice()
        newest = run.transaction.lock(self.table, ids, _mode(action))
        width = len(run.snapshot.table(self.table).table.columns)
        source = part.columns[: len(part.columns) - width - 1]
        places = np.flatnonzero(newest != 0)
        found = existing(self.table, newest[places], run)
        there = Batch(
            (*(column.take(places) for column in source), *found, Column(INT8, newest[places])), len(places)
        )
        joined = true_rows(self.condition.evaluate(there, run), there.rows)
        lost = np.setdiff1d(np.arange(part.rows), places[joined])
        types = [column.type for column in part.columns[len(source) :]]
        nulls = [Column.nulls(type, len(lost)) for type in types]
        alone = Batch((*(column.take(lost) for column in source), *nulls), len(lost))
        return Batch.concat([there.take(joined), alone])


def _twice() -> CardinalityViolation:
    return CardinalityViolation(
        "MERGE command cannot affect row a second time",
        hint="Ensure that not more than one source row matches any one target row.",
    )


_ORDER = ("delete", "update", "insert", "nothing")  # so that keys are free before they are taken


def _mode(action: Action) -> RowMode:
    return RowMode.NO_KEY_UPDATE if action.keeps_keys else RowMode.UPDATE


def _row_ids(batch: Batch) -> Positions:
    """(rows,) the table's row ids, 0 where there is none."""
    column = batch.columns[-1].spread(batch.rows)
    ids: Positions = column.values
    return ids if column.valid is None else np.where(column.valid, ids, 0)
