"""Project: one column an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from engine.counters import count
from engine.late import bounded
from engine.nodes import Reference
from engine.operators.base import Operator, Task, given, pooled, tasks_of
from engine.parallel import pool_safe, prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.types import Type
from storage.waiting import is_at_once


@dataclass(frozen=True)
class Project:
    """The expressions over each row of `child`."""

    child: Operator
    expressions: tuple[Expression, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(expression.type for expression in self.expressions)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def origin(self, index: int) -> tuple[Operator, int] | None:
        """See engine.operators.keyfilters.Passing."""
        expression = self.expressions[index]
        return (self.child, expression.index) if isinstance(expression, Reference) else None

    def explain(self) -> str:
        return "Project"

    def batches(self, run: Run) -> Iterator[Batch]:
        if is_at_once():  # a few rows, which no worker is asked for
            prepare(run, *self.expressions)
            for batch in self.child.batches(run):
                projected = self._projected(batch, run)
                if projected is not None:
                    yield from bounded(projected)
            return
        yield from pooled(self, self.morsels(run), run)

    def morsels(self, run: Run) -> Iterator[Task]:
        """The child's tasks, each followed by the expressions."""
        prepare(run, *self.expressions)
        if pool_safe(*self.expressions):
            for task in tasks_of(self.child, run):
                yield partial(self._after, task, run)
        else:
            for batch in self.child.batches(run):
                run.check()
                projected = self._projected(batch, run)
                yield given(projected)

    def _after(self, task: Task, run: Run) -> Batch | None:
        batch = task()
        return None if batch is None else self._projected(batch, run)

    def _projected(self, batch: Batch, run: Run) -> Batch | None:
        if not batch.rows:
            return None
        count(run, self, batch.rows, 1)
        return project(self.expressions, batch, run)


def project(expressions: tuple[Expression, ...], batch: Batch, run: Run) -> Batch:
    """The expressions' columns over a batch, written out."""
    columns = tuple(expression.evaluate(batch, run).spread(batch.rows) for expression in expressions)
    return Batch(columns, batch.rows)
