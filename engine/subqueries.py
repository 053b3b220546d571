"""Subqueries as expressions: a plan that is run for the value of an expression.

`arguments`, over the batch, are the outer row that the plan's Outer nodes read. A subquery without
arguments is run once a statement (`prepare`, before the first batch; an error waits until a row asks);
one with arguments once for each distinct row of them, on the statement's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

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


@dataclass(frozen=True)
class ScalarSubquery:
    """The one value of a plan of one column; null where it has no row."""

    plan: Operator
    arguments: tuple[Expression, ...]
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def prepare(self, run: Run) -> None:
        _prepare(self, self.arguments, run, self._value)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return _column(self, self.plan, self.arguments, batch, run, self._value, self.type)

    def _value(self, run: Run) -> Column:
        found: Column | None = None
        for part in self.plan.batches(run):
            if not part.rows:
                continue
            if part.rows > 1 or found is not None:
                raise CardinalityViolation("more than one row returned by a subquery used as an expression")
            found = part.columns[0].spread(1).retype(self.type)
        return Column.nulls(self.type, 1) if found is None else found


@dataclass(frozen=True)
class ExistsSubquery:
    """EXISTS, and NOT EXISTS where `negated`: the plan is run to its first row."""

    plan: Operator
    arguments: tuple[Expression, ...]
    negated: bool = False

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def prepare(self, run: Run) -> None:
        _prepare(self, self.arguments, run, self._value)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return _column(self, self.plan, self.arguments, batch, run, self._value, BOOL)

    def _value(self, run: Run) -> Column:
        found = any(part.rows for part in self.plan.batches(run))
        return Column(BOOL, np.array([found != self.negated]))


@dataclass(frozen=True)
class ArraySubquery:
    """ARRAY(SELECT ...): the plan's one column as an array of `type`."""

    plan: Operator
    arguments: tuple[Expression, ...]
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def prepare(self, run: Run) -> None:
        _prepare(self, self.arguments, run, self._value)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return _column(self, self.plan, self.arguments, batch, run, self._value, self.type)

    def _value(self, run: Run) -> Column:
        parts = [part.columns[0] for part in self.plan.batches(run)]
        items = Column.concat(parts or [Column.of(self.plan.types[0], [])])
        offsets = np.array([0, len(items)], np.int64)
        if items.type.is_array and len(items):
            return accumulated(self.type, offsets, items)
        return list_column(self.type, offsets, lists(items)[1] if items.type.is_array else items)


@dataclass(frozen=True)
class InSubquery:
    """(operand, ...) IN (plan), and NOT IN where `negated`; `equals` names the operator of each column.

    Null where no row is equal but one might be: an operand or a value there is null.
    """

    operand: tuple[Expression, ...]
    plan: Operator
    arguments: tuple[Expression, ...]
    equals: tuple[str, ...]
    negated: bool = False

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (*self.operand, *self.arguments)

    def prepare(self, run: Run) -> None:
        _prepare(self, self.arguments, run, self._members)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        operand = [part.evaluate(batch, run).spread(batch.rows) for part in self.operand]
        found = _tested(self, self.plan, self.arguments, batch, run, self._members, operand, self._contains)
        return Column(BOOL, ~found.values, found.valid) if self.negated else found

    def _members(self, run: Run) -> Members:
        return Members(self.plan, self.equals, run)

    @staticmethod
    def _contains(members: Members, operand: list[Column], rows: int, run: Run) -> Column:
        return members.contains(operand, rows, run)


@dataclass(frozen=True)
class QuantifiedSubquery:
    """operand op ANY (plan), or with `every` op ALL (plan)."""

    operand: Expression
    plan: Operator
    arguments: tuple[Expression, ...]
    operator: str
    every: bool

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.operand, *self.arguments)

    def prepare(self, run: Run) -> None:
        _prepare(self, self.arguments, run, self._items)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        operand = [self.operand.evaluate(batch, run).spread(batch.rows)]
        return _tested(self, self.plan, self.arguments, batch, run, self._items, operand, self._compared)

    def _items(self, run: Run) -> Column:
        parts = [part.columns[0] for part in self.plan.batches(run)]
        return Column.concat(parts or [Column.of(self.plan.types[0], [])])

    def _compared(self, items: Column, operand: list[Column], rows: int, run: Run) -> Column:
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
class QuantifiedRows:
    """(operand, ...) op ANY (plan), or ALL: `test` is over the operand's columns, then the plan's."""

    operand: tuple[Expression, ...]
    plan: Operator
    arguments: tuple[Expression, ...]
    test: Paired
    every: bool

    @property
    def type(self) -> Type:
        return BOOL

    @property
    def children(self) -> tuple[Expression, ...]:
        return (*self.operand, *self.arguments)

    def prepare(self, run: Run) -> None:
        _prepare(self, self.arguments, run, self._items)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        operand = [part.evaluate(batch, run).spread(batch.rows) for part in self.operand]
        return _tested(self, self.plan, self.arguments, batch, run, self._items, operand, self._compared)

    def _items(self, run: Run) -> list[Batch]:
        return list(self.plan.batches(run))

    def _compared(self, items: list[Batch], operand: list[Column], rows: int, run: Run) -> Column:
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


