"""The window functions that are no aggregates: places in a partition, and rows at a distance or of a frame.

    @window("lag", [ANYELEMENT], ANYELEMENT, 3106)
    def _lag(place: Place) -> Column: ...

A function sees all rows of its window at once, in the window's order, and gives a value a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.frames import Layout, Pieces, nth_rows, sizes
from engine.operators.rows import without
from storage.column import Array, Column, Mask, Positions
from storage.errors import InvalidArgumentForNthValue, InvalidArgumentForNtile
from storage.types import ANYCOMPATIBLE, ANYELEMENT, FLOAT8, INT4, INT8, Type


@dataclass(frozen=True)
class Place:
    """What a call sees: the layout of its window, its frames, if it asks for them, and its arguments in the
    window's order."""

    layout: Layout
    pieces: Pieces
    arguments: Sequence[Column]

    def taken(self, number: int, rows: Positions) -> Column:
        """The values of an argument at these positions."""
        return self.arguments[number].take(rows)

    def known_from(self, number: int) -> Positions:
        """(rows,) the position of the first value of an argument, in each row's partition or behind it, that
        is not null; that behind all rows if there is none."""
        layout, valid = self.layout, self.arguments[number].valid
        if valid is None:
            return layout.first
        known = np.where(valid, layout.here, layout.rows)
        first: Positions = np.minimum.accumulate(known[::-1])[::-1][layout.first]
        return first


Evaluate = Callable[[Place], Column]


@dataclass(frozen=True)
class WindowFunction:
    """One signature of a window function. `id` names it in plans: 'lag(anyelement,int4)'."""

    id: str
    name: str
    arguments: tuple[Type, ...]
    result: Type
    evaluate: Evaluate
    oid: int
    doc: str
    sees_frames: bool


WINDOW_FUNCTIONS: dict[str, list[WindowFunction]] = {}
BY_ID: dict[str, WindowFunction] = {}


def window(
    name: str, arguments: Sequence[Type], result: Type, oid: int, *, frames: bool = False
) -> Callable[[Evaluate], Evaluate]:
    """Declare a signature of window function `name`, with PostgreSQL's OID; decorators stack.

    `frames`: what it gives depends on the frames of the rows.
    """

    def declare(evaluate: Evaluate) -> Evaluate:
        id = f"{name}({','.join(t.name for t in arguments)})"
        assert id not in BY_ID, f"{id} is declared twice"
        doc = (evaluate.__doc__ or "").strip()
        row = WindowFunction(id, name, tuple(arguments), result, evaluate, oid, doc, frames)
        BY_ID[id] = row
        WINDOW_FUNCTIONS.setdefault(name, []).append(row)
        return evaluate

    return declare


@window("row_number", [], INT8, 3100)
def _row_number(place: Place) -> Column:
    """The number of the row in its partition, from 1."""
    return Column(INT8, _number(place.layout))


def _number(layout: Layout) -> Positions:
    numbers: Positions = layout.here - layout.first + 1
    return numbers


@window("rank", [], INT8, 3101)
def _rank(place: Place) -> Column:
    """The number of the row's first peer: with gaps."""
    return Column(INT8, _ranks(place.layout))


def _ranks(layout: Layout) -> Positions:
    numbers: Positions = layout.peer_first - layout.first + 1
    return numbers


@window("dense_rank", [], INT8, 3102)
def _dense_rank(place: Place) -> Column:
    """The number of the row's group of peers in its partition: without gaps."""
    layout = place.layout
    return Column(INT8, layout.group - layout.first_group + 1)


@window("percent_rank", [], FLOAT8, 3103)
def _percent_rank(place: Place) -> Column:
    """(rank - 1) / (rows of the partition - 1); 0 for a partition of one row."""
    layout = place.layout
    return Column(FLOAT8, (_ranks(layout) - 1) / np.maximum(layout.last - layout.first - 1, 1))


@window("cume_dist", [], FLOAT8, 3104)
def _cume_dist(place: Place) -> Column:
    """The part of the partition's rows that come before the row or are its peers."""
    layout = place.layout
    return Column(FLOAT8, (layout.peer_last - layout.first) / (layout.last - layout.first))


