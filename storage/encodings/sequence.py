"""Sequence: integers at an even distance, told by the first and the step. Row ids of a load are such."""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import Any, ClassVar

import numpy as np

from storage.column import Array, Column, Mask, Positions
from storage.encodings.base import Bytes, compare
from storage.encodings.packed import dtype_of
from storage.order import matching
from storage.predicate import Comparison
from storage.types import Form, Type

_LOW, _HIGH = -(2**63), 2**63 - 1


class Sequence:
    """A column whose value i is first + i * step."""

    tag: ClassVar[str] = "sequence"
    weight: ClassVar[float] = 1.0

    def __init__(self, type: Type, first: int, step: int) -> None:
        self._type, self._first, self._step = type, first, step

    @property
    def nbytes(self) -> int:
        return 16

    def _values(self, start: int, stop: int, rows: Positions | None) -> Array:
        dtype, step = dtype_of(self._type), self._step
        if rows is not None:
            values: Array = ((rows + start) * step + self._first).astype(dtype)
            return values
        if stop <= start:
            return np.empty(0, dtype)
        first, last = self._first + start * step, self._first + (stop - 1) * step
        if abs(step) != 1 or not _LOW < last < _HIGH:
            # of other steps numpy divides floats to know how many values there are
            return self._values(start, stop, np.arange(stop - start))
        return np.arange(first, last + step, step, dtype=np.int64).astype(dtype, copy=False)

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        return Column(self._type, self._values(start, stop, rows))

    def item(self, row: int) -> int:
        """See Encoded."""
        return self._first + row * self._step

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded: by bisection."""
        step = self._step
        if op is Comparison.IN or not step:
            return compare(self._values(start, stop, None), op, value)
        rows = range(self._first + start * step, self._first + stop * step, step)
        mask = np.zeros(len(rows), np.bool_)
        for begin, end in matching(rows if step > 0 else rows[::-1], op, value):
            mask[slice(begin, end) if step > 0 else slice(len(rows) - end, len(rows) - begin)] = True
        return mask

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return True

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"first": self._first, "step": self._step}

    def buffers(self) -> Several[Bytes]:
        """None: the head says everything."""
        return []

    @classmethod
    def encode(cls, column: Column) -> Sequence | None:
        """See Encoding."""
        if column.type.form is not Form.FIXED or column.values.dtype.kind not in "iu" or len(column) < 3:
            return None
        values = column.values
        first, last = int(values[0]), int(values[-1])
        step = int(values[1]) - first
        fits = min(first, last, step) >= _LOW and max(first, last, step, abs(step) * len(values)) <= _HIGH
        if not fits or first + step * (len(values) - 1) != last:
            return None
        if not (np.diff(values.astype(np.int64)) == step).all():
            return None
        return cls(column.type, first, step)

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float | None:
        """See Encoding: neighbouring rows tell whether it may fit, stretches of them do not."""
        return None if cls.encode(sample.slice(0, 3)) is None else 16.0

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Several[Bytes]) -> Sequence:
        """See Encoding."""
        return cls(type, head["first"], head["step"])
