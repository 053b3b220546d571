"""Whole keys: join keys that are whole numbers (integers, dates, times, OIDs; numerics by their units), and
their places in a table.

Several keys are packed into one number, as digits of the width of each one's range. Where these numbers lie
close together they are a bit set, and the bits before a number's say which it is; else they stand in a hash
table. Either way a number stands for itself: what is found need not be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.column import Column, Mask, Positions
from storage.encodings.runcolumn import RunColumn
from storage.kernels.plain.partners import Lookup
from storage.types import Form, Type

_FEW_WORDS = 1 << 14  # bits that take no more are taken however far the numbers lie apart
_TABLE = 1 << 16  # keys from the smallest to the largest: a table of so many stays in cache
_MOST = 1 << 62  # packed numbers are below it
_LARGEST, _DIGITS = (1 << 63) - 1, 19  # of units

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


def is_whole(type: Type) -> bool:
    """Whether values of `type` are whole numbers, equal where these are."""
    return type.form is Form.FIXED and type.dtype is not None and type.dtype.kind in "iu"


def is_countable(type: Type) -> bool:
    """Whether values of `type` are whole numbers, or may be in units of some scale."""
    return is_whole(type) or type.form is Form.DECIMAL


def without_nulls(columns: Sequence[Column]) -> Mask | None:
    """(rows,) where no column is null; None: everywhere."""
    valid = None
    for column in columns:
        if column.valid is not None:
            valid = column.valid if valid is None else valid & column.valid
    return valid


@dataclass(frozen=True, slots=True)
class WholeKeys:
    """`count` distinct keys of some columns, numbered from 0; `lows` and `spans` are the columns' ranges.

    `scales` are those of numerics, in whose units they are counted, and 0 of whole numbers.
    """

    scales: tuple[int, ...]
    lows: tuple[int, ...]
    spans: tuple[int, ...]
    count: int
    table: Bits | _Table

    @classmethod
    def of(cls, parts: Sequence[Sequence[Column]]) -> tuple[WholeKeys, Positions] | None:
        """(the keys of batches of rows, the number of each row's key, -1 with a null).

        None where the columns' ranges are too wide to be packed, or numerics have no units. The types are
        countable.
        """
        found = [_counted(column) for column in zip(*parts, strict=True)]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        columns = [values for values, _ in known]
        masks = [without_nulls(part) for part in parts]
        valid = None
        if any(mask is not None for mask in masks):
            valid = np.concatenate(
                [np.ones(len(p[0]), np.bool_) if m is None else m for p, m in zip(parts, masks, strict=True)]
            )
            columns = [values[valid] for values in columns]
        lows = tuple(int(values.min()) if len(values) else 0 for values in columns)
        spans = tuple(
            int(values.max()) - low + 1 if len(values) else 1
            for values, low in zip(columns, lows, strict=True)
        )
        size = 1
        for span in spans:
            size *= span
        if len(columns) > 1 and size > _MOST:
            return None
        packed, low = _packed(columns, lows, spans), lows[0] if len(lows) == 1 else 0
        table, numbers = _tabled(packed, low, size)
        if valid is not None:
            spread = np.full(len(valid), -1, np.int64)
            spread[valid] = numbers
            numbers = spread
        return cls(tuple(scale for _, scale in known), lows, spans, table.count, table), numbers

    @property
    def bits(self) -> Bits | None:
        """The keys' numbers as a bit set, if they are one."""
        return self.table if isinstance(self.table, Bits) else None

    def lookup(self, held: Positions | None) -> Lookup | None:
        """Where each key's held row is: its number, or `held[number]`; None: the keys are in no bit set."""
        bits, span = self.bits, self.spans[0]
        if bits is None or len(self.spans) > 1:
            return None
        table = None
        if span <= _TABLE:
            table = np.full(span + 1, -1)
            places = np.flatnonzero(np.unpackbits(bits.words.view(np.uint8), bitorder="little"))
            table[places] = np.arange(self.count) if held is None else held
        return Lookup.of(bits.low, bits.words, bits.ranks, held, table)

    def find(self, columns: Sequence[Column]) -> Positions:
        """(rows,) the number of each row's key, -1 where it is not here, or has a null."""
        if len(columns) == 1 and isinstance(columns[0], RunColumn):
            return columns[0].repeated(self.table.find(columns[0].runs.astype(np.int64, copy=False)))
        valid, values = without_nulls(columns), []
        for column, scale in zip(columns, self.scales, strict=True):
            each, whole = _asked(column, scale)
            values.append(each)
            if whole is not None:
                valid = whole if valid is None else valid & whole
        found = self.table.find(_packed(values, self.lows, self.spans))
        if len(values) > 1:
            for each, low, span in zip(values, self.lows, self.spans, strict=True):
                inside = (each - np.int64(low)).view(np.uint64) < np.uint64(span)
                valid = inside if valid is None else valid & inside
        return found if valid is None else np.where(valid, found, -1)


@dataclass(frozen=True, slots=True)
class Bits:
    """Numbers as a bit set from `low` on: see storage.kernels.plain.members."""

    low: int
    words: Words
    ranks: Integers
    count: int

    def find(self, values: Integers) -> Positions:
        return kernels.rank_bits(values, self.low, self.words, self.ranks)


@dataclass(frozen=True, slots=True)
class _Table:
    """Numbers in a hash table: see storage.kernels.plain.group."""

    slots: Integers
    words: Words
    count: int

    def find(self, values: Integers) -> Positions:
        return kernels.find_words(self.slots, self.words, values.view(np.uint64))


def _tabled(values: Integers, low: int, size: int) -> tuple[Bits | _Table, Positions]:
    """A table of numbers from `low` to below `low + size`, and the place of each in it."""
    words: Words
    if (size + 63) // 64 <= max(len(values), _FEW_WORDS):
        words = np.zeros((size + 63) // 64, np.uint64)
        kernels.set_bits(values, low, words)
        ranks = kernels.count_bits(words)
        count = int(ranks[-1]) + int(words[-1]).bit_count()
        bits = Bits(low, words, ranks, count)
        return bits, bits.find(values)
    numbers, firsts = kernels.group_words(values.view(np.uint64))
    words = values.view(np.uint64)[firsts]
    slots = np.full(1 << (4 * len(words) - 1).bit_length(), -1, np.int64)
    kernels.place_words(slots, words, 0)
    return _Table(slots, words, len(words)), numbers


def _packed(columns: Sequence[Integers], lows: Sequence[int], spans: Sequence[int]) -> Integers:
    """Several numbers as one; a single one as it is. What is outside a range gives any number."""
    if len(columns) == 1:
        return columns[0]
    packed = np.zeros(len(columns[0]), np.int64)
    for values, low, span in zip(columns, lows, spans, strict=True):
        packed = packed * np.int64(span) + (values - np.int64(low))
    return packed


def _counted(parts: Sequence[Column]) -> tuple[Integers, int] | None:
    """(a column's numbers, the scale that they count in); None: not all are in units."""
    if parts[0].type.form is not Form.DECIMAL:
        values = [_values(column) for column in parts]
        return values[0] if len(values) == 1 else np.concatenate(values), 0
    columns = [column.in_units() for column in parts]
    scale = max((column.scale for column in columns if column.units is not None), default=0)
    units = []
    for column in columns:
        if column.units is None and column.is_valid().any():
            return None
        found, fits = _asked(column, scale)
        if fits is not None and not (fits | ~column.is_valid()).all():
            return None
        units.append(found)
    return np.concatenate(units), scale


def _asked(column: Column, scale: int) -> tuple[Integers, Mask | None]:
    """(the numbers of a column, of numerics in units of `scale`; which of them are whole, None: all)."""
    if column.type.form is not Form.DECIMAL:
        return _values(column), None
    column = column.in_units()
    units, digits = column.units, scale - column.scale
    if units is None:
        return _one_by_one(column, scale)
    if digits > 0:
        most = _LARGEST // 10**digits
        fits = (units >= -most) & (units <= most)
        return np.where(fits, units, 0) * np.int64(10**digits), fits
    if digits < 0:
        whole, rest = np.divmod(units, np.int64(10**-digits))
        return whole, rest == 0
    return units, None


def _one_by_one(column: Column, scale: int) -> tuple[Integers, Mask]:
    """`_asked` of numerics of several scales, or without units."""
    units, whole = np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    for row, value in enumerate(column.tolist()):
        if value is None or not value.is_finite() or value.adjusted() > _DIGITS:
            continue
        numerator, denominator = value.as_integer_ratio()
        unit, rest = divmod(numerator * 10**scale, denominator)
        if not rest and abs(unit) <= _LARGEST:
            units[row], whole[row] = unit, True
    return units, whole


def _values(column: Column) -> Integers:
    return np.ascontiguousarray(column.values).astype(np.int64, copy=False)
