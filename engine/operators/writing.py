"""Writing: what INSERT, UPDATE and DELETE have alike.

All is written before the first row comes out, so RETURNING tells of nothing that an error takes back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.project import project
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.types import Type


class Writing(ABC):
    """An operator that writes what its child gives, and gives back `returning`, over what was written.

    Without it, one batch of no columns comes out that has as many rows as were written.
    """

    child: Operator
    returning: tuple[Expression, ...] | None

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(expression.type for expression in self.returning or ())

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    @abstractmethod
    def _rows(self, run: Run) -> Iterator[Batch]:
        """Write, and give what `_result` makes of each batch."""

    def _result(self, batch: Batch, run: Run) -> Batch:
        """What a written batch gives back."""
        return Batch((), batch.rows) if self.returning is None else project(self.returning, batch, run)

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, iter(self._written(run)))

    def _written(self, run: Run) -> list[Batch]:
        done = list(self._rows(run))
        return [Batch((), sum(batch.rows for batch in done))] if self.returning is None else done
