"""Distinct: the first row of each key, as soon as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from engine.counters import timed
from engine.groups import KeyIndex, number
from engine.operators.base import Operator, Task, tasks_of
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.types import Type


@dataclass(frozen=True)
class Distinct:
    """The first row of each distinct row, or with `keys` (DISTINCT ON) of each distinct key."""

    child: Operator
    keys: tuple[Expression, ...] | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Unique" if self.keys is not None else "HashAggregate"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._firsts(run))

    def _firsts(self, run: Run) -> Iterator[Batch]:
        types = self.types if self.keys is None else tuple(key.type for key in self.keys)
        seen = KeyIndex(types)
        for batch, keys in self._reduced(run):
            new = seen.add(keys, batch.rows)
            if len(new) == batch.rows:
                yield batch
            elif len(new):
                yield batch.take(new)

    def _reduced(self, run: Run) -> Iterator[tuple[Batch, tuple[Column, ...]]]:
        """The batches, each with the first row of each of its keys only."""
        keys = self.keys or ()
        prepare(run, *keys)
        if pool_safe(*keys):
            tasks = (partial(self._task, task, run) for task in tasks_of(self.child, run))
            for part in ordered(tasks, run):
                if part is not None:
                    yield part
            return
        for batch in self.child.batches(run):
            run.check()
            yield self._local(batch, run)

    def _task(self, task: Task, run: Run) -> tuple[Batch, tuple[Column, ...]] | None:
        batch = task()
        return None if batch is None or not batch.rows else self._local(batch, run)

    def _local(self, batch: Batch, run: Run) -> tuple[Batch, tuple[Column, ...]]:
        keys = batch.columns
        if self.keys is not None:
            keys = tuple(key.evaluate(batch, run).spread(batch.rows) for key in self.keys)
        _, firsts = number(keys, batch.rows)
        if len(firsts) == batch.rows:
            return batch, keys
        kept = batch.take(firsts)
        return kept, kept.columns if self.keys is None else tuple(key.take(firsts) for key in keys)
