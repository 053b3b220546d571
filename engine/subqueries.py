"""Subqueries as expressions: a plan that is run for the value of an expression.

`arguments`, over the batch, are the outer row that the plan's Outer nodes read. A subquery without
arguments is run once a statement (`prepare`, before the first batch; an error waits until a row asks);
one with arguments once for each distinct row of them, on the statement's thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from engine.aggregates.collect import accumulated
from engine.functions.calls import call
from engine.groups import KeyIndex
from engine.lists import list_column, lists
from engine.members import Members
from engine.nodes import concat
from engine.operators.base import Operator
from engine.operators.lateral import is_volatile, row_of, within
from engine.parallel import root_memo
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Positions
from storage.errors import CardinalityViolation, DatabaseError, QueryCanceled
from storage.types import BOOL, Type

V = TypeVar("V")


@dataclass
class _Outcome:
    """What a subquery without arguments came to: a value, or the error that a row will get."""

    value: Any = None
    error: DatabaseError | None = None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class _Remembered:
    """The values of a correlated subquery so far, by its arguments."""

    def __init__(self, arguments: tuple[Expression, ...]) -> None:
        self.index = KeyIndex([argument.type for argument in arguments])
        self.values: list[Any] = []


class _Subquery(ABC, Generic[V]):
    """What a plan inside an expression comes to (`_found`): once a statement, or once for each outer row."""

    plan: Operator
    arguments: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    @abstractmethod
    def _found(self, run: Run) -> V:
        """What is kept of the plan's rows for one outer row."""

    def prepare(self, run: Run) -> None:
        """Run a plan without arguments, once a statement."""
        memo, key = root_memo(run), ("subquery", id(self))
        if self.arguments or key in memo:
            return
        try:
            memo[key] = _Outcome(self._found(within(run, [])))
        except QueryCanceled:
            raise
        except DatabaseError as error:
            memo[key] = _Outcome(error=error)

    def _once(self, run: Run) -> V:
        """What a plan without arguments came to. Raises its error."""
        self.prepare(run)
        outcome: _Outcome = root_memo(run)["subquery", id(self)]
        value: V = outcome.get()
        return value

    def _by_arguments(self, batch: Batch, run: Run) -> tuple[Positions, list[V]]:
        """(number of what each row's arguments came to, those by number)."""
        columns = [argument.evaluate(batch, run).spread(batch.rows) for argument in self.arguments]
        if is_volatile(self.plan):
            values = [self._found(within(run, row_of(columns, row))) for row in range(batch.rows)]
            return np.arange(batch.rows), values
        known = run.memo.setdefault(("subquery", id(self)), _Remembered(self.arguments))
        codes, new = known.index.assign(columns, batch.rows)
        for row in new.tolist():
            run.check()
            known.values.append(self._found(within(run, row_of(columns, row))))
        return codes, known.values


class _Value(_Subquery[Column]):
    """A subquery of one value: `_found` is a column of one row."""

    def evaluate(self, batch: Batch, run: Run) -> Column:
        """A constant where there are no arguments."""
        type: Type = self.type  # type: ignore[attr-defined]
        if not self.arguments:
            value = self._once(run)
            return Column(type, value.values, value.valid, constant=True)
        if not batch.rows:
            return Column.of(type, [])
        codes, values = self._by_arguments(batch, run)
        used, inverse = np.unique(codes, return_inverse=True)
        return concat(type, [values[code] for code in used.tolist()]).take(inverse.reshape(-1))


class _Test(_Subquery[V]):
    """A test of `operand`, row by row, against the subquery's rows."""

    operand: tuple[Expression, ...]

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (*self.operand, *self.arguments)

    @abstractmethod
    def _tested(self, found: V, operand: list[Column], rows: int, run: Run) -> Column:
        """The operand's rows against what was found for all of them."""

    def evaluate(self, batch: Batch, run: Run) -> Column:
        operand = [part.evaluate(batch, run).spread(batch.rows) for part in self.operand]
        if not self.arguments:
            return self._tested(self._once(run), operand, batch.rows, run)
        codes, values = self._by_arguments(batch, run)
        result = np.zeros(batch.rows, np.bool_)
        valid = np.ones(batch.rows, np.bool_)
        order = np.argsort(codes, kind="stable")
        borders = np.flatnonzero(np.diff(codes[order])) + 1
        for rows in np.split(order, borders) if len(order) else []:
            mine = [column.take(rows) for column in operand]
            part = self._tested(values[codes[rows[0]]], mine, len(rows), run)
            result[rows], valid[rows] = part.values, part.is_valid()
        return Column(BOOL, result, None if valid.all() else valid)


