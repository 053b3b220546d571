"""Nodes that choose between values: CASE, COALESCE, NULLIF, GREATEST and LEAST.

CASE and COALESCE evaluate a branch only for the rows that reach it, so `CASE WHEN x <> 0 THEN 1 / x END`
never divides by zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.functions.calls import call
from engine.nodes import gather, narrow, true_rows
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Positions
from storage.types import BOOL, Type


@dataclass(frozen=True, slots=True)
class Case:
    """CASE WHEN condition THEN value ... ELSE otherwise END."""

    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        pairs = tuple(node for when in self.whens for node in when)
        return pairs if self.otherwise is None else (*pairs, self.otherwise)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        open_rows: Positions = np.arange(batch.rows)
        parts: list[tuple[Positions, Column]] = []
        for condition, value in self.whens:
            column = condition.evaluate(narrow(batch, (condition,), open_rows), run)
            chosen = true_rows(column, len(open_rows))
            if column.constant and not column.values[0]:
                continue
            rows = open_rows[chosen]
            if len(rows):
                parts.append((rows, value.evaluate(narrow(batch, (value,), rows), run)))
                open_rows = open_rows[~chosen]
            if not len(open_rows):
                break
        if len(open_rows) and self.otherwise is not None:
            rest = narrow(batch, (self.otherwise,), open_rows)
            parts.append((open_rows, self.otherwise.evaluate(rest, run)))
        return gather(self.type, parts, batch.rows)


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first argument that is not null."""

    arguments: tuple[Expression, ...]
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def evaluate(self, batch: Batch, run: Run) -> Column:
        open_rows: Positions = np.arange(batch.rows)
        parts: list[tuple[Positions, Column]] = []
        for argument in self.arguments:
            column = argument.evaluate(narrow(batch, (argument,), open_rows), run)
            valid = column.valid
            if valid is None or valid.all():
                parts.append((open_rows, column))
                break
            if column.constant:
                continue
            parts.append((open_rows[valid], column.take(valid)))
            open_rows = open_rows[~valid]
        return gather(self.type, parts, batch.rows)


@dataclass(frozen=True, slots=True)
class NullIf:
    """`left`, or null where it equals `right`."""

    left: Expression
    right: Expression
    equals: str

    @property
    def type(self) -> Type:
        return self.left.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        left, right = self.left.evaluate(batch, run), self.right.evaluate(batch, run)
        equal = true_rows(call(self.equals, (left, right), batch.rows, run, BOOL), 1)
        if not equal.any():
            return left
        constant = left.constant and right.constant
        if not constant:
            left = left.spread(batch.rows)
        return left.with_valid(left.is_valid() & ~equal, constant=constant)


@dataclass(frozen=True, slots=True)
class Extreme:
    """GREATEST or LEAST: nulls are left out; null if there is nothing else."""

    arguments: tuple[Expression, ...]
    type: Type
    greatest: bool
    before: str  # id of the operator that says whether a value beats another

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns = [argument.evaluate(batch, run) for argument in self.arguments]
        constant = all(column.constant for column in columns)
        rows = 1 if constant else batch.rows
        columns = [column.spread(rows) if not constant else column for column in columns]
        best = columns[0]
        for column in columns[1:]:
            wins = true_rows(call(self.before, (column, best), rows, run, BOOL), rows)
            wins = (wins | ~best.is_valid())[:rows] & column.is_valid()
            parts = [(np.flatnonzero(wins), column.take(wins)), (np.flatnonzero(~wins), best.take(~wins))]
            best = gather(self.type, parts, rows)
        return best.retype(self.type).with_valid(best.valid, constant=constant)
