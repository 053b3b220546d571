"""Nodes of arrays: ARRAY[...], and comparison with ANY and ALL of an array's elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.conditions import member
from engine.functions.calls import call
from engine.lists import list_column, lists, stacked
from engine.nodes import concat
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.types import BOOL, Type


@dataclass(frozen=True, slots=True)
class MakeArray:
    """ARRAY[items]; `type` is the array type. Items that are arrays make one of a dimension more."""

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
        columns = [column.spread(rows) for column in columns]
        if columns[0].type.is_array:
            return stacked(self.type, columns, constant=constant)
        items = concat(element, columns)
        order = np.arange(rows * len(columns)).reshape(len(columns), rows).T.reshape(-1)
        return list_column(self.type, offsets, items.take(order), constant=constant)


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
