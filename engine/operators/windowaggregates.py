"""Aggregates as window functions: one answer a frame, from rows in the window's order.

Rows that FILTER or a null argument leaves out are taken away first, so that frames are ranges of rows that
count; frames that are the same are answered once. Then, whichever fits first: frames that do not overlap are
groups of a plain aggregation; the aggregate slides (State.slide); or each frame's rows are added anew, a
bounded number of them at a time, or, if those are many, what many frames have in common once for all of them.
All of these give the bits that the plain aggregate of a frame's rows gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from engine.aggregates.registry import BY_ID, State, start
from engine.frames import Pieces, apart, common, distinct_frames, kept_rows, rows_of, sizes, varying, within
from engine.late import bounded_rows
from engine.run import Run
from storage.column import Column, Mask, Positions
from storage.types import Type

_FEW = 16
"""Rows a frame that are added anew."""


def aggregated(
    function: str,
    arguments: Sequence[Column],
    result: Type,
    rows: int,
    kept: Mask | None,
    pieces: Pieces,
    run: Run,
    core: State | None = None,
) -> Column:
    """The aggregate of each frame's rows, of `rows` rows those that `kept` (None: all) leaves.

    `core`: what rows that are in all frames beside these have gathered, of an aggregate that keeps no rows.
    """
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
    frames = len(pieces[0][0])
    if core is None and apart(pieces):
        return _each(_added(start(function, types, result, run), arguments, pieces, 0, frames), frame, run)
    found = start(function, types, result, run).slide(arguments, rows, pieces, core)
    if found is None:
        many = int(sizes(pieces).sum()) > _FEW * (rows + frames) and not BY_ID[function].state.keeps_rows
        if core is not None or many:
            begin = partial(start, function, types, result, run)
            found = Column.concat(list(_halved(begin, arguments, pieces, core, run)))
        else:
            found = _anew(function, arguments, result, pieces, run)
    return _each(found, frame, run)


def _each(answers: Column, frame: Positions, run: Run) -> Column:
    """The answers of frames as those of the rows that have them. Raises OutOfMemory."""
    values = answers.values
    if isinstance(values, pa.Array) and _is_varying(values.type) and len(frame) > len(answers):
        ends = np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]
        items = np.diff(ends)
        size = answers.nbytes * (float(items[frame].sum()) / max(int(items.sum()), 1))
        run.memory.grant().require(int(size), "Answers of a window that many rows share")
        run.check()
    return answers.take(frame)


def _is_varying(kind: pa.DataType) -> bool:
    return any(f(kind) for f in (pa.types.is_large_list, pa.types.is_large_string, pa.types.is_large_binary))


def _halved(
    begin: Callable[[], State],
    arguments: Sequence[Column],
    pieces: Pieces,
    core: State | None,
    run: Run,
) -> Iterator[Column]:
    """The answers of frames, some at a time: what all of them have in common is added once, then the others'
    halves follow. So each row is added about as often as the number of frames can be halved."""
    run.check()
    shared = common(pieces, zones := varying(pieces))
    frames = len(pieces[0][0])
    if shared or core is None:
        core = joined(begin(), core)
        for low, high in shared:
            core.update(np.zeros(high - low, np.int64), [column.slice(low, high) for column in arguments], 1)
    if frames == 1 or all(low == high for low, high in zones):
        yield joined(begin(), core).finish(1).take(np.zeros(frames, np.int64))
        return
    rows = np.concatenate([np.arange(low, high) for low, high in zones])
    arguments, pieces = [column.take(rows) for column in arguments], within(pieces, zones)
    middle = frames // 2
    for half in (slice(0, middle), slice(middle, frames)):
        mine = tuple((first[half], stop[half]) for first, stop in pieces)
        yield from _halved(begin, arguments, mine, core, run)


def joined(state: State, *others: State | None) -> State:
    """A state without rows, of one group, with what others of one group have gathered."""
    state.reserve(1)
    for other in others:
        if other is not None:
            state.merge(other, np.zeros(1, np.int64), 1)
    return state


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
