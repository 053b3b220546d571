"""What planning knows of a table without reading its rows: how many there are, and what columns hold.

It comes from what segments keep of themselves: rows, zone maps, and about how many distinct values a column
has. Rows that are not sealed count, and are taken to be like the others. Zones, each with its rows and
bounds, make a histogram of a column whose values lie in some order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import expm1, prod
from typing import Any

from storage.predicate import Comparison
from storage.segments.sealed import Sealed
from storage.segments.segment import SegmentColumn
from storage.segments.table import Part, Store
from storage.segments.zones import Zone, comparable
from storage.types import Type

_MOST_ENDS = 64  # where segments begin and end: more are looked at by the few
_MOST_ZONES = 256  # of a column: more are looked at as whole segments


@dataclass(frozen=True)
class ColumnStatistics:
    """Of one column: its type, its zones, about how many distinct values, and the share of nulls."""

    type: Type
    zones: tuple[Zone, ...]
    distinct: float | None
    nulls: float

    def share(self, op: Comparison, value: Any) -> float | None:
        """About the share of rows for which `column op value` holds; None: nothing is known."""
        if op is Comparison.IS_NULL:
            return self.nulls
        if op is Comparison.IS_NOT_NULL:
            return 1 - self.nulls
        key = comparable(self.type, op, value)
        rows = sum(zone.rows for zone in self.zones)
        if key is None or not rows:
            return None
        possible = sum(zone.rows for zone in self.zones if zone.may_match(op, key)) / rows
        match op:
            case Comparison.EQ:
                return min(possible, 1 / self.distinct) if self.distinct else None
            case Comparison.NE:
                return 1 - self.nulls - 1 / self.distinct if self.distinct else None
            case Comparison.IN:
                return min(possible, len(key) / self.distinct) if self.distinct else None
            case _:
                shares = [zone.rows * _below(zone, key) for zone in self.zones]
                below = sum(shares) / rows
                return below if op in (Comparison.LT, Comparison.LE) else max(1 - self.nulls - below, 0.0)


def _below(zone: Zone, key: Any) -> float:
    """About the share of a zone's rows that are below a value."""
    low, high = zone.low, zone.high
    if zone.nulls == zone.rows:
        return 0.0
    if low is None or high is None:
        return 1 / 3
    if high < key:
        share = 1.0
    elif low > key:
        share = 0.0
    elif isinstance(low, bytes):
        share = 0.5
    else:
        share = float(key - low) / float(high - low) if high > low else 0.5
    return share * (zone.rows - zone.nulls) / zone.rows


class TableStatistics:
    """Of one table, as of now. What is asked of a column is computed once."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        sealed = [part for part in parts if isinstance(part, Sealed)]
        self.parts = parts
        self.rows = sum(part.rows for part in parts) - sum(part.deleted for part in sealed)
        self._segments = [part.segment for part in sealed if not part.damaged]
        self._columns: dict[int, ColumnStatistics | None] = {}

    def share_columns(self, other: TableStatistics) -> None:
        """Take over what another of the same segments knows."""
        self._columns = other._columns

    def column(self, number: int) -> ColumnStatistics | None:
        """The column with this attribute number; None where no segment has it."""
        if number not in self._columns:
            found = [segment.columns.get(number) for segment in self._segments]
            known = [column for column in found if column is not None]
            self._columns[number] = _statistics(known) if known else None
        return self._columns[number]


def statistics_of(store: Store) -> TableStatistics:
    """A table's statistics; what was found out of its columns is kept until the table's parts change."""
    fresh, known = TableStatistics(store.parts), store.statistics
    if isinstance(known, TableStatistics) and known.parts is fresh.parts:
        if known.rows == fresh.rows:
            return known
        fresh.share_columns(known)
    store.statistics = fresh
    return fresh


def _statistics(columns: list[SegmentColumn]) -> ColumnStatistics:
    zones = [zone for column in columns for zone in column.zones]
    if len(zones) > _MOST_ZONES:
        zones = [column.zone for column in columns]
    rows = sum(column.zone.rows for column in columns)
    nulls = sum(column.zone.nulls for column in columns)
    return ColumnStatistics(columns[0].type, tuple(zones), _distinct(columns), nulls / rows if rows else 0.0)


def _distinct_in(column: SegmentColumn) -> int | None:
    """About how many values one segment's column has: no more than its range has room for."""
    zone, most = column.zone, column.distinct
    if isinstance(zone.low, int) and isinstance(zone.high, int):
        room = min(zone.high - zone.low + 1, zone.rows)
        return room if most is None else min(most, room)
    return most


def _distinct(columns: list[SegmentColumn]) -> float | None:
    """About how many distinct values there are in all segments."""
    columns = [column for column in columns if column.zone.nulls < column.zone.rows]
    counts = [_distinct_in(column) for column in columns]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts) or not known:
        return None
    most, least = max(known), sum(known)
    spans = [(column.zone.low, column.zone.high) for column in columns]
    if len(known) == 1 or not all(isinstance(low, int) and isinstance(high, int) for low, high in spans):
        return float(most)
    drawn = [
        _Drawn(low, high, count, _domain(column.zone.rows - column.zone.nulls, count, high - low + 1))
        for column, count, (low, high) in zip(columns, known, spans, strict=True)
    ]
    return max(float(most), min(float(least), _together(drawn)))


@dataclass(frozen=True)
class _Drawn:
    """A segment's values, drawn from a domain that lies evenly from low to high: how many of how many."""

    low: int
    high: int
    distinct: float
    domain: float


def _domain(rows: int, distinct: float, most: float) -> float:
    """From how many values d rows may be drawn, to show so many: distinct = d (1 - exp(-rows / d))."""
    if distinct >= min(rows * 0.99, most):
        return most
    low, high = distinct, most
    for _ in range(40):
        middle = (low + high) / 2
        if -middle * expm1(-rows / middle) < distinct:
            low = middle
        else:
            high = middle
    return high


def _together(segments: list[_Drawn]) -> float:
    """How many values several segments have together: those that share a stretch draw from one domain."""
    ends = sorted({end for each in segments for end in (each.low, each.high + 1)})
    total = 0.0
    for start, stop in pairwise(ends[:: max(len(ends) // _MOST_ENDS, 1)]):
        here = [each for each in segments if each.low <= start <= each.high]
        domain = max((e.domain * (stop - start) / (e.high - e.low + 1) for e in here), default=0.0)
        total += domain * (1 - prod(1 - each.distinct / each.domain for each in here))
    return total
