"""Nodes of arrays: ARRAY[...], a[i], and comparison with ANY and ALL of an array's elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.conditions import member
from engine.functions.calls import call
from engine.functions.lists import list_column, lists
from engine.nodes import concat
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.types import BOOL, INT2VECTOR, OIDVECTOR, Type


@dataclass(frozen=True, slots=True)
class MakeArray:
    """ARRAY[items]; `type` is the array type."""

    items: tuple[Expression, ...]
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.items

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns = [item.evaluate(batch, run) for item in self.items]
        constant = all(column.constant for column in columns)
        rows = 1 if constant else batch.rows
        element = self.type.element
        assert element is not None
        offsets = np.arange(rows + 1, dtype=np.int64) * len(columns)
        if not columns:
            return list_column(self.type, offsets, Column.of(element, []), constant=constant)
        items = concat(element, [column.spread(rows) if not constant else column for column in columns])
        order = np.arange(rows * len(columns)).reshape(len(columns), rows).T.reshape(-1)
        return list_column(self.type, offsets, items.take(order), constant=constant)


@dataclass(frozen=True, slots=True)
class Subscript:
    """array[index], from 1 (int2vector and oidvector: from 0); null outside."""

    array: Expression
    index: Expression
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.array, self.index)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        array, index = self.array.evaluate(batch, run), self.index.evaluate(batch, run)
        constant = array.constant and index.constant
        rows = 1 if constant else batch.rows
        if not constant:
            array, index = array.spread(rows), index.spread(rows)
        first = 0 if array.type.base in (INT2VECTOR, OIDVECTOR) else 1
        offsets, elements = lists(array)
        at = index.values.astype(np.int64) - first
        inside = array.is_valid() & index.is_valid() & (at >= 0) & (at < np.diff(offsets))
        if not inside.any():
            return Column.scalar(self.type, None)
        position = np.where(inside, offsets[:-1] + at, 0)
        picked = elements.take(position)
        valid = inside & picked.is_valid()
        return picked.retype(self.type).with_valid(None if valid.all() else valid, constant=constant)


@dataclass(frozen=True, slots=True)
class Slice:
    """array[lower:upper], both ends included and optional; empty where they leave nothing."""

    array: Expression
    lower: Expression | None
    upper: Expression | None

    @property
    def type(self) -> Type:
        return self.array.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return tuple(node for node in (self.array, self.lower, self.upper) if node is not None)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        given = [None if e is None else e.evaluate(batch, run) for e in (self.array, self.lower, self.upper)]
        constant = all(column is None or column.constant for column in given)
        rows = 1 if constant else batch.rows
        array, lower, upper = (None if column is None else column.spread(rows) for column in given)
        assert array is not None
        offsets, elements = lists(array)
        first = 0 if array.type.base in (INT2VECTOR, OIDVECTOR) else 1
        lengths = np.diff(offsets)
        valid = array.is_valid()
        start, stop = np.zeros(rows, np.int64), lengths
        if lower is not None:
            start = np.maximum(lower.values.astype(np.int64) - first, 0)
            valid = valid & lower.is_valid()
        if upper is not None:
            stop = np.minimum(upper.values.astype(np.int64) - first + 1, lengths)
            valid = valid & upper.is_valid()
        counts = np.where(valid, np.maximum(stop - start, 0), 0)
        ends = np.cumsum(counts)
        within = np.arange(int(ends[-1]) if rows else 0) - np.repeat(ends - counts, counts)
        picked = elements.take(np.repeat(offsets[:-1] + start, counts) + within)
        mask = None if valid.all() else valid
        return list_column(self.type, np.append(0, ends), picked, mask, constant=constant)


@dataclass(frozen=True, slots=True)
class Quantified:
    """operand operator ANY (array), or ALL where `every`; `operator` is the overload's id."""

    operand: Expression
    array: Expression
    operator: str
    every: bool

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.operand, self.array)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        operand, array = self.operand.evaluate(batch, run), self.array.evaluate(batch, run)
        if not array.constant:
            return self._by_row(operand.spread(batch.rows), array, run)
        if not array.is_valid()[0]:
            return Column.scalar(BOOL, None)
        _, elements = lists(array)
        items = [_scalar(elements, i) for i in range(len(elements))]
        if not items:
            return Column.scalar(BOOL, self.every)
        if self.operator.startswith("operator =(") and not self.every:
            return member(operand, items, self.operator, batch.rows, run)
        return self._by_item(operand, items, batch.rows, run)

    def _by_item(self, operand: Column, items: list[Column], rows: int, run: Run) -> Column:
        """One comparison for each element of a constant array."""
        count = 1 if operand.constant else rows
        decided = np.zeros(count, np.bool_)
        unknown = np.zeros(count, np.bool_)
        for item in items:
            part = call(self.operator, (operand, item), rows, run, BOOL)
            valid = part.is_valid()
            decided |= (part.values != self.every) & valid
            unknown |= ~valid
        return self._result(decided, unknown, operand.constant)

    def _by_row(self, operand: Column, array: Column, run: Run) -> Column:
        """One comparison of all elements of all rows."""
        rows = len(array)
        offsets, elements = lists(array)
        counts = np.diff(offsets)
        parent = np.repeat(np.arange(rows), counts)
        part = call(self.operator, (operand.take(parent), elements), len(parent), run, BOOL)
        part = part.spread(len(parent))
        valid = part.is_valid()
        decided = np.bincount(parent, (part.values != self.every) & valid, rows) > 0
        unknown = (np.bincount(parent, ~valid, rows) > 0) | ~array.is_valid()
        return self._result(decided, unknown, False)

    def _result(self, decided: np.ndarray, unknown: np.ndarray, constant: bool) -> Column:
        values = ~decided if self.every else decided
        valid = decided | ~unknown
        return Column(BOOL, values, None if valid.all() else valid, constant=constant)


def _scalar(column: Column, row: int) -> Column:
    item = column.slice(row, row + 1)
    values = item.values
    if isinstance(values, pa.Array):
        values = pa.concat_arrays([values])
    return Column(item.type, values, item.valid, constant=True)
