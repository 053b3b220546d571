"""Nodes of subscripts: a[i][j], a[i:j][k:l], and an array in which such a part is another.

An element has as many subscripts as the array has dimensions, else it is null; so it is outside the bounds.
A slice takes what lies inside, counts from 1, and is empty where it names more dimensions than there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.lists import bounds, check_elements, count, first_of, is_plain, list_column, lists, sizes
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.errors import ArraySubscriptError, NullValueNotAllowed
from storage.lists import Bounds, shaped
from storage.types import Type

Ends = tuple[int | None, int | None]
"""(lower, upper) of a slice in one dimension; None where it was left out."""


def _evaluated(
    nodes: Sequence[Expression | None], batch: Batch, run: Run
) -> tuple[list[Column | None], int, bool]:
    """(the columns, written out, how many rows, whether all are constant)."""
    columns = [None if node is None else node.evaluate(batch, run) for node in nodes]
    constant = all(column is None or column.constant for column in columns)
    rows = 1 if constant else batch.rows
    return [None if column is None else column.spread(rows) for column in columns], rows, constant


def _numbers(column: Column | None, rows: int) -> list[Any]:
    return [None] * rows if column is None else column.tolist()


def _present(*groups: Sequence[Expression | None]) -> tuple[Expression, ...]:
    return tuple(node for group in groups for node in group if node is not None)


@dataclass(frozen=True, slots=True)
class Subscript:
    """array[index]...; null outside."""

    array: Expression
    indices: tuple[Expression, ...]
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.array, *self.indices)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns, _, constant = _evaluated((self.array, *self.indices), batch, run)
        array, *indices = (column for column in columns if column is not None)
        offsets, elements = lists(array)
        inside = array.is_valid()
        for index in indices:
            inside = inside & index.is_valid()
        if is_plain(array):
            at = indices[0].values.astype(np.int64) - first_of(array.type)
            inside = inside & (at >= 0) & (at < np.diff(offsets)) & (len(indices) == 1)
        else:
            at = _flat_places(bounds(array), [index.values.tolist() for index in indices])
            inside = inside & (at >= 0)
        if not inside.any():
            return Column.scalar(self.type, None)
        picked = elements.take(np.where(inside, offsets[:-1] + at, 0))
        valid = inside & picked.is_valid()
        return picked.retype(self.type).with_valid(None if valid.all() else valid, constant=constant)


def _flat_places(shapes: Sequence[Bounds], indices: Sequence[Sequence[int]]) -> Positions:
    """Where each row's element stands among the row's; -1 outside."""
    rows = zip(shapes, zip(*indices, strict=True), strict=True)
    return np.array([_place(said, index) for said, index in rows], np.int64)


def _place(said: Bounds, index: Sequence[int]) -> int:
    if len(said) != 2 * len(index):
        return -1
    place = 0
    for low, size, at in zip(said[::2], said[1::2], index, strict=True):
        if not 0 <= at - low < size:
            return -1
        place = place * size + at - low
    return place


@dataclass(frozen=True, slots=True)
class Slice:
    """array[lower:upper]..., both ends included and optional; empty where they leave nothing."""

    array: Expression
    lowers: tuple[Expression | None, ...]
    uppers: tuple[Expression | None, ...]

    @property
    def type(self) -> Type:
        return self.array.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return _present((self.array,), self.lowers, self.uppers)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns, rows, constant = _evaluated((self.array, *self.lowers, *self.uppers), batch, run)
        array = columns[0]
        assert array is not None
        valid = array.is_valid()
        for column in columns[1:]:
            if column is not None:
                valid = valid & column.is_valid()
        if is_plain(array) and len(self.lowers) == 1:
            return _plain_slice(array, columns[1], columns[2], valid, constant)
        offsets, elements = lists(array)
        starts = offsets.tolist()
        first = first_of(array.type)
        shapes, picked, counts = [], [], []
        ends = _ends(columns[1:], rows)
        for row, (said, wanted) in enumerate(zip(bounds(array), ends, strict=True)):
            kept = None if not valid[row] else _inside(said, wanted)
            places = np.zeros(0, np.int64) if kept is None else _places(said, kept)
            picked.append(places + starts[row])
            counts.append(len(places))
            shapes.append(
                () if kept is None or not len(places) else _counted([stop - at for at, stop in kept], first)
            )
        taken = elements.take(np.concatenate(picked) if picked else np.zeros(0, np.int64))
        ends_of = np.append(0, np.cumsum(counts))
        return list_column(self.type, ends_of, taken, valid, bounds=shapes, constant=constant)


def _plain_slice(
    array: Column, lower: Column | None, upper: Column | None, valid: Mask, constant: bool
) -> Column:
    """A slice of arrays of one dimension, all rows at once."""
    offsets, elements = lists(array)
    first, lengths = first_of(array.type), np.diff(offsets)
    start, stop = np.zeros(len(array), np.int64), lengths
    if lower is not None:
        start = np.maximum(lower.values.astype(np.int64) - first, 0)
    if upper is not None:
        stop = np.minimum(upper.values.astype(np.int64) - first + 1, lengths)
    counts = np.where(valid, np.maximum(stop - start, 0), 0)
    ends = np.cumsum(counts)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
    picked = elements.take(np.repeat(offsets[:-1] + start, counts) + within)
    return list_column(array.type, np.append(0, ends), picked, valid, constant=constant)


def _ends(columns: Sequence[Column | None], rows: int) -> Iterator[list[Ends]]:
    """Each row's slice; `columns`: the lower ends, then the upper ones."""
    half = len(columns) // 2
    numbers = [_numbers(column, rows) for column in columns]
    for row in range(rows):
        yield [(numbers[d][row], numbers[half + d][row]) for d in range(half)]


