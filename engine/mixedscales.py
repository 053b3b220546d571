"""Numerics of several scales in one column: units of each, until somebody asks for the values.

`CASE WHEN ... THEN price ELSE 0 END` has prices with two digits behind the point and zeros with none, so its
column has no one scale to count in. The parts stay what they were; a sum takes them one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.late import Unfetched
from storage.column import Column, Mask, Positions, taken
from storage.types import Type


class MixedScales(Unfetched):
    """(rows,) numerics: row i is row `rows[i]` of `parts`, each in units, one after another."""

    __slots__ = ("_parts", "_rows")

    def __init__(self, type: Type, parts: Sequence[Column], rows: Positions) -> None:
        super().__init__(type)
        self._parts = tuple(parts)
        self._rows = rows

    def pieces(self) -> Iterator[tuple[Positions, Column]]:
        """Where rows of a part stand, and these rows in units, part by part."""
        start = 0
        for part in self._parts:
            mine = np.flatnonzero((self._rows >= start) & (self._rows < start + len(part)))
            if len(mine):
                yield mine, part.take(self._rows[mine] - start)
            start += len(part)

    @property
    def valid(self) -> Mask | None:
        """See Column: without a look at the values."""
        if all(part.valid is None for part in self._parts):
            return None
        valid: Mask = np.concatenate([part.is_valid() for part in self._parts])[self._rows]
        return None if valid.all() else valid

    @property
    def arrow(self) -> bool:
        """See Column."""
        return False

    @property
    def nbytes(self) -> int:
        """Bytes of the parts and of what refers to them."""
        return self._rows.nbytes + sum(part.nbytes for part in self._parts)

    def _fetch(self) -> Column:
        values = np.empty(len(self), object)
        for rows, piece in self.pieces():
            values[rows] = piece.values
        return Column(self.type, values, self.valid)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: Positions | Mask) -> Column:
        """Those rows, still in parts."""
        return MixedScales(self.type, self._parts, taken(self._rows, rows))

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still in parts."""
        return MixedScales(self.type, self._parts, self._rows[start : max(stop, start)])

    def retype(self, type: Type) -> Column:
        """The same rows under another type of the same form, still in parts."""
        if type.form is not self.type.form:
            return super().retype(type)
        return MixedScales(type, [part.retype(type) for part in self._parts], self._rows)


def of_parts(type: Type, parts: Sequence[Column], rows: Positions) -> Column | None:
    """Row i being row `rows[i]` of the parts, one after another: in units of one scale, or of several.

    None where a part has no units.
    """
    scales = {part.scale for part in parts if part.units is not None}
    counted = [_nulls(part, max(scales, default=0)) if part.units is None else part for part in parts]
    known = [part.retype(type) for part in counted if part is not None]
    if len(known) < len(parts):
        return None
    return MixedScales(type, known, rows) if len(scales) > 1 else Column.concat(known).take(rows)


def _nulls(column: Column, scale: int) -> Column | None:
    """A column of nothing but nulls, in units; None of any other."""
    if column.is_valid().any():
        return None
    zeros = np.zeros(len(column), np.int64)
    return Column.scaled(column.type, zeros, scale, np.zeros(len(column), np.bool_))
