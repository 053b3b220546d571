"""Append: the rows of several inputs, one after another (UNION ALL)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from engine.operators.base import Operator, Task, pooled, tasks_of
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class Append:
    """Every child's rows, in the children's order, under common types."""

    children: tuple[Operator, ...]
    types: tuple[Type, ...]

    def explain(self) -> str:
        return "Append"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from pooled(self, self.morsels(run), run)

    def morsels(self, run: Run) -> Iterator[Task]:
        """The children's tasks, child by child."""
        for child in self.children:
            if child.types == self.types:
                yield from tasks_of(child, run)
            else:
                for task in tasks_of(child, run):
                    yield partial(self._typed, task)

    def _typed(self, task: Task) -> Batch | None:
        batch = task()
        return None if batch is None else retyped(batch, self.types)


def retyped(batch: Batch, types: tuple[Type, ...]) -> Batch:
    """The batch under types that differ in modifiers or names only."""
    columns = zip(batch.columns, types, strict=True)
    return Batch(tuple(c if c.type == t else c.retype(t) for c, t in columns), batch.rows)
