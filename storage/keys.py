"""Unique keys: which row holds a key, and who is about to hold one.

An index maps each key to the row ids of the versions that carry it; whether a version lives is read from
the table, so deletes need no entry here. Keys that open transactions inserted stand apart, with their
transaction: another that wants the same key has to wait for its end. A key with a null is in no index.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from storage.batch import Batch
from storage.catalog import Constraint, Table
from storage.column import Column, Positions
from storage.types import BPCHAR, DATE, FLOAT4, FLOAT8, TIMESTAMP, TIMESTAMPTZ, UUID, Form, Type

Key = tuple[Any, ...]

_EPOCH = datetime(2000, 1, 1)
_DAYS = {DATE.oid}
_MICROS = {TIMESTAMP.oid, TIMESTAMPTZ.oid}
_NAN = float("nan")  # the one object that stands for NaN in keys: a dict finds an object by identity


def keys_of(table: Table, constraint: Constraint, batch: Batch) -> Iterator[Key | None]:
    """The key of each row; None where a part of it is null."""
    return keys_in([batch.columns[table.position(number)] for number in constraint.columns])


def keys_in(columns: Sequence[Column]) -> Iterator[Key | None]:
    """The key that each row of these columns makes; None where a part of it is null."""
    for key in zip(*(_comparable(column) for column in columns), strict=True):
        yield None if None in key else key


def _comparable(column: Column) -> list[Any]:
    """The values in a form that is equal, and hashes alike, where SQL says that they are equal."""
    values = column.tolist()
    convert: Callable[[Any], Any] | None = None
    if column.type.oid in (FLOAT4.oid, FLOAT8.oid):
        convert = _float
    elif column.type.oid == BPCHAR.oid:
        convert = _unpadded
    elif column.type.form in (Form.LIST, Form.ROWS):
        convert = _tupled
    return values if convert is None else [None if v is None else convert(v) for v in values]


def _float(value: float) -> float:
    return value if value == value else _NAN


def _unpadded(value: str) -> str:
    return value.rstrip(" ")


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def describe(table: Table, constraint: Constraint, key: Key, state: str = "already exists") -> str:
    """PostgreSQL's detail of a violation: 'Key (a, b)=(1, x) already exists.'"""
    names = ", ".join(table.columns[table.position(number)].name for number in constraint.columns)
    types = (table.columns[table.position(number)].type for number in constraint.columns)
    values = ", ".join(_shown(type, value) for type, value in zip(types, key, strict=True))
    return f"Key ({names})=({values}) {state}."


def _shown(type: Type, value: Any) -> str:
    """The value as PostgreSQL's output function writes it under the settings it begins with."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if type.oid == UUID.oid else f"\\x{value.hex()}"
    if isinstance(value, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(
            str(value), f"{value!r}".removesuffix(".0")
        )
    if isinstance(value, int) and type.oid in _DAYS | _MICROS:
        return _moment(type, value)
    return str(value)


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


class KeyIndex:
    """The committed keys of one constraint, and those of open transactions."""

    def __init__(self) -> None:
        self._rows: dict[Key, list[int]] = {}
        self.pending: defaultdict[Key, set[Any]] = defaultdict(set)

    def rows(self, key: Key) -> list[int]:
        """The row ids of the versions that carried the key, the newest last."""
        return self._rows.get(key, [])

    def add(self, keys: list[Key | None], row_ids: Positions) -> None:
        """Enter committed rows."""
        for key, row_id in zip(keys, row_ids.tolist(), strict=True):
            if key is not None:
                self._rows.setdefault(key, []).append(row_id)

    def keep(self, key: Key, living: list[int]) -> None:
        """Of the versions that carried the key only these are left."""
        if living:
            self._rows[key] = living
        else:
            del self._rows[key]

    def release(self, key: Key, transaction: Any) -> None:
        """An open transaction no longer wants the key."""
        holders = self.pending.get(key)
        if holders is not None:
            holders.discard(transaction)
            if not holders:
                del self.pending[key]
