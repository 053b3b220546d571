"""TABLESAMPLE: a condition on a row's id, so that a scan tests it before it reads anything else.

A row's id, or for SYSTEM that of the block of rows it is in, is hashed with the seed; the row is in the
sample if the hash is below the percentage. So the same seed gives the same rows as long as they have the
same ids. Without REPEATABLE each run draws a seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from engine.run import Run
from engine.seams import Expression
from storage import kernels
from storage.batch import Batch
from storage.column import Column
from storage.errors import InvalidTablesampleArgument, InvalidTablesampleRepeat
from storage.types import BOOL, Type

# Bits of a hash, as many as a percentage is compared by.
_BITS = 53
METHODS = {"bernoulli": 0, "system": 10}
"""Of each sampling method, the logarithm of the number of neighbouring rows that are in or out together."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Whether the row of id `row` is in the sample; `percent` (float4) and `seed` (float8) have one row."""

    method: str
    row: Expression
    percent: Expression
    seed: Expression | None

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.row, self.percent) if self.seed is None else (self.row, self.percent, self.seed)

    @property
    def arguments(self) -> tuple[Expression, ...]:
        """What depends on the row, if it has to be computed on the statement's thread: nothing."""
        return ()

    def prepare(self, run: Run) -> None:
        """Compute percentage and seed, before any row is looked at."""
        run.memo["sample", id(self)] = self._drawn(run)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        drawn = run.memo.get(("sample", id(self)))
        limit, seed = self._drawn(run) if drawn is None else drawn
        blocks = self.row.evaluate(batch, run).spread(batch.rows).values >> METHODS[self.method]
        state = np.full(batch.rows, seed, np.uint64)
        words = kernels.mix_words(state, blocks.view(np.uint64), 0)
        return Column(BOOL, (words >> np.uint64(64 - _BITS)) < np.uint64(limit))

    def _drawn(self, run: Run) -> tuple[int, int]:
        """(the hashes that are in the sample are below it, the seed)."""
        percent = self.percent.evaluate(Batch((), 1), run).tolist()[0]
        if percent is None:
            raise InvalidTablesampleArgument("TABLESAMPLE parameter cannot be null")
        if not 0 <= percent <= 100:
            raise InvalidTablesampleArgument("sample percentage must be between 0 and 100")
        limit = round(percent / 100 * 2**_BITS)
        if self.seed is None:
            return limit, random.getrandbits(64)
        seed = self.seed.evaluate(Batch((), 1), run).tolist()[0]
        if seed is None:
            raise InvalidTablesampleRepeat("TABLESAMPLE REPEATABLE parameter cannot be null")
        return limit, int(np.float64(seed + 0.0).view(np.uint64))
