"""Functions and operators of arrays: bounds, search, || @> <@ &&, to and from text."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from engine import forms
from engine.forms.arrays import dimensions
from engine.functions.registry import OPERATORS, operator, scalar
from engine.functions.text import each, pieces_of
from engine.lists import (
    bounds,
    check_dimensions,
    check_elements,
    count,
    first_of,
    is_plain,
    like,
    list_column,
    lists,
    sizes,
)
from engine.run import Run
from storage.column import Column
from storage.errors import (
    ArraySubscriptError,
    DataException,
    FeatureNotSupported,
    NullValueNotAllowed,
    UndefinedFunction,
)
from storage.indexes.comparable import column_keys
from storage.lists import Bounds, shaped
from storage.types import (
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYELEMENT,
    BOOL,
    INT4,
    TEXT,
    Type,
    array_of,
)


def _sides(name: str, answer: Callable[[int, int], int]) -> None:
    @scalar(name, [ANYARRAY, INT4], INT4)
    def side(column: Column, dimension: Column) -> Column:
        """A bound of an array's dimension; null where it has no such dimension."""
        found = []
        for said, number in zip(bounds(column), dimension.values.tolist(), strict=True):
            there = 0 < number <= len(said) // 2
            found.append(answer(*said[2 * number - 2 : 2 * number]) if there else None)
        return Column.of(INT4, found)


_sides("array_lower", lambda low, size: low)
_sides("array_upper", lambda low, size: low + size - 1)


@scalar("array_length", [ANYARRAY, INT4], INT4)
def array_length(column: Column, dimension: Column) -> Column:
    """How many elements a dimension has; null where there is no such dimension."""
    if is_plain(column):
        counts = np.diff(lists(column)[0])
        return Column(INT4, counts.astype(np.int32), (counts > 0) & (dimension.values == 1))
    rows = zip(map(sizes, bounds(column)), dimension.values.tolist(), strict=True)
    return Column.of(INT4, [said[number - 1] if 0 < number <= len(said) else None for said, number in rows])


@scalar("cardinality", [ANYARRAY], INT4)
def cardinality(column: Column) -> Column:
    """How many elements an array has."""
    return Column(INT4, np.diff(lists(column)[0]).astype(np.int32))


