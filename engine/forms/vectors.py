"""Forms of vectors: halfvec, vector and vectors of other elements, as pgvector writes and reads them.

Text: numbers between brackets, `[1,2.5,3]`; elements are read as by C's strtof and rounded once, those of
halfvec by way of float4; integers are rounded to the nearest. Binary: uint16 dimensions, uint16 zero, the
elements, all big-endian. pgvector's words are kept: for vectors that it does not have, too.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms import numbers
from engine.forms.style import Style
from storage.column import Array, Column, Mask
from storage.errors import (
    DataException,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    ProgramLimitExceeded,
    ProtocolViolation,
)
from storage.rowbytes import content_of
from storage.types import FLOAT4, FLOAT8, HALFVEC, VECTOR, Type

MOST_DIMENSIONS = 16_000
BLANKS = " \t\n\r\v\f"
NUMBER = re.compile(
    r"[ \t\n\r\v\f]*([+-]?(?:0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?"
    r"|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan(?:\([a-z0-9_]*\))?))",
    re.IGNORECASE | re.ASCII,
)
"""What strtof reads of a text's beginning."""
# of a double: the bits that float4 drops, and the middle between two float4s
_TIES = np.uint64(0x1FFF_FFFF), np.uint64(0x1000_0000)
_LEAST_NORMAL = 2.0**-126  # of float4


def words(type: Type) -> str:
    """A vector type's name in messages: 'vector' of vectors of other elements, too."""
    return type.name.partition("_")[0]


def check_dimensions(type: Type, count: int) -> None:
    """Raise where vectors of `type` may not have so many elements."""
    if count < 1:
        raise DataException(f"{words(type)} must have at least 1 dimension")
    if count > MOST_DIMENSIONS:
        raise ProgramLimitExceeded(f"{words(type)} cannot have more than {MOST_DIMENSIONS} dimensions")
    check_expected(type, count)


def check_expected(type: Type, count: int) -> None:
    """Raise where vectors of `type` have another number of elements."""
    if type.modifier >= 0 and count != type.modifier:
        raise DataException(f"expected {type.modifier} dimensions, not {count}")


def check_finite(type: Type, values: Array) -> None:
    """Raise for NaN and infinity among elements."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        odd = values.reshape(-1)[~np.isfinite(values).reshape(-1)][0]
        what = "NaN" if np.isnan(odd) else "infinite value"
        raise DataException(f"{what} not allowed in {words(type)}")


def write_vector(column: Column, style: Style) -> pa.Array:
    """[1,2.5,3]"""
    flat, ends = elements_of(column)
    if flat.dtype.kind == "i":
        texts = pa.array(flat).cast(pa.large_string())
    else:
        single = flat.dtype.itemsize <= 4
        widened = flat.astype(np.float32) if single else flat
        texts = numbers.write_shortest(Column(FLOAT4 if single else FLOAT8, widened))
    rows = pc.binary_join(pa.LargeListArray.from_arrays(pa.array(ends), texts), _text(","))
    written = pc.binary_join_element_wise(_text("["), rows, _text("]"), _text(""))
    return written if column.valid is None else pc.if_else(pa.array(column.valid), written, None)


def elements_of(column: Column) -> tuple[Array, Array]:
    """(the elements of all rows one after another, where each row begins and the last one ends)."""
    if not column.type.is_ragged:
        values = np.ascontiguousarray(column.values)
        return values.reshape(-1), np.arange(len(values) + 1, dtype=np.int64) * values.shape[1]
    content, spans = content_of(column.values)
    dtype = column.type.dtype
    assert dtype is not None
    elements = np.ascontiguousarray(content[spans[0] : spans[-1]]).view(dtype)
    return elements, (spans - spans[0]) // dtype.itemsize


def of_elements(type: Type, elements: Array, lengths: Array, valid: Mask | None = None) -> Column:
    """The inverse of `elements_of`: a column of `type`, which says no dimensions, of rows so long."""
    assert type.is_ragged
    offsets = np.append(0, np.cumsum(lengths)) * elements.dtype.itemsize
    buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(np.ascontiguousarray(elements))]
    return Column(type, pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers), valid)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def read_vector(type: Type, texts: list[str], style: Style) -> list[Any]:
    """One array a text. Raises what pgvector's input functions raise."""
    return [parse_vector(type, text) for text in texts]


