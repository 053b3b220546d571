"""Distinct: the first row of each key, as soon as it comes while there is memory for the keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.counters import timed
from engine.groups import KeyIndex, number
from engine.nodes import Reference
from engine.operators.base import Operator, Task, bundled, tasks_of
from engine.operators.sortedruns import SortedRuns
from engine.operators.sortkeys import SortKey
from engine.parallel import pool_safe, prepare
from engine.partitions import PARTS, Partitions
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.types import INT8, Type

FEW = 512
"""So many keys are not counted against the budget."""


class Firsts:
    """The first row of each key: as it comes, or, once the keys take more memory than they may, in the end.

    From then on rows whose keys are new are dealt out to partitions, with their numbers, by which they are
    sorted at last: all come in the order of the input.
    """

    def __init__(self, types: Sequence[Type], keys: Sequence[Type], run: Run, owner: object) -> None:
        """Of rows of `types`; `owner` is the operator that the bytes put aside count for."""
        self._types, self._key_types = tuple(types), tuple(keys)
        self._run, self._owner = run, owner
        self._seen = KeyIndex(keys)
        self._grant = run.memory.grant()
        self._checked = FEW  # the number of keys at which memory is looked at next
        self._later: Partitions | None = None
        self._rows = 0

    def of(self, batch: Batch, keys: Sequence[Column]) -> Iterator[Batch]:
        """The rows of the next batch that are known to be first."""
        if self._later is not None:
            self._put_aside(self._later, batch, keys)
            return
        new = self._seen.add(keys, batch.rows)
        if self._seen.count >= self._checked:
            self._checked = self._seen.count * 5 // 4
            if not self._grant.resize(self._seen.nbytes):
                types = (*self._types, INT8, *self._key_types)
                self._later = Partitions(types, self._run, self._owner)
        if len(new) == batch.rows:
            yield batch
        elif len(new):
            yield batch.take(new)

    def _put_aside(self, later: Partitions, batch: Batch, keys: Sequence[Column]) -> None:
        unknown = np.flatnonzero(self._seen.find(keys, batch.rows) < 0)
        if len(unknown):
            numbers = Column(INT8, self._rows + unknown)
            columns = (column.take(unknown) for column in keys)
            whole = Batch((*batch.take(unknown).columns, numbers, *columns), len(unknown))
            later.add(later.deal(whole, self._keys(whole)))
        self._rows += batch.rows

    def rest(self) -> Iterator[Batch]:
        """The other rows that are first."""
        if self._later is None:
            return
        self._seen = KeyIndex(self._key_types)
        self._grant.release()
        runs = SortedRuns(self._types, (SortKey(Reference(len(self._types), INT8)),), self._run, self._owner)
        try:
            self._sort(self._later, runs)
            yield from runs.merged()
        finally:
            runs.close()

    def _sort(self, later: Partitions, runs: SortedRuns) -> None:
        """Put the first rows of these partitions in their order."""
        width = len(self._types)
        for n in range(PARTS):
            self._run.check()
            if later.is_large(n, 1):
                finer = later.finer(n, self._keys)
                try:
                    self._sort(finer, runs)
                finally:
                    finer.close()
            elif later.rows[n]:
                rows = Batch.concat(list(later.part(n)))
                rows = rows.take(number(self._keys(rows), rows.rows)[1])
                runs.add([(Batch(rows.columns[:width], rows.rows), [rows.columns[width]])])

    def _keys(self, batch: Batch) -> tuple[Column, ...]:
        return batch.columns[len(self._types) + 1 :]

    def close(self) -> None:
        """Forget all keys and rows."""
        self._grant.release()
        if self._later is not None:
            self._later.close()


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
        keys = self.types if self.keys is None else tuple(key.type for key in self.keys)
        firsts = Firsts(self.types, keys, run, self)
        try:
            for batch, columns in self._reduced(run):
                yield from firsts.of(batch, columns)
            yield from firsts.rest()
        finally:
            firsts.close()

    def _reduced(self, run: Run) -> Iterator[tuple[Batch, tuple[Column, ...]]]:
        """The batches, each with the first row of each of its keys only."""
        keys = self.keys or ()
        prepare(run, *keys)
        if pool_safe(*keys):
            below = bundled(tasks_of(self.child, run), self.child.types)
            tasks = (partial(self._task, task, run) for task in below)
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
