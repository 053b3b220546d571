"""Single values of the commonest types, between the wire and columns: a parameter, a field of one row.

What the whole-column functions do with one value costs ten times as much as reading it. Whatever is not
plainly right here (another type, a null, a value out of range, bytes that are no text) is theirs, who also
word the errors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from storage.column import Column
from storage.types import (
    BINARY,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    OID,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    Type,
)

_BINARY = {
    type.oid: struct.Struct(form)
    for type, form in (
        (INT2, ">h"),
        (INT4, ">i"),
        (INT8, ">q"),
        (OID, ">I"),
        (FLOAT4, ">f"),
        (FLOAT8, ">d"),
        (DATE, ">i"),
        (TIMESTAMP, ">q"),
        (TIMESTAMPTZ, ">q"),
    )
}
_FIELDS = {oid: struct.Struct(">i" + pack.format[1:]) for oid, pack in _BINARY.items()}
_DIGITS = {INT2.oid: 4, INT4.oid: 9, INT8.oid: 18}  # that always fit
_TEXTS = frozenset((TEXT.oid, VARCHAR.oid))
_STRING = pa.large_string()
_LENGTH = struct.Struct(">i")
_NULL = b"\xff\xff\xff\xff"


def read_binary(type: Type, raw: bytes) -> Column | None:
    """A constant column of one value's binary form; None: not read here."""
    if type.oid == BINARY.oid and raw and type.modifier in (-1, len(raw)):
        return Column(type, np.frombuffer(raw, np.uint8).reshape(1, -1), constant=True)
    value = binary_value(type, raw)
    return None if value is None else _column(type, value)


def binary_value(type: Type, raw: bytes) -> Any:
    """The value itself, as Column.tolist gives it."""
    form = _BINARY.get(type.oid)
    if form is not None:
        return form.unpack(raw)[0] if len(raw) == form.size else None
    return _string(type, raw) if type.oid in _TEXTS else None


def value_reader(type: Type, format: int) -> Callable[[bytes], Any]:
    """`text_value` or `binary_value`, of one type."""
    form = _BINARY.get(type.oid) if format else None
    if form is None:
        return partial(binary_value if format else text_value, type)
    unpack, size = form.unpack, form.size
    return lambda raw: unpack(raw)[0] if len(raw) == size else None


def column_reader(type: Type, format: int) -> Callable[[bytes], Column | None]:
    """`read_text` or `read_binary`, of one type."""
    return partial(read_binary if format else read_text, type)


def read_text(type: Type, raw: bytes) -> Column | None:
    """A constant column of one value's text form; None: not read here."""
    value = text_value(type, raw)
    return None if value is None else _column(type, value)


def text_value(type: Type, raw: bytes) -> Any:
    """The value itself, likewise."""
    digits = _DIGITS.get(type.oid)
    if digits is not None:
        number = raw[1:] if raw[:1] == b"-" else raw
        return int(raw) if number.isdigit() and len(number) <= digits else None
    return _string(type, raw) if type.oid in _TEXTS else None


def field_writer(type: Type, format: int) -> Callable[[Any], bytes] | None:
    """`plain_field` of one type, of values that are not null; None: not written here."""
    if type.oid in _TEXTS:
        return _text_field
    if format:
        pack = _FIELDS.get(type.oid)
        return None if pack is None else partial(pack.pack, pack.size - 4)
    return _digits_field if type.oid in _DIGITS else None


def _text_field(value: str) -> bytes:
    raw = value.encode()
    return _LENGTH.pack(len(raw)) + raw


def _digits_field(value: int) -> bytes:
    raw = b"%d" % value
    return _LENGTH.pack(len(raw)) + raw


def _string(type: Type, raw: bytes) -> str | None:
    if type.modifier != -1 or not raw.isascii() or b"\0" in raw:
        return None
    return raw.decode()


def _column(type: Type, value: Any) -> Column:
    if type.oid in _TEXTS:
        return Column(type, pa.array((value,), _STRING), constant=True)
    return Column(type, np.array((value,), type.dtype), constant=True)


def field(column: Column, format: int) -> bytes | None:
    """The only row of a column as a field of DataRow, its length first; None: not written here."""
    oid, valid = column.type.oid, column.valid
    if oid in _TEXTS or oid in _FIELDS or (valid is not None and not valid[0]):
        return plain_field(column.type, column.item(0), format)
    return None


def plain_field(type: Type, value: Any, format: int) -> bytes | None:
    """A plain value as a field, likewise."""
    if value is None:
        return _NULL
    write = field_writer(type, format)
    return None if write is None else write(value)
