"""Streams: calls over one partition of more rows than may be held, in sorted pieces.

A piece ends where a group of peers ends. Of the rows before it is known how many they were, in how many
groups of peers, and each aggregate's state; so calls stream that look at the places of rows only, and
aggregates whose frames begin with the partition, and end with it or at the current row. lag of one row needs
the last row's argument of the piece before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.aggregates.registry import BY_ID, State, start
from engine.frames import Excerpt
from engine.nodes import true_rows
from engine.operators import windowfunctions
from engine.operators.sortkeys import sort_words
from engine.operators.windowcalls import WindowCall
from engine.orders import starts
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS
from storage.column import Column, Mask, Positions

Columns = Mapping[Expression, Column]


def streams(call: WindowCall) -> bool:
    """Whether a call without PARTITION BY needs not all rows at once."""
    function = windowfunctions.BY_ID.get(call.function)
    if function is not None:
        by_place = not function.arguments or _is_lag(call)
        return by_place and (bool(call.order) or function.name == "row_number")
    frame = call.frame
    begins = frame.start.kind == "unbounded preceding"
    ends = frame.end.kind in ("current row", "unbounded following")
    return begins and ends and not frame.exclude and not BY_ID[call.function].state.keeps_rows


def _is_lag(call: WindowCall) -> bool:
    """Whether a call is lag of one row: it is the last row before a piece that the first one needs."""
    return call.function == "lag(anyelement)"


class Stream:
    """Calls of one order: `count` sees all rows once, in any order, then `values` piece after piece."""

    def __init__(self, calls: Sequence[WindowCall], run: Run) -> None:
        self._calls = calls
        self._run = run
        self._rows = self._before = self._groups = 0
        self._last: dict[int, Column] = {}  # of lag the last row's argument
        self._states = [
            None if call.function in windowfunctions.BY_ID else self._begun(call) for call in calls
        ]

    def _begun(self, call: WindowCall) -> State:
        state = self._fresh(call)
        state.reserve(1)
        return state

    def _fresh(self, call: WindowCall) -> State:
        return start(call.function, [e.type for e in call.arguments], call.type, self._run)

    def count(self, columns: Columns, rows: int) -> None:
        """See rows."""
        self._rows += rows
        for call, state in zip(self._calls, self._states, strict=True):
            if state is not None and _sees_all(call):
                kept, arguments = _arguments(call, columns, rows)
                state.update(np.zeros(len(kept), np.int64), arguments, 1)

    def values(self, columns: Columns, rows: int) -> list[Column]:
        """The value of each call for the rows of the next piece, in order."""
        keys = self._calls[-1].order
        words = sort_words(keys, [columns[key.expression] for key in keys])
        none: Mask = np.zeros(rows, np.bool_)
        peers = starts(words, np.arange(rows))
        layout = Excerpt(none, peers, self._before, self._groups, self._rows)
        found = [
            self._places(i, call, columns, layout)
            if state is None
            else self._aggregated(i, call, state, columns, layout)
            for i, (call, state) in enumerate(zip(self._calls, self._states, strict=True))
        ]
        self._before += rows
        self._groups += int(peers.sum())
        return found

    def _places(self, i: int, call: WindowCall, columns: Columns, layout: Excerpt) -> Column:
        if _is_lag(call):
            return self._lagged(i, columns[call.arguments[0]], layout.rows)
        return windowfunctions.BY_ID[call.function].evaluate(windowfunctions.Place(layout, (), ()))

    def _lagged(self, i: int, values: Column, rows: int) -> Column:
        """Each row's value one row further on; null before the first row of all."""
        before = self._last.get(i, Column.nulls(values.type, 1))
        self._last[i] = values.slice(rows - 1, rows)
        return Column.concat([before, values.slice(0, rows - 1)])

    def _aggregated(
        self, i: int, call: WindowCall, state: State, columns: Columns, layout: Excerpt
    ) -> Column:
        rows = layout.rows
        if _sees_all(call):
            return state.finish(1).take(np.zeros(rows, np.int64))
        kept, arguments = _arguments(call, columns, rows)
        parts = []
        for first in range(0, rows, BATCH_ROWS):
            self._run.check()
            stop = min(first + BATCH_ROWS, rows)
            here = slice(*np.searchsorted(kept, (first, stop)).tolist())
            mine = [column.slice(here.start, here.stop) for column in arguments]
            places = kept[here] - first
            parts.append(self._fresh(call).running(self._states[i], places, mine, stop - first))
            after: Any = self._begun(call)
            after.merge(self._states[i], np.zeros(1, np.int64), 1)
            after.update(np.zeros(len(places), np.int64), mine, 1)
            self._states[i] = after
        found = Column.concat(parts)
        return found if call.frame.mode == "rows" else found.take(layout.peer_last - 1)


def _sees_all(call: WindowCall) -> bool:
    """Whether every frame of a call has all rows."""
    return call.frame.end.kind == "unbounded following" or (not call.order and call.frame.mode != "rows")


def _arguments(call: WindowCall, columns: Columns, rows: int) -> tuple[Positions, list[Column]]:
    """(the rows that the call's filter leaves, its arguments of them)."""
    arguments = [columns[e] for e in call.arguments]
    if call.filter is None:
        return np.arange(rows), arguments
    kept = np.flatnonzero(true_rows(columns[call.filter], rows))
    return kept, [column.take(kept) for column in arguments]
