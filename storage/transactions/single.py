"""Commits of one inserted row, in one step.

A transaction (storage.transactions.transaction) keeps what it does apart from what is committed, for as long
as it goes on. An INSERT of one row that is a transaction of its own has no such time: its keys are looked at,
and its row is numbered, logged and put into the table, under the same locks. So of a transaction it needs

    no snapshot    it reads nothing but keys, and those as they are now
    no changes     there is no moment at which they would be its own alone
    no held keys   whoever wants one of them finds the row, from the moment at which it is in the table

What is left is the way from the log to the disk: until then the commit holds its lock on the table, as every
transaction does until it ends, and nobody sees the row. Whatever is not plainly free (a key that may be
taken, a lock that somebody has or waits for) is refused with nothing done: the general way waits, decides,
and says what is wrong. Both leave the same behind, to the byte of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from storage.definitions import KeyColumns, Table
from storage.durability.records import RowRecord
from storage.indexes.lookup import PartIndexes, write_index
from storage.indexes.onekey import OneHash, hash_of
from storage.rows import Row, is_plain
from storage.segments.table import Store
from storage.transactions.locks import TableMode, Waits

Hashes = Mapping[KeyColumns, int | None]
"""Of each key and index of a table, the hash of a row; None where the row is not in it."""


class _Key(NamedTuple):
    columns: KeyColumns
    positions: tuple[int, ...]
    hash: OneHash


class RowTable:
    """What inserting single rows into a table takes, worked out once from its definition."""

    def __init__(self, table: Table, keys: tuple[_Key, ...]) -> None:
        self.table = table
        self.record = RowRecord(table)
        self._keys = keys
        unique = dict.fromkeys(key.columns for key in table.unique_keys)
        self._unique = tuple((columns, PartIndexes(table, columns)) for columns in unique)

    @classmethod
    def of(cls, table: Table) -> RowTable | None:
        """None where a column is of a type that is not plain, or a key has no such hash."""
        if table.temporary or not all(map(is_plain, table.types)):
            return None
        keys = []
        for columns in dict.fromkeys(columns for _, columns in table.indexed):
            positions = tuple(table.position(number) for number in columns.numbers)
            hash = hash_of([table.types[position] for position in positions])
            if hash is None or columns.nulls:
                return None
            keys.append(_Key(columns, positions, hash))
        return cls(table, tuple(keys))

    def hashes(self, row: Row) -> Hashes:
        """Those of a row."""
        found: dict[KeyColumns, int | None] = {}
        for columns, positions, hash in self._keys:
            values = [row[position] for position in positions]
            found[columns] = None if None in values else hash(values)
        return found

    def is_free(self, store: Store, hashes: Hashes) -> bool:
        """Whether plainly nobody has, or is about to have, one of the unique keys.

        The caller holds the store's lock. Raises WouldBlock.
        """
        for columns, indexes in self._unique:
            hash = hashes[columns]
            if hash is None:
                continue
            pending = store.pending.get(columns)
            if (pending is not None and not pending.empty) or write_index(store, self.table, columns).has(
                hash
            ):
                return False
            for part in store.sealed:
                if indexes.of(part).rows_of(hash):
                    return False
        return True


class Home(Protocol):
    """What this needs of the database."""

    waits: Waits

    def next_transaction(self) -> int: ...

    def record_row(self, rows: RowTable, row: Row) -> int | None: ...

    def is_durable(self, position: int) -> bool: ...

    def when_durable(self, position: int, told: Callable[[], None]) -> None: ...

    def show(self, position: int, synchronous: bool) -> None: ...

    def consider(self, tables: tuple[int, ...]) -> None: ...


class Single:
    """A commit of one row. It holds its table from `insert` to `end`."""

    __slots__ = ("_home", "_position", "_synchronous", "_table", "number", "session")

    def __init__(self, home: Home, session: int, synchronous: bool) -> None:
        self.number = home.next_transaction()
        self.session = session
        self._home = home
        self._synchronous = synchronous
        self._position = 0
        self._table = 0

    def insert(self, rows: RowTable, row: Row, is_current: Callable[[], bool]) -> bool:
        """Have the row recorded; False: with nothing done. `is_current` says, once the table is locked,
        whether it is still as `rows` has it.

        Raises WouldBlock, DiskFull and FileError, with nothing done either.
        """
        waits, table = self._home.waits, rows.table.oid
        if not waits.take_free(self, table, TableMode.RowExclusiveLock):
            return False
        position = None
        try:
            if is_current():
                position = self._home.record_row(rows, row)
        finally:
            if position is None:
                waits.release(self)
        if position is None:
            return False
        self._position, self._table = position, table
        return True

    @property
    def waits(self) -> bool:
        """Whether `end` would wait for the disk."""
        return self._synchronous and not self._home.is_durable(self._position)

    def when_durable(self, told: Callable[[], None]) -> None:
        """See storage.seams.Transaction."""
        self._home.when_durable(self._position, told)

    def end(self) -> None:
        """Make it durable and visible, and let go of the table. Raises FileError where it is neither."""
        try:
            self._home.show(self._position, self._synchronous)
        finally:
            self._home.waits.release(self)
        self._home.consider((self._table,))
