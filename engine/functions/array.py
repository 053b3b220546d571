"""Functions and operators of one-dimensional arrays: length, search, || @> <@ &&, to and from text."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from engine import forms
from engine.functions.compare import list_order
from engine.functions.lists import list_column, lists
from engine.functions.registry import operator, scalar
from engine.functions.text import each, pieces_of
from engine.run import Run
from storage.column import Column
from storage.errors import ArraySubscriptError, NullValueNotAllowed
from storage.types import (
    ANYARRAY,
    ANYELEMENT,
    BOOL,
    INT2VECTOR,
    INT4,
    OIDVECTOR,
    TEXT,
    Type,
    array_of,
)

_FROM_ZERO = (INT2VECTOR.oid, OIDVECTOR.oid)


def _first(type: Type) -> int:
    """The subscript of an array type's first element."""
    return 0 if type.oid in _FROM_ZERO else 1


def _lengths(column: Column) -> np.ndarray:
    return np.diff(lists(column)[0])


def _bound(name: str, answer: Callable[[np.ndarray, int], np.ndarray]) -> None:
    @scalar(name, [ANYARRAY, INT4], INT4)
    def bound(column: Column, dimension: Column) -> Column:
        """A bound of an array's dimension; null where it has no such dimension."""
        counts = _lengths(column)
        valid = (counts > 0) & (dimension.values == 1)
        return Column(INT4, answer(counts, _first(column.type)).astype(np.int32), valid)


_bound("array_length", lambda counts, first: counts)
_bound("array_lower", lambda counts, first: np.full(len(counts), first))
_bound("array_upper", lambda counts, first: counts + first - 1)


@scalar("cardinality", [ANYARRAY], INT4)
def cardinality(column: Column) -> Column:
    """How many elements an array has."""
    return Column(INT4, _lengths(column).astype(np.int32))


@scalar("array_ndims", [ANYARRAY], INT4)
def array_ndims(column: Column) -> Column:
    """1; null for an empty array."""
    counts = _lengths(column)
    return Column(INT4, np.ones(len(counts), np.int32), counts > 0)


@scalar("array_dims", [ANYARRAY], TEXT)
def array_dims(column: Column) -> Column:
    """The bounds as '[1:3]'."""
    first = _first(column.type)
    counts = _lengths(column).tolist()
    return Column.of(TEXT, [f"[{first}:{n + first - 1}]" if n else None for n in counts])


def _with_items(type: Type, parts: list[Column]) -> Column:
    """Each row's elements of all parts, one part behind the other; a part is an array or one element."""
    rows = len(parts[0])
    counts, sources, starts = [], [], []
    base = 0
    for part in parts:
        if part.type.is_array:
            offsets, items = lists(part)
        else:
            offsets, items = np.arange(rows + 1, dtype=np.int64), part
        counts.append(np.diff(offsets))
        starts.append(offsets[:-1] + base)
        sources.append(items.retype(type.element) if type.element is not None else items)
        base += len(items)
    elements = Column.concat(sources)
    lengths = np.stack(counts, axis=1).reshape(-1)
    begins = np.stack(starts, axis=1).reshape(-1)
    ends = np.cumsum(lengths)
    order = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - lengths), lengths)
    totals = np.zeros(rows + 1, np.int64)
    np.cumsum(np.sum(counts, axis=0), out=totals[1:])
    return list_column(type, totals, elements.take(order))


@operator("||", [ANYARRAY, ANYELEMENT], ANYARRAY, strict=False)
@scalar("array_append", [ANYARRAY, ANYELEMENT], ANYARRAY, strict=False)
def array_append(array: Column, item: Column) -> Column:
    """The array with an element more at its end."""
    return _with_items(array.type, [array, item])


@operator("||", [ANYELEMENT, ANYARRAY], ANYARRAY, strict=False)
@scalar("array_prepend", [ANYELEMENT, ANYARRAY], ANYARRAY, strict=False)
def array_prepend(item: Column, array: Column) -> Column:
    """The array with an element more at its start."""
    return _with_items(array.type, [item, array])


