"""Members: the rows of a subquery as a set, for IN and NOT IN with SQL's nulls.

Rows without a null stand in a hash table where both sides' keys compare as they are; whatever nulls or
other types leave open is compared row by row with the equality operators themselves.
"""

from __future__ import annotations

import numpy as np

from engine.functions.calls import call
from engine.groups import KeyIndex, number
from engine.operators.base import Operator
from engine.operators.lateral import row_of
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import BOOL, FLOAT4, FLOAT8, INT2, INT4, INT8, NAME, TEXT, VARCHAR, Type

# Types whose keys (storage.indexes.comparable) are the same for equal values.
_ALIKE = ({INT2.oid, INT4.oid, INT8.oid}, {FLOAT4.oid, FLOAT8.oid}, {TEXT.oid, VARCHAR.oid, NAME.oid})


def alike(left: Type, right: Type) -> bool:
    """Whether values of the two types are equal just when their keys are."""
    return left.oid == right.oid or any(left.oid in oids and right.oid in oids for oids in _ALIKE)


class Members:
    """The rows of `plan`, to be compared by the operators `equals`, one a column."""

    def __init__(self, plan: Operator, equals: tuple[str, ...], run: Run) -> None:
        self._equals = equals
        types = plan.types
        parts = [part for part in plan.batches(run) if part.rows]
        whole = Batch.concat(parts) if parts else Batch.empty(types)
        self._rows = whole.rows
        whole_keys = _all_valid(whole.columns, whole.rows)
        self._index = KeyIndex(types)
        self._index.add(whole.take(whole_keys).columns, int(whole_keys.sum()))
        # Only rows with a null need another look; without a usable index, all do.
        self._types = types
        self._partial = whole.take(~whole_keys)
        self._whole = whole

    def contains(self, operand: list[Column], rows: int, run: Run) -> Column:
        """operand IN these rows."""
        if not self._rows or not rows:
            return Column(BOOL, np.zeros(rows, np.bool_))
        complete = _all_valid(operand, rows)
        if not all(alike(a.type, b) for a, b in zip(operand, self._types, strict=True)):
            return self._compared(operand, np.arange(rows), self._whole, np.zeros(rows, np.bool_), run)
        found = complete & (self._index.find(operand, rows) >= 0)
        if complete.all() and not self._partial.rows:
            return Column(BOOL, found)
        if len(operand) == 1:
            return Column(BOOL, found, found | (complete & (self._partial.rows == 0)))
        # A complete operand can still be unknown against rows with nulls only.
        first = self._compared(operand, np.flatnonzero(complete & ~found), self._partial, found, run)
        second = self._compared(operand, np.flatnonzero(~complete), self._whole, first.values, run)
        return Column(BOOL, second.values, first.is_valid() & second.is_valid())

    def _compared(
        self, operand: list[Column], rows: Positions, members: Batch, found: Mask, run: Run
    ) -> Column:
        """`found`, with these rows compared one by one."""
        values, valid = found.copy(), np.ones(len(found), np.bool_)
        if not members.rows or not len(rows):
            return Column(BOOL, values)
        mine = [column.take(rows) for column in operand]
        groups, firsts = number(mine, len(rows))
        outcomes = []
        for row in firsts.tolist():
            run.check()
            outcomes.append(self._one(row_of(mine, row), members, run))
        true, known = np.array(outcomes, np.bool_).T
        values[rows], valid[rows] = true[groups], known[groups]
        return Column(BOOL, values, valid)

    def _one(self, operand: list[Column], members: Batch, run: Run) -> tuple[bool, bool]:
        """(whether one row is in, whether that is known)."""
        possible = np.ones(members.rows, np.bool_)
        certain = np.ones(members.rows, np.bool_)
        for value, column, equals in zip(operand, members.columns, self._equals, strict=True):
            equal = call(equals, (value, column), members.rows, run, BOOL).spread(members.rows)
            known = equal.is_valid()
            certain &= known & equal.values
            possible &= ~known | equal.values
        found = bool(certain.any())
        return found, found or not possible.any()


def _all_valid(columns: list[Column] | tuple[Column, ...], rows: int) -> Mask:
    """Where no column is null."""
    mask = np.ones(rows, np.bool_)
    for column in columns:
        if column.valid is not None:
            mask &= column.valid
    return mask
