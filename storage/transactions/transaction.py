"""Transactions: what READ COMMITTED and REPEATABLE READ mean here.

snapshot     one a statement under READ COMMITTED, one for all under REPEATABLE READ and SERIALIZABLE
             (which is snapshot isolation: at least REPEATABLE READ, and write skew is possible)
delete       marks the row. A row that another open transaction marked makes the second wait for the
             first's end; if the first commits, READ COMMITTED leaves the row out of the result (the
             engine locks its newest version and looks at the condition again), REPEATABLE READ fails
             (40001)
insert       checks unique keys against every committed row, seen or not, and waits for an open
             transaction that is about to hold the same key
commit       one log record with everything, one commit number; then visible to later snapshots

DDL          a transaction keeps the definitions that it changed and sees them over the newest catalog;
             commit puts them into the catalog of that moment. Who changes an object has locked it, and
             a name before it is taken, so no two transactions change the same
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from storage import definitions
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column, Mask, Positions
from storage.definitions import Definition, Table, UniqueKey
from storage.errors import (
    DatabaseError,
    InvalidTransactionState,
    ReadOnlySqlTransaction,
    SerializationFailure,
)
from storage.segments.bulk import Bulk, discard, settle
from storage.segments.table import Store
from storage.transactions import arbiters as arbiters_of
from storage.transactions import fetch, rowlocks, uniqueness
from storage.transactions.advisory import AdvisoryLocks, Key, Scope
from storage.transactions.changes import Savepoint, TableChanges
from storage.transactions.defining import CatalogHome, Defining
from storage.transactions.locks import ROW_WAIT, Policy, RowMode, TableMode, Thing, Wait
from storage.transactions.sequences import Sequences
from storage.transactions.snapshot import Lifetime, Snapshot
from storage.transactions.temporary import Temporary
from storage.waiting import about_to_wait, to_the_end

Isolation = Literal["read uncommitted", "read committed", "repeatable read", "serializable"]


class Home(CatalogHome, Protocol):
    """What a transaction needs of the database it belongs to."""

    advisory: AdvisoryLocks
    sequences: Sequences
    bulk: Bulk

    def newest(self, make: Callable[[int, Catalog], Snapshot]) -> Snapshot: ...

    def watch(self, snapshot: Snapshot) -> None: ...

    def oldest(self) -> int: ...

    def allocate_oid(self) -> int: ...

    def flush(self) -> None: ...

    @property
    def position(self) -> int: ...

    def record(self, transaction: Transaction) -> int: ...

    def is_durable(self, position: int) -> bool: ...

    def when_durable(self, position: int, told: Callable[[], None]) -> None: ...

    def publish(self, transaction: Transaction, position: int) -> None: ...

    def ended(self, transaction: Transaction) -> None: ...


@dataclass(frozen=True)
class _Mark:
    """A savepoint: what rollback_to goes back to."""

    changes: dict[int, Savepoint]
    definitions: dict[int, Definition | None]
    deferred: tuple[Any, ...]
    deferring: dict[int, bool]


class Transaction(Defining):
    """See storage.seams.Transaction."""

    _database: Home

    def __init__(
        self,
        database: Home,
        number: int,
        isolation: Isolation,
        read_only: bool,
        check: Callable[[], None],
        temporary: Temporary | None = None,
        woken: threading.Event | None = None,
    ) -> None:
        self.number = number
        self.isolation = isolation
        self.read_only = read_only
        self.check = check
        self.session = -number
        self.lock_timeout = 0.0
        self.deadlock_timeout = 1.0
        self.deadline: float | None = None
        self.woken = threading.Event() if woken is None else woken
        self.synchronous = True
        self.ended = False
        self.changes: dict[int, TableChanges] = {}
        self._locked: set[int] = set()  # tables of which it has locked rows
        self.definitions: dict[int, Definition | None] = {}  # by OID; None: dropped
        self.temporary = Temporary() if temporary is None else temporary
        self.deferred: list[Any] = []
        self.deferring: dict[int, bool] = {}
        self._database = database
        self._catalog: tuple[Catalog, Catalog] | None = None  # one, and the same with `definitions`
        self._fixed: Snapshot | None = None  # the snapshot of REPEATABLE READ
        self._read = False
        self._lifetime = Lifetime()  # that of its snapshots
        self._command = 1
        self._drew = False  # whether sequences gave it values: they are to outlive a crash, too
        self._position: int | None = None  # in the log, once it is recorded
        self._savepoints: dict[int, _Mark] = {}
        self._next_savepoint = 1

    @property
    def catalog(self) -> Catalog:
        """The catalog as this transaction sees it."""
        return self._seen(self._base)

    @property
    def _base(self) -> Catalog:
        """The catalog without what this transaction has changed."""
        shared = self._fixed.catalog if self._fixed is not None else self._database.catalog
        return self.temporary.over(shared)

    def _seen(self, base: Catalog) -> Catalog:
        """A catalog with what this transaction has changed."""
        if not self.definitions:
            return base
        if self._catalog is None or self._catalog[0] is not base:
            self._catalog = (base, base.changed(self.definitions))
        return self._catalog[1]

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.definitions) or any(changes.any for changes in self.changes.values())

    @property
    def level(self) -> int:
        """Grows with each savepoint: see storage.transactions.locks."""
        return self._next_savepoint

    @property
    def repeats(self) -> bool:
        """Whether its snapshot stays the same."""
        return self._fixed is not None

    @property
    def locks_rows(self) -> bool:
        """Whether it has locked rows without changing them."""
        return bool(self._locked)

    @property
    def seen(self) -> int | None:
        """The commit of its snapshot, where that stays the same."""
        return None if self._fixed is None else self._fixed.commit

    @property
    def has_read(self) -> bool:
        """Whether a statement of it has read what is committed."""
        return self._read

    @property
    def sees_newest(self) -> bool:
        """Whether a statement of it sees just what is committed when it begins."""
        repeats = self.isolation in ("repeatable read", "serializable")
        return not (repeats or self.changes or self.definitions or self.ended)

    def opens(self, table: Thing) -> bool:
        """Lock a table for a statement that looks at what is newest, if that is to be had at once."""
        waits = self._database.waits
        if not waits.take_free(self, table, TableMode.AccessShareLock, self.level):
            return False
        self._read = True
        return True

    def snapshot(self) -> Snapshot:
        """See storage.seams.Transaction."""
        self._read = True
        if self._fixed is None and self.isolation in ("repeatable read", "serializable"):
            self._fixed = self._database.newest(self._base_of)
        if self._fixed is None:
            return self.newest()
        self._command += 1
        snapshot = self._over(self._fixed.commit, self._fixed.catalog)
        self._database.watch(snapshot)
        return snapshot

    def newest(self) -> Snapshot:
        """See storage.seams.Transaction."""
        self._command += 1
        return self._database.newest(self._over)

    def _over(self, commit: int, catalog: Catalog) -> Snapshot:
        """What a snapshot of `commit` sees, and what earlier commands of this transaction have done."""
        seen = self._seen(self.temporary.over(catalog))
        return Snapshot(self._database, seen, commit, self._command, self.changes, self._lifetime)

    def _base_of(self, commit: int, catalog: Catalog) -> Snapshot:
        """What all its snapshots have in common under REPEATABLE READ."""
        return Snapshot(self._database, catalog, commit, lifetime=self._lifetime)

    def _write(self, table: int) -> tuple[Table, TableChanges, Store]:
        """What a change to the rows of `table` needs; takes the lock for it."""
        self._must_write()
        self.lock_table(table, TableMode.RowExclusiveLock)
        definition = self.catalog.table(table)
        if self._fixed is not None and table not in self.definitions and table not in self.temporary:
            newest = self._database.catalog.relations.get(table)
            if newest is None or newest.version != definition.version:
                # its rows would be of a definition that is no longer there
                raise SerializationFailure("could not serialize access due to concurrent update")
        changes = self.changes.setdefault(table, TableChanges(definition))
        changes.table = definition
        return definition, changes, self._database.store(table)

    def _must_write(self) -> None:
        if self.ended:
            raise InvalidTransactionState("the transaction has ended")
        if self.read_only:
            raise ReadOnlySqlTransaction("cannot execute this statement in a read-only transaction")

    def insert(self, table: int, batch: Batch) -> Positions:
        """See storage.seams.Transaction."""
        definition, changes, store = self._write(table)
        keys = uniqueness.entering(definition, batch)
        oldest = self._database.oldest
        with Wait(self._database.waits, self) as wait:
            while True:
                with store.lock:
                    other = uniqueness.blocker(self, self.catalog, changes, store, keys, oldest)
                    if other is None:
                        row_ids = changes.insert(batch, self._command)
                        uniqueness.enter(self, changes, store, keys, row_ids)
                        break
                    wait.begin([other], ROW_WAIT)
                wait.sleep()
        self._database.bulk.consider(changes, self.check)
        return row_ids

    def insert_free(self, table: int, batch: Batch, arbiters: Collection[UniqueKey]) -> Positions:
        """See storage.seams.Transaction."""
        _, changes, store = self._write(table)
        waits, oldest = self._database.waits, self._database.oldest
        place = arbiters_of.Place(waits, store, changes, self.catalog, self._command, oldest)
        row_ids = arbiters_of.insert_free(self, place, batch, arbiters)
        self._database.bulk.consider(changes, self.check)
        return row_ids

    def made_since(self, table: int, row_ids: Positions, command: int) -> Mask:
        """See storage.seams.Transaction."""
        changes = self.changes.get(table)
        mask: Mask = np.zeros(len(row_ids), np.bool_)
        for rows in changes.inserted if changes is not None else ():
            mask |= rows.positions(row_ids) >= rows.before(command)
        return mask

    def took(self, table: int, row_ids: Positions) -> Mask:
        """See storage.seams.Transaction."""
        return self.took_since(table, row_ids, 1)

    def took_since(self, table: int, row_ids: Positions, command: int) -> Mask:
        """See storage.seams.Transaction."""
        changes = self.changes.get(table)
        gone = {} if changes is None else changes.deleted
        mask: Mask = np.array([gone.get(i, (0, 0))[0] >= command for i in row_ids.tolist()], np.bool_)
        for rows in changes.inserted if changes is not None else ():
            at = rows.positions(row_ids)
            mask[at >= 0] = rows.gone[at[at >= 0]] >= command
        return mask

    def delete(self, table: int, row_ids: Positions, mode: RowMode = RowMode.UPDATE) -> Positions:
        """See storage.seams.Transaction."""
        _, changes, store = self._write(table)
        own = changes.delete_own(row_ids[row_ids < 0], self._command)
        others = row_ids[row_ids > 0]
        marked = rowlocks.mark(self._database.waits, store, table, self, others, mode, self._command)
        return np.concatenate([own, marked])

    def update(
        self, table: int, row_ids: Positions, batch: Batch, mode: RowMode = RowMode.UPDATE
    ) -> Positions:
        """See storage.seams.Transaction."""
        gone = self.delete(table, row_ids, mode)
        if not len(gone):
            return np.zeros(len(row_ids), np.int64)
        # In this mode the keys stay: nobody else can have them while the rows that had them are held.
        insert = self._insert if mode is RowMode.NO_KEY_UPDATE else self.insert
        if len(gone) == len(row_ids):
            made = insert(table, batch)
            self.changes[table].succeed(row_ids, made)
            return made
        kept = np.isin(row_ids, gone)
        result = np.zeros(len(row_ids), np.int64)
        result[kept] = insert(table, batch.take(kept))
        self.changes[table].succeed(row_ids[kept], result[kept])
        return result

    def _insert(self, table: int, batch: Batch) -> Positions:
        """`insert` of rows whose keys need not be looked at."""
        _, changes, store = self._write(table)
        with store.lock:
            row_ids = changes.insert(batch, self._command)
        self._database.bulk.consider(changes, self.check)
        return row_ids

    def lock(self, table: int, row_ids: Positions, mode: RowMode, policy: Policy = "wait") -> Positions:
        """See storage.seams.Transaction."""
        self.lock_table(table, TableMode.RowShareLock)
        self._locked.add(table)
        store = self._database.store(table)
        refusal = f'could not obtain lock on row in relation "{self.catalog.table(table).name}"'
        return rowlocks.lock_all(self._database.waits, store, table, self, row_ids, mode, policy, refusal)

    def lock_table(self, table: Thing, mode: TableMode, refusal: str = "") -> None:
        """See storage.seams.Transaction."""
        self._database.waits.table(self, table, mode, refusal)

    def lock_key(self, key: Key, *, shared: bool, scope: Scope, wait: bool) -> bool:
        """See storage.seams.Transaction."""
        return self._database.advisory.lock(self, key, shared=shared, scope=scope, wait=wait)

    def unlock_key(self, key: Key, *, shared: bool) -> bool:
        """See storage.seams.Transaction."""
        return self._database.advisory.unlock(self.session, key, shared=shared)

    def unlock_keys(self) -> None:
        """See storage.seams.Transaction."""
        self._database.advisory.release(self.session)

    def interrupt(self) -> None:
        """Have it look at once whether its waiting is to end: from any thread."""
        self.woken.set()

    def fetch(self, table: int, row_ids: Positions, numbers: Sequence[int]) -> list[Column]:
        """See storage.seams.Transaction."""
        store, changes = self._database.store(table), self.changes.get(table)
        return fetch.fetch(store, self.catalog.table(table), changes, row_ids, numbers)

    def living(self, table: int, row_ids: Positions) -> Mask:
        """See storage.seams.Transaction."""
        return fetch.living(self._database.store(table), self.changes.get(table), row_ids)

    def is_deferred(self, constraint: int, deferrable: bool, initially: bool) -> bool:
        """See storage.seams.Transaction."""
        return deferrable and self.deferring.get(constraint, self.deferring.get(0, initially))

    def truncate(self, table: int) -> None:
        """See storage.seams.Transaction."""
        self._must_write()
        self.lock_table(table, TableMode.AccessExclusiveLock)
        _, changes, _ = self._write(table)
        changes.truncate(self._command)
        self._command += 1  # rows inserted from now on are later than the truncation

    def allocate_oid(self) -> int:
        """See storage.seams.Transaction."""
        return self._database.allocate_oid()

    @property
    def drew(self) -> bool:
        """Whether sequences gave it values, which doing the same again would not give."""
        return self._drew

    def next_value(self, sequence: int, count: int = 1) -> Sequence[int]:
        """See storage.seams.Transaction."""
        relation = self.catalog.relations[sequence]
        assert isinstance(relation, definitions.Sequence)
        self._drew = True
        return self._database.sequences.next(relation, count)

    def set_value(self, sequence: int, value: int, called: bool) -> None:
        """See storage.seams.Transaction."""
        relation = self.catalog.relations[sequence]
        assert isinstance(relation, definitions.Sequence)
        self._drew = True
        self._database.sequences.set(relation, value, called)

    def savepoint(self) -> int:
        """See storage.seams.Transaction."""
        number = self._next_savepoint
        self._next_savepoint += 1
        marks = {table: changes.savepoint() for table, changes in self.changes.items()}
        self._savepoints[number] = _Mark(
            marks, dict(self.definitions), tuple(self.deferred), dict(self.deferring)
        )
        return number

    def rollback_to(self, savepoint: int) -> None:
        """See storage.seams.Transaction."""
        mark = self._savepoints[savepoint]
        self.definitions, self._catalog = dict(mark.definitions), None
        self.deferred, self.deferring = list(mark.deferred), dict(mark.deferring)
        for table, changes in self.changes.items():
            settle(changes)
            before = self.catalog.relations.get(table)
            changes.table = before if isinstance(before, Table) else changes.table
            self._release(table, changes.cut(mark.changes.get(table, Savepoint())), ended=False)
        for later in [number for number in self._savepoints if number > savepoint]:
            del self._savepoints[later]
        self._unlock(savepoint)

    def take_back(self, savepoint: int | None) -> None:
        """Undo what was done since the savepoint, or all that was done, and forget it; locks stay."""
        assert self._position is None, "what is recorded cannot be taken back"
        for table, changes in self.changes.items():
            mark = Savepoint() if savepoint is None else self._savepoints[savepoint].changes.get(table)
            self._release(table, changes.cut(mark or Savepoint()), ended=False)
        if savepoint is not None:
            del self._savepoints[savepoint]

    def forget(self, savepoint: int) -> None:
        """The savepoint will not be gone back to."""
        del self._savepoints[savepoint]

    def _release(self, table: int, row_ids: Sequence[int], *, ended: bool) -> None:
        """Let go of rows and keys that this transaction held."""
        store = self._database.store(table)
        with store.lock:
            for row_id in row_ids:
                if store.holders.get(row_id) is self:
                    del store.holders[row_id]
            uniqueness.release(self, self.changes[table], store, ended=ended)

    def record(self) -> None:
        """See storage.seams.Transaction."""
        if self.ended or self._position is not None:
            return
        try:
            if self.changed:
                for changes in self.changes.values():
                    self._database.bulk.finish(changes, self.check)
                self._position = self._database.record(self)
            elif self._drew and self.synchronous:
                self._position = self._database.position
        except Exception:
            self._end()
            raise

    @property
    def waits(self) -> bool:
        """Whether `commit` would wait for the disk: what was recorded is not there yet."""
        return (
            self._position is not None and self.synchronous and not self._database.is_durable(self._position)
        )

    def when_durable(self, told: Callable[[], None]) -> None:
        """See storage.seams.Transaction."""
        assert self._position is not None
        self._database.when_durable(self._position, told)

    def commit(self) -> None:
        """See storage.seams.Transaction."""
        if self.ended:
            return
        self.record()
        if self.waits:
            about_to_wait()
        with to_the_end():  # what is recorded may not be done again
            try:
                if self._position is not None:
                    self._database.publish(self, self._position)
            finally:
                self._end()

    @property
    def waits_to_roll_back(self) -> bool:
        """Whether `rollback` may wait: for the disk."""
        return self._drew and self.synchronous

    def rollback(self) -> None:
        """See storage.seams.Transaction."""
        if self.ended:
            return
        with suppress(DatabaseError):  # the next that writes is told
            if self._position is not None:  # what is in the log cannot be taken back
                self.commit()
            elif self._drew and self.synchronous:
                self._database.flush()
        self._end()

    def _end(self) -> None:
        if self.ended:
            return
        for table, changes in self.changes.items():
            self._release(table, list(changes.deleted), ended=True)
            discard(changes)
        self._fixed = None
        self.ended = self._lifetime.over = True
        self._unlock()
        self._database.ended(self)

    def _unlock(self, savepoint: int = -1) -> None:
        """Give up the locks taken since a savepoint, or all; whoever waits for it looks again."""
        for table in self._locked:
            store = self._database.store(table)
            with store.lock:
                store.locks.release(self, savepoint)
        self._database.advisory.end(self.session, savepoint)
        self._database.waits.release(self, savepoint)
