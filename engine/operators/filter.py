"""Filter: the rows whose condition is true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from engine.counters import count
from engine.nodes import true_rows
from engine.operators.base import Operator, Task, given, pooled, tasks_of
from engine.parallel import pool_safe, prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class Filter:
    """The rows of `child` whose condition is true: neither false nor null."""

    child: Operator
    condition: Expression

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def origin(self, index: int) -> tuple[Operator, int] | None:
        """See engine.operators.keyfilters.Passing."""
        return self.child, index

    def explain(self) -> str:
        return "Filter"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from pooled(self, self.morsels(run), run)

    def morsels(self, run: Run) -> Iterator[Task]:
        """The child's tasks, each followed by the condition."""
        prepare(run, self.condition)
        if pool_safe(self.condition):
            for task in tasks_of(self.child, run):
                yield partial(self._after, task, run)
        else:
            for batch in self.child.batches(run):
                run.check()
                kept = self._kept(batch, run)
                yield given(kept)

    def _after(self, task: Task, run: Run) -> Batch | None:
        batch = task()
        return None if batch is None else self._kept(batch, run)

    def _kept(self, batch: Batch, run: Run) -> Batch | None:
        if not batch.rows:
            return None
        mask = true_rows(self.condition.evaluate(batch, run), batch.rows)
        kept = batch if mask.all() else batch.take(mask)
        count(run, self, kept.rows, 1, Rows_Removed_by_Filter=batch.rows - kept.rows)
        return kept if kept.rows else None
