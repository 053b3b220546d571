"""Rows: (1,"a b",) as text, and the wire's binary form.

In text, fields stand between commas, those with blanks, commas, parentheses, quotes or backslashes in quotes;
nothing is null, and "" the empty string. On the wire a row is the number of its fields, then of each its
type's OID, its length (-1: null) and its own form.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.forms.style import Style
from storage.column import Column, fields_of, row_column
from storage.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    ProtocolViolation,
)
from storage.types import BYTEA, Type

_QUOTED = re.compile(r'[\s"\\(),]')


def write_row(fields: Sequence[list[str | None]], there: Sequence[bool]) -> pa.Array:
    """The texts of rows from those of their fields, in their order; null where no row is `there`."""
    rows = list(zip(*fields, strict=True)) if fields else [()] * len(there)
    out = [
        "(" + ",".join("" if item is None else _quoted(item) for item in row) + ")" if ok else None
        for row, ok in zip(rows, there, strict=True)
    ]
    return pa.array(out, pa.large_string())


def _quoted(item: str) -> str:
    if item and not _QUOTED.search(item):
        return item
    escaped = item.replace("\\", "\\\\").replace('"', '""')
    return f'"{escaped}"'


def _malformed(text: str, detail: str) -> InvalidTextRepresentation:
    return InvalidTextRepresentation(f'malformed record literal: "{text}"', detail=detail)


def split_row(text: str, count: int) -> list[str | None]:
    """The texts of the `count` fields of a row's text. Raises InvalidTextRepresentation."""
    word = text.lstrip(" \t\n\v\f\r")
    if not word.startswith("("):
        raise _malformed(text, "Missing left parenthesis.")
    fields: list[str | None] = []
    at = 1
    for number in range(count):
        if number:
            if word[at : at + 1] != ",":
                raise _malformed(text, "Too few columns.")
            at += 1
        field, at = _field(text, word, at)
        fields.append(field)
    if word[at : at + 1] != ")":
        raise _malformed(text, "Too many columns.")
    if word[at + 1 :].strip(" \t\n\v\f\r"):
        raise _malformed(text, "Junk after right parenthesis.")
    return fields


def _field(text: str, word: str, at: int) -> tuple[str | None, int]:
    """(a field's text or None, where it ends), from `at` on."""
    if word[at : at + 1] in (",", ")") and at < len(word):
        return None, at
    parts: list[str] = []
    quoted = False
    while quoted or word[at : at + 1] not in (",", ")"):
        letter = word[at : at + 1]
        following = word[at + 1 : at + 2]
        if not letter or (letter == "\\" and not following):
            raise _malformed(text, "Unexpected end of input.")
        at += 1
        if letter == "\\" or (letter == '"' and quoted and following == '"'):
            parts.append(following)
            at += 1
        elif letter == '"':
            quoted = not quoted
        else:
            parts.append(letter)
    return "".join(parts), at


def refuse(type: Type, texts: list[str], style: Style) -> list[Any]:
    """Nobody knows what the fields of an anonymous row are. Raises FeatureNotSupported."""
    if texts:
        raise FeatureNotSupported("input of anonymous composite types is not implemented")
    return []


def read_row(type: Type, texts: list[str], style: Style, read: Callable[[Type, Column], Column]) -> list[Any]:
    """Rows of their texts, as Column.tolist gives them; `read` is the fields' input function."""
    if not type.is_composite:
        refuse(type, texts, style)
    assert type.attributes is not None
    rows = [split_row(text, len(type.attributes)) for text in texts]
    fields = []
    for place, attribute in enumerate(type.attributes):
        column = Column(BYTEA, pa.array([row[place] for row in rows], pa.large_string()))
        fields.append(read(attribute.type, column))
    return row_column(type, len(rows), fields).tolist()


def write_wire(column: Column, write: Callable[[Column], Column]) -> pa.Array:
    """The binary forms of rows; `write` is the fields' send function."""
    fields = fields_of(column)
    sent = [(f.type.wire_oid, write(f).values.to_pylist()) for f in fields]
    out: list[bytes | None] = []
    for row, ok in enumerate(column.is_valid().tolist()):
        if not ok:
            out.append(None)
            continue
        parts = [struct.pack(">i", len(fields))]
        for oid, items in sent:
            item = items[row]
            parts.append(struct.pack(">Ii", oid, -1 if item is None else len(item)))
            parts.append(item or b"")
        out.append(b"".join(parts))
    return pa.array(out, pa.large_binary())


def read_wire(type: Type, column: Column, excess: str, receive: Callable[[Type, Column], Column]) -> Column:
    """Rows of their binary forms; `receive` reads their fields'. Raises what record_recv raises."""
    if type.attributes is None or not type.is_composite:
        raise FeatureNotSupported("input of anonymous composite types is not implemented")
    rows = [None if item is None else _parts(type, item, excess) for item in column.values.to_pylist()]
    fields = []
    for place, attribute in enumerate(type.attributes):
        items = [None if row is None else row[place] for row in rows]
        fields.append(receive(attribute.type, Column(BYTEA, pa.array(items, pa.large_binary()))))
    valid = np.array([row is not None for row in rows], np.bool_)
    return row_column(type, len(rows), fields, None if valid.all() else valid)


def _parts(type: Type, item: bytes, excess: str) -> list[bytes | None]:
    assert type.attributes is not None
    try:
        (count,) = struct.unpack_from(">i", item)
        if count != len(type.attributes):
            raise DatatypeMismatch(f"wrong number of columns: {count}, expected {len(type.attributes)}")
        at, parts = 4, []
        for number, attribute in enumerate(type.attributes, 1):
            oid, length = struct.unpack_from(">Ii", item, at)
            wanted = attribute.type
            if oid not in (wanted.wire_oid, wanted.oid):
                raise DatatypeMismatch(
                    f"binary data has type {oid} instead of expected {wanted.wire_oid} ({wanted.base}) "
                    f"in record column {number}"
                )
            at += 8
            if length < -1 or length > len(item) - at:
                raise InvalidBinaryRepresentation("insufficient data left in message")
            parts.append(None if length == -1 else item[at : at + length])
            at += max(length, 0)
    except struct.error:
        raise ProtocolViolation("insufficient data left in message") from None
    if at != len(item):
        raise InvalidBinaryRepresentation(excess)
    return parts
