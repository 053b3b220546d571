"""The seam between storage and the floors above: what a statement asks of the database.

`storage.database.Database.open(path)` gives the one object behind all of it. The classes here are
protocols: storage.transactions.transaction and storage.transactions.snapshot implement them, the engine and
sql type against them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

from storage.batch import Batch
from storage.catalog import Catalog
from storage.codes import Codes
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, Definition, KeyColumns, Table, UniqueKey
from storage.predicate import Conjunction
from storage.segments.tally import Tallies
from storage.transactions.advisory import Key, Scope
from storage.transactions.locks import Policy, RowMode, TableMode, Thing


class Morsel(Protocol):
    """Up to BATCH_ROWS neighbouring rows of one segment or of the write segment, or a whole one of them.

    Thread-safe and cheap to hold: nothing is decoded before it is asked for.
    """

    rows: int

    def visible(self) -> Mask | None:
        """(rows,) true for the rows the snapshot sees; None: all of them."""

    def sees(self, rows: Positions) -> Mask:
        """(len(rows),) which of the rows at these positions the snapshot sees."""

    def select(self, predicate: Conjunction) -> Mask | None:
        """(rows,) false where the predicate, tried on the encoded form, rules the row out; None: no help."""

    def decides(self, predicate: Conjunction) -> bool:
        """Whether `select` is true just of the rows that meet the predicate, None meaning all."""

    def count(self, predicate: Conjunction) -> int:
        """How many rows are visible and, by `select`, not ruled out."""

    def column(self, definition: ColumnDefinition, rows: Positions | None = None) -> Column:
        """A column of the table, decoded: of all rows, or of these positions in the morsel.

        `definition` is of the view's table, or of a system column (`Table.definition`). Rows older than the
        column have its `missing` value.
        """

    def row_ids(self, rows: Positions | None = None) -> Positions:
        """The 64-bit row ids."""

    def codes(self, definition: ColumnDefinition) -> Codes | None:
        """The codes of a vector column; None where there are none, or the morsel is no whole part."""

    def slice(self, start: int, stop: int) -> Morsel:
        """Rows start to stop as a morsel of their own: what is read of it, is read of these only."""

    def pieces(self, predicate: Conjunction = (), asked: Collection[int] | None = None) -> Iterator[Morsel]:
        """The same rows as morsels of the usual size, without those whose zone maps rule them out.

        `asked` are the attnums of the columns that will be read.
        """


Found = tuple[Morsel, Positions, Positions]
"""(morsel, positions in it, which of the keys asked for each has)"""


class TableView(Protocol):
    """One table as one statement sees it."""

    table: Table

    @property
    def tallies(self) -> Tallies:
        """What searches by certified codes have done of the table so far: they add to it."""

    @property
    def estimated_rows(self) -> int:
        """About how many rows are visible: for planning."""

    def morsels(
        self,
        predicate: Conjunction = (),
        *,
        whole: bool = False,
        asked: Collection[int] | None = None,
        tasks: int = 1,
    ) -> Iterator[Morsel]:
        """The table in row order, without the segments and blocks whose zone maps rule them out.

        With `whole`, committed parts come undivided, however many rows they have. `asked` are the attnums of
        the columns that will be read: of a large table, of which more than so many `tasks` are made all the
        same, morsels of few and narrow columns are longer.
        """

    def gather(self, definition: ColumnDefinition, places: Sequence[tuple[Morsel, Positions]]) -> Column:
        """A column at some positions of several of these morsels, one after another; at least one morsel.

        Few rows of many vector files are read in one go.
        """

    def expect(self, definition: ColumnDefinition, places: Sequence[tuple[Morsel, Positions]]) -> None:
        """A hint that a column will be asked for at these positions: the disk may begin with it."""

    def lookup(self, columns: KeyColumns, values: Sequence[Column]) -> Iterator[Found]:
        """The visible rows that have one of the keys that `values` make, row by row, by a hash index.

        `values` have the types of the columns; a key with a null finds nothing, unless `columns.nulls`.
        """

    def located(self, row_ids: Positions) -> Iterator[Found]:
        """The versions with these ids, whether or not the snapshot sees them; with places in `row_ids`.

        Those of rows that were dropped or never there are left out.
        """

    def skipped(self, predicate: Conjunction = ()) -> tuple[int, int]:
        """(segments skipped by zone maps, segments in all): for EXPLAIN ANALYZE."""

    def skipped_blocks(self, predicate: Conjunction = ()) -> tuple[int, int]:
        """(morsels skipped by zone maps, morsels in all): likewise."""


class Snapshot(Protocol):
    """What one statement sees: the database at one commit number, and its transaction's own rows."""

    catalog: Catalog
    command: int
    """The number of the statement in its transaction; those that functions run on the way are later ones."""

    def table(self, oid: int) -> TableView: ...


