"""Constant: one value for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes
from storage.encodings.plain import Plain
from storage.order import is_float, matching, order_key
from storage.predicate import Comparison
from storage.segments.coded import CodedColumn, Dictionary, written_out
from storage.types import Form, Type


class Constant:
    """A column whose rows are all alike."""

    tag: ClassVar[str] = "constant"
    weight: ClassVar[float] = 1.0

    def __init__(self, value: Plain, column: Column) -> None:
        self._value = value
        self._dictionary = Dictionary(column, distinct=True)

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return self._value.nbytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded: numbers as they are, all else as a CodedColumn."""
        count = max(stop - start, 0) if rows is None else len(rows)
        column = self._dictionary.column
        if column.type.form is Form.FIXED:
            return Column(column.type, np.repeat(column.values, count))
        return CodedColumn(column.type, self._dictionary, np.zeros(count, np.int64))

    def item(self, row: int) -> Any:
        """See Encoded."""
        return self._dictionary.column.item(0)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded."""
        column = self._dictionary.column
        if is_float(column.type):
            mask = self._value.select(op, value, 0, 1)
            return None if mask is None else np.repeat(mask, max(stop - start, 0))
        key = order_key(column.type)
        if key is None:
            return None
        wanted = tuple(map(key, value)) if op is Comparison.IN else key(value)
        found = bool(matching([key(column.tolist()[0])], op, wanted))
        return np.full(max(stop - start, 0), found)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return order_key(self._dictionary.column.type) is not None

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return self._value.head()

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return self._value.buffers()

    @classmethod
    def encode(cls, column: Column) -> Constant | None:
        """See Encoding."""
        if not len(column) or not _alike(column):
            return None
        first = written_out(column.take(np.zeros(1, np.int64)))
        return cls(Plain(first), first)

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float | None:
        """See Encoding."""
        encoded = cls.encode(sample)
        return None if encoded is None else encoded.nbytes

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Constant:
        """See Encoding."""
        value = Plain.read(type, head, buffers)
        return cls(value, value.decode(0, 1, None))


def _alike(column: Column) -> bool:
    if isinstance(column, CodedColumn) and column.dictionary.distinct:
        return bool((column.codes == column.codes[0]).all())
    values = column.values
    if column.type.form in (Form.LIST, Form.ROW):
        return False
    if column.type.form in (Form.TEXT, Form.BYTES):
        return bool(values[0] == values[-1]) and len(values.unique()) == 1
    if column.type.form is Form.DECIMAL:
        # 1.1 and 1.10 are equal and are not the same
        return all(value.as_tuple() == values[0].as_tuple() for value in values)
    # bytes tell -0 from 0; the last row says most often that they are not alike
    bits = np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
    return bool((bits[-1] == bits[0]).all()) and bool((bits == bits[0]).all())