@window("ntile", [INT4], INT4, 3105)
def _ntile(place: Place) -> Column:
    """The bucket of the row, from 1, when the partition is cut into so many that are as equal as may be.

    The first row of a partition that is not null says how many, and those before it have no number. Raises
    InvalidArgumentForNtile.
    """
    layout = place.layout
    first = place.known_from(0)
    there: Mask = layout.here >= first
    buckets = place.taken(0, np.minimum(first, layout.total - 1)).values.astype(np.int64)
    if (buckets[there] <= 0).any():
        raise InvalidArgumentForNtile("argument of ntile must be greater than zero")
    buckets = np.maximum(buckets, 1)
    number = layout.here - first
    size, larger = np.divmod(layout.last - layout.first, buckets)  # `larger` buckets have a row more
    edge = larger * (size + 1)
    tile = np.where(number < edge, number // (size + 1), larger + (number - edge) // np.maximum(size, 1))
    return Column(INT4, (tile + 1).astype(np.int32), None if there.all() else there)


@window("lag", [ANYELEMENT], ANYELEMENT, 3106)
@window("lag", [ANYELEMENT, INT4], ANYELEMENT, 3107)
@window("lag", [ANYCOMPATIBLE, INT4, ANYCOMPATIBLE], ANYCOMPATIBLE, 3108)
def _lag(place: Place) -> Column:
    """The value that many rows before in the partition, 1 unless said; the default where there is none."""
    return _shifted(place, -1)


@window("lead", [ANYELEMENT], ANYELEMENT, 3109)
@window("lead", [ANYELEMENT, INT4], ANYELEMENT, 3110)
@window("lead", [ANYCOMPATIBLE, INT4, ANYCOMPATIBLE], ANYCOMPATIBLE, 3111)
def _lead(place: Place) -> Column:
    """The value that many rows behind in the partition, 1 unless said; the default where there is none."""
    return _shifted(place, 1)


def _shifted(place: Place, sign: int) -> Column:
    """The values at a distance; a null distance gives null."""
    layout, rest = place.layout, place.arguments[1:]
    distance: Array = rest[0].values.astype(np.int64) if rest else np.ones(layout.rows, np.int64)
    known = rest[0].is_valid() if rest else np.ones(layout.rows, np.bool_)
    target = layout.here + sign * distance
    inside = (target >= layout.first) & (target < layout.last)
    if len(rest) < 2:
        return _at(place, target, inside & known)
    found = place.taken(0, np.where(inside, target, 0))
    if not inside.all():
        at = np.arange(layout.rows)
        found = Column.concat([found, rest[1]]).take(np.where(inside, at, at + layout.rows))
    return found if known.all() else without(found, known)


def _at(place: Place, rows: Positions, there: Mask) -> Column:
    """The values of the first argument at `rows`, null where there is none."""
    found = place.taken(0, np.where(there, rows, 0))
    return found if there.all() else without(found, there)


@window("first_value", [ANYELEMENT], ANYELEMENT, 3112, frames=True)
def _first_value(place: Place) -> Column:
    """The value of the frame's first row."""
    rows = nth_rows(place.pieces, np.zeros(place.layout.rows, np.int64))
    return _at(place, rows, rows >= 0)


@window("last_value", [ANYELEMENT], ANYELEMENT, 3113, frames=True)
def _last_value(place: Place) -> Column:
    """The value of the frame's last row."""
    rows = nth_rows(place.pieces, sizes(place.pieces) - 1)
    return _at(place, rows, rows >= 0)


@window("nth_value", [ANYELEMENT, INT4], ANYELEMENT, 3114, frames=True)
def _nth_value(place: Place) -> Column:
    """The value of the frame's row of that number, from 1. Raises InvalidArgumentForNthValue."""
    wanted = place.arguments[1]
    known = wanted.is_valid()
    number = wanted.values.astype(np.int64)
    if (number[known] <= 0).any():
        raise InvalidArgumentForNthValue("argument of nth_value must be greater than zero")
    rows = nth_rows(place.pieces, np.where(known, number - 1, -1))
    return _at(place, rows, rows >= 0)
