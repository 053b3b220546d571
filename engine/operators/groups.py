"""Groups of an aggregation: what a batch gives of each call, all groups so far, and their results.

`inputs` evaluates what calls take of a batch, `result` aggregates it by the batch's own groups, which with
their keys are a Part; a Whole merges Parts in the order of the rows. Calls with DISTINCT, and those with
ORDER BY whose answer depends on it, gather their rows and are aggregated at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.aggregates.registry import BY_ID, AggregateCall, State, start
from engine.groups import KeyIndex, number
from engine.memory import footprint
from engine.nodes import true_rows
from engine.operators.sortkeys import key_columns, sort_words
from engine.orders import order_words, sorted_rows
from engine.rollups import Set
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.indexes.comparable import Key, keys_of
from storage.types import INT8, Type

Calls = Sequence[AggregateCall]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rows of a call that is aggregated at the end: their groups, arguments and sort keys."""

    groups: Positions
    arguments: list[Column]
    order: list[Column]

    @property
    def nbytes(self) -> int:
        """Bytes of its columns."""
        return self.groups.nbytes + sum(column.nbytes for column in (*self.arguments, *self.order))

    def take(self, rows: Positions | Mask) -> Gathered:
        """Those rows."""
        return Gathered(
            self.groups[rows], [c.take(rows) for c in self.arguments], [c.take(rows) for c in self.order]
        )

    def moved(self, places: Positions) -> Gathered:
        """The same rows, group i as group `places[i]`."""
        return Gathered(places[self.groups], self.arguments, self.order)


@dataclass(frozen=True, slots=True)
class Input:
    """What a call takes of a batch: the rows that its filter lets pass (None: all), and their columns."""

    mask: Mask | None
    arguments: list[Column]
    order: list[Column]


class Part:
    """The groups of one batch: key columns of each, how many, and what each call has."""

    __slots__ = ("_keys", "columns", "count", "results")

    def __init__(
        self,
        columns: list[Column],
        count: int,
        results: Sequence[State | Gathered],
        keys: list[Key] | None = None,
    ) -> None:
        self.columns, self.count, self.results = columns, count, results
        self._keys = keys  # of a part that is the only one they are not asked for

    @property
    def keys(self) -> list[Key]:
        """The keys of each group."""
        if self._keys is None:
            self._keys = keys_of(self.columns, self.count)
        return self._keys


def gathers(call: AggregateCall) -> bool:
    """Whether a call needs all its rows together."""
    return call.distinct or (bool(call.order) and _needs_order(call))


def _needs_order(call: AggregateCall) -> bool:
    """Whether the order of a call's rows changes its answer, and the call does not see to that itself."""
    found = BY_ID[call.function]
    return found.ordered and found.state.needs_order([argument.type for argument in call.arguments])


def keeps_rows(call: AggregateCall) -> bool:
    """Whether what a call holds grows with its rows, not with its groups."""
    return gathers(call) or BY_ID[call.function].state.keeps_rows


def inputs(call: AggregateCall, batch: Batch, run: Run) -> Input:
    """What a call takes of a batch."""
    mask = None
    if call.filter is not None:
        mask = true_rows(call.filter.evaluate(batch, run), batch.rows)
        if mask.all():
            mask = None
        else:
            batch = batch.take(mask)
    arguments = [argument.evaluate(batch, run) for argument in call.arguments]
    if not gathers(call):
        return Input(mask, arguments, [])
    arguments = [argument.spread(batch.rows) for argument in arguments]
    return Input(mask, arguments, key_columns(batch, call.order, run))


def result(call: AggregateCall, given: Input, groups: Positions, count: int, run: Run) -> State | Gathered:
    """A call over rows that belong to these of `count` groups."""
    if given.mask is not None:
        groups = groups[given.mask]
    if not gathers(call):
        state = begun(call, run)
        state.update(groups, given.arguments, count)
        return state
    rows = Gathered(groups, given.arguments, given.order)
    return _distinct(rows) if call.distinct else rows


def begun(call: AggregateCall, run: Run) -> State:
    """A call's empty state."""
    return start(call.function, [argument.type for argument in call.arguments], call.type, run)


def _distinct(rows: Gathered) -> Gathered:
    """The first row of each group and argument values."""
    _, firsts = number([Column(INT8, rows.groups), *rows.arguments], len(rows.groups))
    return rows if len(firsts) == len(rows.groups) else rows.take(firsts)


def finished(
    call: AggregateCall, found: State | Sequence[Gathered], groups: Batch, count: int, run: Run
) -> Column:
    """A call's value of groups 0 to `count`; `groups` has the columns of all keys."""
    if isinstance(found, State):
        state = found
    else:
        state = begun(call, run)
        if found:
            rows = joined(found)
            if call.distinct:
                rows = _distinct(rows)
            if BY_ID[call.function].ordered:
                rows = rows.take(_order(call, rows, run))
            state.update(rows.groups, rows.arguments, count)
    state.reserve(count)
    give_direct(call, state, groups, count, run)
    return state.finish(count)


