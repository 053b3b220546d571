"""Numerics of two words, each of a scale of its own: what kernels make of means and variances.

A quotient has as many digits as PostgreSQL gives it, so one column has many scales, and values beyond int64.
They are written as they are; Decimals are made of them for whoever asks for values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt

from engine.late import Unfetched
from storage.column import Array, Column, Mask, Positions, taken
from storage.kernels.plain.moments import LEFT
from storage.numericunits import MAX_SCALE
from storage.types import NUMERIC, Type

Scales = npt.NDArray[np.int16]
_EXACT = Context(prec=64)
_LOW = (1 << 64) - 1


class WordNumerics(Unfetched):
    """(rows,) numerics: `words` (rows, 2) int64, the upper one first, in units of 10^-`scales` (rows,) int16;
    null where that is negative."""

    __slots__ = ("scales", "words")

    def __init__(self, type: Type, words: Positions, scales: Scales) -> None:
        super().__init__(type)
        self.words = words
        self.scales = scales

    def pieces(self) -> Iterator[tuple[Positions, Column]]:
        """Where values of one scale stand, and these in units, scale by scale; at last those without."""
        single = self.words[:, 0] == self.words[:, 1] >> 63
        single &= (self.scales <= MAX_SCALE) & (self.words[:, 1] != np.iinfo(np.int64).min)
        for scale in np.flatnonzero(np.bincount(self.scales[single & (self.scales >= 0)])).tolist():
            mine = np.flatnonzero(single & (self.scales == scale))
            yield mine, Column.scaled(self.type, self.words[mine, 1], scale)
        mine = np.flatnonzero(~single & (self.scales >= 0))
        if len(mine):
            yield mine, self.take(mine)._fetch()

    @property
    def valid(self) -> Mask | None:
        """See Column: without a look at the values."""
        valid: Mask = self.scales >= 0
        return None if valid.all() else valid

    @property
    def arrow(self) -> bool:
        """See Column."""
        return False

    @property
    def nbytes(self) -> int:
        """Bytes of words and scales."""
        return self.words.nbytes + self.scales.nbytes

    def _fetch(self) -> Column:
        return Column(self.type, objects_of(self.words, self.scales), self.valid)

    def _joined(self, columns: Sequence[Column]) -> Column:
        parts = [column for column in columns if isinstance(column, WordNumerics)]
        if len(parts) < len(columns):
            return super()._joined(columns)
        words = np.concatenate([part.words for part in parts])
        return WordNumerics(self.type, words, np.concatenate([part.scales for part in parts]))

    def __len__(self) -> int:
        return len(self.scales)

    def take(self, rows: Positions | Mask) -> WordNumerics:
        """Those rows, still words."""
        return WordNumerics(self.type, taken(self.words, rows), taken(self.scales, rows))

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still words."""
        rows = slice(start, max(stop, start))
        return WordNumerics(self.type, self.words[rows], self.scales[rows])

    def retype(self, type: Type) -> Column:
        """The same rows under another type of the same form, still words."""
        if type.form is not self.type.form:
            return super().retype(type)
        return WordNumerics(type, self.words, self.scales)


def objects_of(words: Positions, scales: Scales) -> Array:
    """Words as Decimals, None where there is no value."""
    values = np.empty(len(scales), object)
    values[:] = [
        None if scale < 0 else Decimal((high << 64) + (low & _LOW)).scaleb(-scale, _EXACT)
        for (high, low), scale in zip(words.tolist(), scales.tolist(), strict=True)
    ]
    return values


def numerics(words: Positions, scales: Scales, exact: Callable[[int], Decimal | None]) -> Column:
    """A column of what a kernel of `moments` gives; `exact` answers the rows that it has LEFT.

    In units where one scale and one word are enough for all.
    """
    left = np.flatnonzero(scales == LEFT)
    if len(left):
        values = objects_of(words, scales)
        for row in left.tolist():
            values[row] = exact(row)
        there = np.array([value is not None for value in values.tolist()], np.bool_)
        return Column(NUMERIC, values, None if there.all() else there)
    known = scales[scales >= 0]
    scale = int(known[0]) if len(known) else 0
    single = words[:, 1]
    if scale > MAX_SCALE or (known != scale).any() or (words[:, 0] != single >> 63).any():
        return WordNumerics(NUMERIC, words, scales)
    if (single == np.iinfo(np.int64).min).any():
        return WordNumerics(NUMERIC, words, scales)
    valid = None if len(known) == len(scales) else scales >= 0
    return Column.scaled(NUMERIC, np.ascontiguousarray(single), scale, valid)