class Transaction(Protocol):
    """A transaction: one thread at a time. Ends with `commit` or `rollback`, both once."""

    read_only: bool
    deferred: list[Any]
    """What the engine has put off to the transaction's end; a savepoint keeps it."""
    deferring: dict[int, bool]
    """SET CONSTRAINTS: whether a constraint (an OID; 0: every other) is deferred; a savepoint keeps it."""

    @property
    def repeats(self) -> bool:
        """Whether its snapshot stays the same."""

    @property
    def catalog(self) -> Catalog:
        """As this transaction sees it; changed through `define` and its kin only."""

    def snapshot(self) -> Snapshot:
        """A new one a statement under READ COMMITTED, the first one's under REPEATABLE READ."""

    def newest(self) -> Snapshot:
        """One of the newest commit, under REPEATABLE READ too: for what has to be true of all rows."""

    def insert(self, table: int, batch: Batch) -> Positions:
        """Append rows (all columns of the table, in its order) and return their row ids.

        Raises UniqueViolation. Not-null, checks and defaults are the caller's.
        """

    def insert_free(self, table: int, batch: Batch, arbiters: Collection[UniqueKey]) -> Positions:
        """Insert the rows whose keys, of these ones, no row has: ON CONFLICT.

        Returns, row by row, 0 where it was inserted, else the id of the row that has its key. Raises
        UniqueViolation for other keys, SerializationFailure.
        """

    def made_since(self, table: int, row_ids: Positions, command: int) -> Mask:
        """(n,) which of these rows the transaction has made, in this command or a later one."""

    def took(self, table: int, row_ids: Positions) -> Mask:
        """(n,) which of these rows the transaction itself has deleted or replaced."""

    def took_since(self, table: int, row_ids: Positions, command: int) -> Mask:
        """(n,) which of them in this command or a later one."""

    def delete(self, table: int, row_ids: Positions, mode: RowMode = RowMode.UPDATE) -> Positions:
        """Mark rows deleted; returns the ids that this call deleted (not those already gone).

        Waits for concurrent transactions that marked or locked one of them. Raises SerializationFailure,
        DeadlockDetected, LockNotAvailable.
        """

    def update(
        self, table: int, row_ids: Positions, batch: Batch, mode: RowMode = RowMode.UPDATE
    ) -> Positions:
        """Delete `row_ids` and insert `batch` as their successors, row by row.

        Returns the new row ids, 0 for a row that a concurrent transaction has deleted or updated. `mode` is
        NO_KEY_UPDATE where the new rows have the keys of the old: it lets KEY SHARE locks be.
        """

    def lock(self, table: int, row_ids: Positions, mode: RowMode, policy: Policy = "wait") -> Positions:
        """Lock rows, one after the other, until the transaction's end.

        Returns, row by row, the version that is locked now: the row itself, a newer one that a concurrent
        transaction made, or 0 where it was deleted or `policy` passes it over. Raises as `delete` does.
        """

    def lock_key(self, key: Key, *, shared: bool, scope: Scope, wait: bool) -> bool:
        """Take an advisory lock for the session or this transaction; false where it would have to wait."""

    def unlock_key(self, key: Key, *, shared: bool) -> bool:
        """Give back an advisory lock of the session; false where it has none."""

    def unlock_keys(self) -> None:
        """Give back all advisory locks of the session."""

    def lock_table(self, table: Thing, mode: TableMode, refusal: str = "") -> None:
        """Lock a table, another object or a name until the transaction's end: see storage.transactions.locks.

        With a `refusal`, LockNotAvailable rather than a wait.
        """

    def fetch(self, table: int, row_ids: Positions, numbers: Sequence[int]) -> list[Column]:
        """The columns with these attnums of rows that are there, whoever sees them, in the ids' order."""

    def living(self, table: int, row_ids: Positions) -> Mask:
        """(len(row_ids),) which of these rows are there: committed or its own, and not deleted by it."""

    def is_deferred(self, constraint: int, deferrable: bool, initially: bool) -> bool:
        """Whether a constraint (an OID) waits for the end: as `deferring` says, or else as it is defined."""

    def truncate(self, table: int) -> None: ...

    def allocate_oid(self) -> int: ...

    def define(self, item: Definition) -> None:
        """CREATE or ALTER: put the definition into this transaction's catalog (replaces the same OID).

        Lock the object before reading what it is now. Raises DuplicateTable and its kin.
        """

    def drop(self, item: Definition) -> None: ...

    def next_value(self, sequence: int, count: int = 1) -> Sequence[int]:
        """The next `count` values; never rolled back. Raises DataException's kin at the limit (2200H)."""

    def set_value(self, sequence: int, value: int, called: bool) -> None: ...

    def savepoint(self) -> int: ...

    def rollback_to(self, savepoint: int) -> None: ...

    def record(self) -> None:
        """Put it into the log, or raise and have it rolled back: from here on it can only be committed."""

    @property
    def waits(self) -> bool:
        """Whether it is recorded, and `commit` would wait for the disk."""

    def when_durable(self, told: Callable[[], None]) -> None:
        """Have `told` called, on another thread, once `commit` would not wait: it returns at once."""

    def commit(self) -> None:
        """Make it durable and visible, or raise and have it rolled back."""

    @property
    def waits_to_roll_back(self) -> bool:
        """Whether `rollback` may wait for the disk."""

    def rollback(self) -> None: ...
