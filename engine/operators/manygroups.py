"""Many groups: rows are dealt out to partitions by their keys, and each partition is grouped on its own.

What a call takes stands beside the keys in one batch, so that a partition can be grouped from it, whether it
was held in memory or in a temporary file. A partition has few groups, whose states stay in cache; and as no
two partitions have a group in common, the pool groups several at once and nothing is merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from engine.aggregates.registry import AggregateCall, State
from engine.groups import number
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
from engine.operators.rows import spread_over
from engine.partitions import PARTS, Dealt, Partitions, key_hashes, parts_of
from engine.pool import WORKERS, ordered
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Positions
from storage.indexes.comparable import Words
from storage.types import BOOL, Type

_AT_ONCE = 2 * WORKERS


class ManyGroups:
    """The rows of one grouping from some batch on; `before` are the groups until then."""

    def __init__(self, calls: Calls, before: Whole, run: Run, owner: object) -> None:
        self._calls = calls
        self._run = run
        self._owner = owner
        self._before = before
        columns = before.key_columns()
        self._keys = [columns[i] for i in before.places]
        self._hashes: Words = key_hashes(self._keys, before.count)
        types = [column.type for column in self._keys]
        self._partitions = Partitions((*types, *_types(calls)), run, owner)

    def deal(self, keys: Sequence[Column], given: Sequence[Input], rows: int) -> Dealt:
        """A batch as `add` takes it: on any thread."""
        columns = [*keys]
        for call, each in zip(self._calls, given, strict=True):
            columns += _packed(call, each, rows)
        return self._partitions.deal(Batch(tuple(columns), rows), keys)

    def add(self, rows: Dealt) -> None:
        """Take the rows of the next batch. Raises DiskFull, FileError, ConfigurationLimitExceeded."""
        self._partitions.add(rows)

    def finish(self) -> Iterator[Batch]:
        """Keys and values of calls of all groups, partition by partition; once."""
        yield from self._finished(self._partitions, np.arange(len(self._hashes)))

    def close(self) -> None:
        """Forget all rows."""
        self._partitions.close()

    def _finished(self, partitions: Partitions, before: Positions) -> Iterator[Batch]:
        """The groups of these partitions; `before` are those groups until then that belong to one of them."""
        homes = parts_of(self._hashes[before], partitions.level)
        for first in range(0, PARTS, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, PARTS))
            small = [n for n in numbers if not partitions.is_large(n, _AT_ONCE)]
            tasks = (partial(self._grouped, partitions, n, before[homes == n]) for n in small)
            for batch in ordered(tasks, self._run):
                if batch.rows:
                    yield batch
            for n in sorted({*numbers} - {*small}):
                yield from self._finer(partitions, n, before[homes == n])

    def _finer(self, partitions: Partitions, n: int, before: Positions) -> Iterator[Batch]:
        """The groups of a partition that is too large to be grouped at once."""
        finer = partitions.finer(n, lambda batch: batch.columns[: len(self._keys)])
        try:
            yield from self._finished(finer, before)
        finally:
            finer.close()

    def _grouped(self, partitions: Partitions, n: int, before: Positions) -> Batch:
        """The groups of a partition."""
        batches = list(partitions.part(n))
        if not batches and not len(before):
            return Batch.empty([*(key.type for key in self._keys), *(call.type for call in self._calls)])
        rows = Batch.concat(batches) if batches else Batch.empty(partitions.types)
        del batches
        keys = list(rows.columns[: len(self._keys)])
        if len(before):
            earlier = [column.take(before) for column in self._keys]
            keys = [Column.concat(both) for both in zip(earlier, keys, strict=True)] if rows.rows else earlier
        groups, firsts = number(keys, len(before) + rows.rows)
        count = len(firsts)
        known = Batch(tuple(column.take(firsts) for column in keys), count)
        # groups until then that belong to other partitions come behind, and are left out
        places = count + np.arange(self._before.count)
        places[before] = groups[: len(before)]
        mine = groups[len(before) :]
        results, at = [], len(keys)
        for index, call in enumerate(self._calls):
            width = len(_types([call]))
            given = _unpacked(call, rows.columns[at : at + width])
            at += width
            found = self._value(index, given, mine, places if len(before) else None, count)
            results.append(finished(call, found, known, count, self._run))
        return Batch((*known.columns, *results), count)

    def _value(
        self, index: int, given: Input, groups: Positions, places: Positions | None, count: int
    ) -> State | list[Gathered]:
        """What a call has of a partition's groups: until then, at `places`, and of its rows."""
        call = self._calls[index]
        if gathers(call):
            rows = result(call, given, groups, count, self._run)
            assert isinstance(rows, Gathered)
            if places is None:
                return [rows]
            earlier = self._before.moved(index, places, count + len(places))
            assert isinstance(earlier, Gathered)
            return [joined([earlier.take(earlier.groups < count), rows])]
        state = begun(call, self._run)
        if places is not None:
            found = self._before.moved(index, places, count + len(places))
            assert isinstance(found, State)
            state = found
        if given.mask is not None:
            groups = groups[given.mask]
        state.update(groups, given.arguments, count)
        return state


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
