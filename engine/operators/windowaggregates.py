"""Aggregates as window functions: one answer a frame, from rows in the window's order.

Rows that FILTER or a null argument leaves out are taken away first, so that frames are ranges of rows that
count; frames that are the same are answered once. Then, whichever fits first: frames that do not overlap are
groups of a plain aggregation; the aggregate slides (State.slide); or each frame's rows are added anew, a
bounded number of them at a time. All three give the bits that the plain aggregate of a frame's rows gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.aggregates.registry import BY_ID, State, start
from engine.frames import Pieces, apart, distinct_frames, kept_rows, rows_of, sizes
from engine.late import bounded_rows
from engine.run import Run
from storage.column import Column, Mask
from storage.types import Type


def aggregated(
    function: str, arguments: Sequence[Column], result: Type, kept: Mask | None, pieces: Pieces, run: Run
) -> Column:
    """The aggregate of each frame's rows, of those that `kept` (None: all) leaves."""
    rows = len(pieces[0][0])
    if BY_ID[function].state.strict:
        for valid in (column.valid for column in arguments):
            if valid is not None:
                kept = valid if kept is None else kept & valid
    if kept is not None and not kept.all():
        arguments = [column.take(kept) for column in arguments]
        pieces = kept_rows(pieces, kept)
        rows = int(np.count_nonzero(kept))
    pieces, frame = distinct_frames(pieces)
    types = [column.type for column in arguments]
    if apart(pieces):
        found = _added(start(function, types, result, run), arguments, pieces, 0, len(pieces[0][0]))
    else:
        slid = start(function, types, result, run).slide(arguments, rows, pieces)
        found = slid if slid is not None else _anew(function, arguments, result, pieces, run)
    return found.take(frame)


def _anew(function: str, arguments: Sequence[Column], result: Type, pieces: Pieces, run: Run) -> Column:
    """Each frame's rows added to a state of their own."""
    types = [column.type for column in arguments]
    ends, most = np.cumsum(sizes(pieces)), bounded_rows(types)
    parts, first = [], 0
    while first < len(ends):
        run.check()
        before = int(ends[first - 1]) if first else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), first + 1)
        parts.append(_added(start(function, types, result, run), arguments, pieces, first, stop))
        first = stop
    return Column.concat(parts)


def _added(state: State, arguments: Sequence[Column], pieces: Pieces, first: int, stop: int) -> Column:
    """The answers of frames `first` to `stop`, of a state without rows."""
    groups, rows = rows_of(pieces, first, stop)
    state.update(groups, [column.take(rows) for column in arguments], stop - first)
    return state.finish(stop - first)
