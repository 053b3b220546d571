"""Deltas: integers as the distance of each step to the next from the smallest step of their block.

For what rises steadily: ids, timestamps, sorted keys. Each block begins with a value of its own, so rows
are found by block. The buffers are those of Packed over the steps, and

    buffer 3   firsts   int64, the first value of each block
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.column import Array, Column, Mask, Positions, taken
from storage.encodings.base import Bytes, Proportional, compare, flat
from storage.encodings.packed import Packed, as_integers, bit_lengths, dtype_of, in_blocks
from storage.kernels.plain.packing import BLOCK, Integers
from storage.order import is_integer
from storage.predicate import Comparison
from storage.types import Type

_DENSE = 1 / 16  # from this share of a stretch on, rows are decoded with those between them


class Deltas(Proportional):
    """A column of integers, dates or times."""

    tag: ClassVar[str] = "delta"

    def __init__(self, type: Type, packed: Packed, firsts: Integers) -> None:
        self._type, self._packed, self.firsts = type, packed, firsts

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return int(self._packed.nbytes + self.firsts.nbytes)

    @property
    def rows(self) -> int:
        """How many values there are."""
        return self._packed.rows

    def values(self, start: int, stop: int, rows: Positions | None, dtype: npt.DTypeLike) -> Array:
        """`decode` without the column."""
        packed = self._packed
        arrays = (packed.words, packed.offsets, packed.widths, packed.bases, self.firsts)
        if rows is not None and len(rows) < (stop - start) * _DENSE:
            out = np.empty(len(rows), dtype)
            kernels.undelta_at(*arrays, rows + start, out)
            return out
        out = np.empty(max(stop - start, 0), dtype)
        kernels.undelta_blocks(*arrays, start, out)
        return out if rows is None else taken(out, rows)

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        return Column(self._type, self.values(start, stop, rows, dtype_of(self._type)))

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded."""
        return compare(self.values(start, stop, None, np.int64), op, value)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return True

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"rows": self._packed.rows}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [*self._packed.buffers(), flat(self.firsts)]

    @classmethod
    def encode(cls, column: Column) -> Deltas | None:
        """See Encoding."""
        if not is_integer(column.type) or not len(column):
            return None
        return cls.of(column.type, as_integers(column.values))

    @classmethod
    def of(cls, type: Type, values: Integers) -> Deltas:
        """At least one integer."""
        steps = np.diff(values.view(np.uint64), prepend=values[:1].view(np.uint64)).view(np.int64)
        blocks = in_blocks(steps)
        bases = blocks[:, 1:].min(axis=1)
        tops = blocks[:, 1:].max(axis=1)
        # a block's first step is none of its own: it stands at the base, and so does one behind it
        steps[::BLOCK] = bases
        widths = bit_lengths(tops.view(np.uint64) - bases.view(np.uint64))
        return cls(type, Packed.packed(steps, bases, widths), values[::BLOCK].copy())

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Deltas:
        """See Encoding."""
        return cls(type, Packed.read(head["rows"], buffers), buffers[3].view(np.int64))
