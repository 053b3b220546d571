"""Nodes of rows: ROW(...), a field of a row, whether a row is null.

A row that is there may have nulls in all its fields; only IS NULL takes the one for the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, fields_of, row_column
from storage.types import BOOL, Type


@dataclass(frozen=True, slots=True)
class MakeRow:
    """ROW(items) of a row type. `optional`: null where all items are, as an outer join leaves them."""

    items: tuple[Expression, ...]
    type: Type
    optional: bool = False

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.items

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns = [item.evaluate(batch, run) for item in self.items]
        constant = all(column.constant for column in columns)
        rows = 1 if constant else batch.rows
        spread = [column if constant else column.spread(rows) for column in columns]
        valid = np.ones(rows, np.bool_)
        if self.optional and spread:
            valid = np.any([column.is_valid() for column in spread], axis=0)
        made = row_column(self.type, rows, spread, None if valid.all() else valid)
        made.constant = constant
        return made


@dataclass(frozen=True, slots=True)
class Field:
    """The field at place `index` of a row; null of a row that is null."""

    row: Expression
    index: int
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.row,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        row = self.row.evaluate(batch, run)
        found = fields_of(row)[self.index]
        return found.with_valid(found.valid, constant=row.constant)


@dataclass(frozen=True, slots=True)
class RowIsNull:
    """row IS NULL: it is null, or all its fields are. Where `present`, row IS NOT NULL: none of them is."""

    row: Expression
    present: bool = False

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.row,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        row = self.row.evaluate(batch, run)
        there = [field.is_valid() for field in fields_of(row)]
        if self.present:
            values = np.all([row.is_valid(), *there], axis=0)
        else:
            values = ~np.any([np.zeros(len(row), np.bool_), *there], axis=0)
        return Column(BOOL, values, constant=row.constant)
