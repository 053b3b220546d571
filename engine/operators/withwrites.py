"""WithWrites: a statement whose WITH writes; complete before the first row is returned.

All parts see the statement's snapshot, so none sees what another has written but by its RETURNING, and
whatever order they run in. A part runs when it is first read, or after the main one if nobody reads all
of it; the last of these first, since it may read those before it. Foreign keys are seen to at the end,
when all is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.references import together
from engine.operators.shared import Shared
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


def _below(operator: Operator) -> Iterator[Operator]:
    yield operator
    for child in operator.children:
        yield from _below(child)


@dataclass(frozen=True)
class WithWrites:
    """`child` is the main part, `writers` the parts of its WITH that write, in their order."""

    child: Operator
    writers: tuple[Shared, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        # each writer where it is read, and here those that nobody reads
        read = set(map(id, _below(self.child)))
        return (self.child, *(writer for writer in self.writers if id(writer.child) not in read))

    def explain(self) -> str:
        return "With Writes"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, iter(self._all(run)))

    def _all(self, run: Run) -> list[Batch]:
        with together(run):
            for writer in self.writers:
                writer.open(run)  # whoever reads it first, perhaps again for one row only, it is this run's
            done = list(self.child.batches(run))
            for writer in reversed(self.writers):
                for _ in writer.batches(run):
                    run.check()
        return done
