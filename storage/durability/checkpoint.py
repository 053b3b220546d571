"""Checkpoints: blocks become sealed segments, the manifest moves on, old log files go.

1  begin a new log file at commit n: everything up to n is in older files
2  seal each table's rows made by n into segments, whose files are whole and fsynced then: see
storage.segments.merger 3  write the marks of rows deleted by n
4  write the manifest: it names these files and the new log file. Only now do older files go

One begins in the background when the log has grown by so much since the last, or some time after it if
anything was logged at all. Commits go on meanwhile; only the beginning of a log file keeps them waiting. One
that fails leaves the old manifest true and all log files there, and is tried again after a while.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from storage.definitions import Table
from storage.durability import log
from storage.durability.files import fsync_folder, remove
from storage.durability.manifest import Manifest, TableFiles
from storage.errors import DatabaseError
from storage.segments.merger import seal
from storage.segments.sealed import Sealed
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.table import Store

_log = logging.getLogger("glancedb.checkpoints")
RETRY = 10.0  # seconds after a checkpoint that failed


@dataclass(frozen=True)
class Policy:
    """When checkpoints begin by themselves: bytes of log since the last, or seconds after it."""

    log_bytes: int = 256 << 20
    seconds: float = 300.0


@dataclass
class Statistics:
    """What was done since the start: for pg_stat_bgwriter."""

    timed: int = 0
    requested: int = 0  # by the log's size, or by a statement
    failed: int = 0
    written: int = 0  # files of segments, and of the marks of their deleted rows
    seconds: float = 0.0
    sync_seconds: float = 0.0


class Home(Protocol):
    """What checkpoints need of the database."""

    @property
    def log_bytes(self) -> int: ...

    @property
    def failed(self) -> bool: ...

    def begin_checkpoint(self) -> Manifest: ...

    @property
    def merging(self) -> threading.Lock: ...

    @property
    def segments(self) -> SegmentFolder: ...

    def store(self, table: int) -> Store: ...

    def widest_definition(self, table: Table) -> Table: ...

    def oldest(self) -> int: ...

    def flush(self) -> None: ...

    def tidy(self) -> None: ...


class Checkpoints:
    """When to checkpoint, and doing it; one at a time."""

    def __init__(self, home: Home, folder: Path, policy: Policy, replayed: int) -> None:
        """`folder` is that of segment files; `replayed`: bytes of the log that the manifest still needs."""
        self.policy = policy
        self.statistics = Statistics()
        self._home = home
        self._folder = folder
        self._older = replayed  # bytes of log before the current file
        self._running = threading.Lock()
        self._wanted = threading.Event()
        self._closing = False
        self._ended = monotonic()
        self._not_before = 0.0
        self._named: set[str] = set()  # files of the last manifest
        self._held: list[set[str]] = []  # files of manifests that backups are made of
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def consider(self) -> None:
        """After a commit: begin one in the background if the log has grown enough."""
        if self._older + self._home.log_bytes > self.policy.log_bytes and monotonic() >= self._not_before:
            self._wanted.set()

    def _work(self) -> None:
        while True:
            due = max(self._ended + self.policy.seconds, self._not_before)
            asked = self._wanted.wait(max(due - monotonic(), 0.0))
            self._wanted.clear()
            if self._closing:
                return
            if not asked and (self._older + self._home.log_bytes == 0 or self._home.failed):
                self._ended = monotonic()
                continue
            self._try(timed=not asked)

    def _try(self, *, timed: bool) -> None:
        try:
            self.run(timed=timed)
        except (DatabaseError, OSError, MemoryError) as error:
            # the log still has everything
            _log.warning("a checkpoint failed, and is tried again: %s", error)

    def catch_up(self) -> None:
        """At a start that found more of the log than it may have: one checkpoint before anything else.

        Without it a server that dies again and again before its checkpoints end would replay ever more.
        """
        self._try(timed=False)

    def close(self, *, last: bool) -> None:
        """End the background thread, and checkpoint a last time if `last`."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        if last:
            self.run()

    def run(self, *, timed: bool = False) -> Manifest:
        """One checkpoint. Raises DiskFull or FileError, with the old manifest still true."""
        with self._running, self._home.merging:
            return self._counted(timed)

    @contextmanager
    def held(self) -> Iterator[Manifest]:
        """One checkpoint, of which no file goes as long as the context lasts.

        Somebody has to hold a snapshot, so that the files hold every row that was there at the manifest's
        commit: without one, a row that a later commit has deleted may be left out, and the log tells of it.
        """
        with self._running, self._home.merging:
            manifest = self._counted(timed=False)
            named = manifest.files()
            self._held.append(named)
        try:
            yield manifest
        finally:
            with self._running:
                self._held.remove(named)

    def _counted(self, timed: bool) -> Manifest:
        began = monotonic()
        try:
            manifest = self._run()
        except BaseException:
            self.statistics.failed += 1
            self._not_before = monotonic() + RETRY
            raise
        finally:
            self._ended = monotonic()
        if timed:
            self.statistics.timed += 1
        else:
            self.statistics.requested += 1
        self.statistics.seconds += self._ended - began
        return manifest

    def _run(self) -> Manifest:
        began = monotonic()
        before = self._home.log_bytes
        manifest = self._home.begin_checkpoint()
        self._older += before
        self._home.tidy()
        for table in manifest.catalog.tables():
            store = self._home.store(table.oid)
            defined = self._home.widest_definition(table)
            seal(store, defined, manifest.commit, self._home.oldest(), self._home.segments)
            manifest.tables[table.oid] = self._write(store, manifest)
        syncing = monotonic()
        fsync_folder(self._folder)
        self._home.flush()  # what segments leave out because of later commits must not come back
        manifest.next_segment = self._home.segments.next
        manifest.write(self._folder.parent)
        self.statistics.sync_seconds += monotonic() - syncing
        needless, self._older = self._older, 0
        new = len(manifest.files() - self._named)
        self.statistics.written += new
        self.collect(manifest)
        _log.info(
            "checkpoint at commit %d: %d new files, %.1f MB of log made needless, in %.2f s",
            manifest.commit,
            new,
            needless / 1e6,
            monotonic() - began,
        )
        return manifest

    def _write(self, store: Store, manifest: Manifest) -> TableFiles:
        segments = []
        with store.lock:
            # a segment that a later commit brought is in the log, which replay reads from there on
            parts = [
                part
                for part in store.parts_at(manifest.commit)
                if isinstance(part, Sealed) and part.visible_rows(manifest.commit)
            ]
            next_row_id = store.next_row_id  # replay sets it back where later rows follow in the log
        for part in parts:
            deleted = part.write_gone(self._folder, manifest.commit)
            segments.append(part.entry(deleted))
        return TableFiles(next_row_id, tuple(segments))

    def collect(self, manifest: Manifest) -> None:
        """Remove what the manifest no longer needs, and no snapshot reads."""
        self._named = manifest.files()
        self._home.segments.collect(self._named.union(*self._held), manifest.log)
        for number in log.numbers(self._folder.parent):
            if number < manifest.log:
                remove(self._folder.parent / log.name(number))
