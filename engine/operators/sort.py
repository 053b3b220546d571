"""Sort: all rows in order, stable. Keys are computed in the pool; wide columns are fetched as they go out.

Rows that take more memory than they may go to temporary files: see engine.operators.sortedruns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.sortedruns import SortedRuns, ordered_rows
from engine.operators.sortkeys import Keyed, SortKey, keyed, keyed_bytes
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class Sort:
    """The rows of `child` in the order of `keys`; equal rows keep theirs."""

    child: Operator
    keys: tuple[SortKey, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Sort"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._sorted(run))

    def _sorted(self, run: Run) -> Iterator[Batch]:
        parts: list[Keyed] = []
        grant = run.memory.grant()
        runs = SortedRuns(self.types, self.keys, run, self)
        try:
            for part in keyed(self.child, self.keys, run):
                parts.append(part)
                if not grant.room(keyed_bytes(part)):
                    runs.add(parts)
                    parts = []
                    grant.release()
            if not runs.any and parts:
                yield from ordered_rows(parts, self.keys, self.types, run)
                return
            runs.add(parts)
            parts = []
            yield from runs.merged()
        finally:
            grant.release()
            runs.close()
