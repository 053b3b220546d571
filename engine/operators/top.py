"""Top: the first rows of an order without sorting the rest.

Each task keeps what can still be among the first k of its own rows, and leaves out at once what lies
behind the k-th best that any task has found (`_Best.bound`: only ever sharpened, so a stale one is
merely generous). The keepers are merged in row order; equal rows come in the order of their input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.counters import timed
from engine.operators.base import Operator, Task, bundled, given, tasks_of
from engine.operators.limit import limits
from engine.operators.rows import Rows
from engine.operators.sort import Sort
from engine.operators.sortkeys import Keyed, SortKey, key_columns, sort_words
from engine.orders import order_words, sorted_rows
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Positions
from storage.indexes.comparable import Words
from storage.types import Type


@dataclass(frozen=True)
class Top:
    """ORDER BY keys LIMIT count OFFSET offset."""

    child: Operator
    keys: tuple[SortKey, ...]
    count: Expression | None
    offset: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Top-N Sort"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._first(run))

    def _first(self, run: Run) -> Iterator[Batch]:
        skip, rows = limits(self.count, self.offset, run)
        if rows == 0:
            return
        if rows is None:
            yield from _skipped(Sort(self.child, self.keys).batches(run), skip)
            return
        best = _Best(self.keys, skip + rows, run)
        for batch, keys in self._candidates(best, run):
            best.add(batch, keys)
        yield from best.rows(skip)

    def _candidates(self, best: _Best, run: Run) -> Iterator[Keyed]:
        expressions = [key.expression for key in self.keys]
        prepare(run, *expressions)
        if pool_safe(*expressions):
            below = bundled(tasks_of(self.child, run), self.child.types)
            tasks = (partial(best.reduce, task) for task in below)
            for part in ordered(tasks, run):
                if part is not None:
                    yield part
            return
        for batch in self.child.batches(run):
            run.check()
            part = best.reduce(given(batch))
            if part is not None:
                yield part


class _Best:
    """The first `limit` rows so far: kept batches with their keys, now and then cut down."""

    def __init__(self, keys: tuple[SortKey, ...], limit: int, run: Run) -> None:
        self._keys = keys
        self._limit = limit
        self._run = run
        self._parts: list[Keyed] = []
        self._kept = 0
        # Rows whose first words are greater cannot be among the first; None: not known yet.
        self._bound: tuple[int, ...] | None = None

    def reduce(self, task: Task) -> Keyed | None:
        """A task's rows that may be among the first: on a worker."""
        batch = task()
        if batch is None or not batch.rows:
            return None
        keys = key_columns(batch, self._keys, self._run)
        rows = self._reduced(keys, batch.rows)
        if rows is None:
            return batch, keys
        if not len(rows):
            return None
        return batch.take(rows), [key.take(rows) for key in keys]

    def _reduced(self, keys: list[Column], rows: int) -> Positions | None:
        """The rows that may be among the first, in row order; None for all."""
        words, absolute = order_words(keys[0], self._keys[0].descending, self._keys[0].nulls_first)
        left: Positions | None = None
        bound = self._bound
        if absolute and bound is not None:
            near = np.flatnonzero(_not_after(words, bound))
            if len(near) < rows:
                left, words, rows = near, [array[near] for array in words], len(near)
        if rows > self._limit:
            mine = np.flatnonzero(self._nearest(words, keys, left))
            left = mine if left is None else left[mine]
        return left

    def _nearest(self, words: list[Words], keys: list[Column], left: Positions | None) -> np.ndarray:
        """A mask of the rows that are among the first `limit`, ties broken by row order."""
        if len(self._keys) > 1:
            if left is not None:
                keys = [key.take(left) for key in keys]
            words = sort_words(self._keys, keys)
        return first_rows(words, self._limit)

    def add(self, batch: Batch, keys: list[Column]) -> None:
        """Take a task's rows, in the tasks' order."""
        self._parts.append((batch, keys))
        self._kept += batch.rows
        if self._kept > max(2 * self._limit, self._limit + 1024):
            self._cut()

    def _cut(self) -> None:
        order, rows = self._order()
        keep = np.sort(order)
        batch = Batch(rows.columns(keep), len(keep))
        keys = [
            Column.concat(columns).take(keep) for columns in zip(*(k for _, k in self._parts), strict=True)
        ]
        words, absolute = order_words(keys[0], self._keys[0].descending, self._keys[0].nulls_first)
        if absolute and len(keep) == self._limit:
            last = sorted_rows(words, self._run)[-1]
            self._bound = tuple(int(array[last]) for array in words)
        self._parts, self._kept = [(batch, keys)], batch.rows

    def _order(self) -> tuple[Positions, Rows]:
        """(the first `limit` of the kept rows in order, the kept rows)."""
        keys = [Column.concat(columns) for columns in zip(*(k for _, k in self._parts), strict=True)]
        words = sort_words(self._keys, keys)
        near = np.flatnonzero(first_rows(words, self._limit))
        order = near[sorted_rows([array[near] for array in words], self._run)]
        return order, Rows([batch for batch, _ in self._parts], ())

    def rows(self, skip: int) -> Iterator[Batch]:
        """The first `limit` rows but `skip`, in order."""
        if not self._parts:
            return
        order, rows = self._order()
        yield from rows.given(order[skip:], self._run)


def _not_after(words: list[Words], bound: tuple[int, ...]) -> np.ndarray:
    """Where (words[0], words[1], ...) is not greater than `bound`."""
    mask = words[-1] <= np.uint64(bound[-1])
    for array, limit in zip(words[-2::-1], bound[-2::-1], strict=True):
        value = np.uint64(limit)
        mask = (array < value) | ((array == value) & mask)
    return mask


def first_rows(words: list[Words], limit: int) -> np.ndarray:
    """A mask of the `limit` rows that sort first, ties broken by row order."""
    rows = len(words[0])
    mask = np.zeros(rows, np.bool_)
    if limit >= rows:
        mask[:] = True
        return mask
    # Word by word: the rows below the limit-th are in, those equal to it go on to the next word.
    open_rows, left = np.arange(rows), limit
    for array in words:
        mine = array[open_rows]
        if (mine == mine[0]).all():
            continue
        border = np.partition(mine, left - 1)[left - 1]
        below = mine < border
        mask[open_rows[below]] = True
        left -= int(below.sum())
        open_rows = open_rows[mine == border]
    mask[open_rows[:left]] = True
    return mask


def _skipped(batches: Iterator[Batch], skip: int) -> Iterator[Batch]:
    for batch in batches:
        if skip >= batch.rows:
            skip -= batch.rows
            continue
        yield batch.slice(skip, batch.rows) if skip else batch
        skip = 0
