"""A lookup of one row by a unique key, as plain values: what storage.indexes.lookup's `find` is for one key.

It takes no snapshot: what it reads are the parts of the table as they are, which is what the newest visible
commit sees of them, if it is still the newest afterwards.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from storage.definitions import KeyColumns, Table
from storage.indexes.lookup import PartIndexes, write_index
from storage.indexes.onekey import OneHash, hash_of
from storage.rows import Row, is_plain
from storage.segments.blocks import Block
from storage.segments.table import Part, Store
from storage.waiting import WouldBlock

_FIRST = attrgetter("first_row_id")


class PointKey:
    """A unique key of a table, and the columns that are wanted of its row."""

    def __init__(self, table: Table, columns: KeyColumns, numbers: Sequence[int], hash: OneHash) -> None:
        self.table = table
        self.columns = columns
        self._hash = hash
        self._indexes = PartIndexes(table, columns)
        self._width = len(columns.numbers)
        self._definitions = tuple(table.definition(number) for number in (*columns.numbers, *numbers))

    @classmethod
    def of(cls, table: Table, columns: KeyColumns, numbers: Sequence[int]) -> PointKey | None:
        """None where it is not unique, or a column is not of a type that this is done for."""
        unique = any(key.columns == columns for key in table.unique_keys) and not columns.nulls
        hash = hash_of([table.definition(number).type for number in columns.numbers])
        plain = all(is_plain(table.definition(number).type) for number in numbers)
        return cls(table, columns, numbers, hash) if unique and plain and hash is not None else None

    def find(self, store: Store, commit: int, key: Row) -> Row | None:
        """The values of the row that `commit` sees with this key, if there is one. Raises WouldBlock."""
        hash = self._hash(key)
        with store.lock:
            parts, sealed = store.parts, store.sealed
            if store.parts_at(commit) is not parts:  # a truncation is on its way to the disk
                raise WouldBlock
            row_ids: list[int] = []
            if len(sealed) < len(parts):
                row_ids = write_index(store, self.table, self.columns).row_ids(hash)
        for row_id in row_ids:
            # the blocks stand behind the sealed ones, in the order of their row ids
            place = bisect_right(parts, row_id, len(sealed), key=_FIRST) - 1
            block = parts[place] if place >= len(sealed) else None
            at = block.position(row_id) if isinstance(block, Block) else -1
            row = self._seen(parts[place], at, commit, key) if at >= 0 else None
            if row is not None:
                return row
        for part in sealed:
            for at in self._indexes.of(part).rows_of(hash):
                row = self._seen(part, at, commit, key)
                if row is not None:
                    return row
        return None

    def _seen(self, part: Part, at: int, commit: int, key: Row) -> Row | None:
        """The values of a row, if `commit` sees it and it has the key."""
        if not part.sees(commit, at):
            return None
        values = part.values(self._definitions, at)
        return values[self._width :] if values[: self._width] == key else None
