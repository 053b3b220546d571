"""LockRows: SELECT ... FOR UPDATE and its kin: locks the rows that go out, and looks again at changed ones.

The child gives, among its columns, the row ids of the tables behind them. Rows are locked in the child's
order, and no more of them than LIMIT lets out. Where another transaction has changed a row since the
snapshot, its newest version is locked, and the child is run once more for it alone (of every other table
only the row that stood beside it): what no longer meets the condition falls out, what does goes out as it is
now, at its old place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.limit import limits
from engine.operators.scan import only
from engine.parallel import root_memo
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Mask, Positions
from storage.errors import ReadOnlySqlTransaction
from storage.transactions.locks import Policy, RowMode
from storage.types import Type


@dataclass(frozen=True)
class LockTarget:
    """A table whose row ids stand in column `column` of the child, from the scan of this `slot`.

    `mode` of None: its rows are not locked, but stay the same when the others are looked at again.
    """

    column: int
    table: int
    slot: int
    mode: RowMode | None = None
    policy: Policy = "wait"


@dataclass(frozen=True)
class LockRows:
    """The child's rows, locked; at most `count` after `offset` of them."""

    child: Operator
    targets: tuple[LockTarget, ...]
    count: Expression | None = None
    offset: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "LockRows"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._locked(run))

    def _locked(self, run: Run) -> Iterator[Batch]:
        if run.transaction.read_only:
            mode = next(target.mode for target in self.targets if target.mode is not None)
            words = f"SELECT FOR {mode.name.replace('_', ' ')}"
            raise ReadOnlySqlTransaction(f"cannot execute {words} in a read-only transaction")
        skip, left = limits(self.count, self.offset, run)
        wanted = None if left is None else skip + left if left else 0
        with closing(self.child.batches(run)) as batches:  # type: ignore[type-var]  # generators all
            for batch in batches if wanted != 0 else ():
                start = 0
                while start < batch.rows:
                    run.check()
                    stop = batch.rows if wanted is None else min(start + wanted, batch.rows)
                    part = self._lock(batch.slice(start, stop), run)
                    start = stop
                    if wanted is not None:
                        wanted -= part.rows
                    passed = min(skip, part.rows)
                    skip -= passed
                    if part.rows > passed:
                        yield part.slice(passed, part.rows)
                    if wanted == 0:
                        return

    def _lock(self, batch: Batch, run: Run) -> Batch:
        """The rows that are there still, locked, as they are now."""
        ids = [self._ids(batch, target) for target in self.targets]
        newest = [each.copy() for each in ids]
        kept = np.ones(batch.rows, np.bool_)
        for at, target in enumerate(self.targets):
            if target.mode is None:
                continue
            rows = np.flatnonzero(kept & (ids[at] != 0))  # 0: there is no such row beside the others
            locked = run.transaction.lock(target.table, ids[at][rows], target.mode, target.policy)
            newest[at][rows] = locked
            kept[rows[locked == 0]] = False
        changed = np.zeros(batch.rows, np.bool_)
        for old, new in zip(ids, newest, strict=True):
            changed |= old != new
        changed &= kept
        if not changed.any():
            return batch if kept.all() else batch.take(kept)
        return self._looked_at_again(batch, kept, changed, newest, run)

    def _ids(self, batch: Batch, target: LockTarget) -> Positions:
        """(rows,) row ids, 0 where an outer join has found none."""
        column = batch.columns[target.column].spread(batch.rows)
        ids: Positions = column.values
        return ids if column.valid is None else np.where(column.valid, ids, 0)

    def _looked_at_again(
        self, batch: Batch, kept: Mask, changed: Mask, newest: list[Positions], run: Run
    ) -> Batch:
        """The kept rows; the changed ones among them as the child gives them now, if it still does."""
        parts: list[Batch] = []
        start = 0
        for row in np.flatnonzero(changed).tolist():
            parts.append(batch.slice(start, row).take(kept[start:row]))
            parts += self._again([ids[row] for ids in newest], run)
            start = row + 1
        parts.append(batch.slice(start, batch.rows).take(kept[start:]))
        return Batch.concat(parts)

    def _again(self, ids: list[int], run: Run) -> list[Batch]:
        """The child's rows for these versions of its tables' rows."""
        memo = dict(root_memo(run))
        for target, row_id in zip(self.targets, ids, strict=True):
            memo[only(target.slot)] = np.array([row_id] if row_id else [], np.int64)
        return [batch for batch in self.child.batches(replace(run, memo=memo)) if batch.rows]
