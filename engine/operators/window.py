"""Window: for each row the values of calls over the rows around it.

All rows are sorted by partition and order, once for calls whose windows are sorted alike; where a partition,
and where a group of peers (rows that are equal in the order) begins, follows from neighbours, and frames from
these (engine.frames, engine.operators.windowframes). The values of each call are made in that order and put
back to the rows. Rows come out in the order of the last call's window, as PostgreSQL's do.

Where all windows have the same partitions, many rows are dealt out to buckets by the first of these keys,
each of which the pool then takes on its own; buckets come in the order of their keys.

Rows that take more memory than they may go to temporary files, sorted, and come back some partitions at a
time; windows without partitions, or with different ones, need all rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np

from engine.counters import timed
from engine.frames import Layout, Pieces, excluded
from engine.late import held_bytes
from engine.nodes import Reference, true_rows
from engine.operators import windowfunctions
from engine.operators.base import Operator
from engine.operators.rows import Rows
from engine.operators.sortedruns import SortedRuns
from engine.operators.sortkeys import Keyed, SortKey, keyed, keyed_bytes, sort_words
from engine.operators.windowaggregates import aggregated
from engine.operators.windowframes import FrameBound, RangeKey, border
from engine.orders import PIECE, buckets, leading_words, sorted_rows, starts
from engine.parallel import pool_safe
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import Type

_ALL_BEFORE, _HERE = FrameBound("unbounded preceding"), FrameBound("current row")


@dataclass(frozen=True)
class WindowFrame:
    """Which rows of a partition a call sees: PostgreSQL's frame clause, whose default this is.

    `key` is what offsets of RANGE are added to: the one key of the order.
    """

    mode: Literal["rows", "range", "groups"] = "range"
    start: FrameBound = _ALL_BEFORE
    end: FrameBound = _HERE
    exclude: Literal["", "current row", "group", "ties"] = ""
    key: Expression | None = None


DEFAULT_FRAME = WindowFrame()


@dataclass(frozen=True)
class WindowCall:
    """A window function, or an aggregate, by its id, over the frames of a window."""

    function: str
    type: Type
    arguments: tuple[Expression, ...] = ()
    filter: Expression | None = None
    partition: tuple[Expression, ...] = ()
    order: tuple[SortKey, ...] = ()
    frame: WindowFrame = DEFAULT_FRAME

    @property
    def keys(self) -> tuple[SortKey, ...]:
        """What its rows are sorted by."""
        return (*(SortKey(e) for e in self.partition), *self.order)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that it reads of its input's rows."""
        frame = self.frame
        lone = (self.filter, frame.key, frame.start.value, frame.end.value)
        return (
            *(key.expression for key in self.keys),
            *self.arguments,
            *(expression for expression in lone if expression is not None),
        )


@dataclass(frozen=True)
class Window:
    """The rows of `child`, each followed by a value a call."""

    child: Operator
    calls: tuple[WindowCall, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.child.types, *(call.type for call in self.calls))

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "WindowAgg"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._with_values(run))

    def _with_values(self, run: Run) -> Iterator[Batch]:
        wanted = list(dict.fromkeys(e for call in self.calls for e in call.expressions))
        parts: list[Keyed] = []
        grant = run.memory.grant()
        rest = keyed(self.child, [SortKey(e) for e in wanted], run)
        try:
            for part in rest:
                parts.append(part)
                if grant.room(keyed_bytes(part)):
                    continue
                if not self._alike:
                    grant.require(keyed_bytes(part), self.explain())
                    continue
                grant.release()
                yield from self._piecewise(chain(parts, rest), wanted, run)
                return
            if parts:
                yield from self._valued(parts, wanted, run)
        finally:
            grant.release()

    @property
    def _alike(self) -> bool:
        """Whether all windows have the same partitions, and more than one."""
        first, *others = (frozenset(call.partition) for call in self.calls)
        return bool(first) and all(other == first for other in others)

    def _piecewise(self, parts: Iterable[Keyed], wanted: Sequence[Expression], run: Run) -> Iterator[Batch]:
        """The same by way of temporary files, sorted as the last window is."""
        keys = self.calls[-1].keys
        width, partition = len(self.child.types), len(self.calls[-1].partition)
        types = (*self.child.types, *(expression.type for expression in wanted))
        grant = run.memory.grant()
        runs = SortedRuns(types, keys, run, self)
        held: list[Keyed] = []
        try:
            for batch, found in parts:
                mine = [found[wanted.index(key.expression)] for key in keys]
                part = Batch((*batch.columns, *found), batch.rows), mine
                held.append(part)
                if not grant.room(keyed_bytes(part)):
                    runs.add(held)
                    held = []
                    grant.release()
            runs.add(held)
            held = []
            grant.release()
            for whole in whole_partitions(runs.merged_with_keys(), width + len(wanted), partition, run):
                columns = whole.columns
                known = list(columns[width : width + len(wanted)])
                yield from self._valued([(Batch(columns[:width], whole.rows), known)], wanted, run)
        finally:
            grant.release()
            runs.close()

    def _valued(self, parts: Sequence[Keyed], wanted: Sequence[Expression], run: Run) -> Iterator[Batch]:
        """Rows, among them all of each of their partitions, with their values."""
        rows = Rows([batch for batch, _ in parts], self.child.types)
        joined = [Column.concat(part) for part in zip(*(found for _, found in parts), strict=True)]
        columns = dict(zip(wanted, joined, strict=True))
        dealt = self._dealt(columns, rows.count, run)
        if dealt is None:
            yield from self._worked(rows, columns, np.arange(rows.count), run)
            return
        tasks = (partial(self._bucket, rows, columns, bucket, run) for bucket in dealt)
        for batches in ordered(tasks, run):
            yield from batches

    def _dealt(self, columns: Mapping[Expression, Column], rows: int, run: Run) -> Iterator[Positions] | None:
        """Rows in buckets that have whole partitions, in the order of the last window; None: they stay."""
        offsets = (bound.offset for call in self.calls for bound in (call.frame.start, call.frame.end))
        if rows <= PIECE or not self._alike or not pool_safe(*offsets):
            return None
        partition = tuple(map(SortKey, self.calls[-1].partition))
        leading = leading_words(sort_words(partition, [columns[key.expression] for key in partition]))
        return None if leading is None else buckets(leading, run)

    def _bucket(
        self, rows: Rows, columns: Mapping[Expression, Column], bucket: Positions, run: Run
    ) -> list[Batch]:
        mine = {expression: column.take(bucket) for expression, column in columns.items()}
        return list(self._worked(rows, mine, bucket, run))

    def _worked(
        self, rows: Rows, columns: Mapping[Expression, Column], places: Positions, run: Run
    ) -> Iterator[Batch]:
        """The rows at these places, whose expressions are `columns`, in the last window's order with their
        values."""
        work = _Work(columns, len(places), run)
        values = [work.values(call) for call in self.calls]
        order = work.ordering(self.calls[-1]).order
        at = 0
        for batch in rows.given(places[order], run):
            there = order[at : at + batch.rows]
            added = tuple(column.take(there) for column in values)
            yield Batch((*batch.columns, *added), batch.rows)
            at += batch.rows


