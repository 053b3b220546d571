"""Selection: values of groups, of which in the end those at some places of their order are wanted.

Values of fixed width are signed integers in the same order: each batch's are dealt out by its groups, and
stay so. In the end the runs of a group are put together, some groups a task, and places are found in them
without sorting (storage.kernels.plain.selection). Of a group of many rows only those are looked at that lie
between two values around a place, which a sample gives: see Floyd and Rivest, Expected time bounds for
selection, 1975.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.pool import ordered
from engine.run import Run
from storage import kernels
from storage.column import Array, Column, Positions
from storage.types import Form, Type

PIECE = 1 << 18
"""Rows that a task puts together, about."""
_LARGE = 1 << 20  # a group of more rows, which is a piece of its own, is not put together
_SAMPLE = 1 << 14
_WIDTH = 4  # standard deviations of a sample's ranks on both sides: one place in 10,000 lies beyond
_LEAST, _MOST = np.int64(-(1 << 63)), np.int64((1 << 63) - 1)
_NONE = np.zeros(0, np.int64)


def is_selectable(type: Type) -> bool:
    """Whether values of a type are signed integers in the same order."""
    return type.form is Form.FIXED and type.dtype is not None and type.dtype.kind in "iufb"


def signed(values: Array) -> Positions:
    """Values as signed integers in the same order: -0 before 0, NaN behind all others."""
    if values.dtype.kind == "f":
        doubles = values.astype(np.float64)
        bits = np.where(np.isnan(doubles), np.float64("nan"), doubles).view(np.int64)
        found: Positions = bits ^ (bits >> 63 & _MOST)
        return found
    return np.ascontiguousarray(values).astype(np.int64)


def unsigned(keys: Positions, type: Type) -> Array:
    """The inverse of `signed`, for values of a type."""
    dtype = type.dtype
    assert dtype is not None
    if dtype.kind == "f":
        return (keys ^ (keys >> 63 & _MOST)).view(np.float64).astype(dtype)
    return keys.astype(dtype)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Values by group: `lengths[i]` of them belong to group `groups[i]`, run after run."""

    groups: Positions
    lengths: Positions
    keys: Positions

    @property
    def nbytes(self) -> int:
        return self.groups.nbytes + self.lengths.nbytes + self.keys.nbytes


class Selection:
    """The values of any number of groups."""

    def __init__(self, type: Type, run: Run) -> None:
        """`type` is selectable."""
        self._type = type
        self._run = run
        self._parts: list[_Runs] = []

    @property
    def nbytes(self) -> int:
        """Bytes that the values take."""
        return sum(part.nbytes for part in self._parts)

    def add(self, groups: Positions, column: Column, count: int) -> None:
        """Add the values of a column, none of them null, each to its group of `count`."""
        starts, order = kernels.order_codes(groups, count)
        lengths = np.diff(starts)
        some = np.flatnonzero(lengths)
        self._parts.append(_Runs(some, lengths[some], signed(column.values)[order]))

    def merge(self, other: Selection, groups: Positions) -> None:
        """Add the values of another, whose group i is group `groups[i]`."""
        self._parts += [_Runs(groups[part.groups], part.lengths, part.keys) for part in other._parts]

    def rows(self) -> tuple[Positions, Column]:
        """(the group of each value, the values)."""
        whole = self._whole()
        return np.repeat(whole.groups, whole.lengths), Column(self._type, unsigned(whole.keys, self._type))

    def offsets(self, count: int) -> Positions:
        """(count + 1,) how many values the groups before each of groups 0 to `count` have."""
        found = np.zeros(count + 1, np.int64)
        for part in self._parts:
            np.add.at(found[1:], part.groups[part.groups < count], part.lengths[part.groups < count])
        return np.cumsum(found)

    def at(self, places: Positions, count: int) -> Column:
        """The values at `places`, ascending, of groups 0 to `count` in order, each group's in its own."""
        whole, offsets = self._whole(), self.offsets(count)
        ends, order = kernels.order_codes(np.where(whole.groups < count, whole.groups, -1), count)
        starts, lengths = (np.cumsum(whole.lengths) - whole.lengths)[order], whole.lengths[order]
        found = np.zeros(len(places), np.int64)
        tasks: list[partial[Positions]] = []
        shares: list[slice] = []
        for first, last in _pieces(offsets):
            asked = np.searchsorted(places, offsets[first : last + 1])
            share, runs = slice(asked[0], asked[-1]), slice(ends[first], ends[last])
            if share.start == share.stop:
                continue
            mine = places[share] - np.repeat(offsets[first:last], np.diff(asked))
            if offsets[last] - offsets[first] > _LARGE:
                values = [whole.keys[s : s + n] for s, n in zip(starts[runs], lengths[runs], strict=True)]
                found[share] = [self._of_many(values, place) for place in mine.tolist()]
                continue
            of_groups = ends[first + 1 : last + 1] - ends[first], mine, asked[1:] - asked[0]
            tasks.append(partial(kernels.select_places, whole.keys, starts[runs], lengths[runs], *of_groups))
            shares.append(share)
        for share, selected in zip(shares, ordered(tasks, self._run), strict=True):
            found[share] = selected
        return Column(self._type, unsigned(found, self._type))

    def _whole(self) -> _Runs:
        """All runs as one."""
        parts = self._parts or [_Runs(_NONE, _NONE, _NONE)]
        if len(parts) > 1:
            joined = (np.concatenate([getattr(part, name) for part in parts]) for name in _Runs.__slots__)
            parts = self._parts = [_Runs(*joined)]
        return parts[0]

    def _of_many(self, values: Sequence[Positions], place: int) -> int:
        """The value at a place of many, which come in several arrays."""
        rows = sum(map(len, values))
        sample = np.sort(np.concatenate([each[:: rows // _SAMPLE] for each in values]))
        middle, width = len(sample) * place / rows, _WIDTH * np.sqrt(len(sample)) / 2
        low, high = int(middle - width), int(middle + width) + 1
        least = sample[low] if low > 0 else _LEAST
        most = sample[high] if high < len(sample) else _MOST
        pieces = (each[i : i + PIECE] for each in values for i in range(0, len(each), PIECE))
        tasks = (partial(_between, piece, least, most) for piece in pieces)
        befores, parts = zip(*ordered(tasks, self._run), strict=True)
        place_there, between = place - sum(befores), np.concatenate(parts)
        if not 0 <= place_there < len(between):  # as good as never
            place_there, between = place, np.concatenate(values)
        elif least == most:
            return int(least)
        return int(np.partition(between, place_there)[place_there])


def _between(values: Positions, least: np.int64, most: np.int64) -> tuple[int, Positions]:
    """(how many values are less than the least, those from the least to the most)."""
    enough = values >= least
    return len(values) - int(np.count_nonzero(enough)), values[enough & (values <= most)]


def _pieces(offsets: Positions) -> Iterator[tuple[int, int]]:
    """Groups in pieces of about as many rows as a task puts together; one that is larger is one alone."""
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + PIECE, side="right")) - 1
        last = min(max(last, first + 1), count)
        yield first, last
        first = last
