"""Casts among vectors, sparse vectors, arrays, binary and bit strings: pgvector's, and those of bit.

A cast is (column, target without its modifier) -> column; the modifier is applied by engine.casts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms import bits, parse_binary, sparse, texts, vectors
from engine.lists import bounds, is_plain, list_column
from storage.column import Array, Column
from storage.errors import (
    DataException,
    FeatureNotSupported,
    InvalidBinaryRepresentation,
    NullValueNotAllowed,
    NumericValueOutOfRange,
)
from storage.lists import items_of
from storage.rowbytes import content_of
from storage.types import (
    BINARY,
    BIT,
    BITS,
    BYTEA,
    ELEMENTS,
    INT4,
    INT8,
    NUMERIC,
    SPARSEVEC,
    VARBIT,
    VECTOR,
    VECTORS,
    Type,
)

Cast = Callable[[Column, Type], Column]


def cast_of(source: Type, target: Type) -> Cast | None:
    """What makes the source type the target, where one of them is a vector or a bit string."""
    if source.oid in VECTORS:
        if target.element is not None:
            return _to_array
        return {BINARY.oid: _to_binary, SPARSEVEC.oid: _to_sparse}.get(
            target.oid, _to_elements if target.oid in VECTORS else None
        )
    if target.oid in VECTORS or target.oid == BINARY.oid:
        if source.element is not None:
            return _of_array
        if source.oid == SPARSEVEC.oid and target.oid in VECTORS:
            return _of_sparse
        if source.oid == BINARY.oid and target.oid in VECTORS:
            return _of_binary
    if target.oid == SPARSEVEC.oid and source.element is not None:
        return _array_to_sparse
    return _BITS.get((source.oid, target.oid))


def sized(column: Column, target: Type) -> Column:
    """The column under the modifier of its type: as many elements, or bytes, as that says."""
    if target.oid == SPARSEVEC.oid:
        for raw in column.values.to_pylist():
            if raw is not None:
                vectors.check_expected(target, sparse.unpack(raw)[0])
        return column.retype(target)
    if not column.is_valid().any():
        return Column.nulls(target, len(column))
    if target.oid in VECTORS:
        _check_lengths(column, target)
        return column.retype(target)
    width = column.values.shape[1]
    if width == target.width:
        return column.retype(target)
    raise texts.width_error(target, width)


def _check_lengths(column: Column, target: Type) -> None:
    """Raise for the first vector that has not as many elements as `target` says."""
    if not column.type.is_ragged:
        vectors.check_expected(target, column.values.shape[1])
        return
    assert target.dtype is not None
    lengths = np.diff(content_of(column.values)[1])[column.is_valid()] // target.dtype.itemsize
    wrong = lengths[lengths != target.modifier]
    if len(wrong):
        vectors.check_expected(target, int(wrong[0]))


def cut_bits(column: Column, target: Type, explicit: bool) -> Column:
    """A bit string's column under its modifier: too long is cut in a written cast only."""
    items = [None if v is None else bits.fitted(target, v, cut=explicit) for v in column.values.to_pylist()]
    return Column(target, pa.array(items, pa.large_binary()))


def _to_elements(column: Column, target: Type) -> Column:
    values = np.where(column.is_valid()[:, None], column.values, np.zeros(1, column.values.dtype))
    if column.values.dtype.kind == "i" and target.dtype is not None and target.dtype.kind == "i":
        limits = np.iinfo(target.dtype)
        if ((values < limits.min) | (values > limits.max)).any():
            raise NumericValueOutOfRange(f"value out of range for type {target.base}")
        return Column(target, values.astype(target.dtype), column.valid)
    return Column(target, vectors.from_floats(target, values.astype(np.float64)), column.valid)


def _to_sparse(column: Column, target: Type) -> Column:
    valid = column.is_valid()
    rows = [
        sparse.of_dense(target, row) if ok else None for row, ok in zip(column.values, valid, strict=True)
    ]
    return Column(target, pa.array(rows, pa.large_binary()))


def _of_sparse(column: Column, target: Type) -> Column:
    rows: list[Any] = []
    for raw in column.values.to_pylist():
        if raw is not None:
            vectors.check_dimensions(target, sparse.unpack(raw)[0])
        rows.append(None if raw is None else vectors.from_floats(target, sparse.to_dense(raw).astype(float)))
    return Column.of(target, rows)


def _to_binary(column: Column, target: Type) -> Column:
    return Column(target, np.ascontiguousarray(column.values).view(np.uint8), column.valid)


def _of_binary(column: Column, target: Type) -> Column:
    assert target.dtype is not None
    values, size = np.ascontiguousarray(column.values), target.dtype.itemsize
    if values.shape[1] % size:
        element = next(name for name, type in ELEMENTS.items() if type.oid == target.oid)
        raise DataException(
            f"{values.shape[1]} bytes are no vector of {element} elements",
            hint=f"A vector of n elements has {size} * n bytes.",
        )
    elements = values.view(target.dtype)
    vectors.check_finite(target, elements if column.valid is None else elements[column.valid])
    return Column(target, elements, column.valid)


def _to_array(column: Column, target: Type) -> Column:
    """The elements as an array of numbers."""
    values = np.ascontiguousarray(column.values)
    element = target.element
    assert element is not None
    if element.dtype is None or element.dtype.kind not in "fi":
        raise FeatureNotSupported(f"cannot cast type {column.type.base} to {target.base}")
    with np.errstate(over="ignore"):
        flat = Column(element, values.reshape(-1).astype(element.dtype))
    offsets = np.arange(len(values) + 1, dtype=np.int64) * values.shape[1]
    return list_column(target, offsets, flat, column.valid)


