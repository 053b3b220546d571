"""Partition top: the rows that may be among the first of their partition, so that a window has few to number.

A window above numbers what comes through, and a filter above that keeps those with small numbers. So it does
no harm if a row comes through that is not among the first: all that stand before it do, too. Each task leaves
out what its worker knows to be too late (engine.leaders); what has come through all tasks is looked at once
more, in the order of the rows, when it is there or memory is short. Rows keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.counters import timed
from engine.late import bounded, held_bytes
from engine.leaders import MOST, Leaders
from engine.operators.base import Operator, Task, bundled, tasks_of
from engine.operators.limit import row_count
from engine.operators.sortkeys import SortKey
from engine.orders import order_word
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask
from storage.indexes.comparable import Words
from storage.types import Type

_SHIFT = 32  # rows of one batch stand at places from its number shifted by this on
_OFTEN = 1 << 20  # rows after which those that came through are looked at again


@dataclass(frozen=True)
class PartitionTop:
    """At least the first `count` rows of each partition, less `less`; with `ties` those equal to the last.

    A count of null is none.
    """

    child: Operator
    partition: tuple[Expression, ...]
    order: tuple[SortKey, ...]
    count: Expression
    less: int = 0
    ties: bool = False

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Partition Top-N"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._first(run))

    def _first(self, run: Run) -> Iterator[Batch]:
        count = row_count(self.count, run)
        if count is None or count <= self.less:
            return
        expressions = [*self.partition, *(key.expression for key in self.order)]
        prepare(run, *expressions)
        if count - self.less > MOST or not pool_safe(*expressions):
            yield from self.child.batches(run)
            return
        through = _Through(self, count - self.less, run)
        try:
            below = enumerate(bundled(tasks_of(self.child, run), self.child.types))
            tasks = (partial(through.reduce, task, number) for number, task in below)
            for part in ordered(tasks, run):
                if part is not None:
                    yield from through.add(part)
            yield from through.rest()
        finally:
            through.close()


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows that have come through a task: their keys, and the words that sort them, if there are such."""

    batch: Batch
    keys: list[Column]
    words: Words | None
    shared: Mask | None

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes."""
        words = 0 if self.words is None else self.words.nbytes
        return held_bytes(self.batch.columns) + held_bytes(self.keys) + words

    def take(self, rows: Mask) -> _Part:
        """Those of the rows."""
        words = None if self.words is None else self.words[rows]
        shared = None if self.shared is None else self.shared[rows]
        return _Part(self.batch.take(rows), [key.take(rows) for key in self.keys], words, shared)


class _Through:
    """What has come through so far in one run, and what each worker knows."""

    def __init__(self, plan: PartitionTop, count: int, run: Run) -> None:
        self._plan, self._count, self._run = plan, count, run
        # rows in order have places of their own where one word says all of the order
        self._by_place = not plan.ties and len(plan.order) < 2
        self._scales: dict[None, int] = {}
        self._idle: list[Leaders] = []  # those that no worker has at the moment
        self._parts: list[_Part] = []
        self._rows = 0
        self._looked_at = _OFTEN  # the number of rows at which those that are held are looked at again
        self._grant = run.memory.grant()
        self._held = True  # as long as rows can be

    def reduce(self, task: Task, number: int) -> _Part | None:
        """The rows of a task that come through: on a worker."""
        batch = task()
        if batch is None or not batch.rows:
            return None
        part = self._part(batch)
        leaders = self._idle.pop() if self._idle else self._leaders()
        found = self._leading(leaders, part, number)
        self._idle.append(leaders)
        if found is None or found.all():
            return part
        return part.take(found) if found.any() else None

    def _leaders(self) -> Leaders:
        types = [key.type for key in self._plan.partition]
        return Leaders(types, self._count, self._run.memory.grant())

    def _part(self, batch: Batch) -> _Part:
        keys = [key.evaluate(batch, self._run).spread(batch.rows) for key in self._plan.partition]
        if not self._plan.order:
            return _Part(batch, keys, np.zeros(batch.rows, np.uint64), None)
        order = self._plan.order[0]
        column = order.expression.evaluate(batch, self._run).spread(batch.rows)
        # units of another scale do not compare
        if column.units is not None and self._scales.setdefault(None, column.scale) != column.scale:
            return _Part(batch, keys, None, None)
        words, shared = order_word(column, order.descending, order.nulls_first) or (None, None)
        return _Part(batch, keys, words, shared)

    def _leading(self, leaders: Leaders, part: _Part, number: int) -> Mask | None:
        """(rows,) which rows of a part may be among the first; None: all."""
        if part.words is None:
            return None
        start = number << _SHIFT if self._by_place else None
        found = leaders.lead(part.keys, part.words, start)
        if found is not None and part.shared is not None and self._by_place:
            found |= part.shared
        return found

    def add(self, part: _Part) -> Iterator[Batch]:
        """Take what has come through the next task; gives rows if no more can be held."""
        if not self._held:
            yield from bounded(part.batch)
            return
        self._parts.append(part)
        self._rows += part.batch.rows
        if not self._grant.room(part.nbytes):
            before = self._rows
            self._look_again()
            if 2 * self._rows > before or not self._grant.resize(sum(each.nbytes for each in self._parts)):
                yield from self.rest()
                self._held = False
                self._grant.release()
        elif self._rows >= self._looked_at:
            self._look_again()
            self._looked_at = max(2 * self._rows, _OFTEN)

    def _look_again(self) -> None:
        """Leave out what the others rule out."""
        parts = [part for part in self._parts if part.words is not None]
        if len(parts) < 2:
            return
        keys = [Column.concat(columns) for columns in zip(*(part.keys for part in parts), strict=True)]
        words = np.concatenate([part.words for part in parts if part.words is not None])
        shared = None
        if any(part.shared is not None for part in parts):
            none = np.zeros(len(words), np.bool_)
            masks = (none[: part.batch.rows] if part.shared is None else part.shared for part in parts)
            shared = np.concatenate(list(masks))
        leaders = self._leaders()
        found = self._leading(leaders, _Part(Batch((), len(words)), keys, words, shared), 0)
        if found is None:
            return
        ends = np.cumsum([part.batch.rows for part in parts])
        kept = iter(np.split(found, ends[:-1]))
        self._parts = [part if part.words is None else part.take(next(kept)) for part in self._parts]
        self._rows = sum(part.batch.rows for part in self._parts)
        self._grant.resize(min(sum(part.nbytes for part in self._parts), self._grant.held))

    def rest(self) -> Iterator[Batch]:
        """The rows that are held."""
        self._look_again()
        for part in self._parts:
            yield from bounded(part.batch)
        self._parts, self._rows = [], 0

    def close(self) -> None:
        """Forget all rows."""
        self._parts = []
        self._grant.release()
