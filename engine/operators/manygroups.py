"""Many groups: rows are dealt out to partitions by their keys, and each partition is grouped on its own.

What a call takes stands beside the keys in one batch, so that a partition can be grouped from it, whether it
was held in memory or in a temporary file. A partition has few groups, whose states stay in cache; and as no
two partitions have a group in common, the pool groups several at once and nothing is merged. A partition that
is too large though dealing it out again would not help has groups of many rows: engine.operators.largegroups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from engine.aggregates.registry import AggregateCall, State
from engine.groups import number
from engine.operators.base import Operator
from engine.operators.groups import (
    Calls,
    Gathered,
    Input,
    Whole,
    begun,
    finished,
    gathers,
    joined,
    result,
)
from engine.operators.largegroups import Earlier, LargeGroups, Taken
from engine.operators.rows import spread_over
from engine.partitions import LAST, Dealt, Partitions, key_hashes, parts_of
from engine.pool import WORKERS, ordered
from engine.run import Run
from engine.wholekeys import is_whole
from storage.batch import Batch
from storage.column import Column, Positions
from storage.types import BOOL, Type

_AT_ONCE = 2 * WORKERS
_KNOWN = 512  # groups that say whether a part of their keys is enough
_MOST = 0.9  # of them
_FEW_ROWS = 1 << 14  # as many partitions as have no more are grouped at once


class ManyGroups:
    """The rows of one grouping from some batch on; `before` are the groups that are not made of them.

    `types` are those of all keys: of these the grouping has some, the others are null in its groups.
    """

    def __init__(self, calls: Calls, before: Whole, types: Sequence[Type], run: Run, owner: Operator) -> None:
        self._calls = calls
        self._all_types = types
        self._run = run
        self._owner = owner
        self._before = before
        self._hold()
        self._places = _telling(self._keys, before.count)
        self._types = tuple(column.type for column in self._keys)
        level = 0 if self._keys else LAST
        self._partitions = Partitions((*self._types, *_types(calls)), run, owner, level)

    def _hold(self) -> None:
        """Have the keys of the groups before."""
        self._before.enter()
        columns = self._before.key_columns()
        self._keys = [columns[i] for i in self._before.places]

    def deal(self, keys: Sequence[Column], given: Sequence[Input], rows: int) -> Dealt:
        """A batch as `add` takes it: on any thread."""
        columns = [*keys]
        for call, each in zip(self._calls, given, strict=True):
            columns += _packed(call, each, rows)
        return self._partitions.deal(Batch(tuple(columns), rows), [keys[i] for i in self._places])

    def add(self, rows: Dealt) -> None:
        """Take the rows of the next batch. Raises DiskFull, FileError, ConfigurationLimitExceeded."""
        self._partitions.add(rows)

    def finish(self) -> Iterator[Batch]:
        """Keys and values of calls of all groups, partition by partition; once.

        Groups may have come to those before since rows are dealt out.
        """
        self._hold()
        self._hashes = key_hashes([self._keys[i] for i in self._places], self._before.count)
        yield from self._finished(self._partitions, np.arange(len(self._hashes)))

    def close(self) -> None:
        """Forget all rows."""
        self._partitions.close()

    def _finished(self, partitions: Partitions, before: Positions) -> Iterator[Batch]:
        """The groups of these partitions; `before` are those groups until then that belong to one of them."""
        homes = parts_of(self._hashes[before], partitions.level)
        several = list(_together(partitions))
        for first in range(0, len(several), _AT_ONCE):
            at_once = several[first : first + _AT_ONCE]
            stuck = [ns[0] for ns in at_once if partitions.is_stuck(ns[0])]
            large = [ns[0] for ns in at_once if partitions.is_large(ns[0], _AT_ONCE)]
            small = [ns for ns in at_once if ns[0] not in (*stuck, *large)]
            tasks = (partial(self._grouped, partitions, ns, before[np.isin(homes, ns)]) for ns in small)
            for batch in ordered(tasks, self._run):
                if batch.rows:
                    yield batch
            for n in large:
                yield from self._finer(partitions, n, before[homes == n])
            for n in stuck:
                yield self._large(partitions, n, before[homes == n])

    def _finer(self, partitions: Partitions, n: int, before: Positions) -> Iterator[Batch]:
        """The groups of a partition that is too large to be grouped at once."""
        finer = partitions.finer(n, lambda batch: [batch.columns[i] for i in self._places])
        try:
            yield from self._finished(finer, before)
        finally:
            finer.close()

    def _large(self, partitions: Partitions, n: int, before: Positions) -> Batch:
        """The groups of a partition that is too large and stays so."""

        def batches() -> Iterator[Taken]:
            for batch in partitions.part(n):
                yield Taken(list(batch.columns[: len(self._keys)]), self._given(batch), batch.rows)

        def found(index: int, places: Positions, count: int) -> State | Gathered:
            return self._earlier(index, before, places, count)

        earlier = Earlier([column.take(before) for column in self._keys], len(before), found)
        groups = LargeGroups(self._calls, self._types, earlier, batches, self._run, self._owner)
        try:
            known = self._known(groups.keys, groups.count)
            return Batch((*known.columns, *groups.results(known)), groups.count)
        finally:
            groups.close()

    def _known(self, keys: Sequence[Column], count: int) -> Batch:
        """The columns of all keys, of so many groups: null where the grouping has them not."""
        mine = dict(zip(self._before.places, keys, strict=True))
        columns = (
            mine[i] if i in mine else Column.nulls(type, count) for i, type in enumerate(self._all_types)
        )
        return Batch(tuple(columns), count)

    def _given(self, rows: Batch) -> list[Input]:
        """What each call takes of rows of a partition."""
        given, at = [], len(self._keys)
        for call in self._calls:
            width = len(_types([call]))
            given.append(_unpacked(call, rows.columns[at : at + width]))
            at += width
        return given

    def _earlier(self, index: int, before: Positions, codes: Positions, count: int) -> State | Gathered:
        """What a call has of groups `before`, as groups `codes`; the others come behind `count`."""
        places = count + np.arange(self._before.count)
        places[before] = codes
        return self._before.moved(index, places, count + len(places))

    def _grouped(self, partitions: Partitions, numbers: Sequence[int], before: Positions) -> Batch:
        """The groups of some partitions."""
        batches = [batch for n in numbers for batch in partitions.part(n)]
        if not batches and not len(before):
            return Batch.empty([*self._all_types, *(call.type for call in self._calls)])
        rows = Batch.concat(batches) if batches else Batch.empty(partitions.types)
        del batches
        keys = list(rows.columns[: len(self._keys)])
        if len(before):
            earlier = [column.take(before) for column in self._keys]
            keys = [Column.concat(both) for both in zip(earlier, keys, strict=True)] if rows.rows else earlier
        groups, firsts = number(keys, len(before) + rows.rows)
        count = len(firsts)
        known = self._known([column.take(firsts) for column in keys], count)
        mine = groups[len(before) :]
        results = []
        for index, (call, given) in enumerate(zip(self._calls, self._given(rows), strict=True)):
            first = self._earlier(index, before, groups[: len(before)], count) if len(before) else None
            found = self._value(call, first, given, mine, count)
            results.append(finished(call, found, known, count, self._run))
        return Batch((*known.columns, *results), count)

    def _value(
        self, call: AggregateCall, first: State | Gathered | None, given: Input, groups: Positions, count: int
    ) -> State | list[Gathered]:
        """What a call has of a partition's groups: of those until then, `first`, and of its rows."""
        if gathers(call):
            rows = result(call, given, groups, count, self._run)
            assert isinstance(rows, Gathered)
            if first is None:
                return [rows]
            assert isinstance(first, Gathered)
            return [joined([first.take(first.groups < count), rows])]
        state = begun(call, self._run)
        if first is not None:
            assert isinstance(first, State)
            state = first
        if given.mask is not None:
            groups = groups[given.mask]
        state.update(groups, given.arguments, count)
        return state


