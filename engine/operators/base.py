"""The seam of physical operators: a frozen dataclass whose run is a generator of batches.

An operator that works row by row on its input (scan, filter, project) also offers `morsels`: the same
rows as independent tasks for the pool, in row order. `batches` of such an operator runs them there and
yields their batches in order; an operator above (aggregate, top-k) may take the tasks itself and do its
part inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from engine.run import Run
from storage.batch import Batch
from storage.types import Type

Task = Callable[[], Batch | None]


class Operator(Protocol):
    """A physical plan node. `types` are those of its output columns."""

    @property
    def types(self) -> tuple[Type, ...]: ...

    @property
    def children(self) -> tuple[Operator, ...]: ...

    def batches(self, run: Run) -> Iterator[Batch]:
        """The rows. Calls `run.check()` once a batch; releases what it holds when closed early."""

    def explain(self) -> str:
        """One line of EXPLAIN, without children: 'Seq Scan on features'."""


@runtime_checkable
class Pipelined(Protocol):
    """An operator whose rows can be had as tasks."""

    def morsels(self, run: Run) -> Iterator[Task]: ...
