"""Small batches in few bytes and little time: without a schema, for the types are the table's.

4 bytes   rows, little-endian as all of it
4 bytes   columns
columns   each at a multiple of 8

column:   1 byte    kind of the values
          1 byte    1 where there are nulls, else 0
          2 bytes   0
          4 bytes   length of the values in bytes
          bitmap    only where there are nulls: 1 for a value, first row in the lowest bit; padded to 8
          values    padded to 8

kind 1    rows of fixed width, one after another
kind 2    the length of each row, 4 bytes, then the bytes of all (text, bytea)
kind 3    an Arrow stream of the one column (see storage.codec), nulls inside
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from storage import codec
from storage.batch import Batch
from storage.column import Column, Mask, arrow_type
from storage.durability.files import Buffer
from storage.types import BYTEA, UUID, Form, Type

_HEAD = struct.Struct("<II")
_COLUMN = struct.Struct("<BBHI")
_FIXED, _LENGTHS, _STREAM, _UNITS = 1, 2, 3, 4
_ROWS = 4096
_BYTES = 1 << 20
_CELL = struct.Struct("<BBHII")
_NULL_CELL = _COLUMN.pack(_LENGTHS, 1, 0, 4) + bytes(16)
_CODES = {
    "|b1": "?",
    "|u1": "B",
    "<i2": "h",
    "<i4": "i",
    "<u4": "I",
    "<i8": "q",
    "<f4": "f",
    "<f8": "d",
}
_VARYING = (pa.large_string(), pa.large_binary())


def suits(batch: Batch) -> bool:
    """Whether the batch is small enough to be copied."""
    return batch.rows <= _ROWS and batch.nbytes <= _BYTES


def encode(batch: Batch) -> bytes:
    """The batch's bytes, a multiple of 8."""
    parts: list[Buffer] = [_HEAD.pack(batch.rows, len(batch.columns))]
    for column in batch.columns:
        if column.units is not None:
            kind, values, valid = _UNITS, column.units.tobytes(), column.valid
        elif not column.arrow and column.type.form is not Form.DECIMAL:
            kind, values, valid = _FIXED, column.values.tobytes(), column.valid
        elif column.arrow and column.values.type in _VARYING:
            kind, values, valid = _LENGTHS, _varying(column.values), column.valid
        else:
            kind, values, valid = _STREAM, codec.encode_batch(Batch((column,), batch.rows)), None
        parts.append(_COLUMN.pack(kind, valid is not None, column.scale, len(values)))
        if valid is not None:
            parts.append(_padded(np.packbits(valid, bitorder="little").tobytes()))
        parts.append(_padded(values))
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _varying(array: pa.Array) -> bytes:
    """Lengths, then bytes; a null has length 0."""
    if array.null_count:
        array = array.fill_null("" if array.type == pa.large_string() else b"")
    _, places, data = array.buffers()
    offsets = np.frombuffer(places, np.int64, len(array) + 1, 8 * array.offset)
    lengths = np.diff(offsets).astype("<u4").tobytes()
    if data is None:
        return lengths
    return lengths + bytes(memoryview(data)[offsets[0] : offsets[-1]])


def cell_encoder(type: Type) -> Callable[[Any], bytes] | None:
    """What gives, of one value (None: null), the bytes of `encode` for a column of just it.

    None where values of the type are not plain: see storage.rows.
    """
    if type.form is Form.TEXT:
        return _text_cell
    if type.oid == BYTEA.oid:
        return _bytes_cell
    code = "16s" if type.oid == UUID.oid else _CODES.get("" if type.dtype is None else type.dtype.str)
    if code is None or (type.form is not Form.FIXED and type.oid != UUID.oid):
        return None
    size = struct.calcsize("<" + code)
    pack = struct.Struct(f"<BBHI{code}{-size % 8}x").pack
    null = _COLUMN.pack(_FIXED, 1, 0, size) + bytes(8 + size + -size % 8)
    return lambda value: null if value is None else pack(_FIXED, 0, 0, size, value)


def _text_cell(value: str | None) -> bytes:
    return _bytes_cell(None if value is None else value.encode())


def _bytes_cell(value: bytes | None) -> bytes:
    if value is None:
        return _NULL_CELL
    size = len(value)
    return _CELL.pack(_LENGTHS, 0, 0, size + 4, size) + value + bytes(-(size + 4) % 8)


def decode(types: Sequence[Type], data: memoryview) -> Batch:
    """The inverse of encode; its columns may view `data`."""
    rows, count = _HEAD.unpack_from(data)
    assert count == len(types)
    at = _HEAD.size
    columns = []
    for type in types:
        kind, nulls, scale, length = _COLUMN.unpack_from(data, at)
        at += _COLUMN.size
        bits = None
        if nulls:
            bits = data[at : at + -(-rows // 8)]
            at += len(bits) + -len(bits) % 8
        columns.append(_decoded(type, kind, scale, rows, bits, data[at : at + length]))
        at += length + -length % 8
    return Batch(tuple(columns), rows)


def _decoded(
    type: Type, kind: int, scale: int, rows: int, bits: memoryview | None, values: memoryview
) -> Column:
    if kind == _STREAM:
        return codec.decode_batch((type,), values).columns[0]
    if kind == _LENGTHS:
        offsets = np.zeros(rows + 1, np.int64)
        np.cumsum(np.frombuffer(values, "<u4", rows), out=offsets[1:])
        buffers = [
            None if bits is None else pa.py_buffer(bits),
            pa.py_buffer(offsets),
            pa.py_buffer(values[4 * rows :]),
        ]
        return Column(type, pa.Array.from_buffers(arrow_type(type), rows, buffers))
    valid: Mask | None = None
    if bits is not None:
        valid = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows, bitorder="little").astype(np.bool_)
    if kind == _UNITS:
        return Column.scaled(type, np.frombuffer(values, np.int64), scale, valid)
    assert kind == _FIXED
    assert type.dtype is not None
    array = np.frombuffer(values, type.dtype)
    if type.form is Form.ROWS:
        array = array.reshape(rows, -1 if rows else max(type.width, 0))
    return Column(type, array, valid)
