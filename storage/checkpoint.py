"""Checkpoints: blocks become sealed segments, the manifest moves on, old log files go.

1  begin a new log file at commit n: everything up to n is in older files
2  seal each table's rows made by n into segments, whose files are whole and fsynced then: see storage.merger
3  write the marks of rows deleted by n
4  write the manifest: it names these files and the new log file. Only now do older files go
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Protocol

from storage import log
from storage.catalog import Table
from storage.errors import DatabaseError
from storage.files import fsync_folder, remove
from storage.manifest import Manifest, TableFiles
from storage.merger import seal
from storage.sealed import Sealed, SegmentEntry
from storage.segmentfile import in_use
from storage.segmentfolder import SegmentFolder
from storage.table import Store


class Home(Protocol):
    """What checkpoints need of the database."""

    @property
    def log_bytes(self) -> int: ...

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

    def __init__(self, home: Home, folder: Path, log_bytes: int) -> None:
        """`folder` is that of segment files."""
        self._home = home
        self._folder = folder
        self._log_bytes = log_bytes
        self._running = threading.Lock()
        self._wanted = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def consider(self) -> None:
        """After a commit: begin one in the background if the log has grown enough."""
        if self._home.log_bytes > self._log_bytes:
            self._wanted.set()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            try:
                self.run()
            except (DatabaseError, OSError, MemoryError) as error:
                # the log still has everything; the next commit that finds it too long tries again
                print(f"checkpoint failed: {error}", file=sys.stderr)

    def close(self, *, last: bool) -> None:
        """End the background thread, and checkpoint a last time if `last`."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        if last:
            self.run()

    def run(self) -> None:
        """One checkpoint. Raises DiskFull or FileError, with the old manifest still true."""
        with self._running, self._home.merging:
            manifest = self._home.begin_checkpoint()
            self._home.tidy()
            for table in manifest.catalog.tables():
                store = self._home.store(table.oid)
                defined = self._home.widest_definition(table)
                seal(store, defined, manifest.commit, self._home.oldest(), self._home.segments)
                manifest.tables[table.oid] = self._write(store, manifest)
            fsync_folder(self._folder)
            self._home.flush()  # what segments leave out because of later commits must not come back
            manifest.write(self._folder.parent)
            self.collect(manifest)

    def _write(self, store: Store, manifest: Manifest) -> TableFiles:
        segments = []
        with store.lock:
            parts = [part for part in store.parts_at(manifest.commit) if isinstance(part, Sealed)]
            next_row_id = store.next_row_id  # replay sets it back where later rows follow in the log
        for part in parts:
            deleted = part.write_gone(self._folder, manifest.commit)
            segments.append(SegmentEntry(part.file, part.rows, deleted, part.base, part.nbytes, part.run))
        return TableFiles(next_row_id, tuple(segments))

    def collect(self, manifest: Manifest) -> None:
        """Remove what the manifest no longer needs, and no snapshot reads."""
        named, reading = manifest.files(), in_use()
        for path in self._folder.iterdir():
            if path.name not in named and path not in reading:
                remove(path)
        for number in log.numbers(self._folder.parent):
            if number < manifest.log:
                remove(self._folder.parent / log.name(number))
