"""LoopJoin: every pair of rows is tried; for joins without an equality, and for cross joins.

The right side is held; where it takes more memory than it may, see engine.operators.loopparts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.counters import timed
from engine.late import held_bytes
from engine.operators.base import Operator, Task, tasks_of
from engine.operators.loopparts import LoopParts
from engine.operators.pairs import Kind, Pairs, join_types
from engine.operators.rows import Rows
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class LoopJoin:
    """`left` and `right` where `condition`, over the left columns and then the right ones, is true."""

    kind: Kind
    left: Operator
    right: Operator
    condition: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return join_types(self.kind, self.left.types, self.right.types)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    def explain(self) -> str:
        return "Nested Loop" if self.kind == "inner" else f"Nested Loop {self.kind.title()} Join"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._joined(run))

    def _joined(self, run: Run) -> Iterator[Batch]:
        grant, right = run.memory.grant(), None
        held: list[Batch] = []
        rest = self.right.batches(run)
        try:
            for batch in rest:
                held.append(batch)
                if not grant.room(held_bytes(batch.columns)):
                    grant.release()
                    prepare(run, self.condition)
                    parts = LoopParts(self, self.kind, self.left, self.right, self.condition)
                    yield from parts.batches(_each(held, rest), run)
                    return
            right = Rows([batch for batch in held if batch.rows], self.right.types, grant=grant)
            held = []
            if right.count or self.kind in ("left", "full", "anti"):
                yield from self._probed(right, run)
        finally:
            if right is None:
                grant.release()
            else:
                right.keep()

    def _probed(self, right: Rows, run: Run) -> Iterator[Batch]:
        pairs = Pairs(self.kind, right, self.condition, self.left.types)
        prepare(run, self.condition)
        if pool_safe(self.condition):
            tasks = (partial(self._task, task, right, pairs, run) for task in tasks_of(self.left, run))
            for batches in ordered(tasks, run):
                yield from batches
        else:
            for batch in self.left.batches(run):
                yield from self._pairs(batch, right, pairs, run)
        yield from pairs.rest(run)

    def _task(self, task: Task, right: Rows, pairs: Pairs, run: Run) -> Iterable[Batch]:
        batch = task()
        if batch is None or not batch.rows:
            return ()
        result = self._pairs(batch, right, pairs, run)
        return list(result) if pairs.small(np.array([batch.rows * right.count])) else result

    def _pairs(self, batch: Batch, right: Rows, pairs: Pairs, run: Run) -> Iterator[Batch]:
        starts = np.zeros(batch.rows, np.int64)
        return pairs.of(batch, starts, np.full(batch.rows, right.count), None, run)


def _each(held: list[Batch], rest: Iterator[Batch]) -> Iterator[Batch]:
    """What is held, each batch as it is given up, and what comes after it."""
    held.reverse()
    while held:
        yield held.pop()
    yield from rest
