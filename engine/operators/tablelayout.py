"""The layout of group tables: what their words mean, and what a batch asks of one.

A layout is the range of each key, and the kind and base of each slot. A group's number is made of its keys'
numbers as digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from engine.groups import Numbering
from engine.joined import JoinedColumn, Partners, source_among
from engine.operators.fusedtotals import FusedTotals
from engine.scales import Lowered, lowered
from storage import kernels
from storage.column import Column, Mask, Positions
from storage.encodings.packedcolumn import PackedColumn
from storage.kernels.plain.totals import SPAN, Added, Digit, Kind, Source, Totals, Why
from storage.types import NUMERIC, Type

FEW = 1 << 12
"""Groups that any rows may have."""
_FINE = 4  # bits of a range's width that its ends are as fine as
_HEADROOM = 4  # powers of two that floats may be above the first ones


@dataclass(frozen=True, slots=True)
class Range:
    """A key's numbers: `limit` of them, from `base` on; the last one stands for null if `nulls`."""

    base: int
    limit: int
    nulls: bool

    @classmethod
    def of(cls, least: int, most: int, nulls: bool) -> Range:
        """The range of values like these: somewhat wider, for others come soon."""
        step = 1 << max((most - least).bit_length() - _FINE, 0)
        base = least - least % step
        return cls(base, most - most % step + step - base + nulls, nulls)

    def covers(self, other: Range) -> bool:
        """Whether it has all numbers of another."""
        return (self.nulls or not other.nulls) and self.base <= other.base and other.end <= self.end

    @property
    def end(self) -> int:
        """The first number behind it."""
        return self.base + self.limit - self.nulls

    def shared(self, other: Range) -> int:
        """How many numbers it has in common with another."""
        return min(self.end, other.end) - max(self.base, other.base) + 1

    def widened(self, other: Range) -> Range:
        """A range of both; one that grows grows to twice its size at least, where it grows."""
        base, end = min(self.base, other.base), max(self.end, other.end)
        if end > self.end:
            end = max(end, self.end + self.limit)
        elif base < self.base:
            base = min(base, self.base - self.limit)
        nulls = self.nulls or other.nulls
        return Range(base, end - base + nulls, nulls)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a table's words mean. `spans`: of each slot the exponents that its floats had, if any is known."""

    ranges: tuple[Range, ...]
    scales: tuple[int, ...]
    nulls: bool
    slots: tuple[tuple[Kind, int, int, int], ...]
    spans: tuple[tuple[int, int] | None, ...]

    @property
    def groups(self) -> int:
        """How many groups it has places for."""
        return prod(each.limit for each in self.ranges)

    def fits(self, asked: Asked) -> bool:
        """Whether a batch may be added to such a table."""
        return (
            self.scales == asked.scales
            and (self.nulls or not asked.nulls)
            and all(mine.covers(theirs) for mine, theirs in zip(self.ranges, asked.ranges, strict=True))
        )

    def straying(self, asked: Asked) -> list[int]:
        """The places of keys that a batch has for its own: rows sorted by one have few groups in common."""
        if self.groups <= FEW:
            return []
        both = zip(self.ranges, asked.ranges, strict=True)
        return [at for at, (mine, theirs) in enumerate(both) if 2 * mine.shared(theirs) < theirs.limit]

    def changed(self, found: Added) -> Layout | None:
        """A layout for what did not fit a slot; None: there is none."""
        slots, spans, at = list(self.slots), list(self.spans), found.slot
        kind, register, known, _ = slots[at]
        if found.why is Why.FULL:
            slots[at] = Kind.WIDE, register, known, 0
        else:
            before = spans[at] or (found.least, found.most)
            least, most = min(before[0], found.least), max(before[1], found.most)
            if most - least > SPAN:
                return None
            spans[at] = least, most
            slots[at] = kind, register, known, max(min(least, most + _HEADROOM - SPAN), 0)
        return replace(self, slots=tuple(slots), spans=tuple(spans))


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch as tables take it: its keys' sources and ranges, and the program's columns."""

    rows: int
    mask: Mask | None
    sources: list[tuple[Source, Positions | None, Mask | None]]
    ranges: tuple[Range, ...]
    columns: list[Column]
    program: Lowered
    scales: tuple[int, ...]
    partners: tuple[Partners, ...] = ()

    @property
    def nulls(self) -> bool:
        """Whether a value may be null."""
        return any(column.valid is not None for column in self.columns)

    def add(self, table: Totals, layout: Layout, start: int, number: int) -> Added:
        """Add rows from `start` on; row 0 has this number."""
        keys = [
            Digit(source, mine.limit, mine.base, found, valid)
            for (source, found, valid), mine in zip(self.sources, layout.ranges, strict=True)
        ]
        powers = self.program.powers
        return kernels.add_totals(
            table,
            self.program.code,
            [*(source_among(column, self.partners) for column in self.columns), *powers],
            [*(column.valid for column in self.columns), *(None for _ in powers)],
            self.rows,
            start,
            number,
            keys,
            self.mask,
            [each.meeting(self.partners) for each in self.partners],
        )


def grown(layout: Layout | None, asked: Asked, plan: FusedTotals) -> Layout:
    """A layout that a batch fits, as the one before was where it did."""
    if layout is None or layout.scales != asked.scales:
        return layout_of(plan, asked, asked.ranges, nulls=asked.nulls)
    ranges = tuple(
        mine if mine.covers(theirs) else mine.widened(theirs)
        for mine, theirs in zip(layout.ranges, asked.ranges, strict=True)
    )
    nulls = layout.nulls or asked.nulls
    fresh = layout_of(plan, asked, ranges, nulls=nulls)
    kept = len(plan.slots)
    return replace(
        fresh,
        slots=(*layout.slots[:kept], *fresh.slots[kept:]),
        spans=(*layout.spans[:kept], *fresh.spans[kept:]),
    )


def layout_of(plan: FusedTotals, asked: Asked, ranges: tuple[Range, ...], *, nulls: bool) -> Layout:
    place = [register for register, _ in asked.program.places]
    slots = [(slot.kind, place[slot.register], place[slot.known], slot.base) for slot in plan.slots]
    if nulls:
        slots += [(Kind.KNOWN, place[register], place[register], 0) for register in plan.registers]
    return Layout(ranges, asked.scales, nulls, tuple(slots), (None,) * len(slots))


def asked_of(
    plan: FusedTotals,
    rows: int,
    mask: Mask | None,
    sources: list[tuple[Source, Positions | None, Mask | None]],
    ranges: tuple[Range, ...],
    columns: list[Column],
    partners: tuple[Partners, ...] = (),
) -> Asked | None:
    """A batch with these keys and inputs as tables take it; None: the program is none for such columns."""
    columns = [_loadable(column, rows) for column in columns]
    program = lowered(plan.code, tuple(column.scale for column in columns))
    if program is None or not all(map(_is_loaded, columns)):
        return None
    scales = tuple(scale for _, scale in program.places)
    return Asked(rows, mask, sources, ranges, columns, program, scales, partners)


def _loadable(column: Column, rows: int) -> Column:
    """A constant in units, or as so many nulls: a kernel takes one value for all rows, but no mask for it."""
    if not column.constant:
        return column
    return column.in_units() if column.valid is None else column.spread(rows)


def column_of(type: Type, mine: Range, digits: Positions, numbering: Numbering | None) -> Column:
    """The values of a key that digits stand for."""
    there = digits < mine.limit - 1 if mine.nulls else None
    if there is not None and there.all():
        there = None
    if numbering is not None:
        column = numbering.column
        if there is None:
            return column.take(digits)
        return Column.concat([column, Column.nulls(type, 1)]).take(np.where(there, digits, len(column)))
    assert type.dtype is not None
    found = digits + mine.base if there is None else np.where(there, digits, 0) + mine.base
    return Column(type, found.astype(type.dtype), there)


def _is_loaded(column: Column) -> bool:
    """Whether a kernel can load a column: numerics in units only."""
    return (
        isinstance(column, PackedColumn | JoinedColumn)
        or column.type.oid != NUMERIC.oid
        or column.units is not None
    )
