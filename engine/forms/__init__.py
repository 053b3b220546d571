"""Text and binary forms of values: one row of FORMS a type, whole columns at once.

`text_of` and `parse_text` are PostgreSQL's output and input functions, `binary_of` and `parse_binary` its
send and receive functions. `how` is a Run or a Style: DateStyle, TimeZone and their like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pyarrow as pa

from engine import lists
from engine.forms import (
    arrays,
    binary,
    bits,
    counters,
    enums,
    fast,
    hardware,
    intervals,
    money,
    network,
    numbers,
    objects,
    ranges,
    records,
    sparse,
    texts,
    tids,
    times,
    vectors,
)
from engine.forms.arrays import Read, Write
from engine.forms.style import PLAIN, Style, style_of
from engine.jsonpath import parse, shown
from engine.run import Run
from engine.seams import Kind, SessionInfo
from storage import types as t
from storage.catalog import Catalog
from storage.column import Column, fields_of, row_column
from storage.errors import FeatureNotSupported
from storage.indexes import keys
from storage.ranges import subtype_of
from storage.types import TEXT, Type, array_of
from storage.usertypes import EnumType

__all__ = [
    "FORMS",
    "PLAIN",
    "Style",
    "binary_of",
    "parse_binary",
    "parse_text",
    "style_of",
    "text_of",
    "wired",
]

_INTEGER = (numbers.write_integer, numbers.read_integer)
_TEXT = (texts.write_text, texts.read_text)
_OBJECT = (objects.write_object, objects.read_object)


def _read_path(type: Type, texts: list[str], style: Style) -> list[str]:
    """Paths in the form in which they are written."""
    return [shown.text(parse.path(text)) for text in texts]


FORMS: dict[int, tuple[Write, Read]] = {
    t.BOOL.oid: (numbers.write_bool, numbers.read_bool),
    **dict.fromkeys((x.oid for x in (t.INT2, t.INT4, t.INT8, t.OID, t.XID, t.CID)), _INTEGER),
    **dict.fromkeys((x.oid for x in (t.FLOAT4, t.FLOAT8)), (numbers.write_float, numbers.read_float)),
    t.TID.oid: (tids.write_tid, tids.read_tid),
    t.NUMERIC.oid: (numbers.write_numeric, numbers.read_numeric),
    **dict.fromkeys(
        (
            x.oid
            for x in (
                t.TEXT,
                t.VARCHAR,
                t.BPCHAR,
                t.NAME,
                t.UNKNOWN,
                t.CSTRING,
                t.XML,
                t.ACLITEM,
                t.PG_NODE_TREE,
                t.REFCURSOR,
                t.VOID,
            )
        ),
        _TEXT,
    ),
    t.RECORD.oid: (texts.write_text, records.refuse),
    t.CHAR.oid: (texts.write_char, texts.read_char),
    t.JSON.oid: (texts.write_text, texts.read_json),
    t.JSONB.oid: (texts.write_text, texts.read_jsonb),
    **dict.fromkeys((t.INET.oid, t.CIDR.oid), (texts.write_text, network.read_network)),
    **dict.fromkeys((t.MACADDR.oid, t.MACADDR8.oid), (hardware.write_hardware, hardware.read_hardware)),
    **dict.fromkeys((t.PG_LSN.oid, t.XID8.oid), (counters.write_counter, counters.read_counter)),
    t.MONEY.oid: (money.write_money, money.read_money),
    t.JSONPATH.oid: (texts.write_text, _read_path),
    t.BYTEA.oid: (texts.write_bytes, texts.read_bytes),
    t.BINARY.oid: (texts.write_bytes, texts.read_binary),
    t.UUID.oid: (texts.write_uuid, texts.read_uuid),
    **dict.fromkeys(t.VECTORS, (vectors.write_vector, vectors.read_vector)),
    t.SPARSEVEC.oid: (sparse.write_sparse, sparse.read_sparse),
    **dict.fromkeys(t.BITS, (bits.write_bits, bits.read_bits)),
    t.DATE.oid: (times.write_date, times.read_date),
    t.TIME.oid: (times.write_time, times.read_time),
    t.TIMETZ.oid: (times.write_timetz, times.read_timetz),
    t.TIMESTAMP.oid: (times.write_timestamp, times.read_timestamp),
    t.TIMESTAMPTZ.oid: (times.write_timestamptz, times.read_timestamp),
    t.INTERVAL.oid: (intervals.write_interval, intervals.read_interval),
    **dict.fromkeys((x.oid for x in t.REG_TYPES), _OBJECT),
}
"""(output, input) of every type that is no array, by OID."""


def _form(type: Type) -> tuple[Callable[..., pa.Array], Callable[..., list[Any]]]:
    if type.element is not None:
        write, read = _form(type.element)
        return partial(arrays.write_array, write=write), partial(arrays.read_array, read=read)
    if type.is_enum:
        return enums.write_enum, enums.read_enum
    if type.is_row:
        return _write_row, _read_row
    if type.category == "R":
        write, read = _form(subtype_of(type))
        one = type.oid in t.SUBTYPES
        return (
            partial(ranges.write_range if one else ranges.write_multirange, write=write),
            partial(ranges.read_range if one else ranges.read_multirange, read=read),
        )
    try:
        return FORMS[type.oid]
    except KeyError:
        raise FeatureNotSupported(f"type {type} has no text form") from None


def _write_row(column: Column, style: Style) -> pa.Array:
    texts = [text_of(field, style).tolist() for field in fields_of(column)]
    return records.write_row(texts, column.is_valid().tolist())


def _read_row(type: Type, texts: list[str], style: Style) -> list[Any]:
    return records.read_row(type, texts, style, lambda field, column: parse_text(field, column, style))


def text_of(column: Column, how: Run | Style | None = None) -> Column:
    """The column as text, as PostgreSQL's output functions write it; nulls stay null."""
    written = _form(column.type)[0](column, style_of(how))
    return Column(TEXT, written, constant=column.constant)


