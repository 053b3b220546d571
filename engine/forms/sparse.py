"""Forms of sparsevec, as pgvector writes and reads them.

Text: `{place:value,...}/dimensions`, places from 1, in any order, zeros left out. Binary, big-endian: int32
dimensions, int32 elements, int32 zero, the places from 0 as int32, the values as float4. In a column:
storage.types.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine.forms import numbers
from engine.forms.style import Style
from engine.forms.vectors import BLANKS, NUMBER, check_expected, narrowed, strtof
from storage.column import Array, Column
from storage.errors import (
    DataException,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    ProgramLimitExceeded,
    ProtocolViolation,
)
from storage.types import FLOAT4, VECTOR, Type

MOST_DIMENSIONS = 1_000_000_000
MOST_ELEMENTS = 16_000
_PLACE = re.compile(r"[ \t\n\r\v\f]*([+-]?[0-9]+)")
_FURTHEST = 2**31 - 1
_MESSAGE = "invalid input syntax for type sparsevec"


def pack(dimensions: int, places: Array, values: Array) -> bytes:
    """A value as it lies in a column; places count from 0 and ascend."""
    return struct.pack("<i", dimensions) + places.astype("<i4").tobytes() + values.astype("<f4").tobytes()


def unpack(raw: bytes) -> tuple[int, Array, Array]:
    """(dimensions, places from 0, values) of a value as it lies in a column."""
    count = (len(raw) - 4) // 8
    (dimensions,) = struct.unpack_from("<i", raw)
    return dimensions, np.frombuffer(raw, "<i4", count, 4), np.frombuffer(raw, "<f4", count, 4 + 4 * count)


def check_dimensions(type: Type, count: int) -> None:
    """Raise where a sparse vector of `type` may not have so many dimensions."""
    if count < 1:
        raise DataException("sparsevec must have at least 1 dimension")
    if count > MOST_DIMENSIONS:
        raise ProgramLimitExceeded(f"sparsevec cannot have more than {MOST_DIMENSIONS} dimensions")
    check_expected(type, count)


def check_elements(count: int, dimensions: int) -> None:
    """Raise for more elements than there may be."""
    if count < 0:
        raise DataException("sparsevec cannot have negative number of elements")
    if count > MOST_ELEMENTS:
        raise ProgramLimitExceeded(f"sparsevec cannot have more than {MOST_ELEMENTS} non-zero elements")
    if count > dimensions:
        raise ProgramLimitExceeded("sparsevec cannot have more elements than dimensions")


def _check_places(places: Sequence[int], dimensions: int) -> None:
    before = -1
    for place in places:
        if not 0 <= place < dimensions:
            raise DataException("sparsevec index out of bounds")
        if place < before:
            raise DataException("sparsevec indices must be in ascending order")
        if place == before:
            raise DataException("sparsevec indices must not contain duplicates")
        before = place


def _check_finite(value: float) -> None:
    if value != value:
        raise DataException("NaN not allowed in sparsevec")
    if value in (np.inf, -np.inf):
        raise DataException("infinite value not allowed in sparsevec")


def write_sparse(column: Column, style: Style) -> pa.Array:
    """{1:1.5,3:2}/5"""
    items = [None if raw is None else unpack(raw) for raw in column.values.to_pylist()]
    values = np.concatenate([np.zeros(0, np.float32), *(item[2] for item in items if item is not None)])
    texts = iter(numbers.write_shortest(Column(FLOAT4, values)).to_pylist())
    written = [
        None
        if item is None
        else "{" + ",".join(f"{place + 1}:{next(texts)}" for place in item[1].tolist()) + f"}}/{item[0]}"
        for item in items
    ]
    return pa.array(written, pa.large_string())


def read_sparse(type: Type, texts: list[str], style: Style) -> list[bytes]:
    """See `parse_sparse`."""
    return [parse_sparse(type, text) for text in texts]


def parse_sparse(type: Type, text: str) -> bytes:
    """A sparse vector of its text. Raises what pgvector's input function raises."""
    if text.count(",") >= MOST_ELEMENTS:
        raise ProgramLimitExceeded(f"sparsevec cannot have more than {MOST_ELEMENTS} non-zero elements")
    invalid = InvalidTextRepresentation(f'{_MESSAGE}: "{text}"')
    word = text.lstrip(BLANKS)
    if word[:1] != "{":
        raise InvalidTextRepresentation(invalid.message, detail='Vector contents must start with "{".')
    found, rest = _elements(word[1:].lstrip(BLANKS), invalid)
    rest = rest.lstrip(BLANKS)
    if rest[:1] != "/":
        raise InvalidTextRepresentation(invalid.message, detail="Unexpected end of input.")
    size = _PLACE.match(rest[1:])
    if size is None:
        raise invalid
    if rest[1:][size.end() :].strip(BLANKS):
        raise InvalidTextRepresentation(invalid.message, detail="Junk after closing.")
    dimensions = max(min(int(size[1]), _FURTHEST), -_FURTHEST - 1)
    check_dimensions(type, dimensions)
    found.sort(key=lambda element: element[0])
    places = [place for place, _ in found]
    _check_places(places, dimensions)
    return pack(dimensions, np.array(places, np.int32), np.array([v for _, v in found], np.float32))


