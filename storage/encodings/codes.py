"""Codes: each distinct value once, in order, and the rows as packed codes into them.

A comparison becomes stretches of codes, found by bisection; the packed codes are compared as they are.
Decoding gives a CodedColumn: the codes go on to whoever can use them.

    buffers 0 to 2  the codes, as Packed
    buffers 3 on    the values, in an encoding of their own, see storage.encodings.leaves
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, sqrt
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.column import Array, Column, Mask, Positions, arrow_type
from storage.encodings import leaves
from storage.encodings.base import Bytes, Encoded, compare, describe, raw
from storage.encodings.packed import Packed, selected
from storage.encodings.packedcolumn import PackedCodes
from storage.kernels.plain.terms import Term
from storage.order import Sorted, is_float, matching, order_key
from storage.predicate import Comparison
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import BPCHAR, Form, Type

MOST_VALUES = 1 << 18
MOST_BYTES = 4 << 20  # a dictionary is decoded as a whole
_SHARE = 1 / 4  # of the rows: more distinct values are no dictionary,
_FEW = 16  # unless they are so few
_MANY = 32  # items of an IN from which on all values are made comparable, not those that bisection meets


class Codes:
    """A column with few distinct values."""

    tag: ClassVar[str] = "dict"
    weight: ClassVar[float] = 1.0

    def __init__(self, type: Type, values: Encoded, codes: Packed, count: int) -> None:
        self._type, self._values, self._codes, self._count = type, values, codes, count
        self._dictionary: Dictionary | None = None

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return self._values.nbytes + self._codes.nbytes

    @property
    def count(self) -> int:
        """How many distinct values there are."""
        return self._count

    @property
    def dictionary(self) -> Dictionary:
        """The distinct values, in order; decoded once."""
        if self._dictionary is None:
            self._dictionary = Dictionary(self._values.decode(0, self._count, None), distinct=True)
        return self._dictionary

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded: numbers as they are, all else as a CodedColumn, of a whole stretch still packed."""
        if self._type.form is Form.FIXED:
            return Column(self._type, self._codes.taken(self.dictionary.column.values, start, stop, rows))
        if rows is None:
            return PackedCodes(self._type, self.dictionary, self._codes, range(start, max(start, stop)))
        return CodedColumn(self._type, self.dictionary, self._codes.decode(start, stop, rows, np.int64))

    def item(self, row: int) -> Any:
        """See Encoded."""
        return self.dictionary.column.item(self._codes.item(row))

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Finds the matching codes, then looks for those."""
        term = self.term(op, value)
        return None if term is None else selected(term, start, stop)

    def term(self, op: Comparison, value: Any) -> Term | None:
        """See Packing."""
        if is_float(self._type):
            table = compare(self.dictionary.column.values, op, value)
            return self._codes.within(0, self._count - 1, table=table)
        stretches = self._stretches(op, value)
        if stretches is None:
            return None
        if len(stretches) < 2:
            first, last = stretches[0] if stretches else (0, 0)
            return self._codes.within(first, last - 1)
        low, high = stretches[0][0], stretches[-1][1]
        table = np.zeros(high - low, np.bool_)
        for first, last in stretches:
            table[first - low : last - low] = True
        return self._codes.within(low, high - 1, table=table)

    def _stretches(self, op: Comparison, value: Any) -> list[tuple[int, int]] | None:
        """The codes that match, ascending; None where storage knows no order."""
        key = order_key(self._type)
        if key is None:
            return None
        values = self.dictionary.column
        keys: Sequence[Any] = Sorted(self._count, lambda at: key(values.slice(at, at + 1).tolist()[0]))
        wanted = key(value) if op is not Comparison.IN else tuple(map(key, value))
        if op is Comparison.IN and len(value) > _MANY:
            keys = [key(item) for item in values.tolist()]
        return matching(keys, op, wanted)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return order_key(self._type) is not None

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"rows": self._codes.rows, "count": self._count, "values": describe(self._values)}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [*self._codes.buffers(), *self._values.buffers()]

    @classmethod
    def encode(cls, column: Column) -> Codes | None:
        """See Encoding."""
        found = _distinct(column)
        if found is None:
            return None
        values, codes = found
        if len(values) > _most(len(column)) or values.nbytes > MOST_BYTES:
            return None
        order = _order(values)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return cls(column.type, leaves.encode(values.take(order)), Packed.of(rank[codes]), len(values))

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float | None:
        """The values that the rest may hold are guessed from those that the sample holds once.

        As in Charikar, Chaudhuri, Motwani, Narasayya: Towards estimation error guarantees for distinct
        values, PODS 2000.
        """
        found = _distinct(sample)
        if found is None:
            return None
        values, codes = found
        counts = np.bincount(codes, minlength=len(values))
        once = int((counts == 1).sum())
        guess: float = sqrt(rows / len(sample)) * once + (len(values) - once)
        if guess > _most(rows):
            return None
        width = values.nbytes / len(values)
        packed = Packed.of(codes).nbytes if guess < 2 * len(values) else len(sample) * log2(guess) / 8
        return guess * width + packed * rows / len(sample)

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Codes:
        """See Encoding."""
        values = leaves.read(type, head["values"], buffers[3:])
        return cls(type, values, Packed.read(head["rows"], buffers), head["count"])


def _most(rows: int) -> float:
    """How many distinct values a dictionary may have."""
    return min(MOST_VALUES, max(rows * _SHARE, _FEW))


def _distinct(column: Column) -> tuple[Column, Positions] | None:
    """(the distinct values, the number of each row's one); None for types without a dictionary."""
    type = column.type
    if not len(column):
        return None
    if isinstance(column, CodedColumn) and column.dictionary.distinct:
        present = column.present
        numbers = np.zeros(len(column.dictionary), np.int64)
        numbers[present] = np.arange(len(present))
        return column.dictionary.column.take(present), numbers[column.codes]
    array: pa.Array
    match type.form:
        case Form.TEXT | Form.BYTES:
            array = column.values
        case Form.DECIMAL:
            array = column.to_arrow()
        case Form.FIXED if type.dtype is not None and not type.dtype.names and type.dtype.itemsize > 1:
            array = pa.array(raw(column.values))
        case _:
            return None
    encoded = array.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return _values(type, encoded.dictionary), codes


def _values(type: Type, array: pa.Array) -> Column:
    """The inverse of what `_distinct` does to values."""
    if type.form is Form.FIXED:
        numbers: Array = array.to_numpy()
        return Column(type, numbers.view(type.dtype))
    if type.form is Form.DECIMAL:
        return Column.from_arrow(type, array)
    return Column(type, array.cast(arrow_type(type)))


def _order(values: Column) -> Positions:
    """The order of distinct values: SQL's where storage knows it."""
    type = values.type
    if type.form is Form.FIXED:
        return np.argsort(values.values, kind="stable")
    key = order_key(type)
    if type.form is Form.DECIMAL:
        assert key is not None
        keys = [key(value) for value in values.values]
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    array = pc.utf8_rtrim(values.values, " ") if type.oid == BPCHAR.oid else values.values
    order: Positions = pc.sort_indices(array.cast(pa.large_binary())).to_numpy().astype(np.int64)
    return order
