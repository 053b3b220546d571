"""Vectors in and out of other forms: JSON_ARRAY_PACK and JSON_ARRAY_UNPACK, arrays, lengths in bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from engine import forms
from engine.functions.registry import scalar
from engine.functions.text import each
from engine.functions.vectordistances import SUFFIXES
from engine.lists import list_column
from storage.column import Column
from storage.errors import DataException, InvalidTextRepresentation
from storage.types import (
    BINARY,
    BYTEA,
    ELEMENTS,
    FLOAT4,
    FLOAT8,
    HALFVEC,
    INT4,
    TEXT,
    VECTOR,
    Type,
    array_of,
)


def _pack(text: str, dtype: np.dtype) -> bytes:
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or any(
        isinstance(x, bool) or not isinstance(x, int | float) for x in items
    ):
        raise InvalidTextRepresentation(
            f'invalid input syntax for a vector: "{text[:60]}"', hint="Write the elements as '[1, 2.5, 3]'."
        )
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        try:
            whole = [round(x) for x in items]
        except (ValueError, OverflowError):
            whole = [limits.max + 1]
        if any(not limits.min <= x <= limits.max for x in whole):
            raise DataException(f"an element does not fit in {8 * dtype.itemsize} bits")
        return np.array(whole, dtype).tobytes()
    with np.errstate(over="ignore"):
        return np.array([float(x) for x in items], np.float64).astype(dtype).tobytes()


def _unpack(raw: bytes, dtype: np.dtype) -> str:
    if len(raw) % dtype.itemsize:
        raise DataException(
            f"binary length {len(raw)} is not a multiple of {dtype.itemsize}",
            hint=f"A vector's elements take {dtype.itemsize} bytes each.",
        )
    return "[" + ",".join(map(_element, np.frombuffer(raw, dtype))) + "]"


def _element(item: Any) -> str:
    """The shortest text that reads back as the same element."""
    if isinstance(item, np.integer):
        return str(int(item))
    if not np.isfinite(item):
        return "null"
    if 1e-5 <= abs(item) < 1e16 or not item:
        return np.format_float_positional(item, unique=True, trim="-")
    return np.format_float_scientific(item, unique=True, trim="-")


def _packing(suffix: str, type: Type) -> None:
    dtype = type.dtype
    assert dtype is not None

    @scalar(f"json_array_pack{suffix}", [TEXT], BYTEA)
    def pack(column: Column) -> Column:
        """A JSON array of numbers as packed little-endian elements."""
        return each(lambda t: _pack(t, dtype), column, type=BYTEA)

    def unpack(column: Column) -> Column:
        """Packed elements as a JSON array."""
        return each(lambda raw: _unpack(raw, dtype), column)

    for packed in (BYTEA, BINARY):
        scalar(f"json_array_unpack{suffix}", [packed], TEXT)(unpack)


_packing("", VECTOR)
for _suffix, _type in SUFFIXES.items():
    _packing(f"_{_suffix.lower()}", _type)


def _unpacked(column: Column) -> Column:
    """The elements as a JSON array."""
    return forms.text_of(column)


for _type in ELEMENTS.values():
    scalar("json_array_unpack", [_type], TEXT)(_unpacked)


def _array(source: Type, element: Type) -> None:
    name = f"{source.name}_to_{element.name}"

    @scalar(name, [source], array_of(element))
    def to_array(column: Column) -> Column:
        """The elements as an array."""
        rows, width = column.values.shape
        flat = Column(element, np.ascontiguousarray(column.values).reshape(-1).astype(element.dtype))
        return list_column(array_of(element), np.arange(rows + 1, dtype=np.int64) * width, flat)


_array(VECTOR, FLOAT4)
_array(VECTOR, FLOAT8)
_array(HALFVEC, FLOAT4)


@scalar("length", [BINARY], INT4)
@scalar("octet_length", [BINARY], INT4)
def binary_length(column: Column) -> Column:
    """How many bytes."""
    return Column(INT4, np.full(len(column), column.values.shape[1], np.int32))
