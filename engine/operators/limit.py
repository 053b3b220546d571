"""Limit: at most `count` rows after the first `offset`; what is below is closed as soon as they are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from engine.counters import timed
from engine.groups import number
from engine.operators.base import Operator
from engine.operators.sortkeys import SortKey
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.errors import InvalidRowCountInLimit, InvalidRowCountInOffset
from storage.types import Type


@dataclass(frozen=True)
class Limit:
    """LIMIT and OFFSET; an absent or null count is none.

    Rows behind the last that are equal to it by `ties`, the keys that the child is sorted by, are given, too.
    """

    child: Operator
    count: Expression | None
    offset: Expression | None = None
    ties: tuple[SortKey, ...] = ()

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Limit"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._cut(run))

    def _cut(self, run: Run) -> Iterator[Batch]:
        skip, left = limits(self.count, self.offset, run)
        if left == 0:
            return
        with closing(self.child.batches(run)) as batches:  # type: ignore[type-var]  # generators all
            for batch in batches:
                if skip >= batch.rows:
                    skip -= batch.rows
                    continue
                end = batch.rows if left is None else min(batch.rows, skip + left)
                part = batch if skip == 0 and end == batch.rows else batch.slice(skip, end)
                skip = 0
                if left is not None:
                    left -= part.rows
                yield part
                if left == 0 and self.ties:
                    yield from self._tied(part, batch.slice(end, batch.rows), batches, run)
                if left == 0:
                    return

    def _tied(self, given: Batch, rest: Batch, batches: Iterator[Batch], run: Run) -> Iterator[Batch]:
        """The next rows, as long as they are equal to the last of `given`."""
        last = self._keys(given.slice(given.rows - 1, given.rows), run)
        for batch in _behind(rest, batches):
            columns = [Column.concat([a, b]) for a, b in zip(last, self._keys(batch, run), strict=True)]
            other = np.flatnonzero(number(columns, batch.rows + 1)[0][1:])
            end = int(other[0]) if len(other) else batch.rows
            if end:
                yield batch.slice(0, end)
            if end < batch.rows:
                return

    def _keys(self, batch: Batch, run: Run) -> list[Column]:
        return [key.expression.evaluate(batch, run).spread(batch.rows) for key in self.ties]


def _behind(rest: Batch, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The rows that are left of a batch, then the other batches."""
    if rest.rows:
        yield rest
    yield from batches


def limits(count: Expression | None, offset: Expression | None, run: Run) -> tuple[int, int | None]:
    """(rows to skip, rows to give or None for all)."""
    skip = row_count(offset, run)
    if skip is not None and skip < 0:
        raise InvalidRowCountInOffset("OFFSET must not be negative")
    rows = row_count(count, run)
    if rows is not None and rows < 0:
        raise InvalidRowCountInLimit("LIMIT must not be negative")
    return skip or 0, rows


def row_count(expression: Expression | None, run: Run) -> int | None:
    """The value of a LIMIT or OFFSET; None for absent and null."""
    if expression is None:
        return None
    prepare(run, expression)
    value = expression.evaluate(Batch((), 1), run).tolist()[0]
    return None if value is None else int(value)
