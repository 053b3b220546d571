"""Aggregate: GROUP BY and aggregates over groups.

Each task groups and aggregates its own batch; the partial states are merged on the statement's thread
in the order of the rows, so no number of threads and no size of batches changes the answer. Calls with
DISTINCT, and those with ORDER BY whose answer depends on it, gather their rows and are aggregated at the
end. Groups come in the order in which their first rows came.

With grouping sets the rows are read once, each batch is grouped by every widest set, and the groups of
the other sets are merged from these (engine.rollups). A key that a set leaves out is null in its rows.
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
from engine.rollups import Set, rolled_up, roots
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Mask, Positions
from storage.indexes.comparable import Key, keys_of
from storage.types import INT4, INT8, Type


@dataclass(frozen=True)
class Aggregate:
    """One row a group: its keys, its calls, its groupings. Without keys there is one group, even of no rows.

    `sets` are the grouping sets, by places of keys, in the order of the result; none: all keys are one.
    A grouping, some places of keys, gives an int4 whose bits, the last key's the lowest, say which of the
    keys are not in the row's set.
    """

    child: Operator
    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...] = ()
    groupings: tuple[tuple[int, ...], ...] = ()

    @property
    def types(self) -> tuple[Type, ...]:
        return (
            *(key.type for key in self.keys),
            *(call.type for call in self.calls),
            *(INT4 for _ in self.groupings),
        )

    @property
    def key_sets(self) -> tuple[Set, ...]:
        """The grouping sets, one at least."""
        return tuple(map(frozenset, self.sets)) or (frozenset(range(len(self.keys))),)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "HashAggregate" if self.keys else "Aggregate"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._groups(run))

    def _groups(self, run: Run) -> Iterator[Batch]:
        grouped = {each: _Whole(self, each, run) for each in roots(self.key_sets)}
        for parts in self._parts(run):
            for whole, part in zip(grouped.values(), parts, strict=True):
                whole.merge(part)
        grouped = rolled_up(self.key_sets, grouped, lambda whole: whole.count, _Whole.rolled)
        results = {each: whole.finish() for each, whole in grouped.items()}
        for each in self.key_sets:
            result = results[each]
            for first in range(0, result.rows, BATCH_ROWS):
                run.check()
                yield result.slice(first, first + BATCH_ROWS)

    def _parts(self, run: Run) -> Iterator[list[_Part]]:
        """Of each batch its groups, by each of the widest sets."""
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
            yield self._grouped(batch, run)

    def _expressions(self) -> Iterator[Expression]:
        yield from self.keys
        for call in self.calls:
            yield from call.arguments
            yield from (key.expression for key in call.order)
            if call.filter is not None:
                yield call.filter
            if call.direct is not None:
                yield from call.direct.arguments

    def _task(self, task: Task, run: Run) -> list[_Part] | None:
        batch = task()
        return None if batch is None or not batch.rows else self._grouped(batch, run)

    def _grouped(self, batch: Batch, run: Run) -> list[_Part]:
        """The groups of one batch, with their states."""
        columns = [key.evaluate(batch, run).spread(batch.rows) for key in self.keys]
        inputs = [_input(call, batch, run) for call in self.calls]
        parts = []
        for each in roots(self.key_sets):
            mine = [columns[i] for i in sorted(each)]
            groups, firsts = number(mine, batch.rows)
            results = [
                _add(call, given, groups, len(firsts), run)
                for call, given in zip(self.calls, inputs, strict=True)
            ]
            parts.append(_Part.of([column.take(firsts) for column in mine], len(firsts), results))
        return parts


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

    @classmethod
    def of(cls, columns: list[Column], count: int, results: list[State | _Gathered]) -> _Part:
        return cls(columns, keys_of(columns, count), count, results)


def _gathers(call: AggregateCall) -> bool:
    """Whether a call needs all its rows together."""
    return call.distinct or (bool(call.order) and BY_ID[call.function].ordered)


@dataclass(frozen=True, slots=True)
class _Input:
    """What a call takes of a batch: the rows that its filter lets pass (None: all), and their columns."""

    mask: Mask | None
    arguments: list[Column]
    order: list[Column]


def _input(call: AggregateCall, batch: Batch, run: Run) -> _Input:
    mask = None
    if call.filter is not None:
        mask = true_rows(call.filter.evaluate(batch, run), batch.rows)
        if mask.all():
            mask = None
        else:
            batch = batch.take(mask)
    arguments = [argument.evaluate(batch, run) for argument in call.arguments]
    if not _gathers(call):
        return _Input(mask, arguments, [])
    arguments = [argument.spread(batch.rows) for argument in arguments]
    return _Input(mask, arguments, key_columns(batch, call.order, run))


def _add(call: AggregateCall, given: _Input, groups: Positions, count: int, run: Run) -> State | _Gathered:
    """A call over one batch."""
    if given.mask is not None:
        groups = groups[given.mask]
    if not _gathers(call):
        state = _start(call, run)
        state.update(groups, given.arguments, count)
        return state
    rows = _Gathered(groups, given.arguments, given.order)
    return _distinct(rows) if call.distinct else rows


def _start(call: AggregateCall, run: Run) -> State:
    return start(call.function, [argument.type for argument in call.arguments], call.type, run)


def _distinct(rows: _Gathered) -> _Gathered:
    """The first row of each group and argument values."""
    _, firsts = number([Column(INT8, rows.groups), *rows.arguments], len(rows.groups))
    return rows if len(firsts) == len(rows.groups) else rows.take(firsts)


class _Whole:
    """All groups so far of the keys at `places`."""

    def __init__(self, plan: Aggregate, places: Set, run: Run) -> None:
        self._plan = plan
        self._run = run
        self._places = sorted(places)
        types = [plan.keys[i].type for i in self._places]
        self._index = KeyIndex(types)
        self._columns: list[list[Column]] = [[Column.of(type, [])] for type in types]
        self._states = [None if _gathers(call) else _start(call, run) for call in plan.calls]
        self._gathered: list[list[_Gathered]] = [[] for _ in plan.calls]

    @property
    def count(self) -> int:
        """How many groups there are."""
        return self._index.count if self._places else 1

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
                state.merge(result, codes, self.count)

    def rolled(self, places: Set) -> _Whole:
        """The groups of fewer keys, merged from these."""
        whole = _Whole(self._plan, places, self._run)
        mine = self._key_columns()
        columns = [mine[i] for i in whole._places]
        groups, firsts = number(columns, self._index.count if self._places else 1)
        results: list[State | _Gathered] = []
        for call, state, gathered in zip(self._plan.calls, self._states, self._gathered, strict=True):
            if state is None:
                rows = _joined(gathered) if gathered else _nothing(call)
                results.append(_Gathered(groups[rows.groups], rows.arguments, rows.order))
            else:
                merged = _start(call, self._run)
                merged.merge(state, groups, len(firsts))
                results.append(merged)
        whole.merge(_Part.of([column.take(firsts) for column in columns], len(firsts), results))
        return whole

    def _key_columns(self) -> dict[int, Column]:
        """The columns of the keys, by their places."""
        columns = (Column.concat(parts[1:] or parts) for parts in self._columns)
        return dict(zip(self._places, columns, strict=True))

    def finish(self) -> Batch:
        """The result: one row a group."""
        mine = self._key_columns()
        keys = [
            mine[i] if i in mine else Column.nulls(key.type, self.count)
            for i, key in enumerate(self._plan.keys)
        ]
        groups = Batch(tuple(keys), self.count)
        results = [self._result(i, call, groups) for i, call in enumerate(self._plan.calls)]
        bits = [self._bits(places).spread(self.count) for places in self._plan.groupings]
        return Batch((*keys, *results, *bits), self.count)

    def _bits(self, places: Sequence[int]) -> Column:
        """GROUPING of these keys, for a set of which this is."""
        value = 0
        for place in places:
            value = 2 * value + (place not in self._places)
        return Column.scalar(INT4, value)

    def _result(self, index: int, call: AggregateCall, groups: Batch) -> Column:
        state = self._states[index]
        if state is None:
            state = _start(call, self._run)
            if self._gathered[index]:
                rows = _joined(self._gathered[index])
                if call.distinct:
                    rows = _distinct(rows)
                if BY_ID[call.function].ordered:
                    rows = rows.take(_order(call, rows, self._run))
                state.update(rows.groups, rows.arguments, self.count)
        state.reserve(self.count)
        if call.direct is not None:
            given = (argument.evaluate(groups, self._run) for argument in call.direct.arguments)
            state.direct = [column.spread(self.count) for column in given]
            state.directions = call.direct.directions
        return state.finish(self.count)


def _nothing(call: AggregateCall) -> _Gathered:
    return _Gathered(
        np.zeros(0, np.int64),
        [Column.of(argument.type, []) for argument in call.arguments],
        [Column.of(key.expression.type, []) for key in call.order],
    )


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