def parse_vector(type: Type, text: str) -> Array:
    """A vector's elements as an array of the type's dtype. Raises what pgvector's input function raises."""
    word = text.strip(BLANKS)
    if word[:1] == "[" and word[-1:] == "]" and word.isascii() and "_" not in word:
        values = _quickly(type, word[1:-1].split(","))
        if values is not None:
            check_dimensions(type, len(values))
            return values
    values = _slowly(type, text)
    check_dimensions(type, len(values))
    return values


def _quickly(type: Type, items: list[str]) -> Array | None:
    """Usual numbers; None where one is not, or is not finite: `_slowly` says what is wrong."""
    assert type.dtype is not None
    try:
        if type.dtype.kind == "i":
            return np.array([int(item) for item in items], type.dtype)
        wide = np.array([float(item) for item in items])
    except (ValueError, OverflowError):
        return None
    values = narrowed(type, wide, items)
    return values if np.isfinite(values).all() else None


def narrowed(type: Type, wide: Array, items: list[str]) -> Array:
    """Doubles that were read of `items` as the type's elements, as if these had been rounded once."""
    assert type.dtype is not None
    if type.dtype.itemsize == 8:
        return wide
    with np.errstate(over="ignore", under="ignore"):
        single = wide.astype(np.float32)
    size = np.abs(wide)
    ties = (wide.view(np.uint64) & _TIES[0]) == _TIES[1]
    ties |= (size < _LEAST_NORMAL) & (size > 0)
    for place in np.flatnonzero(ties).tolist():
        single[place] = _nearest(float(wide[place]), items[place].strip(BLANKS), single[place])
    with np.errstate(over="ignore", under="ignore"):
        return single.astype(type.dtype)


def _nearest(double: float, item: str, single: Any) -> Any:
    """The float4 nearest to a number that lies beside the double that was read of it."""
    if not np.isfinite(single) or "x" in item.lower():
        return single
    exact, there = Decimal(item), Decimal(double)
    if exact == there:
        return single
    towards = np.float32(np.inf if exact > there else -np.inf)
    other = np.nextafter(single, towards)
    here, far = abs(exact - Decimal(float(single))), abs(exact - Decimal(float(other)))
    return single if here < far else other


def _slowly(type: Type, text: str) -> Array:
    """As pgvector reads: number by number, raising for what comes first."""
    assert type.dtype is not None
    invalid = InvalidTextRepresentation(f'invalid input syntax for type {words(type)}: "{text}"')
    word = text.lstrip(BLANKS)
    if word[:1] != "[":
        raise InvalidTextRepresentation(invalid.message, detail='Vector contents must start with "[".')
    rest = word[1:].lstrip(BLANKS)
    if rest[:1] == "]":
        raise DataException(f"{words(type)} must have at least 1 dimension")
    values: list[Any] = []
    while True:
        if len(values) == MOST_DIMENSIONS:
            raise ProgramLimitExceeded(f"{words(type)} cannot have more than {MOST_DIMENSIONS} dimensions")
        found = NUMBER.match(rest)
        if found is None:
            raise invalid
        values.append(_element(type, found[1]))
        rest = rest[found.end() :].lstrip(BLANKS)
        if rest[:1] not in (",", "]"):
            raise invalid
        mark, rest = rest[0], rest[1:]
        if mark == "]":
            break
    if rest.strip(BLANKS):
        raise InvalidTextRepresentation(invalid.message, detail="Junk after closing right brace.")
    return np.array(values, type.dtype)


def strtof(item: str) -> float:
    """What C's strtof would read, as a double: infinite where it is out of a double's range."""
    plain = item.lower()
    if "x" in plain:
        try:
            return float.fromhex(item)
        except OverflowError:
            return float("-inf" if plain[0] == "-" else "inf")
    return float(plain.partition("(")[0])


