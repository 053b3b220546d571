"""HashJoin: the right side is held and numbered by its keys, the left side streams past in the pool.

Keys are equal as SQL's `=` has it: a null is equal to nothing. Right rows of one key stand together in
`order`, key by key, so a left row's partners are a range of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.counters import timed
from engine.groups import KeyIndex
from engine.operators.base import Operator, Task, tasks_of
from engine.operators.pairs import Kind, Pairs, join_types
from engine.operators.rows import Rows
from engine.operators.sort import SortKey, keyed
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import Type


@dataclass(frozen=True)
class HashJoin:
    """`left` and `right` where all keys are equal, pairwise of one type, and `residual` is true.

    `residual` is over the left columns and then the right ones, also in semi and anti joins.
    """

    kind: Kind
    left: Operator
    right: Operator
    left_keys: tuple[Expression, ...]
    right_keys: tuple[Expression, ...]
    residual: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return join_types(self.kind, self.left.types, self.right.types)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    def explain(self) -> str:
        return "Hash Join" if self.kind == "inner" else f"Hash {self.kind.title()} Join"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._joined(run))

    def _joined(self, run: Run) -> Iterator[Batch]:
        build = _Build(self, run)
        if not build.rows.count and self.kind not in ("left", "full", "anti"):
            return
        pairs = Pairs(self.kind, build.rows, self.residual, self.left.types)
        prepare(run, *self.left_keys, self.residual)
        if pool_safe(*self.left_keys, self.residual):
            tasks = (partial(self._probe, task, build, pairs, run) for task in tasks_of(self.left, run))
            for batches in ordered(tasks, run):
                yield from batches
        else:
            for batch in self.left.batches(run):
                run.check()
                yield from self._pairs(batch, build, pairs, run)
        yield from pairs.rest(run)

    def _probe(self, task: Task, build: _Build, pairs: Pairs, run: Run) -> Iterable[Batch]:
        """A task's output: there already, or where it is large, as it is asked for."""
        batch = task()
        if batch is None or not batch.rows:
            return ()
        starts, counts = build.partners(self._keys(batch, run), batch.rows)
        result = pairs.of(batch, starts, counts, build.order, run)
        return list(result) if pairs.small(counts) else result

    def _pairs(self, batch: Batch, build: _Build, pairs: Pairs, run: Run) -> Iterator[Batch]:
        starts, counts = build.partners(self._keys(batch, run), batch.rows)
        return pairs.of(batch, starts, counts, build.order, run)

    def _keys(self, batch: Batch, run: Run) -> list[Column]:
        return [key.evaluate(batch, run).spread(batch.rows) for key in self.left_keys]


class _Build:
    """The right side: its rows, the numbers of their keys, and the rows sorted by these."""

    def __init__(self, join: HashJoin, run: Run) -> None:
        keys = tuple(SortKey(key) for key in join.right_keys)
        self._index = KeyIndex([key.type for key in join.right_keys])
        batches, numbers = [], []
        for batch, columns in keyed(join.right, keys, run):
            batches.append(batch)
            numbers.append(self._numbered(columns, batch.rows))
        self.rows = Rows(batches, join.right.types)
        codes = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
        sizes = np.bincount(codes[codes >= 0], minlength=self._index.count)
        # One place more, for rows without partners: number -1 is the last, and is empty.
        self._starts = np.zeros(self._index.count + 2, np.int64)
        np.cumsum(sizes, out=self._starts[1:-1])
        self._sizes = np.append(sizes, 0)
        absent = int((codes < 0).sum())
        self.order = np.argsort(codes, kind="stable")[absent:]

    def _numbered(self, columns: list[Column], rows: int) -> Positions:
        """The number of each row's key; -1 for keys with a null."""
        valid = _without_nulls(columns)
        if valid is None:
            return self._index.assign(columns, rows)[0]
        codes = np.full(rows, -1, np.int64)
        kept = np.flatnonzero(valid)
        codes[kept] = self._index.assign([column.take(kept) for column in columns], len(kept))[0]
        return codes

    def partners(self, columns: list[Column], rows: int) -> tuple[Positions, Positions]:
        """Where in `order` each row's partners begin, and how many they are."""
        codes = self._index.find(columns, rows)
        valid = _without_nulls(columns)
        if valid is not None:
            codes[~valid] = -1
        return self._starts[codes], self._sizes[codes]


def _without_nulls(columns: list[Column]) -> Mask | None:
    """Where no key is null; None: everywhere."""
    valid = None
    for column in columns:
        if column.valid is not None:
            valid = column.valid if valid is None else valid & column.valid
    return valid
