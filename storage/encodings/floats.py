"""Floats that were written with few decimal places, as integers and an exponent a block.

A float that is the nearest one to n / 10**e for an n below 2**53 comes back bit for bit from that division,
so n is packed as in frames, with one e for each block of rows. What does not come back (more digits, NaN,
infinity, -0) is kept beside. Where nothing is, and all blocks have one e, a comparison with a value is one
with an n, and nothing is decoded for it. The idea is ALP's (Afroozeh, Kuffó, Boncz: ALP, Adaptive Lossless
floating-Point Compression, SIGMOD 2023), with a division in place of its two factors: it is exact for
every n, and at 4 values an instruction it still decodes faster than memory takes the result.

Measured against bytes split by place and compressed with Zstandard, a million float8 values, one thread, as
share of the plain size and GB/s of decoded data: prices with two places 0.29 at 14 against 0.70 at 0.3;
coordinates with six places 0.39 at 13 against 0.89 at 1.2; a sensor's walk with one place 0.10 at 3 against
0.18 at 0.4. Values with all their digits do not fit; split bytes would take 0.93 of their plain size, and are
not worth a reader's waiting.

    buffers 0 to 2  the integers n, as Packed
    buffer 3        exponents   uint8, one a block
    buffer 4        places      uint32, the rows that are kept beside, ascending
    buffer 5        kept        their values
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.column import Array, Column, Mask, Positions, taken
from storage.encodings.base import Bytes, Proportional, compare, flat, raw
from storage.encodings.packed import LEAST, MOST, Packed, dtype_of, selected
from storage.kernels.plain.floats import POWERS
from storage.kernels.plain.packing import BLOCK, Integers
from storage.kernels.plain.terms import Term
from storage.order import is_float
from storage.predicate import Comparison
from storage.types import Type

_DENSE = 1 / 8  # from this share of a stretch on, rows are decoded with those between them
_EXACT = float(1 << 53)
_NUMBERS = range(-(1 << 53) + 1, 1 << 53)  # what n may be
_FEW = 64  # n that are one value are looked up for IN
_TRIED = 1024  # values that say which exponents are tried
_CANDIDATES = 3
_KEPT = 1 / 8  # of more values than this share, other encodings take less

Exponents = npt.NDArray[np.uint8]


class Floats(Proportional):
    """A column of floats."""

    tag: ClassVar[str] = "alp"

    def __init__(
        self, type: Type, packed: Packed, exponents: Exponents, places: npt.NDArray[np.uint32], kept: Array
    ) -> None:
        self._type, self._packed, self._exponents = type, packed, exponents
        self._places, self._kept = places, kept

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return sum(buffer.nbytes for buffer in self.buffers())

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        return Column(self._type, self._values(start, stop, rows))

    def _values(self, start: int, stop: int, rows: Positions | None) -> Array:
        packed, dtype = self._packed, dtype_of(self._type)
        if rows is not None and len(rows) < (stop - start) * _DENSE:
            whole = rows + start
            integers = packed.decode(start, stop, rows, np.int64)
            values: Array = (integers / POWERS[self._exponents[whole // BLOCK]]).astype(dtype)
            if len(self._places):
                at = np.minimum(np.searchsorted(self._places, whole), len(self._places) - 1)
                beside = self._places[at] == whole
                values[beside] = self._kept[at[beside]]
            return values
        values = np.empty(max(stop - start, 0), dtype)
        kernels.unpack_floats(
            packed.words, packed.offsets, packed.widths, packed.bases, self._exponents, start, values
        )
        first, last = np.searchsorted(self._places, (start, stop)).tolist()
        values[self._places[first:last].astype(np.int64) - start] = self._kept[first:last]
        return values if rows is None else taken(values, rows)

    @cached_property
    def _exponent(self) -> int | None:
        """The exponent of all blocks, where no row is kept beside: then values are in their n's order."""
        first = int(self._exponents[0]) if len(self._exponents) and not len(self._places) else None
        return first if first is not None and bool((self._exponents == first).all()) else None

    def term(self, op: Comparison, value: Any) -> Term | None:
        """See Packing: what is said of values, said of their n."""
        if self._exponent is None:
            return None
        wide, exponent = dtype_of(self._type).itemsize == 8, self._exponent
        if op is Comparison.IN:
            spans = [_span(item, exponent, wide) for item in value]
            if any(behind - first > _FEW for first, behind in spans):
                return None
            numbers = tuple(n for span in spans for n in range(*span))
            return self._packed.term(op, numbers) if numbers else self._packed.within(0, -1)
        first, behind = _span(value, exponent, wide)
        match op:
            case Comparison.EQ | Comparison.NE:
                return self._packed.within(first, behind - 1, inside=op is Comparison.EQ)
            case Comparison.LT | Comparison.LE:
                return self._packed.within(LEAST, (first if op is Comparison.LT else behind) - 1)
            case Comparison.GT | Comparison.GE:
                return self._packed.within(behind if op is Comparison.GT else first, MOST)
            case _:
                return None

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded."""
        term = self.term(op, value)
        if term is not None:
            return selected(term, start, stop)
        if op is Comparison.IN and self.exact:
            value = tuple(item for item in value if item == item)  # there is no NaN
        return compare(self._values(start, stop, None), op, value)

    @property
    def exact(self) -> bool:
        """See Encoded: where NaN may be, `compare` lets it pass."""
        return self._exponent is not None

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"rows": self._packed.rows}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [*self._packed.buffers(), self._exponents, flat(self._places), flat(self._kept)]

    @classmethod
    def encode(cls, column: Column) -> Floats | None:
        """See Encoding."""
        if not is_float(column.type) or not len(column):
            return None
        values = np.ascontiguousarray(column.values)
        candidates = _candidates(values)
        if not candidates:
            return None
        blocks = -(-len(values) // BLOCK)
        integers, exponents = np.zeros(len(values), np.int64), np.zeros(blocks, np.uint8)
        wrong, missed = np.ones(len(values), np.bool_), np.full(blocks, BLOCK + 1)
        for exponent in candidates:
            found, bad = _scaled(values, exponent)
            misses = np.add.reduceat(bad, np.arange(0, len(bad), BLOCK))
            better = misses < missed
            if not better.any():
                continue
            rows = np.repeat(better, BLOCK)[: len(values)]
            integers, wrong = np.where(rows, found, integers), np.where(rows, bad, wrong)
            exponents[better], missed[better] = exponent, misses[better]
            if not missed.any():
                break
        places = np.flatnonzero(wrong)
        if len(places) > _KEPT * len(values):
            return None
        return cls(
            column.type,
            Packed.of(_quiet(integers, wrong)),
            exponents,
            places.astype(np.uint32),
            values[places],
        )

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Floats:
        """See Encoding."""
        packed = Packed.read(head["rows"], buffers)
        return cls(type, packed, buffers[3], buffers[4].view(np.uint32), buffers[5].view(dtype_of(type)))


@lru_cache(1024)
def _span(value: float, exponent: int, wide: bool) -> tuple[int, int]:
    """The n of the first value that is not below `value`, and of the first above it; NaN is above all.

    Rounding keeps the order, so the values of rising n never fall: as float8 where `wide`, else as float4.
    """
    if value != value:
        return _NUMBERS.stop, _NUMBERS.stop
    power = float(POWERS[exponent])

    def decoded(n: int) -> float:
        found = n / power
        return found if wide else float(np.float32(found))

    first, behind = bisect_left(_NUMBERS, value, key=decoded), bisect_right(_NUMBERS, value, key=decoded)
    return _NUMBERS.start + first, _NUMBERS.start + behind


def _scaled(values: Array, exponent: int) -> tuple[Integers, Mask]:
    """(n of each value, where it does not give the value back)."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values.astype(np.float64) * POWERS[exponent])
        fits = np.abs(scaled) < _EXACT
    integers = np.where(fits, scaled, 0.0).astype(np.int64)
    back = (integers / POWERS[exponent]).astype(values.dtype)
    return integers, ~fits | (raw(back) != raw(values))


def _candidates(values: Array) -> list[int]:
    """The exponents worth trying, the smallest first: those that most of a sample needs."""
    sample = values[:: max(len(values) // _TRIED, 1)][:_TRIED]
    least = np.full(len(sample), -1)
    for exponent in range(len(POWERS)):
        _, bad = _scaled(sample, exponent)
        least[(least < 0) & ~bad] = exponent
        if (least >= 0).all():
            break
    found, counts = np.unique(least[least >= 0], return_counts=True)
    if counts.sum() < (1 - 2 * _KEPT) * len(sample):
        return []
    # the largest serves all that need less, the frequent ones serve most blocks with fewer bits
    frequent = found[np.argsort(-counts, kind="stable")][: _CANDIDATES - 1]
    return sorted({int(found[-1]), *frequent.tolist()})


def _quiet(integers: Integers, wrong: Mask) -> Integers:
    """The integers with the one before under each value that is kept beside: no block gets wider for it."""
    if not wrong.any():
        return integers
    last = np.where(wrong, 0, np.arange(len(integers)))
    np.maximum.accumulate(last, out=last)
    return integers[last]
