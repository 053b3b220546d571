"""The database: one folder, its log, its tables' rows, its commits, and what goes on behind them.

The folder holds `lock`, `manifest` (see storage.durability.manifest), `log-<n>`, `segments/` and, while
statements need it, `temporary/` (storage.scratch). Opening
reads the manifest and replays the log from the file it names.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from storage import kernels
from storage.definitions import Table
from storage.durability import files, log
from storage.durability.backup import Report, save
from storage.durability.checkpoint import Checkpoints, Policy, Statistics
from storage.durability.files import FolderLock
from storage.durability.log import Log
from storage.durability.manifest import Manifest
from storage.durability.records import Reader, SequenceRecord
from storage.durability.replay import replay
from storage.errors import FeatureNotSupported
from storage.scratch import NAME as SCRATCH
from storage.scratch import Scratch
from storage.segments import segmentfolder
from storage.segments.bulk import Bulk
from storage.segments.merger import Merger, Mode, Step, optimize
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.warming import Warming
from storage.transactions.advisory import AdvisoryLocks
from storage.transactions.commits import Commits
from storage.transactions.locks import LockRow, Waits
from storage.transactions.sequences import Sequences
from storage.transactions.temporary import Temporary
from storage.transactions.transaction import Isolation, Transaction

DEFAULT = Policy()
_PLACES = 40  # bits of `log_place` below those that say with which log file the server began


@dataclass(frozen=True)
class Recovery:
    """What opening took: seconds, and records and bytes of the log that were replayed."""

    seconds: float = 0.0
    records: int = 0
    bytes: int = 0


def _never() -> None:
    """The check of a transaction that nobody cancels."""


class Database(Commits):
    """See the module's text. `open` makes one; all methods may be called from any thread."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder
        self.waits = Waits()
        self.advisory = AdvisoryLocks(self.waits)
        self.sequences = Sequences(self._record_sequence)
        self._transaction_numbers = itertools.count(1)
        self._transactions: set[Transaction] = set()
        self._folder_lock: FolderLock | None = None
        self._checkpoints: Checkpoints | None = None
        self.recovery = Recovery()
        self._closed = False
        self.merging = threading.Lock()  # held while segments are made, and while a checkpoint gathers them
        self.segments = SegmentFolder(None)
        self.bulk = Bulk(self.segments)
        self.scratch = Scratch(None if folder is None else folder / SCRATCH)
        self._replayed_from = 0  # the log file
        self._log_base = 0  # see `log_place`
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
        self.scratch.sweep()
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
        number = max([manifest.log - 1, *log.numbers(folder)]) + 1
        self._log, self._log_base = Log(folder, number), number << _PLACES
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
        number = self.next_transaction()
        transaction = Transaction(self, number, isolation, read_only, cancel or _never, temporary, woken)
        self._transactions.add(transaction)
        return transaction

    def next_transaction(self) -> int:
        """A transaction number that was never used since the start."""
        return next(self._transaction_numbers)

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

    def _record_sequence(self, oid: int, value: int, called: bool) -> None:
        if self._log is not None:
            self._log.append(SequenceRecord(oid, value, called).encode())
            self._log.write()  # the value is told before anybody commits

    def publish(self, transaction: Transaction, position: int) -> None:
        """Make a recorded commit durable and visible. Raises FileError where it is neither."""
        self.show(position, transaction.synchronous)
        if transaction.definitions:
            transaction.temporary.change(self._own_definitions(transaction))
        self.consider([oid for oid in transaction.changes if oid not in transaction.temporary])

    def consider(self, tables: Sequence[int]) -> None:
        """After a commit that has changed these: see whether there is something to do behind it."""
        if self._checkpoints is not None:
            self._checkpoints.consider()
        if self._merger is not None:
            for oid in tables:
                self._merger.consider(self.store(oid))

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
    def log_place(self) -> int:
        """Where the log ends: bytes added since the start, above a base that each start raises; 0: no log."""
        return 0 if self._log is None else self._log_base + self._log.appended

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
