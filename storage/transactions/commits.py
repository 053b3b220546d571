"""The order of commits: their numbers, their records, and which of them are seen.

A commit is, under the commit lock: a number, one log record, the changes to the stores (`record`). It is then
made durable outside the lock, together with the commits of others, and only after that becomes the newest
commit that snapshots see (`publish`). Commits become visible in the order of their numbers, which is the
order of their records: what one sees is durable, and so is all that it was made of.

Lock order: the commit lock, a store's, the log's own; nobody who has one asks for one before it.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from storage.catalog import Catalog
from storage.definitions import FIRST_USER_OID, Definition, Table
from storage.durability.log import Log
from storage.durability.records import CommitRecord, TableRecord, gather
from storage.rows import Row
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.table import Store
from storage.transactions.sequences import Sequences
from storage.transactions.single import RowTable
from storage.transactions.snapshot import Snapshot
from storage.transactions.temporary import Temporary
from storage.transactions.transaction import Transaction
from storage.waiting import WouldBlock, is_at_once, to_the_end

_SOON = 0.001  # seconds that what is done at once waits for a commit to be recorded


class Commits:
    """See the module's text. All methods may be called from any thread."""

    sequences: Sequences
    segments: SegmentFolder

    def __init__(self) -> None:
        self._stores: dict[int, Store] = {}
        self._published: tuple[int, Catalog] = (0, Catalog())  # newest visible commit, its catalog
        self._latest = self._published  # newest commit that has its number
        self._unpublished: deque[tuple[int, int, Catalog]] = deque()  # (log position, commit, catalog)
        self._commit_lock = threading.RLock()
        self._publish_lock = threading.Lock()
        self._oid_lock = threading.Lock()
        self._next_oid = FIRST_USER_OID
        self._version = 0
        self._snapshots: weakref.WeakSet[Snapshot] = weakref.WeakSet()
        self._log: Log | None = None
        self._dropped: list[tuple[int, int]] = []  # (commit, table): older snapshots may still read it

    @property
    def catalog(self) -> Catalog:
        """The newest visible catalog."""
        return self._published[1]

    @property
    def visible(self) -> tuple[int, Catalog]:
        """The newest visible commit and its catalog: another object as soon as there is a newer one."""
        return self._published

    def store(self, table: int) -> Store:
        """The rows of a table; an empty store where there are none yet."""
        store = self._stores.get(table)
        return store if store is not None else self._stores.setdefault(table, Store())

    def snapshot(self) -> Snapshot:
        """The newest visible commit."""
        return self.newest(lambda commit, catalog: Snapshot(self, catalog, commit))

    def newest(self, make: Callable[[int, Catalog], Snapshot]) -> Snapshot:
        """What `make` makes of the newest visible commit and its catalog."""
        with self._publish_lock:  # oldest() must not look between the reading and the watching
            snapshot = make(*self._published)
            self._snapshots.add(snapshot)
        return snapshot

    def watch(self, snapshot: Snapshot) -> None:
        """Keep what the snapshot sees for as long as it is in use."""
        with self._publish_lock:
            self._snapshots.add(snapshot)

    def oldest(self) -> int:
        """The commit of the oldest snapshot in use."""
        with self._publish_lock:
            return min([snapshot.commit for snapshot in self._in_use()], default=self._published[0])

    @property
    def snapshots(self) -> list[Snapshot]:
        """Those in use."""
        with self._publish_lock:
            return self._in_use()

    def _in_use(self) -> list[Snapshot]:
        return [snapshot for snapshot in self._snapshots if not snapshot.released]

    def allocate_oid(self) -> int:
        """An OID that was never used."""
        with self._oid_lock:
            self._next_oid += 1
            return self._next_oid - 1

    def allocate_version(self) -> int:
        """A catalog version that was never used."""
        with self._oid_lock:
            self._version = max(self._version, self._published[1].version) + 1
            return self._version

    def record(self, transaction: Transaction) -> int:
        """Number, log and apply; the position in the log. Raises DiskFull with nothing done."""
        own = self._own_definitions(transaction)
        temporary = transaction.temporary
        with self._committing(at_once=is_at_once() and not transaction.drew):
            number, catalog = self._latest[0] + 1, self._latest[1]
            record = CommitRecord(number, self._next_oid)
            unlogged: list[TableRecord] = []
            shared = {
                o: item
                for o, item in transaction.definitions.items()
                if o not in own and (item is not None or catalog.find(o) is not None)
            }
            record.drop += [oid for oid, item in shared.items() if item is None]
            record.put += [item for item in shared.values() if item is not None]
            if shared:
                catalog = catalog.changed(shared, self.allocate_version())
            seen = transaction.catalog.relations
            for oid, changes in transaction.changes.items():
                table = seen.get(oid) if oid in own or oid in temporary else catalog.relations.get(oid)
                if isinstance(table, Table):
                    made = gather(changes, table, self.store(oid).next_row_id)
                    (unlogged if table.temporary else record.tables).append(made)
            position = self._logged(record, number)
            with to_the_end():  # a mark may have to be looked up in a file
                self._adopt(transaction, record.tables, unlogged)
                for table_record in (*record.tables, *unlogged):
                    self._apply(table_record, number)
            dropped = (oid for oid, item in transaction.definitions.items() if item is None)
            self._dropped += [(number, oid) for oid in dropped if oid in self._stores]
            self._latest = (number, catalog)
            self._unpublished.append((position, number, catalog))
        return position

    @contextmanager
    def _committing(self, at_once: bool) -> Iterator[None]:
        """Hold the commit lock."""
        if not self._commit_lock.acquire(timeout=_SOON if at_once else -1):
            raise WouldBlock
        try:
            yield
        finally:
            self._commit_lock.release()

    def record_row(self, rows: RowTable, row: Row) -> int | None:
        """Number, log and insert one row, if its keys are free; its position in the log.

        None: they may not be.

        Raises WouldBlock, DiskFull and FileError, with nothing done.
        """
        hashes = rows.hashes(row)
        store = self.store(rows.table.oid)
        with self._committing(at_once=is_at_once()), store.lock:
            if not rows.is_free(store, hashes):
                return None
            number, catalog = self._latest[0] + 1, self._latest[1]
            position = number
            if self._log is not None:
                record = rows.record.encode(number, self._next_oid, store.next_row_id, row)
                position = self._log.append([record])
            store.append_row(rows.table, row, hashes, number)
            self._latest = (number, catalog)
            self._unpublished.append((position, number, catalog))
        return position

    def _own_definitions(self, transaction: Transaction) -> dict[int, Definition | None]:
        """What a transaction defined for its session alone."""
        temporary = transaction.temporary
        return {o: item for o, item in transaction.definitions.items() if temporary.owns(o, item)}

    def is_durable(self, position: int) -> bool:
        """Whether a recorded commit is on disk, or never will be: `publish` would not wait."""
        return self._log is None or self._log.is_durable(position)

    def when_durable(self, position: int, told: Callable[[], None]) -> None:
        """Have `told` called, on another thread, once `is_durable`."""
        assert self._log is not None
        self._log.when_durable(position, told)

    def _logged(self, record: CommitRecord, number: int) -> int:
        """The position in the log at which a commit is durable; without a log its number."""
        if self._log is None:
            return number
        if not record.says_something:  # temporary tables alone: what came before is to be seen before
            return self._log.written
        return self._log.append(record.encode())

    def forget_temporary(self, temporary: Temporary) -> None:
        """A session has ended: its temporary objects are nobody's any more."""
        if not temporary.oids():
            return
        with self._commit_lock:
            self._dropped += [(self._latest[0], oid) for oid in temporary.oids()]
        self.tidy()

    def _adopt(
        self, transaction: Transaction, logged: Sequence[TableRecord], unlogged: Sequence[TableRecord]
    ) -> None:
        """The transaction's segment files belong to their tables from now on: nobody removes them.

        Those that the log names are kept for it, those of temporary tables while they are read.
        """
        if self._log is None:
            return
        for item in (item for table in logged for item in table.segments):
            self.segments.logged(self._log.number, item.entry.files)
        named = {item.entry.file for table in logged for item in table.segments}
        named |= {item.entry.file for table in unlogged for item in table.segments}
        for changes in transaction.changes.values() if named else ():
            for rows in changes.inserted:
                rows.adopted = any(part.file in named for part in rows.sealed)

    def _apply(self, record: TableRecord, commit: int) -> None:
        """Put a commit's changes of one table into its store."""
        store = self.store(record.table.oid)
        with store.lock:
            if record.truncated:
                store.truncate(commit)
            if record.segments:
                assert self.segments.folder is not None
                store.adopt([item.open(self.segments.folder, commit) for item in record.segments])
            store.next_row_id = record.first
            for batch in record.batches:
                store.append(record.table, batch, commit)
            store.mark_gone(record.deleted, commit)
            for old, new in record.succeeded.tolist():
                store.successors[old] = (commit, new)
                if store.locks.held:
                    store.locks.carry(old, new, but=store.holders.get(old))

    @property
    def position(self) -> int:
        """That of the last record in the log."""
        return 0 if self._log is None else self._log.written

    def flush(self) -> None:
        """Make durable what the log has."""
        if self._log is not None:
            self._log.flush(self._log.written)

    def show(self, position: int, synchronous: bool) -> None:
        """Make what is recorded up to a position durable and visible. Raises FileError where it is neither.

        Nobody sees a commit before the log has it on disk, unless its session asked not to wait.
        """
        if self._log is not None:
            if synchronous:
                self._log.flush(position)
            else:
                self._log.write()  # only a machine that dies can take it
                self._log.flush_later()
        self._publish(position)

    def _publish(self, position: int) -> None:
        with self._publish_lock:
            while self._unpublished and self._unpublished[0][0] <= position:
                _, number, catalog = self._unpublished.popleft()
                self._published = (number, catalog)

    def tidy(self) -> None:
        """Let go of what no snapshot can ask for any more."""
        oldest = self.oldest()
        with self._commit_lock:
            for commit, oid in self._dropped:
                if commit <= oldest:
                    self._stores.pop(oid, None)
                    self.sequences.forget(oid)
                    self.segments.forget(oid)
            self._dropped = [(commit, oid) for commit, oid in self._dropped if commit > oldest]
            stores = list(self._stores.values())
        for store in stores:
            store.forget(oldest)

    def widest_definition(self, table: Table) -> Table:
        """The table with the columns that it has for older snapshots in use, besides its own."""
        catalogs = [snapshot.catalog for snapshot in self.snapshots]
        columns = {column.number: column for column in table.columns}
        for catalog in catalogs:
            known = catalog.relations.get(table.oid)
            if isinstance(known, Table) and known.version != table.version:
                for column in known.columns:
                    columns.setdefault(column.number, column)
        return (
            table if len(columns) == len(table.columns) else replace(table, columns=tuple(columns.values()))
        )