@operator("||", [ANYARRAY, ANYARRAY], ANYARRAY, strict=False)
@scalar("array_cat", [ANYARRAY, ANYARRAY], ANYARRAY, strict=False)
def array_cat(left: Column, right: Column) -> Column:
    """The elements of both."""
    joined = _with_items(left.type, [left, right])
    return joined.with_valid(left.is_valid() | right.is_valid())


Same = Callable[[Any, Any], bool]


def _equality(type: Type) -> Same:
    """Equality of an array type's elements; numerics in arrays are texts and compare as numbers."""
    if type.element is not None and type.element.name == "numeric":
        return lambda left, right: list_order([_number(left)], [_number(right)]) == 0
    return lambda left, right: list_order([left], [right]) == 0


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _items(column: Column) -> list[Any]:
    """Elements of a scalar column as an array column's `tolist` would give them."""
    offsets = np.arange(len(column) + 1, dtype=np.int64)
    return list_column(array_of(column.type), offsets, column).tolist()


@scalar("array_position", [ANYARRAY, ANYELEMENT], INT4, strict=False)
@scalar("array_position", [ANYARRAY, ANYELEMENT, INT4], INT4, strict=False)
def array_position(array: Column, item: Column, *start: Column) -> Column:
    """The subscript of the first element equal to a value."""
    first, same = _first(array.type), _equality(array.type)

    def one(items: list[Any] | None, wanted: list[Any], start: int = 1) -> int | None:
        if items is None:
            return None
        found = (i for i in range(max(start - first, 0), len(items)) if same(items[i], wanted[0]))
        at = next(found, None)
        return None if at is None else at + first

    rows = zip(array.tolist(), _items(item), *(s.tolist() for s in start), strict=True)
    return Column.of(INT4, [one(*row) for row in rows])


@scalar("array_positions", [ANYARRAY, ANYELEMENT], array_of(INT4), strict=False)
def array_positions(array: Column, item: Column) -> Column:
    """The subscripts of all elements equal to a value."""
    first, same = _first(array.type), _equality(array.type)
    rows = zip(array.tolist(), _items(item), strict=True)
    found = [
        None if items is None else [i + first for i, x in enumerate(items) if same(x, wanted[0])]
        for items, wanted in rows
    ]
    return Column.of(array_of(INT4), found)


@scalar("array_remove", [ANYARRAY, ANYELEMENT], ANYARRAY, strict=False)
def array_remove(array: Column, item: Column) -> Column:
    """The array without the elements equal to a value."""
    same = _equality(array.type)
    rows = zip(array.tolist(), _items(item), strict=True)
    kept = [None if items is None else [x for x in items if not same(x, w[0])] for items, w in rows]
    return Column.of(array.type, kept)


@scalar("array_replace", [ANYARRAY, ANYELEMENT, ANYELEMENT], ANYARRAY, strict=False)
def array_replace(array: Column, old: Column, new: Column) -> Column:
    """The array with elements equal to one value replaced by another."""
    same = _equality(array.type)
    rows = zip(array.tolist(), _items(old), _items(new), strict=True)
    changed = [
        None if items is None else [n[0] if same(x, o[0]) else x for x in items] for items, o, n in rows
    ]
    return Column.of(array.type, changed)


@scalar("array_fill", [ANYELEMENT, array_of(INT4)], ANYARRAY, strict=False)
def array_fill(item: Column, sizes: Column) -> Column:
    """An array of so many times one value."""

    def one(value: list[Any], sizes: list[int | None] | None) -> list[Any]:
        if sizes is None:
            raise NullValueNotAllowed("dimension array or low bound array cannot be null")
        if len(sizes) > 1:
            raise ArraySubscriptError("arrays of more than one dimension are not supported")
        if any(size is None for size in sizes):
            raise NullValueNotAllowed("dimension values cannot be null")
        return value * (sizes[0] or 0) if sizes else []

    rows = zip(_items(item), sizes.tolist(), strict=True)
    return Column.of(array_of(item.type), [one(*row) for row in rows])


@scalar("trim_array", [ANYARRAY, INT4], ANYARRAY)
def trim_array(array: Column, count: Column) -> Column:
    """The array without so many elements at its end."""

    def one(items: list[Any], count: int) -> list[Any]:
        if not 0 <= count <= len(items):
            raise ArraySubscriptError(f"number of elements to trim must be between 0 and {len(items)}")
        return items[: len(items) - count]

    return Column.of(array.type, [one(*row) for row in zip(array.tolist(), count.tolist(), strict=True)])