def _inside(said: Bounds, wanted: Sequence[Ends]) -> list[tuple[int, int]] | None:
    """The places [start, stop) that are left of each dimension; None where nothing is."""
    if len(said) < 2 * len(wanted):
        return None
    kept = []
    for dimension in range(len(said) // 2):
        low, size = said[2 * dimension], said[2 * dimension + 1]
        lower, upper = wanted[dimension] if dimension < len(wanted) else (None, None)
        start = 0 if lower is None else max(lower - low, 0)
        stop = size if upper is None else min(upper - low + 1, size)
        if start >= stop:
            return None
        kept.append((start, stop))
    return kept


def _places(said: Bounds, kept: Sequence[tuple[int, int]]) -> Positions:
    """Where the elements of a part stand among the array's."""
    grid = np.arange(count(said)).reshape(sizes(said))
    return grid[tuple(slice(start, stop) for start, stop in kept)].reshape(-1)


def _counted(lengths: Sequence[int], first: int) -> Bounds:
    """Bounds of dimensions of these lengths that count from `first`."""
    return tuple(part for length in lengths for part in (first, length))


@dataclass(frozen=True, slots=True)
class AssignElement:
    """`array` with `value` at array[index]...; one dimension grows, with nulls between."""

    array: Expression
    indices: tuple[Expression, ...]
    value: Expression

    @property
    def type(self) -> Type:
        return self.array.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.array, *self.indices, self.value)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns, _, constant = _evaluated((self.array, *self.indices, self.value), batch, run)
        array, *indices, value = (column for column in columns if column is not None)
        items = _elements_as_items(value)
        numbers = [index.tolist() for index in indices]
        found = [
            _with_element(row, said, list(at), item)
            for row, said, item, *at in zip(array.tolist(), bounds(array), items, *numbers, strict=True)
        ]
        return _made(self.type, found, constant)


def _elements_as_items(value: Column) -> list[Any]:
    """Values as an array's `tolist` gives its elements."""
    items: list[Any] = value.to_arrow().to_pylist()
    return items


def _made(type: Type, rows: Sequence[tuple[list[Any] | None, Bounds]], constant: bool) -> Column:
    first = first_of(type)
    column = Column.of(type, [None if items is None else shaped(items, said, first) for items, said in rows])
    column.constant = constant
    return column


def _with_element(
    items: list[Any] | None, said: Bounds, at: list[int | None], item: Any
) -> tuple[list[Any], Bounds]:
    index = [place for place in at if place is not None]
    if len(index) < len(at):
        raise NullValueNotAllowed("array subscript in assignment must not be null")
    if not items:
        return [item], _start_at(index)
    if len(said) != 2 * len(index):
        raise ArraySubscriptError("wrong number of array subscripts")
    changed = list(items)
    if len(index) == 1:
        low = _grow(changed, said[0], index[0], index[0])
        changed[index[0] - low] = item
        return changed, (low, len(changed))
    place = _place(said, index)
    if place < 0:
        raise ArraySubscriptError("array subscript out of range")
    changed[place] = item
    return changed, said


