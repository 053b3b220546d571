"""Nothing: no rows, for conditions that are known to be false."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.operators.base import Operator
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class Nothing:
    """No rows of these types."""

    types: tuple[Type, ...]

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return "Result"

    def batches(self, run: Run) -> Iterator[Batch]:
        run.check()
        yield from ()
