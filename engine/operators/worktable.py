"""WorkTable: the last round's rows, inside the recursive term of a RecursiveUnion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import timed
from engine.operators.append import retyped
from engine.operators.base import Operator
from engine.operators.recursiveunion import work_key
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class WorkTable:
    """The rows of the recursion called `name`."""

    name: str
    types: tuple[Type, ...]

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"WorkTable Scan on {self.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        work: list[Batch] = run.memo[work_key(self.name)]
        yield from timed(run, self, (retyped(batch, self.types) for batch in work))