@dataclass(frozen=True)
class ScalarSubquery(_Value):
    """The one value of a plan of one column; null where it has no row."""

    plan: Operator
    arguments: tuple[Expression, ...]
    type: Type

    def _found(self, run: Run) -> Column:
        found: Column | None = None
        for part in self.plan.batches(run):
            if not part.rows:
                continue
            if part.rows > 1 or found is not None:
                raise CardinalityViolation("more than one row returned by a subquery used as an expression")
            found = part.columns[0].spread(1).retype(self.type)
        return Column.nulls(self.type, 1) if found is None else found


@dataclass(frozen=True)
class ExistsSubquery(_Value):
    """EXISTS, and NOT EXISTS where `negated`: the plan is run to its first row."""

    plan: Operator
    arguments: tuple[Expression, ...]
    negated: bool = False

    @property
    def type(self) -> Type:
        return BOOL

    def _found(self, run: Run) -> Column:
        found = any(part.rows for part in self.plan.batches(run))
        return Column(BOOL, np.array([found != self.negated]))


@dataclass(frozen=True)
class ArraySubquery(_Value):
    """ARRAY(SELECT ...): the plan's one column as an array of `type`."""

    plan: Operator
    arguments: tuple[Expression, ...]
    type: Type

    def _found(self, run: Run) -> Column:
        parts = [part.columns[0] for part in self.plan.batches(run)]
        items = Column.concat(parts or [Column.of(self.plan.types[0], [])])
        offsets = np.array([0, len(items)], np.int64)
        if items.type.is_array and len(items):
            return accumulated(self.type, offsets, items)
        return list_column(self.type, offsets, lists(items)[1] if items.type.is_array else items)


@dataclass(frozen=True)
class InSubquery(_Test[Members]):
    """(operand, ...) IN (plan), and NOT IN where `negated`; `equals` names the operator of each column.

    Null where no row is equal but one might be: an operand or a value there is null.
    """

    operand: tuple[Expression, ...]
    plan: Operator
    arguments: tuple[Expression, ...]
    equals: tuple[str, ...]
    negated: bool = False

    def _found(self, run: Run) -> Members:
        return Members(self.plan, self.equals, run)

    def _tested(self, members: Members, operand: list[Column], rows: int, run: Run) -> Column:
        found = members.contains(operand, rows, run)
        return Column(BOOL, ~found.values, found.valid) if self.negated else found


@dataclass(frozen=True)
class QuantifiedSubquery(_Test[Column]):
    """(operand) op ANY (plan), or with `every` op ALL (plan)."""

    operand: tuple[Expression]
    plan: Operator
    arguments: tuple[Expression, ...]
    operator: str
    every: bool

    def _found(self, run: Run) -> Column:
        parts = [part.columns[0] for part in self.plan.batches(run)]
        return Column.concat(parts or [Column.of(self.plan.types[0], [])])

    def _tested(self, items: Column, operand: list[Column], rows: int, run: Run) -> Column:
        values = np.full(rows, self.every)
        valid = np.ones(rows, np.bool_)
        for row in range(rows if len(items) else 0):
            result = call(self.operator, (row_of(operand, row)[0], items), len(items), run, BOOL)
            result = result.spread(len(items))
            known = result.is_valid()
            values[row] = result.values[known].all() if self.every else result.values[known].any()
            # A decisive answer stands, whatever the unknown ones are.
            valid[row] = known.all() or values[row] != self.every
        return Column(BOOL, values, None if valid.all() else valid)


@dataclass(frozen=True, slots=True)
class Paired:
    """A condition over the columns of a row, then those of another: no part of what it stands in."""

    condition: Expression


@dataclass(frozen=True)
class QuantifiedRows(_Test[list[Batch]]):
    """(operand, ...) op ANY (plan), or ALL: `test` is over the operand's columns, then the plan's."""

    operand: tuple[Expression, ...]
    plan: Operator
    arguments: tuple[Expression, ...]
    test: Paired
    every: bool

    def _found(self, run: Run) -> list[Batch]:
        return list(self.plan.batches(run))

    def _tested(self, items: list[Batch], operand: list[Column], rows: int, run: Run) -> Column:
        values, valid = np.full(rows, self.every), np.ones(rows, np.bool_)
        for row in range(rows):
            mine = row_of(operand, row)
            for part in items:
                beside = tuple(column.spread(part.rows) for column in mine)
                found = self.test.condition.evaluate(Batch((*beside, *part.columns), part.rows), run)
                found = found.spread(part.rows)
                known = found.is_valid()
                if (found.values[known] != self.every).any():
                    values[row], valid[row] = not self.every, True
                    break
                valid[row] &= bool(known.all())
        return Column(BOOL, values, None if valid.all() else valid)