def _start_at(index: Sequence[int]) -> Bounds:
    return tuple(part for place in index for part in (place, 1))


def _grow(items: list[Any], low: int, first: int, last: int) -> int:
    """Nulls before and behind the items of one dimension until it reaches `first` and `last`; its lower."""
    check_elements(max(last, low + len(items) - 1) - min(first, low) + 1)
    items[:0] = [None] * (low - first)
    low = min(low, first)
    items += [None] * (last - low + 1 - len(items))
    return low


@dataclass(frozen=True, slots=True)
class AssignSlice:
    """`array` with the elements of `value`, an array, in array[lower:upper]...; a null leaves it as it is."""

    array: Expression
    lowers: tuple[Expression | None, ...]
    uppers: tuple[Expression | None, ...]
    value: Expression

    @property
    def type(self) -> Type:
        return self.array.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return _present((self.array,), self.lowers, self.uppers, (self.value,))

    def evaluate(self, batch: Batch, run: Run) -> Column:
        nodes = (self.array, self.value, *self.lowers, *self.uppers)
        columns, rows, constant = _evaluated(nodes, batch, run)
        array, value = columns[:2]
        assert array is not None
        assert value is not None
        written = [column is not None for column in columns[2:]]
        news = zip(value.tolist(), bounds(value), strict=True)
        olds = zip(array.tolist(), bounds(array), strict=True)
        found: list[tuple[list[Any] | None, Bounds]] = []
        for (items, said), (new, shape), ends in zip(olds, news, _ends(columns[2:], rows), strict=True):
            flat = [end for pair in zip(*ends, strict=True) for end in pair]
            if any(end is None and there for end, there in zip(flat, written, strict=True)):
                raise NullValueNotAllowed("array subscript in assignment must not be null")
            found.append((items, said) if new is None else _with_slice(items, said, ends, new, shape))
        return _made(self.type, found, constant)


def _with_slice(
    items: list[Any] | None, said: Bounds, ends: Sequence[Ends], new: list[Any], shape: Bounds
) -> tuple[list[Any], Bounds]:
    if not items:
        return _from_slice(ends, new)
    if len(said) < 2 * len(ends):
        raise ArraySubscriptError("wrong number of array subscripts")
    spans = []
    for dimension in range(len(said) // 2):
        low, size = said[2 * dimension], said[2 * dimension + 1]
        lower, upper = ends[dimension] if dimension < len(ends) else (None, None)
        start = low if lower is None else lower
        stop = low + size - 1 if upper is None else upper
        if start > stop:
            raise ArraySubscriptError("upper bound cannot be less than lower bound")
        if len(said) > 2 and (start < low or stop >= low + size):
            raise ArraySubscriptError("array subscript out of range")
        spans.append((start, stop))
    changed = list(items)
    if len(said) == 2:
        start, stop = spans[0]
        check_source(stop - start + 1, new)
        low = _grow(changed, said[0], start, stop)
        changed[start - low : stop + 1 - low] = new[: stop - start + 1]
        return changed, (low, len(changed))
    kept = [(a - low, b + 1 - low) for (a, b), low in zip(spans, said[::2], strict=True)]
    places = _places(said, kept).tolist()
    check_source(len(places), new)
    for place, item in zip(places, new, strict=False):
        changed[place] = item
    return changed, said


def _from_slice(ends: Sequence[Ends], new: list[Any]) -> tuple[list[Any], Bounds]:
    """An empty array after the assignment: what the slice says."""
    said: list[int] = []
    for lower, upper in ends:
        if lower is None or upper is None:
            raise ArraySubscriptError(
                "array slice subscript must provide both boundaries",
                detail="When assigning to a slice of an empty array value, "
                "slice boundaries must be fully specified.",
            )
        if lower > upper:
            raise ArraySubscriptError("upper bound cannot be less than lower bound")
        said += [lower, upper - lower + 1]
    wanted = count(tuple(said))
    check_elements(wanted)
    check_source(wanted, new)
    return new[:wanted], tuple(said)


def check_source(wanted: int, new: Sequence[Any]) -> None:
    """Refuse fewer elements than a slice has places."""
    if len(new) < wanted:
        raise ArraySubscriptError("source array too small")
