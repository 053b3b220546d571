"""Decimals: a numeric column as the integers that count its units, in an encoding of integers.

`numeric(p <= 18, s)` is always so; other numerics are where all values have one display scale and fit. The
tag is `decimal-` and the tag of the integers' encoding; the head holds the scale and that encoding's head.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, ClassVar, cast

import numpy as np

from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes, Encoded, Packing, Stretched
from storage.encodings.frames import Frames
from storage.encodings.packedcolumn import PackedColumn
from storage.kernels.plain.terms import Term
from storage.predicate import Comparison
from storage.types import Type

_EXACT = Context(prec=400_000)
_BELOW = (Comparison.LT, Comparison.LE, Comparison.NE)  # true of all where the constant is above all
_ABOVE = (Comparison.GT, Comparison.GE, Comparison.NE)
_LIMIT = 1 << 63


class Decimals(Stretched):
    """Units of 10^-scale, encoded as bigints."""

    prefix: ClassVar[str] = "decimal-"

    def __init__(self, type: Type, scale: int, units: Encoded) -> None:
        self._type, self._scale = type, scale
        self.units = units

    @property
    def tag(self) -> str:
        return self.prefix + self.units.tag

    @property
    def nbytes(self) -> int:
        return self.units.nbytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded: a whole stretch of packed units stays packed until it is looked at."""
        if rows is None and isinstance(self.units, Frames):
            return PackedColumn(self._type, self.units.packed, range(start, max(start, stop)), self._scale)
        return Column.scaled(self._type, self.units.decode(start, stop, rows).values, self._scale)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Moves the constant, not the rows."""
        moved = self._moved(op, value)
        if isinstance(moved, bool):
            return np.full(stop - start, moved)
        return self.units.select(*moved, start, stop)

    def term(self, op: Comparison, value: Any) -> Term | None:
        """See Packing."""
        moved = self._moved(op, value)
        if isinstance(moved, bool) or not hasattr(self.units, "term"):
            return None
        return cast(Packing, self.units).term(*moved)

    def _moved(self, op: Comparison, value: Any) -> tuple[Comparison, Any] | bool:
        """The comparison as one of units, or its answer where that is one for all."""
        if op is not Comparison.IN:
            return in_units(op, value, self._scale)
        items = [in_units(Comparison.EQ, item, self._scale) for item in value]
        return op, tuple(item[1] for item in items if isinstance(item, tuple))

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return self.units.exact

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"scale": self._scale, "units": self.units.head()}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return self.units.buffers()


def in_units(op: Comparison, value: Decimal, scale: int) -> tuple[Comparison, int] | bool:
    """`column op value` as a comparison of units of 10^-scale, or its answer where that is one for all."""
    exact = value.scaleb(scale, _EXACT) if value.is_finite() else value
    if not value.is_finite() or not -_LIMIT <= exact < _LIMIT:
        above = value.is_nan() or value > 0
        return op in (_BELOW if above else _ABOVE)
    whole = int(exact.to_integral_value(ROUND_FLOOR))
    if whole == exact:
        return op, whole
    # between two units: x < 1.5 and x <= 1.5 are x <= 1, x > 1.5 and x >= 1.5 are x > 1
    match op:
        case Comparison.EQ | Comparison.NE:
            return op is Comparison.NE
        case Comparison.LT | Comparison.LE:
            return Comparison.LE, whole
        case _:
            return Comparison.GT, whole
