"""Nodes of three-valued logic: AND, OR, NOT, IS NULL, IS TRUE, IN, IS DISTINCT FROM.

AND and OR ask later operands only for the rows that earlier ones left open, wherever that operand could
raise or only few rows are left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.byvalue import by_value
from engine.functions.calls import call
from engine.nodes import may_fail, narrow
from engine.run import Run
from engine.seams import Expression
from storage import kernels
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.segments.coded import CodedColumn
from storage.types import BOOL, Form, Type

# An operand that cannot fail is still narrowed to the open rows once fewer than this share are left.
_FEW = 1 / 8


def _logic(operands: tuple[Expression, ...], decided: bool, batch: Batch, run: Run) -> Column:
    """AND (decided False) and OR (decided True): a row is decided by the first operand of that value."""
    rows = left = batch.rows  # left: those that no operand has decided so far
    sure = unknown = np.zeros(rows, np.bool_)  # the others; those of which some operand is null
    constants = True
    for operand in operands:
        narrowed = left < rows and (left < rows * _FEW or may_fail(operand))
        where = kernels.true_rows(~sure, 0) if narrowed else None
        part = operand.evaluate(batch if where is None else narrow(batch, (operand,), where), run)
        if part.constant:
            value, known = bool(part.values[0]), bool(part.is_valid()[0])
            if known and value == decided:
                return part if constants else Column.scalar(BOOL, decided)
            if not known:
                unknown, constants = np.ones(rows, np.bool_), False
            continue
        constants = False
        hit, valid = part.values if decided else ~part.values, part.valid
        if valid is not None:
            hit, unknown = hit & valid, unknown | _spread(~valid, where, rows)
        sure = sure | _spread(hit, where, rows)
        left = rows - int(np.count_nonzero(sure))
        if not left:
            break
    if constants:
        return Column.scalar(BOOL, not decided)
    known_rows = sure | ~unknown
    return Column(BOOL, sure if decided else ~sure, None if known_rows.all() else known_rows)


def _spread(mask: Mask, where: Positions | None, rows: int) -> Mask:
    """A mask of the rows `where` (None: all) as one of all rows, false elsewhere."""
    if where is None:
        return mask
    spread = np.zeros(rows, np.bool_)
    spread[where] = mask
    return spread


class _Condition:
    """What is true, false or null."""

    __slots__ = ()

    @property
    def type(self) -> Type:
        return BOOL


@dataclass(frozen=True, slots=True)
class And(_Condition):
    """All operands true; false wins over null."""

    operands: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.operands

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return _logic(self.operands, False, batch, run)


@dataclass(frozen=True, slots=True)
class Or(_Condition):
    """Any operand true; true wins over null."""

    operands: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.operands

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return _logic(self.operands, True, batch, run)


@dataclass(frozen=True, slots=True)
class Not(_Condition):
    """NOT: null stays null."""

    argument: Expression

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        column = self.argument.evaluate(batch, run)
        return Column(BOOL, ~column.values, column.valid, constant=column.constant)


@dataclass(frozen=True, slots=True)
class IsNull(_Condition):
    """IS NULL, and IS NOT NULL where `negated`."""

    argument: Expression
    negated: bool = False

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        column = self.argument.evaluate(batch, run)
        valid = column.is_valid()
        return Column(BOOL, valid if self.negated else ~valid, constant=column.constant)


@dataclass(frozen=True, slots=True)
class BooleanTest(_Condition):
    """IS TRUE, IS FALSE and IS UNKNOWN (value None); never null itself."""

    argument: Expression
    value: bool | None
    negated: bool = False

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        column = self.argument.evaluate(batch, run)
        valid = column.is_valid()
        mask = ~valid if self.value is None else valid & (column.values == self.value)
        return Column(BOOL, ~mask if self.negated else mask, constant=column.constant)


@dataclass(frozen=True, slots=True)
class Distinction(_Condition):
    """IS DISTINCT FROM (IS NOT DISTINCT FROM where `negated`): null is a value like others."""

    left: Expression
    right: Expression
    equals: str
    negated: bool = False

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        left, right = self.left.evaluate(batch, run), self.right.evaluate(batch, run)
        equal = call(self.equals, (left, right), batch.rows, run, BOOL)
        same = (equal.values & equal.is_valid()) | (~left.is_valid() & ~right.is_valid())
        constant = left.constant and right.constant
        if not constant and len(same) != batch.rows:
            same = np.repeat(same, batch.rows)
        return Column(BOOL, same if self.negated else ~same, constant=constant)


@dataclass(frozen=True, slots=True)
class InList(_Condition):
    """IN (a, b, ...), and NOT IN where `negated`; null where no item is equal and one is null."""

    argument: Expression
    items: tuple[Expression, ...]
    negated: bool
    equals: str

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument, *self.items)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        argument = self.argument.evaluate(batch, run)
        items = [item.evaluate(batch, run) for item in self.items]
        column = member(argument, items, self.equals, batch.rows, run)
        if not self.negated:
            return column
        return Column(BOOL, ~column.values, column.valid, constant=column.constant)


def member(argument: Column, items: list[Column], equals: str, rows: int, run: Run) -> Column:
    """`argument` IN `items`, with SQL's nulls."""
    constants = [item for item in items if item.constant]
    if len(constants) == len(items) and not argument.constant:
        if isinstance(argument, CodedColumn):
            name = ("in", equals, tuple((item.type.oid, repr(item.tolist()[0])) for item in items))
            found = by_value(argument, lambda v: member(v, items, equals, len(v), run), name)
            if found is not None:
                return found
        mask = _looked_up(argument, items, equals)
        if mask is not None:
            missing = any(not item.is_valid()[0] for item in items)
            valid = argument.is_valid() & (mask | (not missing))
            return Column(BOOL, mask, None if valid.all() else valid)
    count = 1 if argument.constant and len(constants) == len(items) else rows
    among = np.zeros(count, np.bool_)
    unknown = np.zeros(count, np.bool_)
    for item in items:
        equal = call(equals, (argument, item), rows, run, BOOL)
        valid = equal.is_valid()
        among |= equal.values & valid
        unknown |= ~valid
    valid = among | ~unknown
    constant = argument.constant and len(constants) == len(items)
    return Column(BOOL, among, None if valid.all() else valid, constant=constant)


_SMALL_LIST = 3


def _looked_up(argument: Column, items: list[Column], equals: str) -> Mask | None:
    """Rows whose value is among constant items of its own type, by a set; None where that does not fit."""
    type = argument.type
    if equals != f"operator =({type.declared},{type.declared})" or len(items) < _SMALL_LIST:
        return None
    present = [item for item in items if item.is_valid()[0]]
    if type.form is Form.FIXED and argument.values.dtype.kind in "iu":
        wanted = np.array([item.values[0] for item in present], argument.values.dtype)
        return np.isin(argument.values, wanted)
    if type.form is Form.TEXT and type.name in ("text", "varchar", "name"):
        texts = pa.array([item.values[0].as_py() for item in present], pa.large_string())
        return np.asarray(pc.is_in(argument.values, value_set=texts).to_numpy(zero_copy_only=False))
    return None
