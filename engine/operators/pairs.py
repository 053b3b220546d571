"""Pairs: what all joins do once they know which right rows each left row may meet.

A left row i meets the right rows `order[starts[i] : starts[i] + counts[i]]`. They are gone through in
pieces of bounded size, whatever one row's share is; the condition decides, and the kind of the join says
what becomes of rows that met nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from engine.nodes import true_rows
from engine.operators.base import LEFT_IN, Selected
from engine.operators.rows import Rows
from engine.run import Run
from engine.seams import Expression
from storage import kernels
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Mask, Positions
from storage.types import Type

Kind = Literal["inner", "left", "right", "full", "semi", "anti", "right semi", "right anti"]
_HALVES = ("semi", "anti")
_RIGHT_HALVES = ("right semi", "right anti")


def join_types(kind: Kind, left: tuple[Type, ...], right: tuple[Type, ...]) -> tuple[Type, ...]:
    """The output of a join: left columns then right ones; of semi and anti joins those of one side."""
    if kind in _HALVES:
        return left
    return right if kind in _RIGHT_HALVES else (*left, *right)


def marks(kind: Kind, rows: int) -> Mask | None:
    """(rows,) which right rows have met a left one, none yet, where a join of the kind has to know.

    Workers set them without a lock: they only ever write True.
    """
    return np.zeros(rows, np.bool_) if kind in ("right", "full", *_RIGHT_HALVES) else None


class Pairs:
    """One join's right side, and which of its rows have met a left row."""

    def __init__(
        self,
        kind: Kind,
        right: Rows,
        condition: Expression | None,
        left_types: tuple[Type, ...],
        met: Mask | None = None,
    ) -> None:
        """`met` are the marks of right rows that have met a left row before, see `marks`."""
        self._kind = kind
        self._right = right
        self._condition = condition
        self._left_types = left_types
        self._met = marks(kind, right.count) if met is None else met

    def small(self, counts: Positions) -> bool:
        """Whether the pairs of a batch are one piece."""
        return int(counts.sum()) <= BATCH_ROWS

    def of(
        self, batch: Batch, starts: Positions, counts: Positions, order: Positions | None, run: Run
    ) -> Iterator[Batch]:
        """The join's rows for one left batch; `order` None: the right rows as they stand."""
        if self._kind in _HALVES and self._condition is None:
            yield from self._halves(batch, counts > 0)
            return
        met = np.zeros(batch.rows, np.bool_)
        whole = self._kind in ("left", "full") and self.small(counts)
        for left, right, pairs in self._tried(batch, starts, counts, order, run):
            met[left] = True
            if whole and not met.all():
                yield self._with_alone(batch, left, right, np.flatnonzero(~met))
                return
            yield from self._made(batch, left, right, pairs)
        yield from self.alone(batch, met)

    def among(self, batch: Batch, right: int, met: Mask, run: Run) -> Iterator[Batch]:
        """The pairs of a left batch with each of so many right rows, some of those that it may meet.

        `met` (rows,) is told which of its rows did, and `alone` comes when all have been tried.
        """
        if self._kind in _HALVES and self._condition is None:
            met |= right > 0
            return
        starts, counts = np.zeros(batch.rows, np.int64), np.full(batch.rows, right)
        for left, others, pairs in self._tried(batch, starts, counts, None, run):
            met[left] = True
            yield from self._made(batch, left, others, pairs)

    def alone(self, batch: Batch, met: Mask) -> Iterator[Batch]:
        """What comes of a left batch once it is known which of its rows have met somebody."""
        if self._kind in _HALVES:
            yield from self._halves(batch, met)
        elif self._kind in ("left", "full") and not met.all():
            nothing = np.zeros(0, np.int64)
            yield self._with_alone(batch, nothing, nothing, np.flatnonzero(~met))

    def _tried(
        self, batch: Batch, starts: Positions, counts: Positions, order: Positions | None, run: Run
    ) -> Iterator[tuple[Positions, Positions, Batch | None]]:
        """See `_tested`, piece by piece; right rows are marked."""
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for first in range(0, total, BATCH_ROWS):
            run.check()
            numbers = np.arange(first, min(first + BATCH_ROWS, total))
            if total <= BATCH_ROWS:
                left = np.repeat(np.arange(batch.rows), counts)
                right = numbers + np.repeat(starts - (ends - counts), counts)
            else:
                left = np.searchsorted(ends, numbers, side="right")
                right = starts[left] + numbers - (ends[left] - counts[left])
            if order is not None:
                right = order[right]
            left, right, pairs = self._tested(batch, left, right, run)
            if self._met is not None:
                self._met[right] = True
            yield left, right, pairs

    def _made(self, batch: Batch, left: Positions, right: Positions, pairs: Batch | None) -> Iterator[Batch]:
        """The rows of pairs, which may have been made before."""
        if len(left) and self._kind not in _HALVES and self._kind not in _RIGHT_HALVES:
            yield pairs if pairs is not None else self._joined(batch, left, right)

    def single(self, batch: Batch, partner: Positions, met: Mask, count: int, run: Run) -> Batch | None:
        """The join's rows for a left batch; None: none.

        `count` of its rows have `met` one right row each, their partner; of the others it is any row.
        """
        if self._kind in _HALVES and self._condition is None:
            return next(self._halves(batch, met), None)
        if self._kind == "left" and self._condition is None:
            return Batch((*batch.columns, *self._right.columns_where(partner, met)), batch.rows)
        left = kernels.true_rows(met, 0)
        right = partner if count == batch.rows else partner.take(left)
        left, right, pairs = self._tested(batch, left, right, run)
        if self._met is not None:
            self._met[right] = True
        if self._kind in _RIGHT_HALVES:
            return None
        if self._kind in _HALVES:
            met = np.zeros(batch.rows, np.bool_)
            met[left] = True
            return next(self._halves(batch, met), None)
        if self._kind in ("left", "full"):
            others = np.full(batch.rows, -1, np.int64)
            others[left] = right
            return Batch((*batch.columns, *self._right.columns_or_null(others)), batch.rows)
        if not len(left):
            return None
        return pairs if pairs is not None else self._joined(batch, left, right)

    def selected(self, found: Selected, partner: Positions, met: Mask, count: int) -> Selected | None:
        """`single` of an inner join without a condition: `count` rows have `met` the right row `partner`.

        The others, of which partner is any row, are left in where they are few.
        """
        batch = found.batch
        if found.mask is not None:
            met &= found.mask
            count = int(np.count_nonzero(met))
        if not count:
            return None
        mask: Mask | None = met
        if count == batch.rows:
            mask = None
        elif count < LEFT_IN * batch.rows:
            kept = kernels.true_rows(met, 0)
            batch, partner, mask = batch.take(kept), partner.take(kept), None
        return Selected(Batch((*batch.columns, *self._right.references(partner)), batch.rows), mask)

    def _tested(
        self, batch: Batch, left: Positions, right: Positions, run: Run
    ) -> tuple[Positions, Positions, Batch | None]:
        """The pairs whose condition is true, and their batch if it was made."""
        if self._condition is None or not len(left):
            return left, right, None
        pairs = self._joined(batch, left, right)
        mask = true_rows(self._condition.evaluate(pairs, run), pairs.rows)
        if mask.all():
            return left, right, pairs
        alone = self._kind in _HALVES or self._kind in _RIGHT_HALVES
        return left[mask], right[mask], None if alone else pairs.take(mask)

    def _joined(self, batch: Batch, left: Positions, right: Positions) -> Batch:
        return Batch((*self._of_left(batch, left), *self._right.references(right)), len(left))

    def _of_left(self, batch: Batch, left: Positions) -> tuple[Column, ...]:
        return batch.columns if _is_range(left, batch.rows) else batch.take(left).columns

    def _with_alone(self, batch: Batch, left: Positions, right: Positions, alone: Positions) -> Batch:
        """Pairs and left rows that met nobody, in the order of the left rows."""
        rows = np.concatenate([left, alone])
        others = np.concatenate([right, np.full(len(alone), -1, np.int64)])
        order = np.argsort(rows, kind="stable")
        columns = self._of_left(batch, rows[order])
        return Batch((*columns, *self._right.columns_or_null(others[order])), len(rows))

    def _halves(self, batch: Batch, met: Mask) -> Iterator[Batch]:
        mask = met if self._kind == "semi" else ~met
        if mask.all():
            yield batch
        elif mask.any():
            yield batch.take(mask)

    @property
    def has_rest(self) -> bool:
        """Whether rows may come after the last left batch."""
        return self._met is not None

    def rest(self, run: Run) -> Iterator[Batch]:
        """After the last left batch: the right rows that met nobody; of a right semi join those that did."""
        if self._met is None:
            return
        alone = np.flatnonzero(self._met if self._kind == "right semi" else ~self._met)
        for first in range(0, len(alone), BATCH_ROWS):
            run.check()
            rows = alone[first : first + BATCH_ROWS]
            halves = self._kind in _RIGHT_HALVES
            left = () if halves else tuple(Column.nulls(type, len(rows)) for type in self._left_types)
            yield Batch((*left, *self._right.columns(rows)), len(rows))


def _is_range(rows: Positions, count: int) -> bool:
    if len(rows) != count or (count and (rows[0] != 0 or rows[-1] != count - 1)):
        return False
    return bool((rows == np.arange(count)).all())
