"""ViewScan: the rows of a catalog view, which are built when the catalog has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import timed
from engine.operators.base import Operator
from engine.run import Run
from sql.views.registry import SystemView
from storage.batch import BATCH_ROWS, Batch
from storage.types import Type


@dataclass(frozen=True)
class ViewScan:
    """The columns at `positions` of a view."""

    view: SystemView
    positions: tuple[int, ...]
    types: tuple[Type, ...]

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"Seq Scan on {self.view.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._rows(run))

    def _rows(self, run: Run) -> Iterator[Batch]:
        run.check()
        whole = self.view.batch(run.snapshot.catalog, run.session)
        narrow = Batch(tuple(whole.columns[p] for p in self.positions), whole.rows)
        for start in range(0, narrow.rows, BATCH_ROWS):
            run.check()
            yield narrow if narrow.rows <= BATCH_ROWS else narrow.slice(start, start + BATCH_ROWS)
