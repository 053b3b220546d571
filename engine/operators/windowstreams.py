"""Streams: calls over one partition of more rows than may be held.

The rows stand in temporary files, in order, in pages: those that are given out, and each expression that
calls read on its own, so that its value at any position is one page away. Page after page, calls find where
their frames lie, and

- functions take values at positions (lag, first_value), wherever these are;
- aggregates read the pages in which the page's frames differ. Of pages that all of these frames have in full,
  what the aggregate has gathered is kept, and of 2, 4, 8 ... pages on end, so that any number of them is put
  together in a few steps. An aggregate that keeps its rows has nothing of the kind: one frame of it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from engine.aggregates.registry import BY_ID, State, start
from engine.frames import Excerpt, Layout, Pieces, common, distinct_frames, varying, within
from engine.late import held_bytes
from engine.memory import Grant
from engine.nodes import true_rows
from engine.operators import windowfunctions
from engine.operators.pagedrows import PagedRows, column_of, page_rows, paged
from engine.operators.sortkeys import Keyed, SortKey, sort_words
from engine.operators.windowaggregates import aggregated, joined
from engine.operators.windowcalls import WindowCall
from engine.operators.windowframes import RangeKey, alike
from engine.operators.windowwork import framed
from engine.orders import starts
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import BOOL, INT8, Type

Columns = Mapping[Expression, Column]

_ZONES = 8
"""Pages that are read at once for the frames of one page, unless one frame needs more."""


class Partition:
    """Rows of one partition, of `types`, the last of which are the expressions that are `wanted`, in order,
    and the values of calls over them, which all have that order.

    Raises DiskFull, FileError, ConfigurationLimitExceeded.
    """

    def __init__(
        self,
        calls: Sequence[WindowCall],
        types: Sequence[Type],
        wanted: Sequence[Expression],
        run: Run,
        owner: object,
    ) -> None:
        self._calls = calls
        self._width = len(types) - len(wanted)
        self._run = run
        self._open = partial(PagedRows, run=run, owner=owner)
        self._types = tuple(types[: self._width])
        self._wanted = tuple(wanted)
        self._total = 0
        self._groups: list[int] = []  # groups of peers that have begun before each page
        self._fences: dict[Expression, list[Column]] = {
            call.frame.key: [] for call in calls if call.frame.key is not None
        }
        self._totals = {
            call: _Totals(partial(_begin, call, run))
            for call in calls
            if call.function in BY_ID and not BY_ID[call.function].state.keeps_rows
        }
        self._files: list[PagedRows] = []

    def valued(self, batches: Iterable[Batch]) -> Iterator[Keyed]:
        """The rows of batches, in order, with the keys of the order behind them: (the rows with the calls'
        values, what is wanted of them)."""
        try:
            self._fill(batches)
            for number, groups in enumerate(self._groups):
                yield self._page(number, groups)
        finally:
            for each in self._files:
                each.close()

    def _fill(self, batches: Iterable[Batch]) -> None:
        batches = iter(batches)
        first = next(batches)
        self._size = size = page_rows(first, self._run)
        self._rows = self._open(size)
        self._begins = self._open(size)
        self._columns = {e: self._open(size) for e in self._wanted}
        self._files = [self._rows, self._begins, *self._columns.values()]
        before: Sequence[Column] = ()
        groups = 0
        for page in paged(chain([first], batches), size):
            self._run.check()
            known = page.columns[self._width : self._width + len(self._wanted)]
            keys = page.columns[self._width + len(self._wanted) :]
            peers = _peers(self._calls[-1].order, before, keys, page.rows)
            before = [column.slice(page.rows - 1, page.rows) for column in keys]
            self._rows.append(Batch((*page.columns[: self._width], Column(BOOL, peers)), page.rows))
            begins = np.flatnonzero(peers) + self._total
            self._begins.append(Batch((Column(INT8, begins),), len(begins)))
            self._groups.append(groups)
            groups += len(begins)
            self._see(dict(zip(self._wanted, known, strict=True)), page.rows)
            self._total += page.rows
        self._begins.append(Batch((Column(INT8, np.full(1, self._total)),), 1))
        self._all_groups = groups
        for each in self._files:
            each.end()

    def _see(self, columns: Columns, rows: int) -> None:
        """A page's values of what is wanted."""
        for expression, pages in self._columns.items():
            pages.append(Batch((columns[expression],), rows))
        for expression, fences in self._fences.items():
            fences.append(columns[expression].take(np.zeros(1, np.int64)))
        for call, totals in self._totals.items():
            kept, arguments = _arguments(call, columns, rows)
            if kept is not None:
                arguments = [column.take(kept) for column in arguments]
            seen = rows if kept is None else int(np.count_nonzero(kept))
            state = joined(_begin(call, self._run))
            state.update(np.zeros(seen, np.int64), arguments, 1)
            totals.add(state)

    def _page(self, number: int, groups: int) -> Keyed:
        page, at = self._rows.page(number), number * self._size
        peers: Mask = page.columns[-1].values
        known = [self._columns[e].page(number).columns[0] for e in self._wanted]
        columns = dict(zip(self._wanted, known, strict=True))
        layout = Excerpt(np.zeros(page.rows, np.bool_), peers, at, groups, self._total, self._begin_of)
        frames: dict[object, Pieces] = {}
        values = [self._value(call, layout, columns, frames) for call in self._calls]
        return Batch((*page.columns[:-1], *values), page.rows), known

    def _begin_of(self, groups: Positions) -> Positions:
        places: Positions = column_of(self._begins, np.clip(groups, 0, self._all_groups)).values
        return places

    def _value(
        self, call: WindowCall, layout: Excerpt, columns: Columns, frames: dict[object, Pieces]
    ) -> Column:
        """A call's values of a page's rows."""
        self._run.check()
        function = windowfunctions.BY_ID.get(call.function)
        pieces: Pieces = ()
        if function is None or function.sees_frames or call.frame.offsets:
            found = frames.get(call.frame)
            pieces = self._framed(call, layout, columns) if found is None else found
            frames[call.frame] = pieces
        if function is None:
            pieces, frame = distinct_frames(pieces)
            return Column.concat(list(self._aggregated(call, pieces))).take(frame)
        pages = [self._columns[e] for e in call.arguments]
        arguments = [columns[e] for e in call.arguments]
        return function.evaluate(_PagedPlace(layout, pieces, arguments, pages, self._size))

    def _framed(self, call: WindowCall, layout: Excerpt, columns: Columns) -> Pieces:
        frame, key = call.frame, None
        if frame.key is not None:
            (order,) = call.order
            fences = Column.concat(self._fences[frame.key])
            key = _PagedKey(
                columns[frame.key],
                order.descending,
                order.nulls_first,
                fences,
                self._columns[frame.key],
                self._size,
            )
        return framed(frame, layout, key, columns.__getitem__, self._run)

    def _aggregated(self, call: WindowCall, pieces: Pieces) -> Iterator[Column]:
        """The aggregate of frames, as many at a time as there is memory for."""
        totals, frames = self._totals.get(call), len(pieces[0][0])
        zones = varying(pieces, self._size, self._total)
        if totals is None:
            zones = [(zones[0][0], zones[-1][1])]
        if frames > 1 and sum(high - low for low, high in zones) > _ZONES * self._size:
            for half in (slice(0, frames // 2), slice(frames // 2, frames)):
                yield from self._aggregated(call, tuple((first[half], stop[half]) for first, stop in pieces))
            return
        shared = [totals.between(*self._pages(gap)) for gap in common(pieces, zones)] if totals else []
        core = joined(_begin(call, self._run), *shared) if shared else None
        grant = self._run.memory.grant()
        try:
            columns = {e: self._joined(e, zones, grant if totals is None else None) for e in _read(call)}
            rows = sum(high - low for low, high in zones)
            kept, arguments = _arguments(call, columns, rows)
            mine = within(pieces, zones)
            yield aggregated(call.function, arguments, call.type, rows, kept, mine, self._run, core)
        finally:
            grant.release()

    def _pages(self, rows: tuple[int, int]) -> tuple[int, int]:
        """The pages that make up these rows."""
        return rows[0] // self._size, -(-rows[1] // self._size)

    def _joined(
        self, expression: Expression, zones: Sequence[tuple[int, int]], grant: Grant | None
    ) -> Column:
        """An expression's values in some ranges, counted by a grant where they are all that there are."""
        pages, parts = self._columns[expression], []
        for low, high in zones:
            for first in range(low, high, self._size):
                part = pages.between(first, min(first + self._size, high)).columns[0]
                if grant is not None:
                    grant.require(held_bytes([part]), "WindowAgg")
                parts.append(part)
        return Column.concat(parts) if parts else Column.of(expression.type, [])


class _Totals:
    """What an aggregate has gathered of each page's rows, and of 2, 4, 8 ... pages on end."""

    def __init__(self, begin: Callable[[], State]) -> None:
        self._begin = begin
        self._levels: list[list[State]] = [[]]

    def add(self, state: State) -> None:
        """The next page."""
        for level in range(len(self._levels) + 1):
            if level == len(self._levels):
                self._levels.append([])
            mine = self._levels[level]
            mine.append(state)
            if len(mine) % 2:
                return
            state = joined(self._begin(), mine[-2], mine[-1])

    def between(self, first: int, stop: int) -> State:
        """What pages `first` to `stop` have gathered."""
        found: list[State] = []
        for level in self._levels:
            if first >= stop:
                break
            if first % 2:
                found.append(level[first])
                first += 1
            if stop % 2:
                stop -= 1
                found.append(level[stop])
            first, stop = first // 2, stop // 2
        return joined(self._begin(), *found)


@dataclass(frozen=True)
class _PagedPlace(windowfunctions.Place):
    """A place whose arguments stand in pages of `size` rows."""

    pages: Sequence[PagedRows]
    size: int

    def taken(self, number: int, rows: Positions) -> Column:
        return column_of(self.pages[number], rows)

    def known_from(self, number: int) -> Positions:
        total = self.layout.total
        for first in range(0, total, self.size):
            valid = self.pages[number].page(first // self.size).columns[0].is_valid()
            if valid.any():
                return np.full(self.layout.rows, first + int(np.argmax(valid)))
        return np.full(self.layout.rows, total)


@dataclass(frozen=True)
class _PagedKey(RangeKey):
    """The key of RANGE of a page's rows, the first key of each page, and all of them in pages."""

    fences: Column
    pages: PagedRows
    size: int

    def search(self, layout: Layout, wanted: Column, run: Run, *, right: bool) -> Positions:
        fences = alike(self.fences, wanted)
        behind = self.among(fences, wanted, run, right=right)  # a place behind so many pages' first keys
        places = np.zeros(len(wanted), np.int64)
        for number in np.unique(behind[behind > 0]).tolist():
            mine = np.flatnonzero(behind == number)
            keys = alike(self.pages.page(number - 1).columns[0], wanted)
            places[mine] = self.among(keys, wanted.take(mine), run, right=right) + (number - 1) * self.size
        return places


def _begin(call: WindowCall, run: Run) -> State:
    """A state of an aggregate, without rows."""
    return start(call.function, [e.type for e in call.arguments], call.type, run)


def _read(call: WindowCall) -> list[Expression]:
    """The expressions that an aggregate looks at."""
    return list(call.arguments) + ([] if call.filter is None else [call.filter])


def _arguments(call: WindowCall, columns: Columns, rows: int) -> tuple[Mask | None, list[Column]]:
    """(the rows that a call's filter leaves, None for all; its arguments)."""
    kept = None if call.filter is None else true_rows(columns[call.filter], rows)
    return kept, [columns[e] for e in call.arguments]


def _peers(order: Sequence[SortKey], before: Sequence[Column], keys: Sequence[Column], rows: int) -> Mask:
    """(rows,) where groups of peers begin, behind a row with the keys `before`, if there is one.

    Without an order all rows are peers.
    """
    if before:
        keys = [Column.concat(pair) for pair in zip(before, keys, strict=True)]
    shift = int(bool(before))
    words = sort_words(order, keys[len(keys) - len(order) :])
    return starts(words, np.arange(rows + shift))[shift:]
