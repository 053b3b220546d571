"""Calling functions and operators in tests: Python values in, Python values out."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from engine.functions.calls import call, call_set
from engine.functions.registry import BY_ID
from engine.run import Run
from storage.catalog import Catalog
from storage.column import Column
from storage.types import Type

EPOCH = datetime.datetime(2000, 1, 1)


class Names:
    """A session for functions that ask one."""

    user = session_user = "ada"
    database = "db"
    backend_pid = 7

    def __init__(self) -> None:
        self.settings = {"server_version": "15.0", "timezone": "UTC"}

    def setting(self, name: str) -> str | None:
        return self.settings.get(name.lower())

    def set_setting(self, name: str, value: str, local: bool) -> str:
        self.settings[name.lower()] = value
        return value

    def search_path(self, implicit: bool) -> list[str]:
        return ["pg_catalog", "public"] if implicit else ["public"]

    def name_of(self, kind: str, oid: int) -> str:
        return {16384: "t", 16385: 'other."a.b"'}.get(oid, str(oid))

    def rights_on(
        self, kind: str | None, oid: int, role: int, number: int = 0, *, options: bool
    ) -> str | None:
        return "ar" if oid == 16384 else None


class Snapshot:
    """A snapshot of an empty database."""

    catalog = Catalog()


def run_with(settings: Mapping[str, str] | None = None, now: int = 0) -> Run:
    """A run with a session and no tables."""
    settings = {"timezone": "UTC"} | dict(settings or {})
    return Run(cast(Any, Snapshot()), cast(Any, None), settings=settings, session=Names(), now=now)


def apply(id: str, *arguments: tuple[Type, Any] | Column, run: Run | None = None, rows: int = 1) -> list[Any]:
    """The overload on arguments, each (type, value) a constant or a whole column."""
    columns = [a if isinstance(a, Column) else Column.scalar(*a) for a in arguments]
    result = call(id, columns, rows, run or run_with(), _result(id, columns))
    return result.tolist()


def one(id: str, *arguments: tuple[Type, Any], run: Run | None = None) -> Any:
    """The overload's value for constant arguments."""
    return apply(id, *arguments, run=run)[0]


def rows_of(id: str, *arguments: tuple[Type, Any], run: Run | None = None) -> list[Any]:
    """The rows of a table function: values of its only column, or tuples."""
    columns = call_set(id, [Column.scalar(*a) for a in arguments], run or run_with())
    return (
        columns[0].tolist() if len(columns) == 1 else list(zip(*(c.tolist() for c in columns), strict=True))
    )


def _result(id: str, columns: Sequence[Column]) -> Type:
    result = BY_ID[id].result
    if result.name in ("anyarray", "anycompatiblearray"):
        return next(c.type for c in columns if c.type.is_array)
    if result.name in ("anyelement", "anycompatible"):
        return next(c.type.element or c.type for c in columns)
    return result


def micros(text: str) -> int:
    """A timestamp as it is stored."""
    return round((datetime.datetime.fromisoformat(text) - EPOCH) / datetime.timedelta(microseconds=1))


def days(text: str) -> int:
    """A date as it is stored."""
    return (datetime.date.fromisoformat(text) - EPOCH.date()).days


def stamp(value: int) -> str:
    """A stored timestamp as text."""
    return str(EPOCH + datetime.timedelta(microseconds=value))


def number(text: str) -> Decimal:
    """A numeric."""
    return Decimal(text)
