"""ProjectSets: set-returning functions in the select list, which multiply their row.

Several run side by side: the row comes as often as the longest gives rows, and the others are null
beyond their end. A row for which none gives anything does not come at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from engine.counters import timed
from engine.functions.calls import call_set
from engine.functions.registry import BY_ID
from engine.nodes import Call, Reference, concat, walk
from engine.operators.base import Operator
from engine.operators.lateral import row_of
from engine.operators.project import project
from engine.operators.routinescan import RoutineCall
from engine.operators.rows import without
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Positions
from storage.types import Type


@dataclass(frozen=True)
class ProjectSets:
    """The expressions over each row, once a row that their set-returning calls give."""

    child: Operator
    expressions: tuple[Expression, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(expression.type for expression in self.expressions)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "ProjectSet"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._expanded(run))

    def _expanded(self, run: Run) -> Iterator[Batch]:
        prepare(run, *self.expressions)
        calls = [node for expression in self.expressions for node in set_calls(expression)]
        width = len(self.child.types)
        places: dict[Expression, Expression] = {
            call: Reference(width + i, call.type) for i, call in enumerate(calls)
        }
        expressions = tuple(_replaced(expression, places) for expression in self.expressions)
        for batch in self.child.batches(run):
            run.check()
            if batch.rows:
                for wide in _multiplied(batch, calls, run):
                    yield project(expressions, wide, run)


def is_set_call(node: Expression) -> TypeGuard[Call | RoutineCall]:
    """Whether a node is a call that gives rows."""
    if isinstance(node, Call):
        return BY_ID[node.function].returns_set
    return isinstance(node, RoutineCall) and node.sets


def set_calls(expression: Expression) -> list[Call | RoutineCall]:
    """The set-returning calls in an expression."""
    return [node for node in walk(expression) if is_set_call(node)]


def _multiplied(batch: Batch, calls: list[Call | RoutineCall], run: Run) -> Iterator[Batch]:
    """The batch's rows as often as they come, with a column more a call."""
    arguments = [
        [argument.evaluate(batch, run).spread(batch.rows) for argument in call.arguments] for call in calls
    ]
    pending: list[tuple[int, list[Column]]] = []
    size = 0
    for row in range(batch.rows):
        given = [
            _given(call, row_of(columns, row), run) for call, columns in zip(calls, arguments, strict=True)
        ]
        longest = max(len(column) for column in given)
        if longest:
            pending.append((row, given))
            size += longest
        if size >= BATCH_ROWS:
            run.check()
            yield _joined(batch, calls, pending)
            pending, size = [], 0
    if pending:
        yield _joined(batch, calls, pending)


def _given(call: Call | RoutineCall, arguments: list[Column], run: Run) -> Column:
    """The rows of one call."""
    if isinstance(call, RoutineCall):
        return call.rows(arguments, run)
    return call_set(call.function, arguments, run)[0]


def _joined(batch: Batch, calls: list[Call | RoutineCall], pending: list[tuple[int, list[Column]]]) -> Batch:
    lengths = np.array([max(len(column) for column in given) for _, given in pending])
    rows: Positions = np.repeat(np.array([row for row, _ in pending]), lengths)
    columns = []
    for i, call in enumerate(calls):
        parts = [given[i] for _, given in pending]
        columns.append(_padded(concat(call.type, parts), np.array([len(part) for part in parts]), lengths))
    return Batch((*batch.take(rows).columns, *columns), len(rows))


def _padded(column: Column, have: Positions, want: Positions) -> Column:
    """`column`, made of parts of `have` rows, with nulls after each part to `want` rows."""
    if (have == want).all():
        return column
    if not len(column):
        return Column.nulls(column.type, int(want.sum()))
    within = np.arange(int(want.sum())) - np.repeat(np.cumsum(want) - want, want)
    there = within < np.repeat(have, want)
    rows = np.where(there, np.repeat(np.cumsum(have) - have, want) + within, 0)
    return without(column.take(rows), there)


def _replaced(node: Any, places: dict[Expression, Expression]) -> Any:
    """An expression in which these calls are references."""
    if isinstance(node, Call | RoutineCall) and node in places:
        return places[node]
    if isinstance(node, tuple):
        return tuple(_replaced(item, places) for item in node)
    if not is_dataclass(node) or isinstance(node, type) or not hasattr(node, "evaluate"):
        return node
    changes = {}
    for field in fields(node):
        value = getattr(node, field.name)
        other = _replaced(value, places)
        if other is not value and other != value:
            changes[field.name] = other
    return replace(node, **changes) if changes else node
