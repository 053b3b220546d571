"""The database: one folder, its log, its tables' rows, and the order of commits.

A commit is, under the commit lock: a number, one log record, the changes to the stores (`record`). It is then
made durable outside the lock, together with the commits of others, and only after that becomes the newest
commit that snapshots see (`publish`). Commits become visible in the order of their numbers, which is the
order of their records: what one sees is durable, and so is all that it was made of.

The folder holds `lock`, `manifest` (see storage.durability.manifest), `log-<n>` and `segments/`. Opening
reads the manifest and replays the log from the file it names.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from storage import kernels
from storage.catalog import FIRST_USER_OID, Catalog, Definition, Table
from storage.durability import files, log
from storage.durability.backup import Report, save
from storage.durability.checkpoint import Checkpoints, Policy, Statistics
from storage.durability.files import FolderLock
from storage.durability.log import Log
from storage.durability.manifest import Manifest
from storage.durability.records import CommitRecord, Reader, SequenceRecord, TableRecord, gather
from storage.durability.replay import replay
from storage.errors import FeatureNotSupported
from storage.segments import segmentfolder
from storage.segments.bulk import Bulk
from storage.segments.merger import Merger, Mode, Step, optimize
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.table import Store
from storage.segments.warming import Warming
from storage.transactions.advisory import AdvisoryLocks
from storage.transactions.locks import LockRow, Waits
from storage.transactions.sequences import Sequences
from storage.transactions.snapshot import Snapshot
from storage.transactions.temporary import Temporary
from storage.transactions.transaction import Isolation, Transaction
from storage.waiting import WouldBlock, is_at_once, to_the_end

DEFAULT = Policy()
_SOON = 0.001  # seconds that what is done at once waits for a commit to be recorded


@dataclass(frozen=True)
class Recovery:
    """What opening took: seconds, and records and bytes of the log that were replayed."""

    seconds: float = 0.0
    records: int = 0
    bytes: int = 0


def _never() -> None:
    """The check of a transaction that nobody cancels."""


class Database:
    """See the module's text. `open` makes one; all methods may be called from any thread."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.waits = Waits()
        self.advisory = AdvisoryLocks(self.waits)
        self.sequences = Sequences(self._record_sequence)
        self._stores: dict[int, Store] = {}
        self._published: tuple[int, Catalog] = (0, Catalog())  # newest visible commit, its catalog
        self._latest = self._published  # newest commit that has its number
        self._unpublished: deque[tuple[int, int, Catalog]] = deque()  # (log position, commit, catalog)
        self._commit_lock = threading.RLock()
        self._publish_lock = threading.Lock()
        self._oid_lock = threading.Lock()
        self._next_oid = FIRST_USER_OID
        self._version = 0
        self._transaction_numbers = itertools.count(1)
        self._snapshots: weakref.WeakSet[Snapshot] = weakref.WeakSet()
        self._transactions: set[Transaction] = set()
        self._log: Log | None = None
        self._folder_lock: FolderLock | None = None
        self._checkpoints: Checkpoints | None = None
        self.recovery = Recovery()
        self._closed = False
        self._dropped: list[tuple[int, int]] = []  # (commit, table): older snapshots may still read it
        self.merging = threading.Lock()  # held while segments are made, and while a checkpoint gathers them
        self.segments = SegmentFolder(None)
        self.bulk = Bulk(self.segments)
        self._replayed_from = 0  # the log file
        self.id = ""
        self._merger: Merger | None = None
        self.warming: Warming | None = None

    @classmethod
    def open(cls, folder: Path | None, policy: Policy = DEFAULT) -> Database:
        """Open a data folder, or make a new one; None: in memory, without a log.

        `policy` says when checkpoints begin. Raises CannotConnectNow where another server has the folder,
        DataCorrupted where it cannot be read.
        """
        database = cls(folder)
        if folder is not None:
            files.make_folder(folder)
            database._folder_lock = FolderLock(folder)
            try:
                database._recover(folder, policy)
            except OSError as error:
                database._folder_lock.release()
                raise files.failure(error) from error
            except BaseException:
                database._folder_lock.release()
                raise
        database._merger = Merger(database)
        if folder is not None:
            database._merger.start()
            database.warming = Warming(
                (table, database.store(table.oid).parts) for table in database.catalog.tables()
            )
        kernels.warm()
        return database

    def _recover(self, folder: Path, policy: Policy) -> None:
        began = monotonic()
        for unfinished in folder.glob("*" + files.PART):
            files.remove(unfinished)
        manifest = Manifest.read(folder)
        files.make_folder(folder / segmentfolder.NAME)
        self.segments = SegmentFolder(folder / segmentfolder.NAME, manifest.next_segment)
        self.bulk = Bulk(self.segments)
        self.id = manifest.id
        self._published = self._latest = (manifest.commit, manifest.catalog)
        self._next_oid = manifest.next_oid
        for oid, (value, called) in manifest.sequences.items():
            self.sequences.restore(oid, value, called)
        for oid, state in manifest.tables.items():
            self._stores[oid] = state.open(folder)
        records = size = 0
        self._replayed_from = manifest.log
        for payload in replay(folder, manifest.log):
            self._replay(Reader(payload))
            records += 1
            size += len(payload)
        self._log = Log(folder, max([manifest.log - 1, *log.numbers(folder)]) + 1)
        self._checkpoints = Checkpoints(self, folder / segmentfolder.NAME, policy, size)
        self._checkpoints.collect(manifest)
        if size > policy.log_bytes:
            self._checkpoints.catch_up()
        self.recovery = Recovery(monotonic() - began, records, size)

    def _replay(self, reader: Reader) -> None:
        """Do again what a record of the log says."""
        sequence = reader.sequence()
        if sequence is not None:
            self.sequences.restore(sequence.oid, sequence.value, sequence.called)
            return
        commit, catalog = reader.head["commit"], reader.catalog(self._latest[1])
        self._next_oid = max(self._next_oid, reader.head["next_oid"])
        for value in reader.head["tables"]:
            table = catalog.relations.get(value["oid"])
            if isinstance(table, Table):
                record = reader.table(value, table)
                record.succeeded = record.succeeded[:0]  # nobody is left who saw the rows before
                self._apply(record, commit)
                for item in record.segments:
                    self.segments.logged(self._replayed_from, item.entry.files)
        self._latest = self._published = (commit, catalog)

    @property
    def catalog(self) -> Catalog:
        """The newest visible catalog."""
        return self._published[1]

    def store(self, table: int) -> Store:
        """The rows of a table; an empty store where there are none yet."""
        store = self._stores.get(table)
        return store if store is not None else self._stores.setdefault(table, Store())

    def begin(
        self,
        isolation: Isolation = "read committed",
        read_only: bool = False,
        cancel: Callable[[], None] | None = None,
        temporary: Temporary | None = None,
        woken: threading.Event | None = None,
    ) -> Transaction:
        """Begin a transaction. `cancel` is called while it waits, and raises when that is to end.

        `temporary` are the objects that its session has for itself, `woken` what wakes the session.
        """
        number = next(self._transaction_numbers)
        transaction = Transaction(self, number, isolation, read_only, cancel or _never, temporary, woken)
        self._transactions.add(transaction)
        return transaction

    def ended(self, transaction: Transaction) -> None:
        """A transaction of this database has committed or rolled back."""
        self._transactions.discard(transaction)

    def locks(self) -> list[LockRow]:
        """Every lock that is held or waited for, as pg_locks tells them."""
        rows = [*self.waits.rows(), *self.advisory.rows()]
        for transaction in self._transactions.copy():
            number, session = transaction.number, transaction.session
            rows.append(LockRow("virtualxid", (number,), "ExclusiveLock", True, session, number))
            if transaction.changed or transaction.locks_rows:
                rows.append(LockRow("transactionid", (number,), "ExclusiveLock", True, session, number))
        return rows

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
        """Keep what the snapshot sees for as long as somebody holds it."""
        with self._publish_lock:
            self._snapshots.add(snapshot)

    def oldest(self) -> int:
        """The commit of the oldest snapshot in use."""
        with self._publish_lock:
            return min([snapshot.commit for snapshot in self._snapshots], default=self._published[0])

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

    def _record_sequence(self, oid: int, value: int, called: bool) -> None:
        if self._log is not None:
            self._log.append(SequenceRecord(oid, value, called).encode())
            self._log.write()  # the value is told before anybody commits

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

    def publish(self, transaction: Transaction, position: int) -> None:
        """Make a recorded commit durable and visible. Raises FileError where it is neither.

        Nobody sees a commit before the log has it on disk, unless its session asked not to wait.
        """
        if self._log is not None:
            if transaction.synchronous:
                self._log.flush(position)
            else:
                self._log.write()  # only a machine that dies can take it
                self._log.flush_later()
        self._publish(position)
        if transaction.definitions:
            transaction.temporary.change(self._own_definitions(transaction))
        if self._checkpoints is not None:
            self._checkpoints.consider()
        if self._merger is not None:
            for oid in transaction.changes:
                if oid not in transaction.temporary:
                    self._merger.consider(self.store(oid))

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
            self._dropped = [(commit, oid) for commit, oid in self._dropped if commit > oldest]
            stores = list(self._stores.values())
        for store in stores:
            store.forget(oldest)

    def optimize(self, table: int, mode: Mode = "some") -> None:
        """OPTIMIZE TABLE: see storage.segments.merger.optimize. Raises UndefinedTable."""
        self.catalog.table(table)
        with self.merging:
            self.tidy()
            commit, catalog = self._published
            definition = self.widest_definition(catalog.table(table))
            optimize(self.store(table), definition, commit, self.oldest(), self.segments, mode)
        if self._checkpoints is not None:
            self._checkpoints.run()  # what was replaced can go

    def merge_step(self, step: Step) -> bool:
        """See storage.segments.merger.Home."""
        with self.merging:
            self.tidy()
            commit, catalog = self._published
            oldest = self.oldest()
            for table in catalog.tables():
                store = self._stores.get(table.oid)
                if store is None or not (store.parts or store.unsealed_rows):
                    continue
                if step(store, self.widest_definition(table), commit, oldest, self.segments):
                    return True
        return False

    def widest_definition(self, table: Table) -> Table:
        """The table with the columns that it has for older snapshots in use, besides its own."""
        with self._publish_lock:
            catalogs = [snapshot.catalog for snapshot in self._snapshots]
        columns = {column.number: column for column in table.columns}
        for catalog in catalogs:
            known = catalog.relations.get(table.oid)
            if isinstance(known, Table) and known.version != table.version:
                for column in known.columns:
                    columns.setdefault(column.number, column)
        return (
            table if len(columns) == len(table.columns) else replace(table, columns=tuple(columns.values()))
        )

    def begin_checkpoint(self) -> Manifest:
        """Begin a new log file: the manifest of all commits so far, without its tables."""
        assert self._log is not None
        prepared = self._log.prepare()
        with self._commit_lock:
            number, catalog = self._latest
            self._log.rotate(prepared)
            durable = self._log.written
            sequences = self.sequences.kept(exactly=self._closed)
            manifest = Manifest(prepared.number, number, catalog, self._next_oid, sequences, id=self.id)
        self._publish(durable)
        return manifest

    @property
    def log_bytes(self) -> int:
        """Bytes of the records in the current log file."""
        return 0 if self._log is None else self._log.size - log.HEADER_BYTES

    @property
    def failed(self) -> bool:
        """Whether the log has failed: no changes are accepted any more."""
        return self._log is not None and self._log.failed

    @property
    def policy(self) -> Policy:
        """When checkpoints begin."""
        return DEFAULT if self._checkpoints is None else self._checkpoints.policy

    @property
    def checkpoints(self) -> Statistics:
        """What checkpoints have done since the start."""
        return Statistics() if self._checkpoints is None else self._checkpoints.statistics

    def checkpoint(self) -> None:
        """CHECKPOINT: what was committed no longer needs the log. Raises DiskFull or FileError."""
        if self._checkpoints is not None:
            self._checkpoints.run()

    def back_up(self, to: Path, check: Callable[[], None] = _never) -> Report:
        """Make the folder `to` a backup of what is committed now; files that it has already stay.

        Raises FeatureNotSupported for a database in memory, and what storage.durability.backup.save raises;
        `check` is called now and then, and raises when it is to end.
        """
        if self._checkpoints is None or self.folder is None:
            raise FeatureNotSupported("a database in memory cannot be backed up")
        snapshot = self.snapshot()  # merging leaves the rows that it sees
        with self._checkpoints.held() as manifest:
            assert snapshot.commit <= manifest.commit
            return save(self.folder, manifest, to, check)

    def close(self) -> None:
        """Checkpoint and close; open transactions are lost. After a failure of the log, only close."""
        if self._closed:
            return
        self._closed = True
        if self._merger is not None:
            self._merger.close()
        if self.warming is not None:
            self.warming.close()
        self.bulk.close()
        try:
            if self._checkpoints is not None and self._log is not None:
                self._checkpoints.close(last=not self._log.failed)
        finally:
            if self._log is not None:
                self._log.close()
            if self._folder_lock is not None:
                self._folder_lock.release()
