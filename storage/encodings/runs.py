"""Runs: each value that is repeated once, with the row after its last.

Values and ends are encoded themselves: ends rise, so they are deltas, whose blocks' firsts tell where a
row's run is found without decoding all of them.

    buffers 0 to 3  the ends, as Deltas
    buffers 4 on    the values, in a leaf's encoding or as Codes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc

from storage import kernels
from storage.column import Array, Column, Mask, Positions
from storage.encodings import leaves
from storage.encodings.base import Bytes, Encoded, Encoding, Proportional, describe, raw
from storage.encodings.codes import Codes
from storage.encodings.deltas import Deltas
from storage.encodings.runcolumn import RunColumn
from storage.kernels.plain.packing import BLOCK
from storage.predicate import Comparison
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import INT8, Form, Type

INNER: tuple[type[Encoding], ...] = (Codes, *leaves.LEAVES)

_DENSE = 1 / 32  # from this share of a stretch on, rows are decoded with those between them
_SHORT = 2  # runs of fewer rows on average are no runs,
_FEW = 64  # unless there are so few rows


class Runs(Proportional):
    """A column that repeats values many times in a row."""

    tag: ClassVar[str] = "rle"
    weight: ClassVar[float] = 1.25  # to repeat values takes longer than to unpack a few bits each

    def __init__(self, type: Type, values: Encoded, ends: Deltas) -> None:
        self._type, self._values, self._ends = type, values, ends

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return self._values.nbytes + self._ends.nbytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded: numbers still as runs, texts as codes into the runs' values."""
        if rows is not None and len(rows) >= (stop - start) * _DENSE:
            return self.decode(start, stop, None).take(rows)
        if rows is not None:
            if not len(rows):
                return self._values.decode(0, 0, None)
            wanted = rows + start
            first, ends = self._ends_of(int(wanted.min()), int(wanted.max()) + 1)
            runs = np.searchsorted(ends, wanted, "right")
            return self._values.decode(first, first + len(ends), None).take(runs)
        first, ends = self._ends_of(start, stop)
        values = self._values.decode(first, first + len(ends), None)
        if self._type.form is Form.FIXED:
            return RunColumn(self._type, values.values, ends, start, max(start, stop))
        if isinstance(values, CodedColumn):
            codes = _repeated(values.codes, ends, start, stop)
            return CodedColumn(self._type, values.dictionary, codes)
        runs = _repeated(np.arange(len(ends)), ends, start, stop)
        return CodedColumn(self._type, Dictionary(values, distinct=False), runs)

    def _ends_of(self, start: int, stop: int) -> tuple[int, Positions]:
        """The runs that rows start to stop touch: the first one's number, and the row after each."""
        if stop <= start:
            return 0, np.zeros(0, np.int64)
        firsts = self._ends.firsts
        low = max(int(np.searchsorted(firsts, start, "right")) - 1, 0) * BLOCK
        high = min((int(np.searchsorted(firsts, stop, "left")) + 1) * BLOCK, self._ends.rows)
        ends = self._ends.values(low, high, None, np.int64)
        first = int(np.searchsorted(ends, start, "right"))
        last = int(np.searchsorted(ends, stop, "left")) + 1
        return low + first, ends[first:last]

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """One comparison a run."""
        first, ends = self._ends_of(start, stop)
        mask = self._values.select(op, value, first, first + len(ends))
        return None if mask is None else _repeated(mask, ends, start, stop)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return self._values.exact

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"ends": describe(self._ends), "values": describe(self._values)}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [*self._ends.buffers(), *self._values.buffers()]

    @classmethod
    def encode(cls, column: Column) -> Runs | None:
        """See Encoding."""
        changes = _changes(column)
        if changes is None or (len(changes) + 1) * _SHORT > max(len(column), _FEW):
            return None
        ends = np.append(changes, len(column))
        values = column.take(ends - 1)
        # few texts stay codes, whatever they would take elsewhere: each morsel had to tell them apart anew
        coded = Codes.encode(values) if column.type.form in (Form.TEXT, Form.BYTES) else None
        return cls(column.type, coded or leaves.smallest(values, INNER), Deltas.of(INT8, ends))

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Runs:
        """See Encoding."""
        described = head["values"]
        encoding = next(inner for inner in INNER if inner.tag == described["encoding"])
        ends = Deltas.read(INT8, head["ends"]["head"], buffers[:4])
        return cls(type, encoding.read(type, described["head"], buffers[4:]), ends)


def _repeated(values: Array, ends: Positions, start: int, stop: int) -> Array:
    """The value of each row's run, which ends at its one of `ends`, for rows start to stop."""
    out = np.empty(max(stop - start, 0), values.dtype)
    kernels.repeat_runs(values, ends, start, out)
    return out


def _changes(column: Column) -> Positions | None:
    """The rows, but the first, whose value is not the one before; None for types without runs."""
    if not len(column):
        return None
    if isinstance(column, CodedColumn) and column.dictionary.distinct:
        return np.flatnonzero(column.codes[1:] != column.codes[:-1]) + 1
    type, values = column.type, column.values
    if type.form in (Form.TEXT, Form.BYTES):
        differs = pc.not_equal(values.slice(0, len(values) - 1), values.slice(1))
        return np.flatnonzero(differs.to_numpy(zero_copy_only=False)) + 1
    if type.form is not Form.FIXED or values.dtype.names:
        return None
    bits = raw(values)
    return np.flatnonzero(bits[1:] != bits[:-1]) + 1
