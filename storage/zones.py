"""Zone maps: the smallest and largest value and the nulls of each block of rows of a segment column.

A block that cannot hold a row for `column op constant` is skipped unread. Bounds are kept for types whose
order is that of their stored values: numbers, dates, times, booleans, and text by its bytes (the C
collation). A block with a NaN has no upper bound: NaN is greater than every number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow.compute as pc

from storage.column import Column
from storage.predicate import Comparison
from storage.types import NAME, TEXT, VARCHAR, Form

ZONE_ROWS = 65_536
_TEXTS = frozenset((TEXT.oid, VARCHAR.oid, NAME.oid))


@dataclass(frozen=True, slots=True)
class Zone:
    """What is known of some rows of one column. A bound of None says nothing."""

    rows: int
    nulls: int
    low: Any = None
    high: Any = None

    def may_match(self, op: Comparison, value: Any) -> bool:
        """Whether a row for which `column op value` holds may be among them."""
        if op is Comparison.IS_NULL:
            return self.nulls > 0
        if self.nulls == self.rows:
            return False
        if value is None or value != value:
            return True
        low, high = self.low, self.high
        if type(value) is Decimal and not value.is_finite():
            return True
        if type(value) is str and low is not None:
            low, high, value = low.encode(), high.encode(), value.encode()
        match op:
            case Comparison.EQ:
                return (low is None or low <= value) and (high is None or value <= high)
            case Comparison.NE:
                return low is None or high is None or not low == value == high
            case Comparison.LT:
                return bool(low is None or low < value)
            case Comparison.LE:
                return bool(low is None or low <= value)
            case Comparison.GT:
                return bool(high is None or high > value)
            case Comparison.GE:
                return bool(high is None or high >= value)
            case _:
                return True


def zone_of(column: Column) -> Zone:
    """The zone of all rows of a column."""
    valid = column.valid
    nulls = 0 if valid is None else int(len(column) - np.count_nonzero(valid))
    if nulls == len(column):
        return Zone(len(column), nulls)
    if column.type.oid in _TEXTS:
        bounds = pc.min_max(column.values).as_py()
        return Zone(len(column), nulls, bounds["min"], bounds["max"])
    if column.units is not None:
        units = column.units if valid is None else column.units[valid]
        low, high = (Decimal(end.item()).scaleb(-column.scale) for end in (units.min(), units.max()))
        return Zone(len(column), nulls, low, high)
    if column.type.form is not Form.FIXED or column.values.dtype.names:
        return Zone(len(column), nulls)
    values = column.values if valid is None else column.values[valid]
    if values.dtype.kind == "f" and np.isnan(values).any():
        numbers = values[~np.isnan(values)]
        return Zone(len(column), nulls, numbers.min().item() if len(numbers) else None, None)
    return Zone(len(column), nulls, values.min().item(), values.max().item())


def zones_of(column: Column) -> list[Zone]:
    """A zone for each ZONE_ROWS rows."""
    return [
        zone_of(column.slice(start, min(start + ZONE_ROWS, len(column))))
        for start in range(0, len(column), ZONE_ROWS)
    ]


def joined(zones: Sequence[Zone]) -> Zone:
    """The zone of several blocks together."""
    known = [zone for zone in zones if zone.nulls < zone.rows]
    lows, highs = [zone.low for zone in known], [zone.high for zone in known]
    return Zone(
        sum(zone.rows for zone in zones),
        sum(zone.nulls for zone in zones),
        None if None in lows else min(lows, default=None),
        None if None in highs else max(highs, default=None),
    )
