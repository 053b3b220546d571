"""Constant: one value for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes, compare
from storage.encodings.plain import Plain
from storage.predicate import Comparison
from storage.types import Form, Type


class Constant:
    """A column whose rows are all alike."""

    tag: ClassVar[str] = "constant"

    def __init__(self, value: Plain, column: Column) -> None:
        self._value = value
        self._column = column

    @property
    def nbytes(self) -> int:
        return self._column.nbytes if self._column.type.form is not Form.DECIMAL else 24

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        count = stop - start if rows is None else len(rows)
        column = self._column
        return column.with_valid(None, constant=True).spread(count)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded."""
        if self._column.type.form is not Form.FIXED or self._column.values.dtype.names:
            return None
        return np.repeat(compare(self._column.values, op, value), stop - start)

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
        first = column.take(np.zeros(1, np.int64))
        return cls(Plain(first), first)

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Constant:
        """See Encoding."""
        value = Plain.read(type, head, buffers)
        return cls(value, value.decode(0, 1, None))


def _alike(column: Column) -> bool:
    values = column.values
    if column.type.form is Form.LIST:
        return False
    if column.type.form in (Form.TEXT, Form.BYTES):
        return bool(values[0] == values[-1]) and len(values.unique()) == 1
    if column.type.form is Form.DECIMAL:
        # 1.1 and 1.10 are equal and are not the same
        return all(value.as_tuple() == values[0].as_tuple() for value in values)
    if column.type.form is Form.ROWS:
        return bool((values[-1:].view(np.uint8) == values[:1].view(np.uint8)).all()) and bool(
            (values.view(np.uint8) == values[:1].view(np.uint8)).all()
        )
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)  # tells -0 from 0
    return bool((raw == raw[0]).all())
