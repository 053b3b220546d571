"""Sort keys: ORDER BY items, the columns that they give of batches, and the words that sort these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engine.late import held_bytes
from engine.operators.base import Operator, Task, bundled, tasks_of
from engine.orders import order_words
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.indexes.comparable import Words


@dataclass(frozen=True)
class SortKey:
    """An ORDER BY item. PostgreSQL's default is nulls last ascending and first descending."""

    expression: Expression
    descending: bool = False
    nulls_first: bool = False


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
    tasks = (partial(_keyed, task, keys, run) for task in bundled(tasks_of(child, run), child.types))
    for part in ordered(tasks, run):
        if part is not None:
            yield part


def _keyed(task: Task, keys: Sequence[SortKey], run: Run) -> Keyed | None:
    batch = task()
    if batch is None or not batch.rows:
        return None
    return batch, key_columns(batch, keys, run)


def keyed_bytes(part: Keyed) -> int:
    """About how many bytes a batch and its keys take, with what numbers and sorts its rows."""
    batch, keys = part
    return held_bytes(batch.columns) + held_bytes(keys) + 32 * batch.rows


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