@dataclass
class _Outcome:
    """What a subquery without arguments came to: a value, or the error that a row will get."""

    value: Any = None
    error: DatabaseError | None = None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def _prepare(node: Any, arguments: tuple[Expression, ...], run: Run, compute: Callable[[Run], Any]) -> None:
    """Run a subquery without arguments, once a statement."""
    memo, key = root_memo(run), ("subquery", id(node))
    if arguments or key in memo:
        return
    try:
        memo[key] = _Outcome(compute(within(run, [])))
    except QueryCanceled:
        raise
    except DatabaseError as error:
        memo[key] = _Outcome(error=error)


def _once(node: Any, run: Run, compute: Callable[[Run], V]) -> V:
    _prepare(node, (), run, compute)
    outcome: _Outcome = root_memo(run)["subquery", id(node)]
    value: V = outcome.get()
    return value


class _Remembered:
    """The values of a correlated subquery so far, by its arguments."""

    def __init__(self, arguments: tuple[Expression, ...]) -> None:
        self.index = KeyIndex([argument.type for argument in arguments])
        self.values: list[Any] = []


def _by_arguments(
    node: Any,
    plan: Operator,
    arguments: tuple[Expression, ...],
    batch: Batch,
    run: Run,
    compute: Callable[[Run], V],
) -> tuple[Positions, list[V]]:
    """(number of each row's value, the values by number)."""
    columns = [argument.evaluate(batch, run).spread(batch.rows) for argument in arguments]
    if is_volatile(plan):
        values = [compute(within(run, row_of(columns, row))) for row in range(batch.rows)]
        return np.arange(batch.rows), values
    known = run.memo.setdefault(("subquery", id(node)), _Remembered(arguments))
    codes, new = known.index.assign(columns, batch.rows)
    for row in new.tolist():
        run.check()
        known.values.append(compute(within(run, row_of(columns, row))))
    return codes, known.values


def _column(
    node: Any,
    plan: Operator,
    arguments: tuple[Expression, ...],
    batch: Batch,
    run: Run,
    compute: Callable[[Run], Column],
    type: Type,
) -> Column:
    """A subquery of one value, as a column: constant where there are no arguments."""
    if not arguments:
        value = _once(node, run, compute)
        return Column(type, value.values, value.valid, constant=True)
    if not batch.rows:
        return Column.of(type, [])
    codes, values = _by_arguments(node, plan, arguments, batch, run, compute)
    used, inverse = np.unique(codes, return_inverse=True)
    return concat(type, [values[code] for code in used.tolist()]).take(inverse.reshape(-1))


def _tested(
    node: Any,
    plan: Operator,
    arguments: tuple[Expression, ...],
    batch: Batch,
    run: Run,
    compute: Callable[[Run], V],
    operand: list[Column],
    test: Callable[[V, list[Column], int, Run], Column],
) -> Column:
    """The operand's rows, each tested against the subquery's rows for it."""
    if not arguments:
        return test(_once(node, run, compute), operand, batch.rows, run)
    codes, values = _by_arguments(node, plan, arguments, batch, run, compute)
    result = np.zeros(batch.rows, np.bool_)
    valid = np.ones(batch.rows, np.bool_)
    order = np.argsort(codes, kind="stable")
    borders = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, borders) if len(order) else []:
        part = test(values[codes[rows[0]]], [column.take(rows) for column in operand], len(rows), run)
        result[rows], valid[rows] = part.values, part.is_valid()
    return Column(BOOL, result, None if valid.all() else valid)
