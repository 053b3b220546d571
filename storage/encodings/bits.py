"""Bits: integers as their distance from the smallest, packed in as many bits as the largest needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes, compare, flat
from storage.encodings.packed import Words, pack, unpack
from storage.predicate import Comparison
from storage.types import Form, Type


class Bits:
    """A column of integers, dates, times or booleans (frame of reference and bit packing)."""

    tag: ClassVar[str] = "bits"

    def __init__(self, type: Type, base: int, width: int, words: Words) -> None:
        self._type, self._base, self._width, self._words = type, base, width, words

    @property
    def nbytes(self) -> int:
        return int(self._words.nbytes)

    def _distances(self, start: int, stop: int, rows: Positions | None) -> Words:
        positions = np.arange(start, stop) if rows is None else rows + start
        return unpack(self._words, self._width, positions)

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        dtype = self._type.dtype
        assert dtype is not None
        distances = self._distances(start, stop, rows)
        values = (distances + np.uint64(self._base & 0xFFFF_FFFF_FFFF_FFFF)).view(np.int64)
        return Column(self._type, values.astype(dtype))

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Compares distances: the constant is moved, not the rows."""
        if isinstance(value, float):
            return None
        distance = int(value) - self._base
        if 0 <= distance < 2**self._width:
            return compare(self._distances(start, stop, None), op, np.uint64(distance))
        below = distance < 0
        everything = op is Comparison.NE or (
            op in (Comparison.GT, Comparison.GE) if below else op in (Comparison.LT, Comparison.LE)
        )
        return np.full(stop - start, everything)

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"base": self._base, "width": self._width}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [flat(self._words)]

    @classmethod
    def encode(cls, column: Column) -> Bits | None:
        """See Encoding."""
        values = column.values
        if column.type.form is not Form.FIXED or values.dtype.names or values.dtype.kind not in "iub":
            return None
        if not len(values):
            return None
        base, top = int(values.min()), int(values.max())
        width = max((top - base).bit_length(), 1)
        if width > 8 * values.dtype.itemsize - 1:
            return None
        distances = values.astype(np.int64).view(np.uint64) - np.uint64(base & 0xFFFF_FFFF_FFFF_FFFF)
        return cls(column.type, base, width, pack(distances, width))

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Bits:
        """See Encoding."""
        return cls(type, head["base"], head["width"], buffers[0].view(np.uint64))
