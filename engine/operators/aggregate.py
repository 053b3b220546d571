"""Aggregate: GROUP BY and aggregates over groups.

Each task groups and aggregates its own batch; the partial states are merged on the statement's thread
in the order of the rows, so no number of threads and no size of batches changes the answer. Calls with
DISTINCT, and those with ORDER BY whose answer depends on it, gather their rows and are aggregated at the
end. Groups come in the order in which their first rows came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.aggregates.registry import BY_ID, AggregateCall, State, start
from engine.counters import timed
from engine.groups import KeyIndex, number
from engine.nodes import true_rows
from engine.operators.base import Operator, Task, tasks_of
from engine.operators.sort import key_columns, sort_words
from engine.orders import order_words, sorted_rows
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Positions
from storage.indexes.comparable import Key, keys_of
from storage.types import INT8, Type


@dataclass(frozen=True)
class Aggregate:
    """One row a group: its keys, then its calls. Without keys there is one group, even of no rows."""

    child: Operator
    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return (*(key.type for key in self.keys), *(call.type for call in self.calls))

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "HashAggregate" if self.keys else "Aggregate"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._groups(run))

    def _groups(self, run: Run) -> Iterator[Batch]:
        whole = _Whole(self, run)
        for part in self._parts(run):
            whole.merge(part)
        result = whole.finish()
        for first in range(0, result.rows, BATCH_ROWS):
            run.check()
            yield result.slice(first, first + BATCH_ROWS)

    def _parts(self, run: Run) -> Iterator[_Part]:
        expressions = list(self._expressions())
        prepare(run, *expressions)
        if pool_safe(*expressions):
            tasks = (partial(self._task, task, run) for task in tasks_of(self.child, run))
            for part in ordered(tasks, run):
                if part is not None:
                    yield part
            return
        for batch in self.child.batches(run):
            run.check()
            yield self._part(batch, run)

    def _expressions(self) -> Iterator[Expression]:
        yield from self.keys
        for call in self.calls:
            yield from call.arguments
            yield from (key.expression for key in call.order)
            if call.filter is not None:
                yield call.filter

    def _task(self, task: Task, run: Run) -> _Part | None:
        batch = task()
        return None if batch is None or not batch.rows else self._part(batch, run)

    def _part(self, batch: Batch, run: Run) -> _Part:
        """The groups of one batch, with their states."""
        columns = [key.evaluate(batch, run).spread(batch.rows) for key in self.keys]
        groups, firsts = number(columns, batch.rows)
        results = [_add(call, batch, groups, len(firsts), run) for call in self.calls]
        distinct = [column.take(firsts) for column in columns]
        return _Part(distinct, keys_of(distinct, len(firsts)), len(firsts), results)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Rows of a call that is aggregated at the end: their groups, arguments and sort keys."""

    groups: Positions
    arguments: list[Column]
    order: list[Column]

    def take(self, rows: Positions) -> _Gathered:
        return _Gathered(
            self.groups[rows], [c.take(rows) for c in self.arguments], [c.take(rows) for c in self.order]
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """The groups of one batch: key columns and keys of each, how many, and what each call has."""

    columns: list[Column]
    keys: list[Key]
    count: int
    results: list[State | _Gathered]


def _gathers(call: AggregateCall) -> bool:
    """Whether a call needs all its rows together."""
    return call.distinct or (bool(call.order) and BY_ID[call.function].ordered)


def _add(call: AggregateCall, batch: Batch, groups: Positions, count: int, run: Run) -> State | _Gathered:
    """A call over one batch."""
    if call.filter is not None:
        mask = true_rows(call.filter.evaluate(batch, run), batch.rows)
        if not mask.all():
            batch, groups = batch.take(mask), groups[mask]
    arguments = [argument.evaluate(batch, run) for argument in call.arguments]
    if not _gathers(call):
        state = _start(call, run)
        state.update(groups, arguments, count)
        return state
    arguments = [argument.spread(batch.rows) for argument in arguments]
    rows = _Gathered(groups, arguments, key_columns(batch, call.order, run))
    return _distinct(rows) if call.distinct else rows


def _start(call: AggregateCall, run: Run) -> State:
    return start(call.function, [argument.type for argument in call.arguments], call.type, run)


def _distinct(rows: _Gathered) -> _Gathered:
    """The first row of each group and argument values."""
    _, firsts = number([Column(INT8, rows.groups), *rows.arguments], len(rows.groups))
    return rows if len(firsts) == len(rows.groups) else rows.take(firsts)


class _Whole:
    """All groups so far."""

    def __init__(self, plan: Aggregate, run: Run) -> None:
        self._plan = plan
        self._run = run
        self._index = KeyIndex([key.type for key in plan.keys])
        self._columns: list[list[Column]] = [[Column.of(key.type, [])] for key in plan.keys]
        self._states = [None if _gathers(call) else _start(call, run) for call in plan.calls]
        self._gathered: list[list[_Gathered]] = [[] for _ in plan.calls]

    @property
    def _count(self) -> int:
        return self._index.count if self._plan.keys else 1

    def merge(self, part: _Part) -> None:
        """Add the groups of the next batch."""
        codes, new = self._index.assign_distinct(part.keys, part.count)
        for parts, column in zip(self._columns, part.columns, strict=True):
            if len(new):
                parts.append(column if len(new) == part.count else column.take(new))
        for state, gathered, result in zip(self._states, self._gathered, part.results, strict=True):
            if isinstance(result, _Gathered):
                gathered.append(_Gathered(codes[result.groups], result.arguments, result.order))
            else:
                assert state is not None
                state.merge(result, codes, self._count)

    def finish(self) -> Batch:
        """The result: one row a group."""
        keys = [Column.concat(parts[1:] or parts) for parts in self._columns]
        results = [self._result(i, call) for i, call in enumerate(self._plan.calls)]
        return Batch((*keys, *results), self._count)

    def _result(self, index: int, call: AggregateCall) -> Column:
        state = self._states[index]
        if state is None:
            state = _start(call, self._run)
            if self._gathered[index]:
                rows = _joined(self._gathered[index])
                if call.distinct:
                    rows = _distinct(rows)
                if BY_ID[call.function].ordered:
                    rows = rows.take(_order(call, rows, self._run))
                state.update(rows.groups, rows.arguments, self._count)
        state.reserve(self._count)
        return state.finish(self._count)


def _joined(parts: Sequence[_Gathered]) -> _Gathered:
    groups = np.concatenate([part.groups for part in parts])
    arguments = [Column.concat(c) for c in zip(*(part.arguments for part in parts), strict=True)]
    order = [Column.concat(c) for c in zip(*(part.order for part in parts), strict=True)]
    return _Gathered(groups, arguments, order)


def _order(call: AggregateCall, rows: _Gathered, run: Run) -> Positions:
    """The rows by group and, within it, as ORDER BY says; DISTINCT without it goes by the values."""
    words = [rows.groups.view(np.uint64), *sort_words(call.order, rows.order)]
    if call.distinct:
        for column in rows.arguments:
            words += order_words(column, False, False)[0]
    return sorted_rows(words, run)
