"""Frames: for each row of a window the rows that a call over it sees, and folds over many frames at once.

Rows stand in the window's order: partition behind partition, each in the order of its keys. A frame is a
run of these rows less what EXCLUDE takes out, so it is at most three pieces, each a range of positions:

    pieces[k] = (starts, ends)      frame i is rows starts[i] to ends[i] of every piece, in this order

What sums up (counts, whole numbers, digits of exact sums) is read off running totals, one subtraction a
piece; what takes no harm from being folded in twice (minimum, AND) off two overlapping ranges of a power of
two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from storage import kernels
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

    @property
    def total(self) -> int:
        """How many rows all partitions have."""
        return self.rows

    @cached_property
    def here(self) -> Positions:
        """(rows,) the position of each row."""
        return np.arange(self.rows)

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
        return self.begin_of(self.group)

    @cached_property
    def peer_last(self) -> Positions:
        """(rows,) the first row behind each row's peers."""
        return self.begin_of(self.group + 1)

    def begin_of(self, groups: Positions) -> Positions:
        """Where groups of peers begin; one before the first begins with it, one behind the last ends it."""
        borders = self.borders
        return borders[np.clip(groups, 0, len(borders) - 1)]


@dataclass(frozen=True)
class Excerpt(Layout):
    """Some rows of one partition, whose positions count from the partition's first row: `before` rows come
    before these, and `groups` groups of peers have begun there. `begins` is `begin_of` of the partition."""

    before: int
    groups: int
    all_rows: int
    begins: Callable[[Positions], Positions]

    @property
    def total(self) -> int:
        return self.all_rows

    @cached_property
    def here(self) -> Positions:
        return np.arange(self.before, self.before + self.rows)

    @cached_property
    def group(self) -> Positions:
        return np.cumsum(self.peers, dtype=np.int64) + (self.groups - 1)

    @cached_property
    def first(self) -> Positions:
        return np.zeros(self.rows, np.int64)

    @cached_property
    def last(self) -> Positions:
        return np.full(self.rows, self.all_rows)

    @cached_property
    def first_group(self) -> Positions:
        return np.zeros(self.rows, np.int64)

    def begin_of(self, groups: Positions) -> Positions:
        return self.begins(groups)


def by_rows(layout: Layout, distance: int, *, end: bool) -> Positions:
    """(rows,) where frames begin, or end, that many rows behind each row; before it if negative."""
    distance = max(min(distance, layout.total), -layout.total - 1)
    places: Positions = layout.here + (distance + end)
    return np.clip(places, layout.first, layout.last)


def by_groups(layout: Layout, distance: int, *, end: bool) -> Positions:
    """(rows,) where frames begin, or end, that many groups behind each row's; before it if negative."""
    distance = max(min(distance, layout.total), -layout.total - 1)
    return np.clip(layout.begin_of(layout.group + (distance + end)), layout.first, layout.last)


def excluded(layout: Layout, start: Positions, end: Positions, what: str) -> Pieces:
    """The pieces of frames `start` to `end` without `what`: '', 'current row', 'group' or 'ties'."""
    end = np.maximum(start, end)
    if not what:
        return ((start, end),)
    here = layout.here
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


def varying(pieces: Pieces, size: int = 1, rows: int | None = None) -> list[tuple[int, int]]:
    """Where frames differ: ranges of positions, ascending; a row outside of them is in all frames or in none.

    The ranges are parts of `rows` rows, whole pages of `size` rows; each border lies in or behind one.
    """
    zones: list[tuple[int, int]] = []
    for low, high in sorted((int(border.min()), int(border.max())) for piece in pieces for border in piece):
        low, high = low // size * size, -(-high // size) * size
        if rows is not None:
            high = min(high, rows)
        if zones and low <= zones[-1][1]:
            low, high = zones[-1][0], max(high, zones[-1][1])
            zones.pop()
        zones.append((low, high))
    return zones


def common(pieces: Pieces, zones: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges between zones of `varying` whose rows are in all frames."""
    gaps = [(low, high) for (_, low), (high, _) in pairwise(zones)]
    return [
        (low, high) for low, high in gaps if any(start[0] <= low and end[0] >= high for start, end in pieces)
    ]


def within(pieces: Pieces, zones: Sequence[tuple[int, int]]) -> Pieces:
    """Frames over the rows of zones of `varying`, put one behind another."""
    lows = np.array([low for low, _ in zones])
    lengths = np.array([high - low for low, high in zones])
    shift = np.cumsum(lengths) - lengths - lows

    def moved(border: Positions) -> Positions:
        places: Positions = border + shift[np.searchsorted(lows, border, side="right") - 1]
        return places

    return tuple((moved(start), moved(end)) for start, end in pieces)


def rows_of(pieces: Pieces, first: int, stop: int) -> tuple[Positions, Positions]:
    """(the numbers from 0 of frames `first` to `stop`, a row that is in them each; these rows)."""
    starts = np.stack([start[first:stop] for start, _ in pieces], axis=1).reshape(-1)
    counts = np.stack([end[first:stop] - start[first:stop] for start, end in pieces], axis=1).reshape(-1)
    before = np.cumsum(counts) - counts
    rows = np.arange(int(counts.sum())) + np.repeat(starts - before, counts)
    return np.repeat(np.arange(len(counts)) // len(pieces), counts), rows


def differences(values: Array, pieces: Pieces) -> Array:
    """(frames,) or (frames, n) the sums of `values` (rows,) or (rows, n) int64 over frames, modulo 2^64."""
    digits = values[:, None] if values.ndim == 1 else values
    result = np.zeros((len(pieces[0][0]), digits.shape[1]), np.int64)
    for start, end in pieces:
        kernels.slide_digits(digits, start, end, result)
    return result[:, 0] if values.ndim == 1 else result


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