class _Names:
    """What text forms ask a session, of a catalog alone: the labels of enums; objects are numbers."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def enum_labels(self, oid: int) -> dict[int, str]:
        made = self._catalog.types[oid]
        assert isinstance(made, EnumType)
        return {label.place: label.text for label in made.labels}

    def name_of(self, kind: Kind, oid: int) -> str:
        return str(oid)


def _key_text(catalog: Catalog, column: Column) -> str:
    """A value of a key, under the settings that a session begins with."""
    text: str = text_of(column, Style(names=cast(SessionInfo, _Names(catalog)))).tolist()[0]
    return text


keys.use(_key_text)


def parse_text(type: Type, column: Column, how: Run | Style | None = None) -> Column:
    """Text as a column of `type`. Raises PostgreSQL's errors, as its input functions do."""
    style = style_of(how)
    quick = fast.read(type, column, lambda odd: _form(type)[1](type, odd, style))
    if quick is not None:
        quick.constant = column.constant
        return quick
    items = column.values.to_pylist()
    there = [item for item in items if item is not None]
    values = iter(_form(type)[1](type, there, style))
    parsed = Column.of(type, [None if item is None else next(values) for item in items])
    parsed.constant = column.constant
    return parsed


def binary_of(column: Column) -> Column:
    """The column as bytea, as PostgreSQL's send functions write it; nulls stay null. See `wired`."""
    written = binary.write(column)
    written.constant = column.constant
    return written


def wired(columns: Sequence[Column], how: Run | Style | None) -> Sequence[Column]:
    """Columns as `binary_of` takes them: what goes over the wire as its text even in binary, as text."""
    return [_wired(column, style_of(how)) for column in columns]


def _wired(column: Column, style: Style) -> Column:
    type = column.type
    if type.is_enum:
        return enums.labelled(column, text_of(column, style))
    if type.element is not None and (type.element.is_enum or type.element.is_row):
        elements = _wired(lists.lists(column)[1], style)
        return lists.like(column, elements, array_of(elements.type))
    if not type.is_row:
        return column
    assert type.attributes is not None
    fields = fields_of(column)
    wired = [_wired(field, style) for field in fields]
    if all(a is b for a, b in zip(fields, wired, strict=True)):
        return column
    told = [a._replace(type=field.type) for a, field in zip(type.attributes, wired, strict=True)]
    made = row_column(replace(type, attributes=tuple(told)), len(column), wired, column.valid)
    made.constant = column.constant
    return made


def parse_binary(
    type: Type, column: Column, excess: str = binary.EXCESS, how: Run | Style | None = None
) -> Column:
    """bytea as a column of `type`. Raises what receive functions raise: ProtocolViolation for values that
    are cut off, InvalidBinaryRepresentation with the words `excess` for those that go on behind their end.
    """

    def receive(type: Type, column: Column) -> Column:
        if type.is_enum:
            return enums.read_wire(type, binary.read(enums.as_text(type), column, excess), style_of(how))
        return binary.read(type, column, excess, receive)

    parsed = receive(type, column)
    parsed.constant = column.constant
    return parsed
