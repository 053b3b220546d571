"""A loop join in parts: both sides a stretch at a time, where the right one is too large to be held.

The right rows are put aside in a file (engine.spool). As many left rows as there is memory for are held, then
the right ones go past, part by part; then come the next left rows. So the file is read once for each stretch
of left rows. Which left rows have met nobody is known when all parts have gone past, which right ones in the
end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.counters import count
from engine.late import held_bytes
from engine.operators.base import Operator
from engine.operators.pairs import Kind, Pairs, marks
from engine.operators.rows import Rows
from engine.parallel import pool_safe
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from engine.spool import Spool
from storage.batch import Batch
from storage.column import Mask

FEWEST_ROWS = 1024
"""Of a part, however little memory there is."""
_SHARE = 4  # of the memory that there is for a stretch of left rows, and of it for a part of the right ones


@dataclass(frozen=True)
class LoopParts:
    """`left` and the rows that `right` gives, where `condition` is true: see LoopJoin, the `owner`."""

    owner: Operator
    kind: Kind
    left: Operator
    right: Operator
    condition: Expression | None

    def batches(self, right: Iterator[Batch], run: Run) -> Iterator[Batch]:
        """The join's rows. Raises DiskFull, FileError, ConfigurationLimitExceeded."""
        most = max(run.memory.left // _SHARE, 1)
        sizes: list[int] = []
        spool = Spool(_counted(right, sizes), run.memory)
        try:
            spool.reach(None)
            count(run, self.owner, Spilled_Bytes=spool.nbytes)
            step = max(most * spool.rows // max(sum(sizes), 1), FEWEST_ROWS)
            parts = [(first, min(first + step - 1, spool.rows)) for first in range(1, spool.rows + 1, step)]
            met = [marks(self.kind, last - first + 1) for first, last in parts]
            for block in _blocks(self.left.batches(run), most):
                seen = [np.zeros(batch.rows, np.bool_) for batch in block]
                for (first, last), before in zip(parts, met, strict=True):
                    pairs = self._pairs(list(spool.forward(first, last)), before)
                    yield from self._joined(block, seen, last - first + 1, pairs, run)
                nobody = self._pairs([], None)
                for batch, mask in zip(block, seen, strict=True):
                    yield from nobody.alone(batch, mask)
            if met and met[0] is not None:
                for (first, last), before in zip(parts, met, strict=True):
                    yield from self._pairs(list(spool.forward(first, last)), before).rest(run)
        finally:
            spool.close()

    def _pairs(self, right: list[Batch], met: Mask | None) -> Pairs:
        return Pairs(self.kind, Rows(right, self.right.types), self.condition, self.left.types, met)

    def _joined(
        self, block: list[Batch], seen: list[Mask], right: int, pairs: Pairs, run: Run
    ) -> Iterator[Batch]:
        """The pairs of left batches with so many right rows."""
        if not pool_safe(self.condition):
            for batch, met in zip(block, seen, strict=True):
                yield from pairs.among(batch, right, met, run)
            return
        tasks = (partial(_task, *each, right, pairs, run) for each in zip(block, seen, strict=True))
        for batches in ordered(tasks, run):
            yield from batches


def _task(batch: Batch, met: Mask, right: int, pairs: Pairs, run: Run) -> Iterable[Batch]:
    """Pairs that are there already, or where they are many, as they are asked for."""
    found = pairs.among(batch, right, met, run)
    return list(found) if pairs.small(np.array([batch.rows * right])) else found


def _counted(batches: Iterator[Batch], sizes: list[int]) -> Iterator[Batch]:
    """Batches, and how many bytes each takes."""
    for batch in batches:
        sizes.append(held_bytes(batch.columns))
        yield batch


def _blocks(batches: Iterator[Batch], most: int) -> Iterator[list[Batch]]:
    """Batches that take at most so many bytes together, or one."""
    block, size = list[Batch](), 0
    for batch in batches:
        nbytes = held_bytes(batch.columns)
        if block and size + nbytes > most:
            yield block
            block, size = [], 0
        if batch.rows:
            block.append(batch)
            size += nbytes
    if block:
        yield block