def _elements(rest: str, invalid: InvalidTextRepresentation) -> tuple[list[tuple[int, float]], str]:
    """The elements that are not zero, places from 0, and what follows the closing brace."""
    found: list[tuple[int, float]] = []
    if rest[:1] == "}":
        return found, rest[1:]
    while True:
        place = _PLACE.match(rest)
        if place is None:
            raise invalid
        rest = rest[place.end() :].lstrip(BLANKS)
        if rest[:1] != ":":
            raise invalid
        number = NUMBER.match(rest, 1)
        if number is None:
            raise invalid
        value = _value(number[1])
        if value != 0:
            found.append((max(min(int(place[1]), _FURTHEST), -_FURTHEST) - 1, value))
        rest = rest[number.end() :].lstrip(BLANKS)
        if rest[:1] not in (",", "}"):
            raise invalid
        mark, rest = rest[0], rest[1:]
        if mark == "}":
            return found, rest


def _value(item: str) -> float:
    wide = strtof(item)
    value = float(narrowed(VECTOR, np.array([wide]), [item])[0])
    named = any(word in item.lower() for word in ("inf", "nan")) and "x" not in item.lower()
    vanished = value == 0 and any(digit in "123456789" for digit in item.lower().partition("e")[0])
    if vanished or (value in (np.inf, -np.inf) and not named):
        raise NumericValueOutOfRange(f'"{item}" is out of range for type sparsevec')
    _check_finite(value)
    return value


def write_wire(raw: bytes) -> bytes:
    """A value's binary form."""
    dimensions, places, values = unpack(raw)
    head = struct.pack(">iii", dimensions, len(places), 0)
    return head + places.astype(">i4").tobytes() + values.astype(">f4").tobytes()


def read_wire(type: Type, item: bytes, excess: str) -> bytes:
    """The inverse of `write_wire`. Raises what pgvector's receive function raises."""
    if len(item) < 12:
        raise ProtocolViolation("insufficient data left in message")
    dimensions, count, unused = struct.unpack_from(">iii", item)
    check_dimensions(type, dimensions)
    check_elements(count, dimensions)
    if unused:
        raise DataException(f"expected unused to be 0, not {unused}")
    if len(item) < 12 + 8 * count:
        raise ProtocolViolation("insufficient data left in message")
    places = np.frombuffer(item, ">i4", count, 12)
    _check_places(places.tolist(), dimensions)
    values = np.frombuffer(item, ">f4", count, 12 + 4 * count)
    for value in values.tolist():
        _check_finite(value)
        if value == 0:
            raise DataException("binary representation of sparsevec cannot contain zero values")
    if len(item) > 12 + 8 * count:
        raise InvalidBinaryRepresentation(excess)
    return pack(dimensions, places, values)


def of_dense(type: Type, values: Array) -> bytes:
    """A row of numbers as a sparse vector of `type`."""
    check_dimensions(type, len(values))
    places = np.flatnonzero(values)
    check_elements(len(places), len(values))
    with np.errstate(over="ignore"):
        kept = values[places].astype(np.float32)
    for value in kept[~np.isfinite(kept)].tolist():
        _check_finite(value)
    there = kept != 0
    return pack(len(values), places[there], kept[there])


def to_dense(raw: bytes) -> Array:
    """(dimensions,) float32."""
    dimensions, places, values = unpack(raw)
    row = np.zeros(dimensions, np.float32)
    row[places] = values
    return row