def _telling(keys: Sequence[Column], count: int) -> list[int]:
    """The places of the keys whose hashes deal rows out: whole numbers, if those tell most groups apart."""
    whole = [i for i, key in enumerate(keys) if is_whole(key.type)]
    if whole and len(whole) < len(keys) and count >= _KNOWN:
        apart = len(number([keys[i] for i in whole], count)[1])
        if apart >= count * _MOST:
            return whole
    return list(range(len(keys)))


def _together(partitions: Partitions) -> Iterator[list[int]]:
    """The numbers of all partitions: those that are in memory and have few rows together."""
    numbers: list[int] = []
    rows = 0
    for n, more in enumerate(partitions.rows.tolist()):
        if numbers and (partitions.spilled or rows + more > _FEW_ROWS):
            yield numbers
            numbers, rows = [], 0
        numbers.append(n)
        rows += more
    yield numbers


def _types(calls: Calls) -> tuple[Type, ...]:
    """The types of the columns that `_packed` gives of these calls."""
    types: list[Type] = []
    for call in calls:
        types += [BOOL] * (call.filter is not None)
        types += [argument.type for argument in call.arguments]
        types += [key.expression.type for key in call.order] if gathers(call) else []
    return tuple(types)


def _packed(call: AggregateCall, given: Input, rows: int) -> list[Column]:
    """What a call takes of `rows` rows as columns of as many."""
    columns = [*given.arguments, *given.order]
    if call.filter is None:
        return [column.spread(rows) for column in columns]
    mask = np.ones(rows, np.bool_) if given.mask is None else given.mask
    passed = int(mask.sum())
    return [Column(BOOL, mask), *(spread_over(column.spread(passed), mask) for column in columns)]


def _unpacked(call: AggregateCall, columns: Sequence[Column]) -> Input:
    """The inverse of `_packed`."""
    mask = None
    if call.filter is not None:
        mask, columns = columns[0].values, columns[1:]
        columns = [column.take(mask) for column in columns]
    return Input(mask, list(columns[: len(call.arguments)]), list(columns[len(call.arguments) :]))
