"""Packed integers: the arrays behind the encodings that pack bits, see storage.kernels.plain.packing.

buffer 0   words    uint64
buffer 1   bases    int64, one a block of BLOCK rows
buffer 2   widths   uint8, one a block
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.column import Array, Mask, Positions, taken
from storage.encodings.base import Bytes, flat
from storage.kernels.plain.packing import BLOCK, LANES, Integers, Widths, Words
from storage.kernels.plain.terms import Term
from storage.kernels.plain.totals import Blocks
from storage.predicate import Comparison
from storage.types import Type

LEAST, MOST = -(1 << 63), (1 << 63) - 1
_POWERS = np.uint64(1) << np.arange(64, dtype=np.uint64)
DENSE = 1 / 3  # from this share of a stretch on, rows are decoded with those between them
_TABLE = 1 << 16  # items of an IN that lie so close together are looked up
_UNKNOWN: Any = object()
_STRETCHES = 64  # whose bounds are kept
_BOUNDED = 61  # bits of values that blocks tell the bounds of


@dataclass(frozen=True, slots=True)
class Packed:
    """Integers in blocks, each with its own base and width."""

    words: Words
    bases: Integers
    widths: Widths
    offsets: Integers
    rows: int
    _addresses: tuple[int, ...] = field(init=False, repr=False)
    _bounds: dict[tuple[int, int], tuple[int, int] | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        arrays = (self.words, self.offsets, self.widths, self.bases)
        places = tuple(int(array.__array_interface__["data"][0]) for array in arrays)
        object.__setattr__(self, "_addresses", places)
        object.__setattr__(self, "_bounds", {})

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return int(self.words.nbytes + self.bases.nbytes + self.widths.nbytes)

    def buffers(self) -> list[Bytes]:
        """See Encoded."""
        return [flat(self.words), flat(self.bases), flat(self.widths)]

    def blocks(self, start: int) -> Blocks:
        """The values from `start` on as they are, for kernels that unpack as they go."""
        return Blocks(self.words, self.offsets, self.widths, self.bases, start, self._addresses)

    def decode(self, start: int, stop: int, rows: Positions | None, dtype: npt.DTypeLike) -> Array:
        """Values start to stop, or of the positions `rows` counted from start."""
        if rows is not None and len(rows) < (stop - start) * DENSE:
            out = np.empty(len(rows), dtype)
            kernels.unpack_at(self.words, self.offsets, self.widths, self.bases, rows + start, out)
            return out
        out = np.empty(max(stop - start, 0), dtype)
        kernels.unpack_blocks(self.words, self.offsets, self.widths, self.bases, start, out)
        return out if rows is None else taken(out, rows)

    def item(self, row: int) -> int:
        """One value, by the arithmetic that storage.kernels.plain.packing tells: a call of a kernel takes
        longer.
        """
        block, within = divmod(row, BLOCK)
        place, lane = divmod(within, LANES)
        value, width = int(self.bases[block]), int(self.widths[block])
        if not width:
            return value
        skipped, shift = divmod(place * width, 64)
        at = int(self.offsets[block]) + skipped * LANES + lane
        distance = int(self.words[at]) >> shift
        if shift + width > 64:
            distance |= int(self.words[at + LANES]) << 64 - shift
        value += distance & (1 << width) - 1
        return value if value <= MOST else value - (1 << 64)

    def taken(self, table: Array, start: int, stop: int, rows: Positions | None) -> Array:
        """`table[value]` of the values that `decode` gives; the table's elements have 1, 2, 4 or 8 bytes."""
        if rows is not None:
            return taken(table, self.decode(start, stop, rows, np.int64))
        out = np.empty(max(stop - start, 0), table.dtype)
        kernels.unpack_table(self.words, self.offsets, self.widths, self.bases, start, table, out)
        return out

    def bounds(self, start: int, stop: int) -> tuple[int, int] | None:
        """What no value from start to stop is below, and above, as blocks tell; None: none, or too wide.

        Kept of some stretches, for morsels are the same each time.
        """
        known = self._bounds.get((start, stop), _UNKNOWN)
        if known is not _UNKNOWN:
            return cast(tuple[int, int] | None, known)
        found = self._told(start, stop)
        if len(self._bounds) >= _STRETCHES:
            self._bounds.clear()
        self._bounds[start, stop] = found
        return found

    def _told(self, start: int, stop: int) -> tuple[int, int] | None:
        first, behind = start // BLOCK, -(-stop // BLOCK)
        bases, widths = self.bases[first:behind], self.widths[first:behind]
        if start >= stop or int(widths.max()) > _BOUNDED:
            return None
        least, most = int(bases.min()), int(bases.max())
        if most > MOST >> 1:
            return None
        return least, int((bases + (np.int64(1) << widths.astype(np.int64)) - 1).max())

    def total(self, start: int, stop: int) -> tuple[int, int]:
        """The sum of values start to stop in two halves, see storage.kernels.plain.packing.total_blocks."""
        return kernels.total_blocks(self.words, self.offsets, self.widths, self.bases, start, stop)

    def within(self, low: int, high: int, *, inside: bool = True, table: Mask | None = None) -> Term:
        """low <= value <= high, and what a table says: see storage.kernels.plain.terms."""
        if low > MOST or high < LEAST or low > high:
            low, high, table = 0, -1, None
        low, high = max(int(low), LEAST), min(int(high), MOST)
        arrays = self.words, self.offsets, self.widths, self.bases
        return Term(*arrays, low, high, inside, table, self._addresses)

    def term(self, op: Comparison, value: Any) -> Term | None:
        """See Packing: of integers, without writing them out."""
        match op:
            case Comparison.EQ | Comparison.NE:
                return self.within(value, value, inside=op is Comparison.EQ)
            case Comparison.LT | Comparison.LE:
                return self.within(LEAST, value - (op is Comparison.LT))
            case Comparison.GT | Comparison.GE:
                return self.within(value + (op is Comparison.GT), MOST)
            case Comparison.IN if value and max(value) - min(value) < _TABLE:
                low, high = min(value), max(value)
                table = np.zeros(high - low + 1, np.bool_)
                table[np.array(value, np.int64) - low] = True
                return self.within(low, high, table=table)
            case _:
                return None

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded."""
        term = self.term(op, value)
        if term is not None:
            return selected(term, start, stop)
        if op is Comparison.IN:
            return np.isin(self.decode(start, stop, None, np.int64), np.array(value, np.int64))
        return None

    @classmethod
    def of(cls, values: Integers) -> Packed:
        """Integers, packed."""
        blocks = in_blocks(values)
        bases = blocks.min(axis=1)
        widths = bit_lengths(blocks.max(axis=1).view(np.uint64) - bases.view(np.uint64))
        return cls.packed(values, bases, widths)

    @classmethod
    def packed(cls, values: Integers, bases: Integers, widths: Widths) -> Packed:
        """Integers whose blocks' bases and widths are known."""
        offsets = kernels.block_offsets(widths, len(values))
        words = kernels.pack_blocks(values, bases, widths, offsets)
        return cls(words, bases, widths, offsets, len(values))

    @classmethod
    def read(cls, rows: int, buffers: Sequence[Bytes]) -> Packed:
        """The inverse of `buffers`."""
        widths = buffers[2]
        offsets = kernels.block_offsets(widths, rows)
        return cls(buffers[0].view(np.uint64), buffers[1].view(np.int64), widths, offsets, rows)


def selected(term: Term, start: int, stop: int) -> Mask:
    """Where a term is true, of rows start to stop."""
    out = np.empty(max(stop - start, 0), np.bool_)
    kernels.select_terms([term], [], start, out)
    return out


def in_blocks(values: Integers) -> Integers:
    """(blocks, BLOCK): the last block is filled up with its last value."""
    missing = -len(values) % BLOCK
    if missing:
        values = np.concatenate([values, np.full(missing, values[-1])])
    return values.reshape(-1, BLOCK)


def bit_lengths(values: Words) -> Widths:
    """How many bits each value takes."""
    return np.searchsorted(_POWERS, values, "right").astype(np.uint8)


def as_integers(values: Array) -> Integers:
    """Integers, dates, times or booleans as int64."""
    return np.ascontiguousarray(values).astype(np.int64, copy=False)


def dtype_of(type: Type) -> np.dtype:
    """The dtype of a type's values."""
    assert type.dtype is not None
    return type.dtype