def _element(type: Type, item: str) -> Any:
    """One element. Raises NumericValueOutOfRange, and DataException for NaN and infinity."""
    assert type.dtype is not None
    out_of_range = NumericValueOutOfRange(f'"{item}" is out of range for type {words(type)}')
    wide = strtof(item)
    named = any(word in item.lower() for word in ("inf", "nan")) and "x" not in item.lower()
    if type.dtype.kind == "i":
        return _whole(type, item, wide, out_of_range)
    value = narrowed(type, np.array([wide]), [item])
    if np.isinf(value[0]) and not named:
        raise out_of_range
    check_finite(type, value)
    return value[0]


def _whole(type: Type, item: str, wide: float, out_of_range: NumericValueOutOfRange) -> int:
    """A number rounded to the nearest integer."""
    check_finite(type, np.array([wide]) if "n" in item.lower() else np.zeros(1))
    if not np.isfinite(wide):
        raise out_of_range
    digits = item.lstrip("+-")
    whole = int(item) if digits.isdigit() else round(wide)
    assert type.dtype is not None
    limits = np.iinfo(type.dtype)
    if not limits.min <= whole <= limits.max:
        raise out_of_range
    return whole


def write_wire(values: Array) -> Array:
    """(rows, n) elements as (rows, 4 + n * size) uint8, the binary forms."""
    rows, count = values.shape
    size = values.dtype.itemsize
    written = np.zeros((rows, 4 + size * count), np.uint8)
    written[:, :2] = np.frombuffer(struct.pack(">H", count), np.uint8)
    swapped = np.ascontiguousarray(values).astype(values.dtype.newbyteorder(">"))
    written[:, 4:] = swapped.reshape(-1).view(np.uint8).reshape(rows, size * count)
    return written


def read_wire_rows(type: Type, rows: Array) -> Column | None:
    """Vectors of (rows, width) uint8, binary forms of one width; None where one is not as it should be."""
    assert type.dtype is not None
    count, rest = divmod(rows.shape[1] - 4, type.dtype.itemsize)
    if rest or not 1 <= count <= MOST_DIMENSIONS or (type.width >= 0 and count != type.width):
        return None
    head = np.frombuffer(struct.pack(">HH", count, 0), np.uint8)
    if (rows[:, :4] != head).any():
        return None
    values = np.ascontiguousarray(rows[:, 4:]).view(type.dtype.newbyteorder(">")).astype(type.dtype)
    if type.dtype.kind == "f" and not np.isfinite(values).all():
        return None
    return Column(type, values)


def read_wire(type: Type, item: bytes, excess: str) -> Array:
    """A vector's elements of its binary form. Raises what pgvector's receive function raises, and
    InvalidBinaryRepresentation, in the words `excess`, for what goes on behind its end."""
    assert type.dtype is not None
    if len(item) < 4:
        raise ProtocolViolation("insufficient data left in message")
    count, unused = struct.unpack_from(">Hh", item)
    check_dimensions(type, count)
    if unused:
        raise DataException(f"expected unused to be 0, not {unused}")
    end = 4 + count * type.dtype.itemsize
    if len(item) < end:
        raise ProtocolViolation("insufficient data left in message")
    if len(item) > end:
        raise InvalidBinaryRepresentation(excess)
    values = np.frombuffer(item, type.dtype.newbyteorder(">"), offset=4).astype(type.dtype)
    check_finite(type, values)
    return values


def from_floats(type: Type, wide: Array) -> Array:
    """Doubles (any shape) as the type's elements, as casts of arrays round them. Raises DataException."""
    assert type.dtype is not None
    if type.dtype.kind == "i":
        check_finite(type, wide)
        limits = np.iinfo(type.dtype)
        whole = np.rint(wide)
        if ((whole < limits.min) | (whole >= float(limits.max) + 1)).any():
            raise NumericValueOutOfRange(f"value out of range for type {type.base}")
        return whole.astype(type.dtype)
    with np.errstate(over="ignore", under="ignore"):
        values = wide.astype(type.dtype)
    if type.oid == HALFVEC.oid:
        check_half(wide, values)
    check_finite(type, values)
    return values


def check_half(wide: Array, values: Array) -> None:
    """Raise where a number has become infinite as a float16."""
    lost = np.isinf(values) & np.isfinite(wide)
    if lost.any():
        shown = numbers.float_text(float(np.float32(wide[lost][0])), single=True)
        raise NumericValueOutOfRange(f'"{shown}" is out of range for type halfvec')


assert VECTOR.dtype == np.float32
