"""Rows as the wire frames them, a whole batch at once: DataRow, and CopyData of COPY's binary format.

    byte  tag ('D' or 'd')
    int32 length, itself included
    int16 fields, and for each: int32 length (-1: null) and the bytes of its text or binary form

A few rows are put together value by value, because a kernel call a column costs more than they do.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from engine import forms
from engine.formats.linewriter import LineWriter
from engine.formats.options import Writer
from engine.formats.tuples import Fields, TupleWriter, arrow_fields, fields_by_value, fields_of, frame_rows
from engine.forms.binary import fixed_rows
from engine.forms.single import field
from engine.forms.style import Style
from storage import kernels
from storage.batch import Batch
from storage.column import Column
from storage.types import BOOL, INTEGERS, OID, Form

FEW = 16  # rows
_LENGTH = struct.Struct(">i")
_HEAD = struct.Struct(">BIH")
_NULL = b"\xff\xff\xff\xff"
_DIGITS = frozenset((*(type.oid for type in INTEGERS), OID.oid))


def row_frames(
    columns: Sequence[Column], formats: Sequence[int], rows: int, style: Style, tag: bytes = b"D"
) -> bytes:
    """The messages of `rows` rows; `formats` has a code a column: 0 text, 1 binary."""
    if any(formats):
        columns = forms.wired(columns, style)
    if rows == 1:
        fields = [field(column, format) for column, format in zip(columns, formats, strict=True)]
        if None not in fields:
            return framed(fields, tag)  # type: ignore[arg-type]  # none is None
    if rows <= FEW:
        return _few(columns, formats, rows, style, tag)
    parts = [_fields(column, format, style) for column, format in zip(columns, formats, strict=True)]
    head = np.frombuffer(struct.pack(">H", len(columns)), np.uint8)
    out, begins, sizes = frame_rows(parts, rows, head, 5)
    out[begins] = tag[0]
    kernels.put_int32(out, begins + 1, sizes - 1)
    return out.tobytes()


def framed(fields: Sequence[bytes], tag: bytes = b"D") -> bytes:
    """The message of a row, whose fields have their lengths in front."""
    body = b"".join(fields)
    return _HEAD.pack(tag[0], len(body) + 6, len(fields)) + body


def copy_frames(writer: Writer, batch: Batch) -> bytes:
    """CopyData messages, one a row, of what `writer` would write."""
    if isinstance(writer, LineWriter):
        out, begins, sizes = writer.framed(batch, 5)
        out[begins] = ord("d")
        kernels.put_int32(out, begins + 1, sizes - 1)
        return out.tobytes()
    assert isinstance(writer, TupleWriter)
    return row_frames(batch.columns, (1,) * len(batch.columns), batch.rows, writer.style, b"d")


def _fields(column: Column, format: int, style: Style) -> Fields:
    if format:
        return fields_of(column)
    return fields_by_value(column, lambda values: arrow_fields(forms.text_of(values, style).values))


def _few(columns: Sequence[Column], formats: Sequence[int], rows: int, style: Style, tag: bytes) -> bytes:
    values = [
        _binary(column) if format else _texts(column, style)
        for column, format in zip(columns, formats, strict=True)
    ]
    out = []
    for row in range(rows):
        body = b"".join(
            [_NULL if (item := column[row]) is None else _LENGTH.pack(len(item)) + item for column in values]
        )
        out.append(_HEAD.pack(tag[0], len(body) + 6, len(values)))
        out.append(body)
    return b"".join(out)


def _texts(column: Column, style: Style) -> list[bytes | None]:
    oid = column.type.oid
    if column.type.form is Form.TEXT:
        items: list[str | None] = column.values.to_pylist()
    elif oid in _DIGITS:
        items = [None if item is None else str(item) for item in column.tolist()]
    elif oid == BOOL.oid:
        items = [None if item is None else "t" if item else "f" for item in column.tolist()]
    else:
        items = forms.text_of(column, style).values.to_pylist()
    return [None if item is None else item.encode() for item in items]


def _binary(column: Column) -> list[bytes | None]:
    rows = fixed_rows(column)
    if rows is None:
        found: list[bytes | None] = forms.binary_of(column).values.to_pylist()
        return found
    raw, width = rows.tobytes(), rows.shape[1]
    items = [raw[at : at + width] for at in range(0, len(raw), width)] if width else [b""] * len(rows)
    valid = column.valid
    return list(items) if valid is None else [i if ok else None for i, ok in zip(items, valid, strict=True)]
