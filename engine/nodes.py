"""The bound expression itself: the protocol, the leaves, calls and casts.

A node is frozen and holds ids of functions, so a plan can be pickled. `evaluate` gives a column of
`batch.rows` rows, or a constant one. Nodes that must not compute what they need not (AND, CASE) look at
`may_fail` and narrow the batch to the rows that are still open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine import casts
from engine.functions.calls import call
from engine.functions.registry import BY_ID
from engine.mixedscales import of_parts
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import Form, Type


@dataclass(frozen=True, slots=True)
class Reference:
    """Column `index` of the input batch."""

    index: int
    type: Type
    name: str = ""  # for EXPLAIN

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return batch.columns[self.index]


@dataclass(frozen=True)
class Constant:
    """A value known when the statement was bound. `value` is a constant column.

    `text` is its text form where only the catalog could tell it.
    """

    value: Column
    text: str | None = field(default=None, compare=False)

    @property
    def type(self) -> Type:
        return self.value.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return self.value


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value given at execution: $1 has index 0. Lifted literals are parameters too."""

    index: int
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return run.parameters[self.index]


@dataclass(frozen=True, slots=True)
class Outer:
    """A column of the outer row, inside a correlated subquery."""

    index: int
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return run.outer[self.index]


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator, by the id of its overload, applied to arguments."""

    function: str
    arguments: tuple[Expression, ...]
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns = [argument.evaluate(batch, run) for argument in self.arguments]
        return call(self.function, columns, batch.rows, run, self.type)


@dataclass(frozen=True, slots=True)
class Cast:
    """The argument as another type. `explicit`: CAST, which may cut; otherwise an assignment."""

    argument: Expression
    type: Type
    explicit: bool = True

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        if not isinstance(self.argument, Parameter):
            return casts.convert(self.argument.evaluate(batch, run), self.type, run, explicit=self.explicit)
        # the same for every batch of a run: a lifted literal above all
        key = self.argument, self.type, self.explicit
        known: Column | None = run.memo.get(key)
        if known is None:
            given = self.argument.evaluate(batch, run)
            known = run.memo[key] = casts.convert(given, self.type, run, explicit=self.explicit)
        return known


def true_rows(column: Column, rows: int) -> Mask:
    """Where a condition is true: neither false nor null."""
    values: Mask = column.values
    valid = column.valid
    mask = values if valid is None else values & valid
    return np.repeat(mask, rows) if column.constant else mask


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything below it."""
    yield expression
    for child in expression.children:
        yield from walk(child)


def may_fail(expression: Expression) -> bool:
    """Whether evaluating it on a row that is not asked for could raise, write or cost much."""
    for node in walk(expression):
        if isinstance(node, Reference | Constant | Parameter | Outer) or type(node).__name__ in _TOTAL:
            continue
        if isinstance(node, Call) and BY_ID[node.function].total:
            continue
        return True
    return False


# Nodes of the other files that never raise by themselves.
_TOTAL = frozenset({"And", "Fused", "Or", "Not", "IsNull", "BooleanTest"})


def narrow(batch: Batch, expressions: Sequence[Expression], rows: Positions) -> Batch:
    """The batch at these rows, for evaluating `expressions` only.

    Columns that none of them reads stay as they are, at their old length.
    """
    if len(rows) == batch.rows:
        return batch
    wanted = {n.index for e in expressions for n in walk(e) if isinstance(n, Reference)}
    columns = tuple(c.take(rows) if i in wanted else c for i, c in enumerate(batch.columns))
    return Batch(columns, len(rows))


def gather(type: Type, parts: Sequence[tuple[Positions, Column]], rows: int) -> Column:
    """One column of `rows` rows out of parts, each with the rows it fills; rows in no part are null."""
    parts = [(positions, column) for positions, column in parts if len(positions)]
    if len(parts) == 1 and len(parts[0][0]) == rows:
        return parts[0][1].retype(type)
    filled = sum(len(positions) for positions, _ in parts)
    if filled < rows:
        mask = np.ones(rows, np.bool_)
        for positions, _ in parts:
            mask[positions] = False
        parts.append((np.flatnonzero(mask), Column.scalar(type, None)))
    if not parts:
        return Column.of(type, [])
    order = np.empty(rows, np.int64)
    order[np.concatenate([positions for positions, _ in parts])] = np.arange(rows)
    if type.form is Form.DECIMAL:
        parts = [(positions, column.in_units() if column.constant else column) for positions, column in parts]
    columns = [column.spread(len(positions)) for positions, column in parts]
    counted = of_parts(type, columns, order) if type.form is Form.DECIMAL else None
    return concat(type, columns).take(order) if counted is None else counted


def concat(type: Type, columns: Sequence[Column]) -> Column:
    """The columns one after another as `type`; all-null rows take the others' width."""
    if type.form is Form.ROWS:
        width = max(column.values.shape[1] for column in columns)
        columns = [_widened(type, column, width) for column in columns]
    return Column.concat([column.retype(type) for column in columns])


def _widened(type: Type, column: Column, width: int) -> Column:
    if column.values.shape[1] == width or column.is_valid().any():
        return column
    return Column(type, np.zeros((len(column), width), type.dtype), np.zeros(len(column), np.bool_))
