"""Window: for each row the place it has among the rows of its partition.

All rows are sorted by partition and order; where a partition, and where a group of peers (rows that are
equal in the order) begins, follows from neighbours. The numbers of each call are made in that order and
put back to the rows. Rows come out in the order of the last call's window, as PostgreSQL's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.rows import Rows
from engine.operators.sort import SortKey, keyed, sort_words
from engine.orders import sorted_rows
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Positions
from storage.indexes.comparable import Words
from storage.types import INT8, Type

Starts = np.ndarray[Any, np.dtype[np.bool_]]  # whether a partition, or a group of peers, begins at a row


@dataclass(frozen=True)
class WindowCall:
    """A window function (a name in WINDOW_FUNCTIONS) over the partitions and the order of a window."""

    function: str
    partition: tuple[Expression, ...] = ()
    order: tuple[SortKey, ...] = ()

    @property
    def keys(self) -> tuple[SortKey, ...]:
        """What its rows are sorted by."""
        return (*(SortKey(e) for e in self.partition), *self.order)


@dataclass(frozen=True)
class Window:
    """The rows of `child`, each followed by an int8 a call."""

    child: Operator
    calls: tuple[WindowCall, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.child.types, *(INT8 for _ in self.calls))

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "WindowAgg"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._numbered(run))

    def _numbered(self, run: Run) -> Iterator[Batch]:
        keys = [key for call in self.calls for key in call.keys]
        parts = list(keyed(self.child, keys, run))
        if not parts:
            return
        rows = Rows([batch for batch, _ in parts], self.child.types)
        columns = [Column.concat(part) for part in zip(*(found for _, found in parts), strict=True)]
        order = np.arange(rows.count)
        numbers = []
        for call in self.calls:
            run.check()
            mine, columns = columns[: len(call.keys)], columns[len(call.keys) :]
            order, counted = _numbers(call, mine, rows.count, run)
            numbers.append(counted)
        at = 0
        for batch in rows.given(order, run):
            there = order[at : at + batch.rows]
            added = tuple(Column(INT8, counted[there]) for counted in numbers)
            yield Batch((*batch.columns, *added), batch.rows)
            at += batch.rows


def _numbers(call: WindowCall, columns: Sequence[Column], rows: int, run: Run) -> tuple[Positions, Positions]:
    """(the rows in the window's order, the function's value of each row)."""
    words = [sort_words((key,), (column,)) for key, column in zip(call.keys, columns, strict=True)]
    flat = [word for found in words for word in found]
    order = sorted_rows(flat, run) if flat else np.arange(rows)
    width = sum(len(found) for found in words[: len(call.partition)])
    partitions = _starts(flat[:width], order)
    peers = partitions | _starts(flat[width:], order)
    values = np.empty(rows, np.int64)
    values[order] = WINDOW_FUNCTIONS[call.function](partitions, peers)
    return order, values


def _starts(words: Sequence[Words], order: Positions) -> Starts:
    """Where the words of a row differ from those of the row before it; the first row begins everything."""
    starts = np.zeros(len(order), np.bool_)
    starts[:1] = True
    for word in words:
        ordered = word[order]
        starts[1:] |= ordered[1:] != ordered[:-1]
    return starts


def _since(starts: Starts) -> Positions:
    """For each row the row at which the last of `starts` stands."""
    last: Positions = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    return last


def _row_number(partitions: Starts, peers: Starts) -> Positions:
    numbers: Positions = np.arange(len(partitions)) - _since(partitions) + 1
    return numbers


def _rank(partitions: Starts, peers: Starts) -> Positions:
    numbers: Positions = _since(peers) - _since(partitions) + 1
    return numbers


def _dense_rank(partitions: Starts, peers: Starts) -> Positions:
    groups: Positions = np.cumsum(peers, dtype=np.int64)
    numbers: Positions = groups - groups[_since(partitions)] + 1
    return numbers


WINDOW_FUNCTIONS: dict[str, Callable[[Starts, Starts], Positions]] = {
    "row_number": _row_number,
    "rank": _rank,
    "dense_rank": _dense_rank,
}
"""The window functions: of where partitions and peers begin, in the window's order."""
