"""SetOperation: INTERSECT and EXCEPT, with and without ALL; rows are equal as in DISTINCT.

The right side is numbered by its rows, the left side streams past, in its order. Where the right side takes
more memory than it may, both are dealt out to partitions, and one partition after another is worked on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.counters import timed
from engine.groups import KeyIndex
from engine.operators.append import retyped
from engine.operators.base import Operator
from engine.operators.distinct import Firsts
from engine.partitions import PARTS, Partitions
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Mask, Positions
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
        right = Partitions(self.types, run, self)
        left = Partitions(self.types, run, self)
        try:
            for batch in self.right.batches(run):
                run.check()
                batch = retyped(batch, self.types)
                right.add(right.deal(batch, batch.columns))
            if not right.spilled:
                whole = (batch for n in range(PARTS) for batch in right.part(n))
                yield from self._of(whole, self.left.batches(run), run)
                return
            for batch in self.left.batches(run):
                run.check()
                left.add(left.deal(batch, batch.columns))
            yield from self._parts(left, right, run)
        finally:
            left.close()
            right.close()

    def _parts(self, left: Partitions, right: Partitions, run: Run) -> Iterator[Batch]:
        """The rows, partition by partition."""
        for n in range(PARTS):
            run.check()
            if not left.rows[n]:
                continue
            if not right.is_large(n, 1):
                yield from self._of(right.part(n), left.part(n), run)
                continue
            finer = left.finer(n, _columns), right.finer(n, _columns)
            try:
                yield from self._parts(*finer, run)
            finally:
                for side in finer:
                    side.close()

    def _of(self, right: Iterable[Batch], left: Iterable[Batch], run: Run) -> Iterator[Batch]:
        """The rows that come out of these left rows, whose partners are all among these right ones."""
        index = KeyIndex(self.types)
        there = np.zeros(0, np.int64)  # how often the right side has each key
        for batch in right:
            run.check()
            codes, _ = index.assign(batch.columns, batch.rows)
            there = _longer(there, index.count) + np.bincount(codes, minlength=index.count)
        seen = np.zeros(index.count, np.int64)  # how often the left side has had each key
        alone = Firsts(self.types, self.types, run, self)  # left rows whose keys no right row has
        try:
            for batch in left:
                run.check()
                codes = index.find(batch.columns, batch.rows)
                if self.kind == "except" and not self.all:
                    unknown = batch.take(np.flatnonzero(codes < 0))
                    yield from alone.of(unknown, unknown.columns)
                    continue
                known = np.flatnonzero(codes >= 0)
                codes = codes[known]
                wanted = np.full(batch.rows, self.kind == "except")
                wanted[known] = self._wanted(seen[codes] + _occurrence(codes), there[codes])
                seen += np.bincount(codes, minlength=index.count)
                rows = np.flatnonzero(wanted)
                if len(rows):
                    yield batch if len(rows) == batch.rows else batch.take(rows)
            yield from alone.rest()
        finally:
            alone.close()

    def _wanted(self, turn: Positions, right: Positions) -> Mask:
        """Which rows come out of those whose keys the right side has, `right` times; not of EXCEPT alone.

        `turn` says how many equal left rows came before each.
        """
        common: Mask = turn < right if self.all else turn == 0
        return common if self.kind == "intersect" else ~common


def _columns(batch: Batch) -> tuple[Column, ...]:
    return batch.columns


def _longer(counts: Positions, size: int) -> Positions:
    return np.concatenate([counts, np.zeros(size - len(counts), np.int64)])


def _occurrence(codes: Positions) -> Positions:
    """How many earlier rows of the batch have the same code."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.searchsorted(ordered, ordered, side="left")
    result = np.empty(len(codes), np.int64)
    result[order] = np.arange(len(codes)) - first
    return result
