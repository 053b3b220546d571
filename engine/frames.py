"""Frames: for each row of a window the rows that a call over it sees, and folds over many frames at once.

Rows stand in the window's order: partition behind partition, each in the order of its keys. A frame is a
run of these rows less what EXCLUDE takes out, so it is at most three pieces, each a range of positions:

    pieces[k] = (starts, ends)      frame i is rows starts[i] to ends[i] of every piece, in this order

What sums up (counts, whole numbers, digits of exact sums) is read off running totals, one subtraction a
piece; what takes no harm from being folded in twice (minimum, AND) off two overlapping ranges of a power of
two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from storage.column import Array, Mask, Positions

Pieces = tuple[tuple[Positions, Positions], ...]


@dataclass(frozen=True)
class Layout:
    """Where partitions and groups of peers begin: `partitions` and `peers` are masks (rows,) over the rows in
    the window's order; a partition begins with a group of peers."""

    partitions: Mask
    peers: Mask

    @property
    def rows(self) -> int:
        return len(self.partitions)

    @cached_property
    def partition(self) -> Positions:
        """(rows,) the number of each row's partition, from 0."""
        return np.cumsum(self.partitions, dtype=np.int64) - 1

    @cached_property
    def group(self) -> Positions:
        """(rows,) the number of each row's group of peers, from 0, over all partitions."""
        return np.cumsum(self.peers, dtype=np.int64) - 1

    @cached_property
    def borders(self) -> Positions:
        """(groups + 1,) where each group of peers begins, and where the last one ends."""
        return np.append(np.flatnonzero(self.peers), self.rows)

    @cached_property
    def first(self) -> Positions:
        """(rows,) where each row's partition begins."""
        return np.flatnonzero(self.partitions)[self.partition]

    @cached_property
    def last(self) -> Positions:
        """(rows,) where each row's partition ends: the first row behind it."""
        return np.append(np.flatnonzero(self.partitions)[1:], self.rows)[self.partition]

    @cached_property
    def first_group(self) -> Positions:
        """(rows,) the number of the first group of peers of each row's partition."""
        return self.group[self.first]

    @cached_property
    def peer_first(self) -> Positions:
        """(rows,) where each row's peers begin."""
        return self.borders[self.group]

    @cached_property
    def peer_last(self) -> Positions:
        """(rows,) the first row behind each row's peers."""
        return self.borders[self.group + 1]


@dataclass(frozen=True)
class Excerpt(Layout):
    """Some rows of the one partition of `total` rows, whole groups of peers: `before` rows of it come before,
    in `groups` groups of peers. Places count from the first of these rows."""

    before: int
    groups: int
    total: int

    @cached_property
    def first(self) -> Positions:
        return np.full(self.rows, -self.before)

    @cached_property
    def last(self) -> Positions:
        return np.full(self.rows, self.total - self.before)

    @cached_property
    def first_group(self) -> Positions:
        return np.full(self.rows, -self.groups)


def by_rows(layout: Layout, distance: int, *, end: bool) -> Positions:
    """(rows,) where frames begin, or end, that many rows behind each row; before it if negative."""
    distance = max(min(distance, layout.rows), -layout.rows - 1)
    places: Positions = np.arange(layout.rows) + (distance + end)
    return np.clip(places, layout.first, layout.last)


def by_groups(layout: Layout, distance: int, *, end: bool) -> Positions:
    """(rows,) where frames begin, or end, that many groups behind each row's; before it if negative."""
    distance = max(min(distance, layout.rows), -layout.rows - 1)
    behind = layout.borders
    places = behind[np.clip(layout.group + (distance + end), 0, len(behind) - 1)]
    return np.clip(places, layout.first, layout.last)


def excluded(layout: Layout, start: Positions, end: Positions, what: str) -> Pieces:
    """The pieces of frames `start` to `end` without `what`: '', 'current row', 'group' or 'ties'."""
    end = np.maximum(start, end)
    if not what:
        return ((start, end),)
    here = np.arange(layout.rows)
    if what == "current row":
        low, high = here, here + 1
    else:
        low, high = layout.peer_first, layout.peer_last
    before = (start, np.clip(low, start, end))
    behind = (np.clip(high, start, end), end)
    if what != "ties":
        return (before, behind)
    itself = (np.clip(here, start, end), np.clip(here + 1, start, end))
    return (before, itself, behind)


