"""The zones of a column side by side, so that a condition is held against all of them at once.

Bounds that are whole numbers, or numerics of a few places, stand in arrays of int64, numerics in units of
their smallest place; a zone without a bound has the end of int64 there. A constant between two units is
below the one and above the other. Bounds of floats stand in arrays of float64; a zone without a bound has
NaN there, of which no comparison is true. All other zones are asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.column import Mask, Positions
from storage.predicate import Comparison
from storage.segments.zones import Zone

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_EXACT = Context(prec=400_000)
_DIGITS = 18  # before the last place of what is within int64 for sure
Floats = npt.NDArray[np.float64]
Bounds = tuple[int, Positions, Positions]
"""(the places of the units, lower bounds, upper bounds)"""


class ZoneMap:
    """The zones of one segment column, in the order of its rows."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones

    def may_match(self, op: Comparison, key: Any) -> Mask:
        """(zones,) which may hold a row for which `column op value` holds; `key`: see Zone.may_match."""
        if isinstance(key, float) and key == key and self._floats is not None:
            return _of_floats(*self._floats, op, key) & self._some
        bounds = self._bounds if isinstance(key, int | Decimal) else None
        ends = None if bounds is None else _in_units(key, bounds[0])
        if bounds is None or ends is None:
            return np.array([zone.may_match(op, key) for zone in self._zones], np.bool_)
        _, lows, highs = bounds
        below, above = ends
        match op:
            case Comparison.EQ:
                found = (lows <= below) & (highs >= above)
            case Comparison.NE:
                found = ((lows != highs) | (lows != below)) | (below != above)
            case Comparison.LT:
                found = lows < above
            case Comparison.LE:
                found = lows <= below
            case Comparison.GT:
                found = highs > below
            case _:
                found = highs >= above
        return found & self._some

    @cached_property
    def _some(self) -> Mask:
        """Which zones have a value at all."""
        return np.array([zone.nulls < zone.rows for zone in self._zones], np.bool_)

    @cached_property
    def _floats(self) -> tuple[Floats, Floats] | None:
        """The bounds of floats in arrays, (lower, upper); None where they are something else."""
        if not all(isinstance(end, float | None) for zone in self._zones for end in (zone.low, zone.high)):
            return None
        lows, highs = [zone.low for zone in self._zones], [zone.high for zone in self._zones]
        return np.array(lows, np.float64), np.array(highs, np.float64)  # None is NaN

    @cached_property
    def _bounds(self) -> Bounds | None:
        """The bounds in arrays; None where they are no such numbers."""
        lows, highs = [zone.low for zone in self._zones], [zone.high for zone in self._zones]
        known = [bound for bound in (*lows, *highs) if bound is not None]
        places = 0
        if known and all(isinstance(bound, Decimal) and bound.is_finite() for bound in known):
            places = max(0, *(-int(bound.as_tuple().exponent) for bound in known))
        elif not all(isinstance(bound, int) for bound in known):
            return None
        ends = {bound: _in_units(bound, places) for bound in known}
        if None in ends.values():
            return None
        units = {bound: found[0] for bound, found in ends.items() if found is not None}
        low = [units.get(bound, _LEAST) for bound in lows]
        high = [units.get(bound, _MOST) for bound in highs]
        return places, np.array(low, np.int64), np.array(high, np.int64)


def _of_floats(lows: Floats, highs: Floats, op: Comparison, key: float) -> Mask:
    """(zones,) which may hold such a float, nulls left aside."""
    found: Mask
    match op:
        case Comparison.EQ:
            found = ~((lows > key) | (highs < key))
        case Comparison.NE:
            found = (lows != key) | (highs != key)
        case Comparison.LT:
            found = ~(lows >= key)
        case Comparison.LE:
            found = ~(lows > key)
        case Comparison.GT:
            found = ~(highs <= key)
        case _:
            found = ~(highs < key)
    return found


def _in_units(key: int | Decimal, places: int) -> tuple[int, int] | None:
    """The units next to a number, below and above it or both itself; None where int64 ends before."""
    if isinstance(key, Decimal):
        if not key.is_finite() or key.adjusted() + places > _DIGITS:
            return None
        exact = key.scaleb(places, _EXACT)
        below = int(exact.to_integral_value(ROUND_FLOOR))
        above = int(exact.to_integral_value(ROUND_CEILING))
    else:
        below = above = int(key)
    return (below, above) if _LEAST < below <= above < _MOST else None
