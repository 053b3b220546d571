"""Keys as PostgreSQL's messages show them: 'Key (a, b)=(1, x) already exists.'"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from storage.catalog import Catalog
from storage.definitions import Table
from storage.timetz import clock_of, west_of
from storage.types import (
    BITS,
    DATE,
    MACADDR,
    MACADDR8,
    MONEY,
    PG_LSN,
    SPARSEVEC,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UUID,
    XID8,
    Type,
)
from storage.usertypes import EnumType

_EPOCH = datetime(2000, 1, 1)
_DAYS = {DATE.oid}
_MICROS = {TIMESTAMP.oid, TIMESTAMPTZ.oid}


def describe(catalog: Catalog, table: Table, numbers: Sequence[int], key: Sequence[Any], state: str) -> str:
    """The detail of a violation. `numbers` are attnums, `key` their values as Column.tolist gives them.

    A hidden column without a name, which says that the row is in the index, is not told of.
    """
    columns = (table.definition(number) for number in numbers)
    told = [(column, value) for column, value in zip(columns, key, strict=True) if column.name]
    names = ", ".join(column.name for column, _ in told)
    values = ", ".join(_shown(catalog, column.type, value) for column, value in told)
    return f"Key ({names})=({values}) {state}."


def _shown(catalog: Catalog, type: Type, value: Any) -> str:
    """The value as PostgreSQL's output function writes it under the settings it begins with."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "t" if value else "f"
    if type.is_enum:
        made = catalog.types[type.oid]
        assert isinstance(made, EnumType)
        return next(label.text for label in made.labels if label.place == value)
    if type.oid in BITS:
        return "".join(f"{byte:08b}" for byte in value[:-1])[: 8 * (len(value) - 1) - value[-1]]
    if type.oid == SPARSEVEC.oid:
        return _sparse(value)
    if isinstance(value, list) and type.dtype is not None:
        return "[" + ",".join(_number(type.dtype.type(item)) for item in value) + "]"
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if type.oid == UUID.oid else f"\\x{value.hex()}"
    if isinstance(value, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(
            str(value), f"{value!r}".removesuffix(".0")
        )
    if isinstance(value, int) and type.oid in _DAYS | _MICROS:
        return _moment(type, value)
    if type.oid == TIME.oid:
        return _clock(value)
    if type.oid in (MONEY.oid, PG_LSN.oid, XID8.oid):
        return _counted(type, value)
    if type.oid in (MACADDR.oid, MACADDR8.oid):
        return _hardware(type, value)
    if type.oid == TIMETZ.oid:
        return _clock(clock_of(value)) + _offset(-west_of(value))
    return str(value)


def _number(value: Any) -> str:
    """An element of a vector in its shortest digits."""
    return str(value).removesuffix(".0")


def _sparse(raw: bytes) -> str:
    count = (len(raw) - 4) // 8
    places, values = np.frombuffer(raw, "<i4", count, 4), np.frombuffer(raw, "<f4", count, 4 + 4 * count)
    pairs = ",".join(f"{place + 1}:{_number(value)}" for place, value in zip(places, values, strict=True))
    return f"{{{pairs}}}/{int.from_bytes(raw[:4], 'little')}"


def _hardware(type: Type, value: int) -> str:
    """An address as engine.forms.hardware keeps it."""
    raw = value.to_bytes(6, "big") if type.oid == MACADDR.oid else (value + (1 << 63)).to_bytes(8, "big")
    return raw.hex(":")


def _counted(type: Type, value: int) -> str:
    """Cents, or a counter as engine.forms.counters keeps it."""
    if type.oid == MONEY.oid:
        return f"{'-' if value < 0 else ''}${abs(value) // 100:,}.{abs(value) % 100:02d}"
    count = value + (1 << 63)
    return str(count) if type.oid == XID8.oid else f"{count >> 32:X}/{count & 0xFFFF_FFFF:X}"


def _clock(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{fraction:06d}"
    return text.rstrip("0").rstrip(".") if fraction else text[:-7]


def _offset(east: int) -> str:
    """An offset from Greenwich in its shortest form: +01, -03:30."""
    parts = [f"{abs(east) // 3600:02d}", f"{abs(east) // 60 % 60:02d}", f"{abs(east) % 60:02d}"]
    while len(parts) > 1 and parts[-1] == "00":
        parts.pop()
    return ("-" if east < 0 else "+") + ":".join(parts)


def _moment(type: Type, value: int) -> str:
    """A date or timestamp; one that Python's calendar does not reach as its number."""
    span = timedelta(days=value) if type.oid in _DAYS else timedelta(microseconds=value)
    try:
        moment = _EPOCH + span
    except OverflowError:
        return str(value)
    if type.oid in _DAYS:
        return moment.date().isoformat()
    text = moment.isoformat(" ")
    text = text.rstrip("0") if "." in text else text
    return text + "+00" if type.oid == TIMESTAMPTZ.oid else text
