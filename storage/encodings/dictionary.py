"""Dictionary: each distinct text or byte string once, rows as bit-packed codes into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.column import Column, Mask, Positions, arrow_type
from storage.encodings.base import Bytes, flat
from storage.encodings.packed import Words, pack, unpack
from storage.encodings.plain import Plain
from storage.predicate import Comparison
from storage.types import BYTEA, NAME, TEXT, VARCHAR, Form, Type

_FUNCTIONS = {
    Comparison.EQ: "equal",
    Comparison.NE: "not_equal",
    Comparison.LT: "less",
    Comparison.LE: "less_equal",
    Comparison.GT: "greater",
    Comparison.GE: "greater_equal",
}
# types whose comparison is that of their bytes
_BYTEWISE = frozenset((TEXT.oid, VARCHAR.oid, NAME.oid, BYTEA.oid))


class Dictionary:
    """A text or bytea column with few distinct values."""

    tag: ClassVar[str] = "dictionary"

    def __init__(self, type: Type, values: pa.Array, width: int, codes: Words) -> None:
        self._type, self._values, self._width, self._codes = type, values, width, codes

    @property
    def nbytes(self) -> int:
        return int(self._values.nbytes + self._codes.nbytes)

    def _rows(self, start: int, stop: int, rows: Positions | None) -> Positions:
        positions = np.arange(start, stop) if rows is None else rows + start
        return unpack(self._codes, self._width, positions).view(np.int64)

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        return Column(self._type, self._values.take(pa.array(self._rows(start, stop, rows))))

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Compares each distinct value once, by its bytes."""
        if op not in _FUNCTIONS or self._type.oid not in _BYTEWISE:
            return None
        values = self._values.cast(pa.large_binary())
        constant = value.encode() if isinstance(value, str) else value
        matching = pc.call_function(_FUNCTIONS[op], [values, pa.scalar(constant, pa.large_binary())])
        mask: Mask = matching.to_numpy(zero_copy_only=False)[self._rows(start, stop, None)]
        return mask

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"width": self._width}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [*Plain(Column(self._type, self._values)).buffers(), flat(self._codes)]

    @classmethod
    def encode(cls, column: Column) -> Dictionary | None:
        """See Encoding."""
        if column.type.form not in (Form.TEXT, Form.BYTES) or not len(column):
            return None
        encoded = column.values.dictionary_encode()
        values = encoded.dictionary.cast(arrow_type(column.type))
        if 2 * len(values) > len(column):
            return None
        width = max((len(values) - 1).bit_length(), 1)
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.uint64)
        return cls(column.type, values, width, pack(codes, width))

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Dictionary:
        """See Encoding."""
        values = Plain.read(type, {}, buffers[:1]).decode(0, 2**62, None).values
        return cls(type, values, head["width"], buffers[1].view(np.uint64))