def _numbers(column: Column, target: Type) -> tuple[Array, Array]:
    """(the elements of all rows as numbers, how many each row has); a null row has none."""
    if not is_plain(column) and any(len(said) > 2 for said in bounds(column)):
        raise DataException("array must be 1-D")
    lists = items_of(column.values)
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    flat = lists.filter(lists.is_valid()).flatten() if lists.null_count else lists.flatten()
    if flat.null_count:
        raise NullValueNotAllowed("array must not contain nulls")
    element = column.type.element
    assert element is not None
    if element.oid == NUMERIC.oid:
        items = flat.to_pylist()
        wide = np.array([float(item) for item in items], np.float64)
        return (vectors.narrowed(VECTOR, wide, items) if target.oid == VECTOR.oid else wide), counts
    if element.dtype is None or element.dtype.kind not in "fi":
        raise DataException("unsupported array type")
    return Column.from_arrow(element, flat).values, counts


def _of_array(column: Column, target: Type) -> Column:
    """Numbers as a vector, or as the float32 bytes of binary(n)."""
    flat, counts = _numbers(column, target)
    kind = VECTOR if target.oid == BINARY.oid else target
    valid = column.valid
    sizes = counts if valid is None else counts[valid]
    for size in np.unique(sizes).tolist():
        vectors.check_dimensions(kind.base, size)
    assert kind.dtype is not None
    made = _converted(kind, flat, binary=target.oid == BINARY.oid)
    if target.is_ragged:
        return vectors.of_elements(target, made, counts, valid)
    if len(sizes) and (sizes != sizes[0]).any():
        raise FeatureNotSupported(
            f"values of {sizes.min()} and of {sizes.max()} dimensions in one column of type {target.base}"
            " are not supported"
        )
    width = int(sizes[0]) if len(sizes) else max(kind.width, 0)
    made = made.reshape(len(sizes), width)
    if valid is None:
        rows = made
    else:
        rows = np.zeros((len(column), width), kind.dtype)
        rows[valid] = made
    if target.oid == BINARY.oid:
        rows = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), 4 * width)
    return Column(target, rows, valid)


def _converted(kind: Type, flat: Array, binary: bool) -> Array:
    """Numbers as elements; those of binary(n) need not be finite."""
    assert kind.dtype is not None
    if kind.dtype.kind == "i" and flat.dtype.kind == "i":
        limits = np.iinfo(kind.dtype)
        if len(flat) and not (limits.min <= flat.min() and flat.max() <= limits.max):
            raise NumericValueOutOfRange(f"value out of range for type {kind}")
        return flat.astype(kind.dtype)
    if binary:
        with np.errstate(over="ignore"):
            return flat.astype(kind.dtype)
    return vectors.from_floats(kind, flat.astype(np.float64))


def _array_to_sparse(column: Column, target: Type) -> Column:
    flat, counts = _numbers(column, VECTOR)
    ends = np.cumsum(counts)
    rows = [
        sparse.of_dense(target, flat[end - count : end]) if ok else None
        for end, count, ok in zip(ends.tolist(), counts.tolist(), column.is_valid().tolist(), strict=True)
    ]
    return Column(target, pa.array(rows, pa.large_binary()))


def _relabel(column: Column, target: Type) -> Column:
    return column.retype(target)


def _bits_to_number(column: Column, target: Type) -> Column:
    """The bits as a number in two's complement. Raises NumericValueOutOfRange."""
    assert target.dtype is not None
    most = 8 * target.dtype.itemsize
    found: list[int | None] = []
    for raw in column.values.to_pylist():
        if raw is not None and bits.length_of(raw) > most:
            raise NumericValueOutOfRange(f"{target.base} out of range")
        value = None if raw is None else int(bits.digits_of(raw) or "0", 2)
        found.append(value if value is None or value < 1 << (most - 1) else value - (1 << most))
    return Column.of(target, found)


def number_to_bits(column: Column, target: Type) -> Column:
    """The lowest n bits of integers as bit(n), the sign filling what lies above; of `target` its modifier
    counts, 1 where it has none."""
    length = max(target.modifier, 1)
    items = [
        None if v is None else bits.pack(f"{v % (1 << max(length, 64)):0{length}b}"[-length:])
        for v in column.tolist()
    ]
    return Column(target, pa.array(items, pa.large_binary()))


def _bits_to_bytes(column: Column, target: Type) -> Column:
    """Whole bytes of bits. Raises InvalidBinaryRepresentation."""
    rows = column.values.to_pylist()
    for raw in rows:
        if raw is not None and raw[-1]:
            length = bits.length_of(raw)
            raise InvalidBinaryRepresentation(f"bit string of length {length} is not of whole bytes")
    plain = Column(BYTEA, pa.array([raw and raw[:-1] for raw in rows], pa.large_binary()))
    return plain if target.oid == BYTEA.oid else parse_binary(target, plain)


_BITS: dict[tuple[int, int], Cast] = {
    (BIT.oid, BYTEA.oid): _bits_to_bytes,
    (BIT.oid, BINARY.oid): _bits_to_bytes,
    (BIT.oid, VARBIT.oid): _relabel,
    (VARBIT.oid, BIT.oid): _relabel,
    **{(bit, number.oid): _bits_to_number for bit in BITS for number in (INT4, INT8)},
    **{(number.oid, BIT.oid): number_to_bits for number in (INT4, INT8)},
}
