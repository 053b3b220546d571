"""Unique keys: which row holds a key, and who is about to hold one.

An index maps each key to the row ids of the versions that carry it; whether a version lives is read from
the table, so deletes need no entry here. Keys that open transactions inserted stand apart, with their
transaction: another that wants the same key has to wait for its end. A key with a null is in no index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from storage.batch import Batch
from storage.catalog import Constraint, Table
from storage.column import Column, Positions

Key = tuple[Any, ...]


def keys_of(table: Table, constraint: Constraint, batch: Batch) -> Iterator[Key | None]:
    """The key of each row; None where a part of it is null."""
    return keys_in([batch.columns[table.position(number)] for number in constraint.columns])


def keys_in(columns: Sequence[Column]) -> Iterator[Key | None]:
    """The key that each row of these columns makes; None where a part of it is null."""
    for key in zip(*(column.tolist() for column in columns), strict=True):
        yield None if None in key else tuple(tuple(v) if isinstance(v, list) else v for v in key)


def describe(table: Table, constraint: Constraint, key: Key) -> str:
    """PostgreSQL's detail of a violation: 'Key (a, b)=(1, x) already exists.'"""
    names = ", ".join(table.columns[table.position(number)].name for number in constraint.columns)
    values = ", ".join(_shown(value) for value in key)
    return f"Key ({names})=({values}) already exists."


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


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

    def forget(self, key: Key, gone: set[int]) -> None:
        """Drop versions that nobody can see any more."""
        kept = [row_id for row_id in self._rows.get(key, []) if row_id not in gone]
        if kept:
            self._rows[key] = kept
        else:
            self._rows.pop(key, None)

    def release(self, key: Key, transaction: Any) -> None:
        """An open transaction no longer wants the key."""
        holders = self.pending.get(key)
        if holders is not None:
            holders.discard(transaction)
            if not holders:
                del self.pending[key]