def whole_partitions(batches: Iterable[Batch], first: int, count: int, run: Run) -> Iterator[Batch]:
    """Sorted rows in pieces that hold whole partitions, whose keys are `count` columns from `first` on.

    A piece is about as large as an operator may be, or one partition.
    """
    held: list[Batch] = []
    size, most = 0, run.memory.limit // 2
    for batch in batches:
        held.append(batch)
        size += held_bytes(batch.columns)
        if size <= most:
            continue
        whole = Batch.concat(held)
        keys = (SortKey(Reference(i, whole.columns[i].type)) for i in range(first, first + count))
        words = sort_words(tuple(keys), whole.columns[first : first + count])
        last = int(np.flatnonzero(starts(words, np.arange(whole.rows)))[-1])
        if last:
            yield whole.slice(0, last)
            whole = whole.slice(last, whole.rows)
        held, size = [whole], held_bytes(whole.columns)
        most = max(most, 2 * size)
    if held:
        yield Batch.concat(held)


@dataclass(frozen=True)
class _Ordering:
    """Rows in a window's order, where each of them then stands, and the layout of what they make."""

    order: Positions
    places: Positions
    layout: Layout


class _Work:
    """One run's columns, and what calls share: orderings and frames."""

    def __init__(self, columns: Mapping[Expression, Column], rows: int, run: Run) -> None:
        self._columns = columns
        self._rows = rows
        self._run = run
        self._orderings: dict[object, _Ordering] = {}
        self._frames: dict[object, Pieces] = {}

    def ordering(self, call: WindowCall) -> _Ordering:
        """The order of a call's window."""
        name = (call.partition, call.order)
        found = self._orderings.get(name)
        if found is None:
            self._run.check()
            found = self._orderings[name] = self._ordered(call)
        return found

    def _ordered(self, call: WindowCall) -> _Ordering:
        keys = call.keys
        words = [sort_words((key,), (self._columns[key.expression],)) for key in keys]
        flat = [word for found in words for word in found]
        order = sorted_rows(flat, self._run) if flat else np.arange(self._rows)
        width = sum(len(found) for found in words[: len(call.partition)])
        partitions = starts(flat[:width], order)
        peers = partitions | starts(flat[width:], order)
        places = np.empty(self._rows, np.int64)
        places[order] = np.arange(self._rows)
        return _Ordering(order, places, Layout(partitions, peers))

    def values(self, call: WindowCall) -> Column:
        """The call's value of each row, in the order in which rows came."""
        self._run.check()
        ordering = self.ordering(call)
        arguments = [self._columns[e].take(ordering.order) for e in call.arguments]
        function = windowfunctions.BY_ID.get(call.function)
        pieces = self._pieces(call, ordering)
        if function is not None:
            place = windowfunctions.Place(ordering.layout, pieces, arguments)
            found = function.evaluate(place)
        else:
            kept = self._filter(call, ordering)
            found = aggregated(call.function, arguments, call.type, kept, pieces, self._run)
        return found.take(ordering.places)

    def _filter(self, call: WindowCall, ordering: _Ordering) -> Mask | None:
        if call.filter is None:
            return None
        return true_rows(self._columns[call.filter], self._rows)[ordering.order]

    def _pieces(self, call: WindowCall, ordering: _Ordering) -> Pieces:
        """The frames of the rows, in the window's order."""
        name = (call.partition, call.order, call.frame)
        found = self._frames.get(name)
        if found is None:
            found = self._frames[name] = self._framed(call, ordering)
        return found

    def _framed(self, call: WindowCall, ordering: _Ordering) -> Pieces:
        frame, layout = call.frame, ordering.layout
        key = None
        if frame.key is not None:
            (order,) = call.order
            column = self._columns[frame.key].take(ordering.order)
            key = RangeKey(column, order.descending, order.nulls_first)

        def place(bound: FrameBound, end: bool) -> Positions:
            value = None if bound.value is None else self._columns[bound.value].take(ordering.order)
            return border(layout, frame.mode, bound, key, value, self._run, end=end)

        return excluded(layout, place(frame.start, False), place(frame.end, True), frame.exclude)
