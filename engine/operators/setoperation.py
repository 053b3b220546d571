"""SetOperation: INTERSECT and EXCEPT, with and without ALL; rows are equal as in DISTINCT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.counters import timed
from engine.groups import KeyIndex
from engine.operators.append import retyped
from engine.operators.base import Operator
from engine.run import Run
from storage.batch import Batch
from storage.column import Mask, Positions
from storage.types import Type


@dataclass(frozen=True)
class SetOperation:
    """The left rows that the right side has too (intersect) or has not (except).

    `all` counts: a row comes out as often as the smaller side has it, or as often as the left side has
    it more.
    """

    kind: Literal["intersect", "except"]
    all: bool
    left: Operator
    right: Operator

    @property
    def types(self) -> tuple[Type, ...]:
        return self.left.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    def explain(self) -> str:
        return f"HashSetOp {self.kind.title()}{' All' if self.all else ''}"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._kept(run))

    def _kept(self, run: Run) -> Iterator[Batch]:
        index = KeyIndex(self.types)
        right = np.zeros(0, np.int64)  # how often the right side has each key
        for batch in self.right.batches(run):
            run.check()
            codes, _ = index.assign(retyped(batch, self.types).columns, batch.rows)
            right = _added(right, codes, index.count)
        left = np.zeros(0, np.int64)  # how often the left side has had each key
        for batch in self.left.batches(run):
            run.check()
            codes, _ = index.assign(batch.columns, batch.rows)
            left, right = _longer(left, index.count), _longer(right, index.count)
            turn = left[codes] + _occurrence(codes)
            left = _added(left, codes, index.count)
            rows = np.flatnonzero(self._wanted(turn, right[codes]))
            if len(rows):
                yield batch if len(rows) == batch.rows else batch.take(rows)

    def _wanted(self, turn: Positions, right: Positions) -> Mask:
        """Which rows come out: `turn` says how many equal left rows came before each."""
        if self.all:
            common: Mask = turn < right
            return common if self.kind == "intersect" else ~common
        both: Mask = right > 0
        wanted: Mask = (turn == 0) & (both if self.kind == "intersect" else ~both)
        return wanted


def _longer(counts: Positions, size: int) -> Positions:
    return np.concatenate([counts, np.zeros(size - len(counts), np.int64)])


def _added(counts: Positions, codes: Positions, size: int) -> Positions:
    return _longer(counts, size) + np.bincount(codes, minlength=size)


def _occurrence(codes: Positions) -> Positions:
    """How many earlier rows of the batch have the same code."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.searchsorted(ordered, ordered, side="left")
    result = np.empty(len(codes), np.int64)
    result[order] = np.arange(len(codes)) - first
    return result