@scalar("array_ndims", [ANYARRAY], INT4)
def array_ndims(column: Column) -> Column:
    """How many dimensions there are; null for an empty array."""
    return Column.of(INT4, [len(said) // 2 or None for said in bounds(column)])


@scalar("array_dims", [ANYARRAY], TEXT)
def array_dims(column: Column) -> Column:
    """The bounds as '[1:3][1:2]'."""
    return Column.of(TEXT, [dimensions(said) or None for said in bounds(column)])


def _with_items(type: Type, parts: list[Column], shapes: list[Bounds] | None = None) -> Column:
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
    return list_column(type, totals, elements.take(order), bounds=shapes)


def _longer(array: Column) -> list[Bounds] | None:
    """The bounds of arrays with one element more. Raises DataException where there are more dimensions."""
    if is_plain(array):
        return None
    shapes = bounds(array)
    if any(len(said) > 2 for said in shapes):
        raise DataException("argument must be empty or one-dimensional array")
    first = first_of(array.type)
    return [(said[0], said[1] + 1) if said else (first, 1) for said in shapes]


@operator("||", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, strict=False)
@scalar("array_append", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, strict=False)
def array_append(array: Column, item: Column) -> Column:
    """The array with an element more at its end."""
    return _with_items(array.type, [array, item], _longer(array))


@operator("||", [ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, strict=False)
@scalar("array_prepend", [ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, strict=False)
def array_prepend(item: Column, array: Column) -> Column:
    """The array with an element more at its start."""
    return _with_items(array.type, [item, array], _longer(array))


@operator("||", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, strict=False)
@scalar("array_cat", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, strict=False)
def array_cat(left: Column, right: Column) -> Column:
    """The elements of both: two arrays of as many dimensions, or one that is an element of the other."""
    shapes = None
    if not (is_plain(left) and is_plain(right)):
        shapes = [_joined(a, b) for a, b in zip(bounds(left), bounds(right), strict=True)]
    joined = _with_items(left.type, [left, right], shapes)
    return joined.with_valid(left.is_valid() | right.is_valid())


def _joined(left: Bounds, right: Bounds) -> Bounds:
    """The bounds of two arrays joined. Raises ArraySubscriptError where they do not fit."""
    if not left or not right:
        return left or right
    deep, wide = len(left) // 2, len(right) // 2
    if abs(deep - wide) > 1:
        raise _incompatible(f"Arrays of {deep} and {wide} dimensions")
    if deep == wide:
        if left[2:] != right[2:]:
            raise _incompatible("Arrays with differing element dimensions")
        return (left[0], left[1] + right[1], *left[2:])
    outer, inner = (right, left) if deep < wide else (left, right)
    if sizes(outer)[1:] != sizes(inner):
        raise _incompatible("Arrays with differing dimensions")
    return (outer[0], outer[1] + 1, *outer[2:])


def _incompatible(what: str) -> ArraySubscriptError:
    return ArraySubscriptError(
        "cannot concatenate incompatible arrays", detail=f"{what} are not compatible for concatenation."
    )


def _keys(elements: Column) -> list[Any]:
    """What is equal where values are, null for null."""
    parts = [
        key.words.tolist() if key.words is not None else key.strings.to_pylist()
        for key in column_keys(elements)
    ]
    keys = parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))
    return [key if ok else None for key, ok in zip(keys, elements.is_valid().tolist(), strict=True)]


def _key_rows(array: Column) -> list[list[Any] | None]:
    """The keys of each row's elements, None for a null row."""
    offsets, elements = lists(array)
    keys, ends = _keys(elements), offsets.tolist()
    return [keys[ends[r] : ends[r + 1]] if ok else None for r, ok in enumerate(array.is_valid().tolist())]


def _must_equal(array: Column) -> None:
    """Raise UndefinedFunction for elements whose type has no equality."""
    element = array.type.element
    assert element is not None
    inner = element.single
    if inner.category == "U" and not any(o.arguments[0].oid == inner.oid for o in OPERATORS["="]):
        raise UndefinedFunction(f"could not identify an equality operator for type {element.base}")


def _one_dimension(array: Column, doing: str) -> None:
    if any(len(said) > 2 for said in bounds(array)):
        raise FeatureNotSupported(
            f"{doing} elements {'from' if doing == 'removing' else 'in'} "
            "multidimensional arrays is not supported"
        )


@scalar("array_position", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], INT4, strict=False)
@scalar("array_position", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, INT4], INT4, strict=False)
def array_position(array: Column, item: Column, *start: Column) -> Column:
    """The subscript of the first element equal to a value."""
    _must_equal(array)
    _one_dimension(array, "searching for")
    starts = start[0].tolist() if start else [None] * len(array)
    rows = zip(_key_rows(array), bounds(array), _keys(item), starts, strict=True)
    found: list[int | None] = []
    for keys, said, wanted, begin in rows:
        if keys is not None and start and begin is None:
            raise NullValueNotAllowed("initial position must not be null")
        low = said[0] if said else 1
        places = range(0 if begin is None else max(begin - low, 0), len(keys or ()))
        at = None if keys is None else next((i for i in places if keys[i] == wanted), None)
        found.append(None if at is None else at + low)
    return Column.of(INT4, found)


@scalar("array_positions", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], array_of(INT4), strict=False)
def array_positions(array: Column, item: Column) -> Column:
    """The subscripts of all elements equal to a value."""
    _must_equal(array)
    _one_dimension(array, "searching for")
    rows = zip(_key_rows(array), bounds(array), _keys(item), strict=True)
    found = [
        None if keys is None else [i for i, key in enumerate(keys, said[0] if said else 1) if key == wanted]
        for keys, said, wanted in rows
    ]
    return Column.of(array_of(INT4), found)


@scalar("array_remove", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, strict=False)
def array_remove(array: Column, item: Column) -> Column:
    """The array without the elements equal to a value."""
    _must_equal(array)
    _one_dimension(array, "removing")
    offsets, elements = lists(array)
    wanted = [w for w, n in zip(_keys(item), np.diff(offsets).tolist(), strict=True) for _ in range(n)]
    kept = np.array([a != b for a, b in zip(_keys(elements), wanted, strict=True)], np.bool_)
    ends = np.append(0, np.cumsum(kept))[offsets]
    shapes = None
    if not is_plain(array):
        counts = np.diff(ends).tolist()
        shapes = [(said[0], n) if n else () for said, n in zip(bounds(array), counts, strict=True)]
    return list_column(array.type, ends, elements.take(kept), array.is_valid(), bounds=shapes)


