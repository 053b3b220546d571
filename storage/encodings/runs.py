"""Runs: each value once, with the row after its last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from storage.column import Array, Column, Mask, Positions
from storage.encodings.base import Bytes, compare, flat
from storage.predicate import Comparison
from storage.types import Form, Type


class Runs:
    """A numeric column that repeats values many times in a row."""

    tag: ClassVar[str] = "runs"

    def __init__(self, type: Type, values: Array, ends: Positions) -> None:
        self._type, self._values, self._ends = type, values, ends

    @property
    def nbytes(self) -> int:
        return int(self._values.nbytes + self._ends.nbytes)

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        if rows is not None:
            runs = np.searchsorted(self._ends, rows + start, "right")
            return Column(self._type, self._values[runs])
        first, last, lengths = self._span(start, stop)
        return Column(self._type, np.repeat(self._values[first:last], lengths))

    def _span(self, start: int, stop: int) -> tuple[int, int, Positions]:
        """The runs that rows start to stop touch: first, one after the last, rows of each."""
        if stop <= start:
            return 0, 0, np.zeros(0, np.int64)
        first = int(np.searchsorted(self._ends, start, "right"))
        last = int(np.searchsorted(self._ends, stop - 1, "right")) + 1
        ends = np.minimum(self._ends[first:last], stop)
        return first, last, np.diff(ends, prepend=start)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """One comparison a run."""
        first, last, lengths = self._span(start, stop)
        return np.repeat(compare(self._values[first:last], op, value), lengths)

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [flat(self._values), flat(self._ends)]

    @classmethod
    def encode(cls, column: Column) -> Runs | None:
        """See Encoding."""
        values = column.values
        if column.type.form is not Form.FIXED or values.dtype.names or not len(values):
            return None
        raw = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")  # tells -0 from 0
        ends = np.append(np.flatnonzero(raw[1:] != raw[:-1]) + 1, len(values))
        return cls(column.type, values[ends - 1], ends)

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Runs:
        """See Encoding."""
        assert type.dtype is not None
        return cls(type, buffers[0].view(type.dtype), buffers[1].view(np.int64))
