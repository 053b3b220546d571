"""Sort: all rows in order, stable. Keys are computed in the pool; wide columns are fetched as they go out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engine.counters import timed
from engine.operators.base import Operator, Task, tasks_of
from engine.operators.rows import Rows
from engine.orders import order_words, sorted_rows
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.indexes.comparable import Words
from storage.types import Type


@dataclass(frozen=True)
class SortKey:
    """An ORDER BY item. PostgreSQL's default is nulls last ascending and first descending."""

    expression: Expression
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True)
class Sort:
    """The rows of `child` in the order of `keys`; equal rows keep theirs."""

    child: Operator
    keys: tuple[SortKey, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Sort"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._sorted(run))

    def _sorted(self, run: Run) -> Iterator[Batch]:
        parts = list(keyed(self.child, self.keys, run))
        if not parts:
            return
        keys = [Column.concat(columns) for columns in zip(*(keys for _, keys in parts), strict=True)]
        run.check()
        order = sorted_rows(sort_words(self.keys, keys), run)
        rows = Rows([batch for batch, _ in parts], self.types)
        yield from rows.given(order, run)


Keyed = tuple[Batch, list[Column]]


def keyed(child: Operator, keys: Sequence[SortKey], run: Run) -> Iterator[Keyed]:
    """The child's batches, each with the columns of its sort keys."""
    expressions = [key.expression for key in keys]
    prepare(run, *expressions)
    if not pool_safe(*expressions):
        for batch in child.batches(run):
            run.check()
            yield batch, key_columns(batch, keys, run)
        return
    tasks = (partial(_keyed, task, keys, run) for task in tasks_of(child, run))
    for part in ordered(tasks, run):
        if part is not None:
            yield part


def _keyed(task: Task, keys: Sequence[SortKey], run: Run) -> Keyed | None:
    batch = task()
    if batch is None or not batch.rows:
        return None
    return batch, key_columns(batch, keys, run)


def key_columns(batch: Batch, keys: Sequence[SortKey], run: Run) -> list[Column]:
    """The sort keys of a batch's rows."""
    return [key.expression.evaluate(batch, run).spread(batch.rows) for key in keys]


def sort_words(keys: Sequence[SortKey], columns: Sequence[Column]) -> list[Words]:
    """The words that sort these key columns."""
    return [
        words
        for key, column in zip(keys, columns, strict=True)
        for words in order_words(column, key.descending, key.nulls_first)[0]
    ]