def _has(items: list[Any], wanted: Any, same: Same) -> bool:
    return wanted is not None and any(x is not None and same(x, wanted) for x in items)


@operator("@>", [ANYARRAY, ANYARRAY], BOOL)
@scalar("arraycontains", [ANYARRAY, ANYARRAY], BOOL)
def contains(left: Column, right: Column) -> Column:
    """Whether every element of the second is in the first; null is in nothing."""
    same = _equality(left.type)
    rows = zip(left.tolist(), right.tolist(), strict=True)
    return Column.of(BOOL, [all(_has(a, x, same) for x in b) for a, b in rows])


@operator("<@", [ANYARRAY, ANYARRAY], BOOL)
@scalar("arraycontained", [ANYARRAY, ANYARRAY], BOOL)
def contained(left: Column, right: Column) -> Column:
    """Whether every element of the first is in the second."""
    return contains(right, left)


@operator("&&", [ANYARRAY, ANYARRAY], BOOL)
@scalar("arrayoverlap", [ANYARRAY, ANYARRAY], BOOL)
def overlap(left: Column, right: Column) -> Column:
    """Whether the arrays have an element in common."""
    same = _equality(left.type)
    rows = zip(left.tolist(), right.tolist(), strict=True)
    return Column.of(BOOL, [any(_has(b, x, same) for x in a) for a, b in rows])


@scalar("array_to_string", [ANYARRAY, TEXT], TEXT, volatility="s", run=True)
@scalar("array_to_string", [ANYARRAY, TEXT, TEXT], TEXT, volatility="s", run=True, strict=False)
def array_to_string(array: Column, separator: Column, *null: Column, run: Run) -> Column:
    """The texts of the elements with a separator between; nulls as the third argument or left out."""
    offsets, elements = lists(array)
    texts = forms.text_of(elements, run).tolist()
    ends = offsets.tolist()
    separators, valid = separator.tolist(), array.is_valid()
    nulls = null[0].tolist() if null else [None] * len(array)
    out: list[str | None] = []
    for row in range(len(array)):
        between, missing = separators[row], nulls[row]
        if not valid[row] or between is None:
            out.append(None)
            continue
        items = (missing if t is None else t for t in texts[ends[row] : ends[row + 1]])
        out.append(between.join(t for t in items if t is not None))
    return Column.of(TEXT, out)


@scalar("string_to_array", [TEXT, TEXT], array_of(TEXT), strict=False)
@scalar("string_to_array", [TEXT, TEXT, TEXT], array_of(TEXT), strict=False)
def string_to_array(text: Column, delimiter: Column, *null: Column) -> Column:
    """The pieces of a text between delimiters; its characters where the delimiter is null."""

    def one(text: str | None, delimiter: str | None, null: str | None = None) -> list[str | None] | None:
        if text is None:
            return None
        return [None if piece == null else piece for piece in pieces_of(text, delimiter)]

    return each(one, text, delimiter, *null, type=array_of(TEXT))


@scalar("unnest", [ANYARRAY], ANYELEMENT, returns_set=True)
def unnest(array: Column) -> Column:
    """The elements of an array, a row each."""
    return lists(array)[1]


@scalar("_pg_expandarray", [ANYARRAY], ANYELEMENT, returns_set=True, columns=(("x", ANYELEMENT), ("n", INT4)))
def expand_array(array: Column) -> list[Column]:
    """The elements of an array with their numbers."""
    items = lists(array)[1]
    return [items, Column(INT4, np.arange(1, len(items) + 1, dtype=np.int32))]


@scalar("generate_subscripts", [ANYARRAY, INT4], INT4, returns_set=True)
@scalar("generate_subscripts", [ANYARRAY, INT4, BOOL], INT4, returns_set=True)
def generate_subscripts(array: Column, dimension: Column, *backwards: Column) -> Column:
    """The subscripts of an array."""
    first, count = _first(array.type), int(_lengths(array)[0])
    if dimension.values[0] != 1:
        count = 0
    values = np.arange(first, first + count, dtype=np.int32)
    return Column(INT4, values[::-1].copy() if backwards and backwards[0].values[0] else values)
