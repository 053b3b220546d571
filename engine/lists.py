"""Arrays as columns: the elements of all rows one after another, where each row's begin, and their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import pyarrow as pa

from storage.column import Array, Column, Positions, arrow_type
from storage.errors import ArraySubscriptError, ProgramLimitExceeded
from storage.lists import BOUNDS, Bounds, bounds_of, items_of, with_bounds
from storage.types import INT2VECTOR, OIDVECTOR, Type

MOST_DIMENSIONS = 6
MOST_ELEMENTS = 134_217_727
_UNEVEN = "multidimensional arrays must have array expressions with matching dimensions"
_FROM_ZERO = (INT2VECTOR.oid, OIDVECTOR.oid)


def first_of(type: Type) -> int:
    """Where arrays of this type count from, if nothing else is said."""
    return 0 if type.oid in _FROM_ZERO else 1


def lists(column: Column) -> tuple[Positions, Column]:
    """(offsets, elements): row r holds elements offsets[r] to offsets[r + 1]; a null row holds none."""
    element = column.type.element
    assert element is not None
    values = items_of(column.values)
    counts = np.asarray(values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets, Column.from_arrow(element, values.flatten())


def is_plain(column: Column) -> bool:
    """Whether every array has at most one dimension and counts from where its type does."""
    return bounds_of(column.values) is None


def bounds(column: Column) -> list[Bounds]:
    """(lower, length) of each dimension of each row; () for an empty array and for null."""
    first = first_of(column.type)
    counts = items_of(column.values).value_lengths().fill_null(0).to_pylist()
    given = bounds_of(column.values)
    if given is None:
        return [(first, count) if count else () for count in counts]
    rows = zip(counts, given.to_pylist(), strict=True)
    return [tuple(said) if said else (first, count) if count else () for count, said in rows]


def list_column(
    type: Type,
    offsets: Array,
    elements: Column,
    valid: Array | None = None,
    *,
    bounds: Sequence[Bounds] | None = None,
    constant: bool = False,
) -> Column:
    """The inverse of `lists` and `bounds`; rows outside `valid` are null. No bounds: all are plain."""
    storage = arrow_type(type)
    items = elements.to_arrow().cast(storage.value_type)
    starts = pa.array(np.asarray(offsets, np.int64))
    mask = None if valid is None or valid.all() else pa.array(~valid)
    values = pa.LargeListArray.from_arrays(starts, items, type=storage, mask=mask)
    if bounds is not None:
        first = first_of(type)
        said = [() if len(row) == 2 and row[0] == first else row for row in bounds]
        there = [None] * len(said) if valid is None else valid.tolist()
        marked = [None if ok is False else row for row, ok in zip(said, there, strict=True)]
        values = with_bounds(values, pa.array(marked, BOUNDS))
    return Column(type, values, constant=constant)


def like(column: Column, elements: Column, type: Type) -> Column:
    """Arrays of `type` with other elements in the places of `column`'s."""
    offsets, _ = lists(column)
    said = None if is_plain(column) else bounds(column)
    return list_column(type, offsets, elements, column.is_valid(), bounds=said, constant=column.constant)


def stacked(type: Type, parts: Sequence[Column], *, constant: bool = False) -> Column:
    """Each row's arrays one behind the other, as an array of one dimension more.

    Raises ArraySubscriptError where they have not the same bounds.
    """
    said = [stacked_bounds(row) for row in zip(*(bounds(part) for part in parts), strict=True)]
    joined = Column.concat([part.retype(type) for part in parts])
    offsets, elements = lists(joined)
    rows = len(said)
    order = np.arange(rows * len(parts)).reshape(len(parts), rows).T.reshape(-1)
    starts, counts = offsets[order], np.diff(offsets)[order]
    ends = np.cumsum(counts)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
    totals = np.append(0, ends[len(parts) - 1 :: len(parts)])
    return list_column(type, totals, elements.take(places), bounds=said, constant=constant)


def stacked_bounds(parts: Sequence[Bounds], refused: str = _UNEVEN) -> Bounds:
    """The bounds of an array of arrays, which must be alike. Raises ArraySubscriptError."""
    if any(part != parts[0] for part in parts):
        raise ArraySubscriptError(refused)
    if not parts or not parts[0]:
        return ()
    check_dimensions(len(parts[0]) // 2 + 1)
    return (1, len(parts), *parts[0])


def sizes(bounds: Bounds) -> Bounds:
    """The lengths of the dimensions."""
    return bounds[1::2]


def count(bounds: Bounds) -> int:
    """How many elements an array of these bounds has."""
    return prod(bounds[1::2]) if bounds else 0


def check_elements(wanted: int) -> None:
    """Refuse more elements than an array can have."""
    if not 0 <= wanted <= MOST_ELEMENTS:
        raise ProgramLimitExceeded(f"array size exceeds the maximum allowed ({MOST_ELEMENTS})")


def check_dimensions(dimensions: int) -> None:
    """Refuse more dimensions than an array can have."""
    if dimensions > MOST_DIMENSIONS:
        raise ProgramLimitExceeded(
            f"number of array dimensions ({dimensions}) exceeds the maximum allowed ({MOST_DIMENSIONS})"
        )