def kept_rows(pieces: Pieces, kept: Mask) -> Pieces:
    """The frames over the rows that `kept` leaves."""
    places = np.zeros(len(kept) + 1, np.int64)
    np.cumsum(kept, out=places[1:])
    return tuple((places[start], places[end]) for start, end in pieces)


def distinct_frames(pieces: Pieces) -> tuple[Pieces, Positions]:
    """(the frames that differ from the one before, for each row the number of its frame)."""
    rows = len(pieces[0][0])
    new = np.zeros(rows, np.bool_)
    new[:1] = True
    for borders in (border for piece in pieces for border in piece):
        new[1:] |= borders[1:] != borders[:-1]
    return tuple((start[new], end[new]) for start, end in pieces), np.cumsum(new, dtype=np.int64) - 1


def sizes(pieces: Pieces) -> Positions:
    """(frames,) how many rows each frame has."""
    total: Positions = sum((end - start for start, end in pieces[1:]), pieces[0][1] - pieces[0][0])
    return total


def apart(pieces: Pieces) -> bool:
    """Whether each frame is one range that begins behind the end of the one before."""
    start, end = pieces[0]
    return len(pieces) == 1 and bool((start[1:] >= end[:-1]).all())


def rows_of(pieces: Pieces, first: int, stop: int) -> tuple[Positions, Positions]:
    """(the numbers from 0 of frames `first` to `stop`, a row that is in them each; these rows)."""
    starts = np.stack([start[first:stop] for start, _ in pieces], axis=1).reshape(-1)
    counts = np.stack([end[first:stop] - start[first:stop] for start, end in pieces], axis=1).reshape(-1)
    before = np.cumsum(counts) - counts
    rows = np.arange(int(counts.sum())) + np.repeat(starts - before, counts)
    return np.repeat(np.arange(len(counts)) // len(pieces), counts), rows


def differences(values: Array, pieces: Pieces) -> Array:
    """(frames, ...) the sums of `values` (rows, ...) int64 over frames, modulo 2^64."""
    totals = np.zeros((len(values) + 1, *values.shape[1:]), np.int64)
    np.cumsum(values, axis=0, out=totals[1:])
    result: Array = totals[pieces[0][1]] - totals[pieces[0][0]]
    for start, end in pieces[1:]:
        result += totals[end] - totals[start]
    return result


def folded(ufunc: Any, values: Array, neutral: Any, pieces: Pieces) -> Array:
    """(frames,) `values` (rows,) folded over frames by an idempotent ufunc; `neutral` for one without rows.

    Sparse table, one level at a time: level k has the fold of 2^k rows from each row on, and a range of 2^k
    to 2^(k+1) rows is two of these (Bender and Farach-Colton, The LCA Problem Revisited, 2000).
    """
    result = np.full(len(pieces[0][0]), neutral, values.dtype)
    lengths = [end - start for start, end in pieces]
    longest = max((int(length.max()) for length in lengths if len(length)), default=0)
    level, width = values, 1
    while width <= longest:
        for (start, end), length in zip(pieces, lengths, strict=True):
            mine = np.flatnonzero((length >= width) & (length < 2 * width))
            if len(mine):
                found = ufunc(level[start[mine]], level[end[mine] - width])
                result[mine] = ufunc(result[mine], found)
        if 2 * width <= longest:
            level = ufunc(level[:-width], level[width:])
        width *= 2
    return result


def nth_rows(pieces: Pieces, number: Positions) -> Positions:
    """(frames,) the row that is the `number`th (from 0) of each frame; -1 where there is none."""
    result = np.full(len(number), -1, np.int64)
    left = number
    for start, end in pieces:
        length = end - start
        here = (result < 0) & (left >= 0) & (left < length)
        result[here] = (start + left)[here]
        left = left - length
    return result


def bit_sums(values: Array, pieces: Pieces) -> Array:
    """(frames,) exclusive or of `values` (rows,) over frames."""
    totals = np.zeros(len(values) + 1, values.dtype)
    np.bitwise_xor.accumulate(values, out=totals[1:])
    result: Array = np.zeros(len(pieces[0][0]), values.dtype)
    for start, end in pieces:
        result ^= totals[end] ^ totals[start]
    return result