def give_direct(call: AggregateCall, state: State, groups: Batch, count: int, run: Run) -> None:
    """Give the state of an ordered-set aggregate its direct arguments, a row a group."""
    if call.direct is not None:
        given = (argument.evaluate(groups, run) for argument in call.direct.arguments)
        state.direct = [column.spread(count) for column in given]
        order = tuple((key.descending, key.nulls_first) for key in call.order)
        state.directions = call.direct.directions or order


def joined(parts: Sequence[Gathered]) -> Gathered:
    """The rows of several as one; at least one."""
    groups = np.concatenate([part.groups for part in parts])
    arguments = [Column.concat(c) for c in zip(*(part.arguments for part in parts), strict=True)]
    order = [Column.concat(c) for c in zip(*(part.order for part in parts), strict=True)]
    return Gathered(groups, arguments, order)


def _order(call: AggregateCall, rows: Gathered, run: Run) -> Positions:
    """The rows by group and, within it, as ORDER BY says; DISTINCT without it goes by the values."""
    words = [rows.groups.view(np.uint64), *sort_words(call.order, rows.order)]
    if call.distinct:
        for column in rows.arguments:
            words += order_words(column, False, False)[0]
    return sorted_rows(words, run)


class Whole:
    """All groups so far of the keys at `places`, which are of these types."""

    def __init__(self, calls: Calls, places: Set, types: Sequence[Type], run: Run) -> None:
        self.places = sorted(places)
        self._calls = calls
        self._types = types
        self._run = run
        mine = [types[i] for i in self.places]
        self._index = KeyIndex(mine)
        self._columns: list[list[Column]] = [[Column.of(type, [])] for type in mine]
        self._results: list[State | list[Gathered]] = [
            [] if gathers(call) else begun(call, run) for call in calls
        ]
        self._fresh = True
        self._only: Part | None = None  # all there is, not entered yet: perhaps nothing else comes

    @property
    def count(self) -> int:
        """How many groups there are."""
        if not self.places:
            return 1
        return self._index.count if self._only is None else self._only.count

    @property
    def nbytes(self) -> int:
        """About how many bytes it holds."""
        found = self._results if self._only is None else self._only.results
        states = (vars(each) if isinstance(each, State) else each for each in found)
        columns = self._columns if self._only is None else self._only.columns
        return self._index.nbytes + footprint(columns) + sum(footprint(state) for state in states)

    def merge(self, part: Part) -> None:
        """Add the groups of the next batch."""
        if self._only is None and self._fresh:
            self._only, self._fresh = part, False
            return
        self.enter()
        self._add(part)

    def enter(self) -> None:
        """Have the only part among the groups: before several threads ask for what calls have."""
        if self._only is not None:
            part, self._only = self._only, None
            self._add(part)

    def _add(self, part: Part) -> None:
        codes, new = self._index.assign_distinct(part.keys, part.count)
        for parts, column in zip(self._columns, part.columns, strict=True):
            if len(new):
                parts.append(column if len(new) == part.count else column.take(new))
        for mine, theirs in zip(self._results, part.results, strict=True):
            if isinstance(theirs, Gathered):
                assert isinstance(mine, list)
                mine.append(theirs.moved(codes))
            else:
                assert isinstance(mine, State)
                mine.merge(theirs, codes, self.count)

    def rolled(self, places: Set) -> Whole:
        """The groups of fewer keys, merged from these."""
        self.enter()
        whole = Whole(self._calls, places, self._types, self._run)
        mine = self.key_columns()
        columns = [mine[i] for i in whole.places]
        groups, firsts = number(columns, self._index.count if self.places else 1)
        results = [self.moved(i, groups, len(firsts)) for i in range(len(self._calls))]
        whole.merge(Part([column.take(firsts) for column in columns], len(firsts), results))
        return whole

    def moved(self, index: int, places: Positions, count: int) -> State | Gathered:
        """What call `index` has, group i as group `places[i]` of `count`."""
        self.enter()
        call, found = self._calls[index], self._results[index]
        if isinstance(found, State):
            state = begun(call, self._run)
            state.merge(found, places, count)
            return state
        return (joined(found) if found else _nothing(call)).moved(places)

    def key_columns(self) -> dict[int, Column]:
        """The columns of the keys, by their places."""
        if self._only is not None:
            return dict(zip(self.places, self._only.columns, strict=True))
        self._columns = [[Column.concat(parts[1:] or parts)] for parts in self._columns]
        columns = dict(zip(self.places, (column for (column,) in self._columns), strict=True))
        self._columns = [[column.slice(0, 0), column] for (column,) in self._columns]
        return columns

    def results(self, groups: Batch) -> list[Column]:
        """The value of each call of each group; `groups` has the columns of all keys."""
        found: Sequence[State | Sequence[Gathered]] = self._results
        if self._only is not None:
            found = [each if isinstance(each, State) else [each] for each in self._only.results]
        return [
            finished(call, each, groups, self.count, self._run)
            for call, each in zip(self._calls, found, strict=True)
        ]


def _nothing(call: AggregateCall) -> Gathered:
    return Gathered(
        np.zeros(0, np.int64),
        [Column.of(argument.type, []) for argument in call.arguments],
        [Column.of(key.expression.type, []) for key in call.order],
    )
