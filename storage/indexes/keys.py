"""Keys as PostgreSQL's messages show them: 'Key (a, b)=(1, x) already exists.'"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Table

Write = Callable[[Catalog, Column], str]
_WRITE: list[Write] = []


def use(write: Write) -> None:
    """Say how a value is written: engine.forms does, when it is imported."""
    _WRITE[:] = [write]


def describe(catalog: Catalog, table: Table, numbers: Sequence[int], key: Sequence[Any], state: str) -> str:
    """The detail of a violation. `numbers` are attnums, `key` their values as Column.tolist gives them.

    A hidden column without a name, which says that the row is in the index, is not told of.
    """
    columns = (table.definition(number) for number in numbers)
    told = [(column, value) for column, value in zip(columns, key, strict=True) if column.name]
    names = ", ".join(column.name for column, _ in told)
    values = ", ".join(
        "null" if value is None else _WRITE[0](catalog, Column.of(column.type, [value]))
        for column, value in told
    )
    return f"Key ({names})=({values}) {state}."
