"""Arrays in Arrow: their elements row by row, and the bounds of those that are not plain.

A plain array is empty, or has one dimension and counts from where its type does (1; int2vector and oidvector
0). A column of plain arrays is a large_list of the elements. Where one is not plain, the column is a struct

    items    large_list of the element's Arrow form: the elements, the last dimension running fastest
    bounds   large_list of int32: lower bound and length of each dimension; empty for a plain array

and a null is null in the struct and in both fields. In Python a plain array is a list, another a `Shaped`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

BOUNDS = pa.large_list(pa.int32())

Bounds = tuple[int, ...]
"""(lower, length) of each dimension, one after another."""


class Shaped(list[Any]):
    """The elements of an array that is not plain. Equal to another of the same elements and bounds."""

    __slots__ = ("bounds",)

    def __init__(self, items: Iterable[Any], bounds: Bounds) -> None:
        super().__init__(items)
        self.bounds = bounds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shaped) and self.bounds == other.bounds and list.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        return f"Shaped({list(self)!r}, {self.bounds})"


def shaped(items: Sequence[Any], bounds: Bounds, first: int = 1) -> list[Any]:
    """The array of these elements and bounds; a list where it is plain, counting from `first`."""
    if not len(items) or (len(bounds) == 2 and bounds[0] == first):
        return list(items)
    return Shaped(items, bounds)


def from_lists(arrays: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Lists, Shaped and None as Arrow; `kind` is the large_list of plain arrays."""
    items = pa.array(arrays, kind)
    if not any(isinstance(array, Shaped) for array in arrays):
        return items
    bounds = [
        None if array is None else array.bounds if isinstance(array, Shaped) else () for array in arrays
    ]
    return with_bounds(items, pa.array(bounds, BOUNDS))


def with_bounds(items: pa.Array, bounds: pa.Array | None) -> pa.Array:
    """Arrays of these items and bounds (None: all plain), in the simpler form where all are plain."""
    if bounds is None or not len(bounds.flatten()):
        return items
    names = [pa.field("items", items.type), pa.field("bounds", BOUNDS)]
    return pa.StructArray.from_arrays([items, bounds], fields=names, mask=items.is_null())


def items_of(values: pa.Array) -> pa.Array:
    """The elements of each array as a large_list, null where the array is."""
    return values.flatten()[0] if pa.types.is_struct(values.type) else values


def bounds_of(values: pa.Array) -> pa.Array | None:
    """The bounds of each array, empty for plain ones; None where all are plain."""
    return values.flatten()[1] if pa.types.is_struct(values.type) else None


def to_lists(values: pa.Array) -> list[Any]:
    """Lists, Shaped and None."""
    bounds = bounds_of(values)
    items: list[Any] = items_of(values).to_pylist()
    if bounds is None:
        return items
    return [
        Shaped(row, tuple(bound)) if bound else row
        for row, bound in zip(items, bounds.to_pylist(), strict=True)
    ]


def joined(arrays: Sequence[pa.Array]) -> pa.Array:
    """The columns one after another; at least one, of one element type."""
    if len({array.type for array in arrays}) == 1:
        return pa.concat_arrays(arrays)
    items = pa.concat_arrays([items_of(array) for array in arrays])
    return with_bounds(items, pa.concat_arrays([_written(array) for array in arrays]))


def _written(array: pa.Array) -> pa.Array:
    bounds = bounds_of(array)
    if bounds is not None:
        return bounds
    offsets = pa.array(np.zeros(len(array) + 1, np.int64))
    return pa.LargeListArray.from_arrays(offsets, pa.array([], pa.int32()), type=BOUNDS, mask=array.is_null())


def filled(values: pa.Array) -> pa.Array:
    """The arrays with an empty one under each null."""
    items, bounds = items_of(values), bounds_of(values)
    return with_bounds(_emptied(items), None if bounds is None else _emptied(bounds))


def _emptied(lists: pa.Array) -> pa.Array:
    return lists.fill_null(pa.array([[]], lists.type)[0])
