"""Ranges and multiranges as bytes whose order is SQL's.

A bound is a place among the values, and bounds of either side compare by it:

    tag     1 byte: 0 before every value, 1 at a value, 2 behind every value
    value   of numeric its bytes in order (storage.decimals), of the other types 8 bytes,
            big-endian, the sign bit turned; zeros where there is none
    side    1 byte: 0 just before the value (an exclusive upper bound), 1 at it (an inclusive one), 2 just
            behind it (an exclusive lower bound)

    range         0 (empty) or 1, the lower bound, the upper one; an empty range of fixed width is all zeros
    multirange    the lower and the upper bound of each range, which ascend and neither meet nor overlap

Behind those of numeric stand the display scales, 2 bytes each, of both bounds of each range (of an empty one,
and of no value, 0), and 4 bytes that count the ranges: what the order does not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import total_ordering
from typing import Any

import numpy as np
import pyarrow as pa

from storage.column import Array, Column, Mask, Positions
from storage.decimals import decimal_bytes
from storage.types import NUMERIC, RANGE_OF, SUBTYPES, Form, Type

BEFORE, AT, BEHIND = 0, 1, 2
WIDTH = 10  # of a bound of a type of fixed width
_BOUND = np.dtype(f"S{WIDTH}")
_SIGN = np.uint64(1 << 63)


@total_ordering
class Point:
    """A bound of a numrange: compared by `key`, `value` has the display scale; None without a value."""

    __slots__ = ("key", "value")

    def __init__(self, key: bytes, value: Decimal | None) -> None:
        self.key = key
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.key == other.key

    def __lt__(self, other: Point) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class Spans:
    """Ranges, a row each: `lower` and `upper` are (rows,) of bounds, meaningless where `empty`.

    A bound is bytes (numpy's S10, which compares as bytes do), of numeric a Point.
    """

    subtype: Type
    empty: Mask
    lower: Array
    upper: Array

    def __len__(self) -> int:
        return len(self.empty)

    def take(self, rows: Positions | Mask) -> Spans:
        """The rows at these positions, or where this mask is true."""
        return Spans(self.subtype, self.empty[rows], self.lower[rows], self.upper[rows])


def subtype_of(type: Type) -> Type:
    """The type of the bounds of a range or multirange type."""
    return SUBTYPES[RANGE_OF.get(type.oid, type).oid]


def places(values: Column, sides: Array, end: int) -> Array:
    """Bounds at values of a subtype; nulls are `end`: the tag of what is before or behind every value."""
    there = values.is_valid()
    if values.type.oid == NUMERIC.oid:
        bounds = np.empty(len(values), object)
        bounds[:] = [
            Point(bytes((end,)), None) if item is None else Point(_numeric(item, side), item)
            for item, side in zip(values.tolist(), sides.tolist(), strict=True)
        ]
        return bounds
    rows = np.zeros((len(values), WIDTH), np.uint8)
    words = (values.values.astype(np.int64).view(np.uint64) ^ _SIGN).astype(">u8")
    rows[:, 1 : WIDTH - 1] = words.view(np.uint8).reshape(-1, 8)
    rows[:, 0], rows[:, WIDTH - 1] = 1, sides
    rows[~there] = 0
    rows[~there, 0] = end
    return as_bounds(rows)


def _numeric(value: Decimal, side: int) -> bytes:
    return b"\1" + decimal_bytes(value) + bytes((side,))


def as_bounds(rows: Array) -> Array:
    """(rows, WIDTH) uint8 as (rows,) S10."""
    bounds: Array = np.ascontiguousarray(rows).reshape(-1).view(_BOUND)
    return bounds


def as_rows(bounds: Array) -> Array:
    """The inverse of `as_bounds`."""
    rows: Array = np.ascontiguousarray(bounds, _BOUND).view(np.uint8).reshape(len(bounds), WIDTH)
    return rows


def sides(bounds: Array) -> Array:
    """The side of each bound; BEFORE of what has no value."""
    if bounds.dtype == object:
        return np.array([point.key[-1] if point.value is not None else BEFORE for point in bounds], np.uint8)
    return as_rows(bounds)[:, -1]


def moved(bounds: Array, by: int) -> Array:
    """The bounds at values, one side further: an upper bound where it ends becomes a lower one."""
    if bounds.dtype == object:
        result = np.empty(len(bounds), object)
        result[:] = [
            p if p.value is None else Point(p.key[:-1] + bytes((max(p.key[-1] + by, 0),)), p.value)
            for p in bounds
        ]
        return result
    rows = as_rows(bounds).copy()
    finite = rows[:, 0] == 1
    rows[finite, -1] = np.maximum(rows[finite, -1].astype(np.int64) + by, 0)
    return as_bounds(rows)


def values_of(subtype: Type, bounds: Array) -> Column:
    """The values of bounds; null where there is none."""
    if bounds.dtype == object:
        return Column.of(subtype, [point.value for point in bounds])
    rows = as_rows(bounds)
    words = np.ascontiguousarray(rows[:, 1 : WIDTH - 1]).view(">u8").reshape(-1).astype(np.uint64)
    valid = rows[:, 0] == 1
    values = np.where(valid, (words ^ _SIGN).view(np.int64), 0)
    return Column(subtype, values.astype(subtype.dtype), None if valid.all() else valid)


def spans_of(column: Column) -> Spans:
    """The ranges of a column of a range type; empty under nulls."""
    subtype = SUBTYPES[column.type.oid]
    if subtype.form is Form.DECIMAL:
        parts = [(b"\0" + bytes(8)) if raw is None else raw for raw in column.values.to_pylist()]
        found = [_decoded(raw[1:], 1) if raw[0] else [(_NOWHERE, _NOWHERE)] for raw in parts]
        lower, upper = np.empty(len(parts), object), np.empty(len(parts), object)
        lower[:] = [pairs[0][0] for pairs in found]
        upper[:] = [pairs[0][1] for pairs in found]
        return Spans(subtype, np.array([raw[0] == 0 for raw in parts], np.bool_), lower, upper)
    filled = column.values.fill_null(bytes(1 + 2 * WIDTH))
    rows = np.frombuffer(b"".join(filled.to_pylist()), np.uint8).reshape(len(column), 1 + 2 * WIDTH)
    return Spans(subtype, rows[:, 0] == 0, as_bounds(rows[:, 1 : 1 + WIDTH]), as_bounds(rows[:, 1 + WIDTH :]))


_NOWHERE = Point(b"\0", None)


def _decoded(raw: bytes, count: int) -> list[tuple[Point, Point]]:
    """The bounds of so many ranges of numeric, whose scales stand at the end."""
    scales = np.frombuffer(raw, ">u2", 2 * count, len(raw) - 4 - 4 * count).tolist()
    points: list[Point] = []
    at = 0
    for scale in scales:
        start, at = at, _end(raw, at)
        body = raw[start:at]
        points.append(Point(body, None if body[0] != 1 else _decimal(body[1:-1], scale)))
    return list(zip(points[::2], points[1::2], strict=True))


def _end(raw: bytes, at: int) -> int:
    """Where the bound of a numeric that begins at `at` ends."""
    if raw[at] != 1:
        return at + 1
    kind = raw[at + 1]
    if kind in (0x90, 0x70):
        return raw.index(b"\0" if kind == 0x90 else b"\xff", at + 6) + 2
    return at + 3


def _decimal(raw: bytes, scale: int) -> Decimal:
    """The inverse of decimal_bytes, with a display scale."""
    kind = raw[0]
    special = {0xFF: "NaN", 0xFE: "Infinity", 0x00: "-Infinity"}.get(kind)
    if special is not None:
        return Decimal(special)
    if kind == 0x80:
        return Decimal((0, (0,), -scale))
    body = raw[1:-1] if kind == 0x90 else bytes(255 - b for b in raw[1:-1])
    power = int.from_bytes(body[:4], "big") - 0x8000_0000
    digits = [digit - 1 for digit in body[4:]]
    digits += [0] * (power + 1 + scale - len(digits))
    return Decimal((int(kind == 0x70), tuple(digits), -scale))


def range_column(type: Type, spans: Spans, valid: Mask | None = None) -> Column:
    """The inverse of `spans_of`; rows outside `valid` are null."""
    there = np.ones(len(spans), np.bool_) if valid is None else valid
    if spans.subtype.form is Form.DECIMAL:
        rows = zip(there.tolist(), spans.empty.tolist(), spans.lower, spans.upper, strict=True)
        items = [
            None if not ok else b"\0" + _scales([]) if empty else b"\1" + _encoded([(low, high)])
            for ok, empty, low, high in rows
        ]
        return Column(type, pa.array(items, pa.large_binary()))
    raw = np.concatenate(
        [(~spans.empty).astype(np.uint8)[:, None], as_rows(spans.lower), as_rows(spans.upper)], axis=1
    )
    raw[spans.empty] = 0
    raw = np.ascontiguousarray(raw)
    offsets = np.arange(len(raw) + 1, dtype=np.int64) * raw.shape[1]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(raw.reshape(-1))]
    return Column(type, pa.Array.from_buffers(pa.large_binary(), len(raw), buffers), valid)


def _encoded(pairs: Sequence[tuple[Point, Point]]) -> bytes:
    return b"".join(point.key for pair in pairs for point in pair) + _scales(pairs)


def _scales(pairs: Sequence[tuple[Point, Point]]) -> bytes:
    """The display scales of both bounds of each range, and how many ranges there are."""
    scales = [_scale(point.value) for pair in pairs for point in pair]
    return np.array(scales, ">u2").tobytes() + len(pairs).to_bytes(4, "big")


def _scale(value: Decimal | None) -> int:
    exponent = 0 if value is None else value.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


Pair = tuple[Any, Any]
"""The bounds of a range that is not empty: bytes or Points."""


def pairs_of(column: Column) -> list[list[Pair]]:
    """Each row's ranges, of a column of ranges or multiranges; none of an empty range and of null."""
    if column.type.oid in SUBTYPES:
        spans = spans_of(column)
        lower, upper = _listed(spans.lower), _listed(spans.upper)
        rows = zip(spans.empty.tolist(), lower, upper, column.is_valid().tolist(), strict=True)
        return [[(low, high)] if ok and not empty else [] for empty, low, high, ok in rows]
    items = column.values.to_pylist()
    if subtype_of(column.type).form is Form.DECIMAL:
        return [[] if raw is None else _decoded(raw, int.from_bytes(raw[-4:], "big")) for raw in items]
    return [[] if raw is None else _cut(raw) for raw in items]


def _listed(bounds: Array) -> list[Any]:
    if bounds.dtype == object:
        return list(bounds)
    raw = as_rows(bounds).tobytes()
    return [raw[at : at + WIDTH] for at in range(0, len(raw), WIDTH)]


def _cut(raw: bytes) -> list[Pair]:
    return [(raw[at : at + WIDTH], raw[at + WIDTH : at + 2 * WIDTH]) for at in range(0, len(raw), 2 * WIDTH)]


def spans_of_pairs(subtype: Type, pairs: Sequence[Pair | None]) -> Spans:
    """Ranges, empty where there is None."""
    empty = np.array([pair is None for pair in pairs], np.bool_)
    bounds = []
    for side in (0, 1):
        if subtype.form is Form.DECIMAL:
            array = np.empty(len(pairs), object)
            array[:] = [_NOWHERE if pair is None else pair[side] for pair in pairs]
        else:
            array = np.array([b"" if pair is None else pair[side] for pair in pairs], _BOUND)
        bounds.append(array)
    return Spans(subtype, empty, bounds[0], bounds[1])


def multirange_column(type: Type, rows: Sequence[list[Pair] | None]) -> Column:
    """Multiranges of these ranges, which ascend and neither meet nor overlap; None is null."""
    if subtype_of(type).form is Form.DECIMAL:
        items = [None if pairs is None else _encoded(pairs) for pairs in rows]
    else:
        items = [None if p is None else b"".join(bound for pair in p for bound in pair) for p in rows]
    return Column(type, pa.array(items, pa.large_binary()))


def side_of(bound: Any) -> int:
    """The side of a bound at a value."""
    key: bytes = bound.key if isinstance(bound, Point) else bound
    return key[-1]


def stepped(bound: Any, by: int) -> Any:
    """A bound at a value, so many sides further."""
    if isinstance(bound, Point):
        return Point(bound.key[:-1] + bytes((bound.key[-1] + by,)), bound.value)
    return bound[:-1] + bytes((bound[-1] + by,))


def is_adjacent(upper: Any, lower: Any) -> bool:
    """Whether nothing lies between where one range ends and another begins."""
    high: bytes = upper.key if isinstance(upper, Point) else upper
    low: bytes = lower.key if isinstance(lower, Point) else lower
    return high[0] == 1 and high[:-1] == low[:-1] and low[-1] == high[-1] + 1


def united(pairs: Sequence[Pair]) -> list[Pair]:
    """The ranges in order, those that meet or overlap as one."""
    found: list[Pair] = []
    for low, high in sorted(pairs):
        if found and (low <= found[-1][1] or is_adjacent(found[-1][1], low)):
            if high > found[-1][1]:
                found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def intersected(left: Sequence[Pair], right: Sequence[Pair]) -> list[Pair]:
    """What lies in both."""
    found: list[Pair] = []
    for a_low, a_high in left:
        for b_low, b_high in right:
            low, high = max(a_low, b_low), min(a_high, b_high)
            if low <= high:
                found.append((low, high))
    return found


def less(left: Sequence[Pair], right: Sequence[Pair]) -> list[Pair]:
    """What lies in the first and not in the second."""
    rest = list(left)
    for b_low, b_high in right:
        kept: list[Pair] = []
        for low, high in rest:
            if b_low > high or b_high < low:
                kept.append((low, high))
                continue
            if low < b_low:
                kept.append((low, stepped(b_low, -1)))
            if b_high < high:
                kept.append((stepped(b_high, 1), high))
        rest = kept
    return rest
