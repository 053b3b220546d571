"""Frames of reference: integers as their distance from the smallest of their block, in as few bits.

A block's outlier costs that block only. Booleans take a bit each. The buffers are those of Packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes, Proportional
from storage.encodings.packed import Packed, as_integers, dtype_of
from storage.encodings.packedcolumn import PackedColumn
from storage.kernels.plain.terms import Term
from storage.order import is_integer
from storage.predicate import Comparison
from storage.types import BOOL, Type


class Frames(Proportional):
    """A column of integers, dates, times or booleans."""

    tag: ClassVar[str] = "for"

    def __init__(self, type: Type, packed: Packed) -> None:
        self._type, self.packed = type, packed

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return self.packed.nbytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded: a whole stretch stays packed until it is looked at."""
        if rows is None:
            return PackedColumn(self._type, self.packed, range(start, max(start, stop)))
        return Column(self._type, self.packed.decode(start, stop, rows, dtype_of(self._type)))

    def item(self, row: int) -> int | bool:
        """See Encoded."""
        value = self.packed.item(row)
        return bool(value) if self._type.oid == BOOL.oid else value

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Compares distances, in the packed blocks; a block out of reach is not looked at."""
        return self.packed.select(op, value, start, stop)

    def term(self, op: Comparison, value: Any) -> Term | None:
        """See Packing."""
        return self.packed.term(op, value)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return True

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"rows": self.packed.rows}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return self.packed.buffers()

    @classmethod
    def encode(cls, column: Column) -> Frames | None:
        """See Encoding."""
        if not is_integer(column.type) or not len(column):
            return None
        return cls(column.type, Packed.of(as_integers(column.values)))

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Frames:
        """See Encoding."""
        return cls(type, Packed.read(head["rows"], buffers))
