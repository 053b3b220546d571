"""OneRow: a row without columns, for SELECT without FROM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import count
from engine.operators.base import Operator
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class OneRow:
    """One row of no columns."""

    @property
    def types(self) -> tuple[Type, ...]:
        return ()

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return "Result"

    def batches(self, run: Run) -> Iterator[Batch]:
        run.check()
        count(run, self, rows=1, batches=1, loops=1)
        yield Batch((), 1)