@scalar("array_replace", [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, strict=False)
def array_replace(array: Column, old: Column, new: Column) -> Column:
    """The array with elements equal to one value replaced by another."""
    _must_equal(array)
    offsets, elements = lists(array)
    counts = np.diff(offsets)
    parents = np.repeat(np.arange(len(array)), counts)
    olds = _keys(old)
    pairs = zip(_keys(elements), parents.tolist(), strict=True)
    same = np.array([key == olds[row] for key, row in pairs], np.bool_)
    both = Column.concat([elements, new.retype(elements.type)])
    places = np.where(same, len(elements) + parents, np.arange(len(elements)))
    return like(array, both.take(places.astype(np.int64)), array.type)


@scalar("array_fill", [ANYELEMENT, array_of(INT4)], ANYARRAY, strict=False)
@scalar("array_fill", [ANYELEMENT, array_of(INT4), array_of(INT4)], ANYARRAY, strict=False)
def array_fill(item: Column, lengths: Column, *lowers: Column) -> Column:
    """An array of one value, so long in each dimension, and counting from there."""
    given = [part.tolist() for part in (lengths, *lowers)]
    if any(len(said) > 2 for part in (lengths, *lowers) for said in bounds(part)):
        word = "Dimension" if any(len(said) > 2 for said in bounds(lengths)) else "Low bound"
        raise ArraySubscriptError(
            "wrong number of array subscripts", detail=f"{word} array must be one dimensional."
        )
    shapes = [_filled(*row) for row in zip(*given, strict=True)]
    counts = [count(said) for said in shapes]
    places = np.repeat(np.arange(len(item)), counts)
    offsets = np.append(0, np.cumsum(counts))
    return list_column(array_of(item.type), offsets, item.take(places), bounds=shapes)


_NO_LOWERS: list[int | None] = []


def _filled(lengths: list[int | None] | None, lowers: list[int | None] | None = _NO_LOWERS) -> Bounds:
    """The bounds that array_fill's arguments tell; without lower ones all are 1."""
    if lengths is None or lowers is None:
        raise NullValueNotAllowed("dimension array or low bound array cannot be null")
    known = [length for length in lengths if length is not None]
    starts = [low for low in lowers or [1] * len(lengths) if low is not None]
    if len(known) < len(lengths):
        raise NullValueNotAllowed("dimension values cannot be null")
    if lowers and len(lowers) != len(lengths):
        raise ArraySubscriptError(
            "wrong number of array subscripts",
            detail="Low bound array has different size than dimensions array.",
        )
    if len(starts) < len(lengths):
        raise NullValueNotAllowed("dimension values cannot be null")
    check_dimensions(len(known))
    check_elements(-1 if any(length < 0 for length in known) else prod(known))
    said = tuple(part for pair in zip(starts, known, strict=True) for part in pair)
    return said if prod(known) else ()


@scalar("trim_array", [ANYARRAY, INT4], ANYARRAY)
def trim_array(array: Column, trimmed: Column) -> Column:
    """The array without so many elements at its end, of the first dimension; it counts from 1."""
    rows = []
    for items, said, less in zip(array.tolist(), bounds(array), trimmed.values.tolist(), strict=True):
        length = said[1] if said else 0
        if not 0 <= less <= length:
            raise ArraySubscriptError(f"number of elements to trim must be between 0 and {length}")
        left = (length - less, *sizes(said)[1:])
        kept = items[: prod(left)] if said else []
        rows.append(shaped(kept, tuple(part for size in left for part in (1, size))))
    return Column.of(array.type, rows)


@operator("@>", [ANYARRAY, ANYARRAY], BOOL)
@scalar("arraycontains", [ANYARRAY, ANYARRAY], BOOL)
def contains(left: Column, right: Column) -> Column:
    """Whether every element of the second is in the first; null is in nothing."""
    rows = zip(_key_rows(left), _key_rows(right), strict=True)
    return Column.of(BOOL, [None not in (b or ()) and set(b or ()) <= set(a or ()) for a, b in rows])


@operator("<@", [ANYARRAY, ANYARRAY], BOOL)
@scalar("arraycontained", [ANYARRAY, ANYARRAY], BOOL)
def contained(left: Column, right: Column) -> Column:
    """Whether every element of the first is in the second."""
    return contains(right, left)


@operator("&&", [ANYARRAY, ANYARRAY], BOOL)
@scalar("arrayoverlap", [ANYARRAY, ANYARRAY], BOOL)
def overlap(left: Column, right: Column) -> Column:
    """Whether the arrays have an element in common; nulls are not counted."""
    rows = zip(_key_rows(left), _key_rows(right), strict=True)
    return Column.of(BOOL, [bool((set(a or ()) & set(b or ())) - {None}) for a, b in rows])


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
    said, number = bounds(array)[0], int(dimension.values[0])
    low, size = said[2 * number - 2 : 2 * number] if 0 < number <= len(said) // 2 else (1, 0)
    values = np.arange(low, low + size, dtype=np.int32)
    return Column(INT4, values[::-1].copy() if backwards and backwards[0].values[0] else values)
