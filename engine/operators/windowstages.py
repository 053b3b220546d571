"""Stages: calls over windows that have the same partitions, whose values are made together.

Where the rows are all there, many of them are dealt out to buckets by the first of the partitions' keys, each
of which the pool then takes on its own; buckets come in the order of their keys. Where they take more memory
than they may, they go to temporary files, sorted, and come back some partitions at a time, or, if one
partition takes so much, page by page (engine.operators.windowstreams).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.late import held_bytes
from engine.nodes import Reference
from engine.operators.rows import Rows
from engine.operators.sortedruns import SortedRuns
from engine.operators.sortkeys import Keyed, SortKey, sort_words
from engine.operators.windowcalls import WindowCall
from engine.operators.windowstreams import Partition
from engine.operators.windowwork import WindowWork
from engine.orders import PIECE, buckets, leading_words, starts
from engine.parallel import pool_safe
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import INT8, Type


@dataclass(frozen=True)
class Stage:
    """Some calls over rows of `types`; beside the rows come the columns of the expressions that are `wanted`.

    Rows come out in the order of the last call's window.
    """

    calls: tuple[WindowCall, ...]
    types: tuple[Type, ...]
    wanted: tuple[Expression, ...]

    def piecewise(self, parts: Iterable[Keyed], run: Run, owner: object) -> Iterator[Keyed]:
        """The rows, with values, and what is wanted of them, by way of temporary files.

        All calls have the same partitions and order. Raises DiskFull, FileError, ConfigurationLimitExceeded.
        """
        width, types = len(self.types), (*self.types, *(expression.type for expression in self.wanted))
        # rows without an order stay in that in which they come
        keys = self.calls[-1].keys or (SortKey(Reference(0, INT8)),)
        runs = SortedRuns(types, keys, run, owner)
        try:
            runs.fill(self._with_keys(parts))
            partition = len(self.calls[-1].partition)
            for whole in whole_partitions(runs.merged_with_keys(), len(types), partition, run):
                if not isinstance(whole, Batch):
                    yield from Partition(self.calls, types, self.wanted, run, owner).valued(whole)
                    continue
                rows = Batch(whole.columns[: len(types)], whole.rows)
                known = list(rows.columns[width:])
                for batch in Stage(self.calls, types, self.wanted).valued([(rows, known)], run):
                    values = batch.columns[len(types) :]
                    yield (
                        Batch((*batch.columns[:width], *values), batch.rows),
                        list(batch.columns[width : len(types)]),
                    )
        finally:
            runs.close()

    def _with_keys(self, parts: Iterable[Keyed]) -> Iterator[Keyed]:
        """The rows, what is wanted of them behind, and what they are sorted by."""
        rows = 0
        for batch, found in parts:
            keys = [found[self.wanted.index(key.expression)] for key in self.calls[-1].keys]
            keys = keys or [Column(INT8, np.arange(rows, rows + batch.rows))]
            rows += batch.rows
            yield Batch((*batch.columns, *found), batch.rows), keys

    def valued(self, parts: Sequence[Keyed], run: Run) -> Iterator[Batch]:
        """Rows, among them all of each of their partitions, with their values."""
        rows = Rows([batch for batch, _ in parts], self.types)
        joined = [Column.concat(part) for part in zip(*(found for _, found in parts), strict=True)]
        columns = dict(zip(self.wanted, joined, strict=True))
        dealt = self._dealt(columns, rows.count, run)
        if dealt is None:
            yield from self._worked(rows, columns, np.arange(rows.count), run)
            return
        tasks = (partial(self._bucket, rows, columns, bucket, run) for bucket in dealt)
        for batches in ordered(tasks, run):
            yield from batches

    def _dealt(self, columns: Mapping[Expression, Column], rows: int, run: Run) -> Iterator[Positions] | None:
        """Rows in buckets that have whole partitions, in the order of the last window; None: they stay."""
        offsets = (offset for call in self.calls for offset in call.frame.offsets)
        partitions = {frozenset(call.partition) for call in self.calls}
        if rows <= PIECE or len(partitions) > 1 or not pool_safe(*offsets):
            return None
        keys = tuple(map(SortKey, self.calls[-1].partition))
        leading = leading_words(sort_words(keys, [columns[key.expression] for key in keys]))
        return None if leading is None else buckets(leading, run)

    def _bucket(
        self, rows: Rows, columns: Mapping[Expression, Column], bucket: Positions, run: Run
    ) -> list[Batch]:
        mine = {expression: column.take(bucket) for expression, column in columns.items()}
        return list(self._worked(rows, mine, bucket, run))

    def _worked(
        self, rows: Rows, columns: Mapping[Expression, Column], places: Positions, run: Run
    ) -> Iterator[Batch]:
        """The rows at these places, whose expressions are `columns`, with their values, in order."""
        work = WindowWork(columns, len(places), run)
        ordering = work.ordering(self.calls[-1])
        values = [work.values(call, ordering) for call in self.calls]
        at = 0
        for batch in rows.given(places[ordering.order], run):
            added = tuple(column.slice(at, at + batch.rows) for column in values)
            yield Batch((*batch.columns, *added), batch.rows)
            at += batch.rows


def whole_partitions(
    batches: Iterator[Batch], first: int, count: int, run: Run
) -> Iterator[Batch | Iterator[Batch]]:
    """Sorted rows in pieces that hold whole partitions, whose keys are `count` columns from `first` on.

    A piece is about half as large as an operator may be now. A partition that is larger comes in batches,
    all of which are to be read before the next piece is asked for.
    """
    behind: list[Batch] = []  # what was read too far

    def long(whole: Batch) -> Iterator[Batch]:
        """The rows of one partition, of which `whole` has been read."""
        yield whole
        last = whole.slice(whole.rows - 1, whole.rows)
        for batch in batches:
            begins = _begins(Batch.concat([last, batch]), first, count)[1:]
            if not begins.any():
                yield batch
                continue
            place = int(np.argmax(begins))
            if place:
                yield batch.slice(0, place)
            behind.append(batch.slice(place, batch.rows))
            return

    held: list[Batch] = []
    size, most = 0, run.memory.left // 2
    while (batch := behind.pop() if behind else next(batches, None)) is not None:
        held.append(batch)
        size += held_bytes(batch.columns)
        if size <= most:
            continue
        whole = Batch.concat(held)
        last = int(np.flatnonzero(_begins(whole, first, count))[-1])
        if last:
            yield whole.slice(0, last)
            whole = whole.slice(last, whole.rows)
        held, size = [whole], held_bytes(whole.columns)
        if size > most:
            yield long(whole)
            held, size = [], 0
    if held:
        yield Batch.concat(held)


def _begins(rows: Batch, first: int, count: int) -> Mask:
    """(rows,) where partitions begin, the first row among them."""
    keys = tuple(SortKey(Reference(i, rows.columns[i].type)) for i in range(first, first + count))
    return starts(sort_words(keys, rows.columns[first : first + count]), np.arange(rows.rows))
