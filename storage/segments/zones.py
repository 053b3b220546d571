"""Zone maps: the smallest and largest value and the nulls of each block of rows of a segment column.

A block that cannot hold a row for `column op constant` is skipped unread. Bounds are kept in comparable form
(see `comparable`) for numbers, dates, times, booleans, intervals, texts and byte strings, uuid, and binary(n)
up to 64 bytes. Of long bytes a prefix is kept: a lower bound is cut, an upper bound is cut and its last byte
raised. A block with a NaN has no upper bound: NaN is greater than every number.

Blocks are of ZONE_ROWS: morsels are made of them (storage.transactions.snapshot), and packed encodings know
the bounds of each of their 1024 rows (storage.encodings.packed). Of a million rows of TPC-H's lineitem in the
order of l_shipdate, zones of 8,192 rows made the foot of the file 5 times as long and opening it 9 times as
slow, and a scan for one day took 0.9 ms in place of 0.7.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.column import Column, bytes_column
from storage.order import is_float, order_key
from storage.predicate import Comparison
from storage.segments.coded import CodedColumn
from storage.types import BPCHAR, Form, Type

ZONE_ROWS = 65_536
PREFIX = 32  # bytes that are kept of a bound
_WIDEST = 64  # bytes of a binary(n) that has bounds
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Zone:
    """What is known of some rows of one column. A bound of None says nothing.

    Bounds need not be values that are there: no value is below `low` or above `high`.
    """

    rows: int
    nulls: int
    low: Any = None
    high: Any = None

    def may_match(self, op: Comparison, key: Any) -> bool:
        """Whether a row for which `column op value` holds may be among them; `key` is comparable."""
        if op is Comparison.IS_NULL:
            return self.nulls > 0
        if self.nulls == self.rows:
            return False
        if key is None or key != key:
            return True
        low, high = self.low, self.high
        if op is Comparison.IN:
            first = 0 if low is None else bisect_left(key, low)
            return first < (len(key) if high is None else bisect_right(key, high))
        match op:
            case Comparison.EQ:
                return (low is None or low <= key) and (high is None or key <= high)
            case Comparison.NE:
                return low is None or high is None or not low == key == high
            case Comparison.LT:
                return bool(low is None or low < key)
            case Comparison.LE:
                return bool(low is None or low <= key)
            case Comparison.GT:
                return bool(high is None or high > key)
            case Comparison.GE:
                return bool(high is None or high >= key)
            case _:
                return True


def comparable(type: Type, op: Comparison, value: Any) -> Any:
    """A constant as bounds of its type are kept: numbers as they are, all else by its order_key.

    None where the type has no bounds. NaN stays NaN, which `may_match` knows; of IN, the items ascending, or
    None if NaN is one of them.
    """
    key = _key(type)
    if value is None or key is None:
        return None
    if op is not Comparison.IN:
        return key(value)
    keys = [key(item) for item in value]
    return None if any(item != item for item in keys) else sorted(keys)


def _key(type: Type) -> Callable[[Any], Any] | None:
    """What makes comparable values."""
    return _same if is_float(type) or type.form is Form.DECIMAL else order_key(type)


def _same(value: Any) -> Any:
    return value


def zone_of(column: Column) -> Zone:
    """The zone of all rows of a column."""
    rows, valid = len(column), column.valid
    nulls = 0 if valid is None else int(rows - np.count_nonzero(valid))
    if nulls == rows:
        return Zone(rows, nulls)
    return Zone(rows, nulls, *_bounds(column if valid is None else column.take(valid)))


def _bounds(column: Column) -> tuple[Any, Any]:
    """(low, high) of a column without nulls and with a row."""
    type = column.type
    if isinstance(column, CodedColumn):
        column = column.dictionary.column.take(column.present)
    if column.units is not None:
        ends = (column.units.min(), column.units.max())
        low, high = (Decimal(end.item()).scaleb(-column.scale) for end in ends)
        return low, high
    if _key(type) is None:
        return None, None
    match type.form:
        case Form.TEXT:
            values = pc.utf8_rtrim(column.values, " ") if type.oid == BPCHAR.oid else column.values
            return _prefixes(values.cast(pa.large_binary()))
        case Form.BYTES:
            return _prefixes(column.values)
        case Form.ROWS:
            wide = column.values.shape[1] > _WIDEST
            return (None, None) if wide else _prefixes(bytes_column(column.values).values)
        case Form.DECIMAL:
            numbers = [value for value in column.values if not value.is_nan()]
            return min(numbers, default=None), max(numbers) if len(numbers) == len(column) else None
        case _ if column.values.dtype.names:
            return _spans(column)
    values = column.values
    if values.dtype.kind == "f" and np.isnan(values).any():
        numbers = values[~np.isnan(values)]
        return (numbers.min().item() if len(numbers) else None), None
    return values.min().item(), values.max().item()


def _prefixes(values: pa.Array) -> tuple[bytes, bytes | None]:
    """Bounds of byte strings, cut."""
    ends = pc.min_max(values).as_py()
    low, high = ends["min"], ends["max"]
    if len(high) <= PREFIX:
        return low[:PREFIX], high
    above = high[:PREFIX].rstrip(b"\xff")
    return low[:PREFIX], above[:-1] + bytes([above[-1] + 1]) if above else None


def _spans(column: Column) -> tuple[int, int]:
    """Bounds of intervals, in microseconds; days and microseconds apart, for the sum may leave int64."""
    values = column.values
    more, micros = np.divmod(values["micros"], _DAY)
    days = values["months"].astype(np.int64) * 30 + values["days"] + more
    first, last = int(days.min()), int(days.max())
    return (
        first * _DAY + int(micros[days == first].min()),
        last * _DAY + int(micros[days == last].max()),
    )


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


def stated(zone: Zone) -> list[Any]:
    """A zone as JSON's values: bytes as the characters of their numbers, decimals as text."""
    return [zone.rows, zone.nulls, _stated(zone.low), _stated(zone.high)]


def _stated(bound: Any) -> Any:
    if isinstance(bound, bytes):
        return bound.decode("latin-1")
    return str(bound) if isinstance(bound, Decimal) else bound


def read_zone(type: Type, values: Sequence[Any]) -> Zone:
    """The inverse of `stated`."""
    rows, nulls, *bounds = values
    return Zone(rows, nulls, *(_read(type, bound, "latin-1") for bound in bounds))


def read_old_zone(type: Type, values: Sequence[Any]) -> Zone:
    """As `read_zone`, of zones that were stated before bounds were bytes: texts as they are, and whole."""
    rows, nulls, *bounds = values
    return Zone(rows, nulls, *(_read(type, bound, "utf-8") for bound in bounds))


def _read(type: Type, bound: Any, encoding: str) -> Any:
    if isinstance(bound, str):
        return Decimal(bound) if type.form is Form.DECIMAL else bound.encode(encoding)
    return bound
