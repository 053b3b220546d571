"""Checkpoints: blocks become sealed segments, the manifest moves on, old log files go.

    1  begin a new log file at commit n: everything up to n is in older files
    2  seal each table's rows made by n into segments; rows that no snapshot can see are left out, a small
       last segment is sealed again together with them
    3  write segments and the marks of rows deleted by n, each file whole and fsynced
    4  write the manifest: it names these files and the new log file. Only now do older files go

Readers keep the parts they took. A mark set while a table is sealed is found when the segment is put in
place, under the table's lock, so none is lost.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Protocol

import numpy as np

from storage import log
from storage.blocks import Block
from storage.catalog import Table
from storage.column import Column, Positions
from storage.errors import DatabaseError
from storage.files import fsync_folder
from storage.manifest import SEGMENTS, Manifest, SegmentFile, TableFiles
from storage.sealed import Sealed
from storage.segment import Segment
from storage.table import Part, Store

SMALL_ROWS = 65_536


class Home(Protocol):
    """What checkpoints need of the database."""

    @property
    def log_bytes(self) -> int: ...

    def begin_checkpoint(self) -> Manifest: ...

    def store(self, table: int) -> Store: ...

    def oldest(self) -> int: ...

    def flush(self) -> None: ...


class Checkpoints:
    """When to checkpoint, and doing it; one at a time."""

    def __init__(self, home: Home, folder: Path, log_bytes: int) -> None:
        self._home = home
        self._folder = folder
        self._log_bytes = log_bytes
        self._running = threading.Lock()
        self._wanted = threading.Event()
        self._closing = False
        (folder / SEGMENTS).mkdir(exist_ok=True)
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
            except DatabaseError as error:
                # the log still has everything; the next commit that finds it too long tries again
                print(f"checkpoint failed: {error.message}", file=sys.stderr)

    def close(self) -> None:
        """End the background thread and checkpoint a last time."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        self.run()

    def run(self) -> None:
        """One checkpoint. Raises DiskFull or FileError, with the old manifest still true."""
        with self._running:
            manifest = self._home.begin_checkpoint()
            for table in manifest.catalog.tables():
                store = self._home.store(table.oid)
                seal(store, table, manifest.commit, self._home.oldest())
                manifest.tables[table.oid] = self._write(store, table, manifest.commit)
            fsync_folder(self._folder / SEGMENTS)
            self._home.flush()  # what segments leave out because of later commits must not come back
            manifest.write(self._folder)
            self.collect(manifest)

    def _write(self, store: Store, table: Table, commit: int) -> TableFiles:
        folder = self._folder / SEGMENTS
        segments = []
        with store.lock:
            parts = [part for part in store.parts_at(commit) if isinstance(part, Sealed)]
            next_row_id = store.next_row_id  # replay sets it back where later rows follow in the log
        for part in parts:
            if not part.file:
                part.file = f"{table.oid}-{part.first_row_id}-{commit}.segment"
                part.segment.write(folder / part.file)
            segments.append(SegmentFile(part.file, part.rows, part.write_gone(folder, commit)))
        return TableFiles(next_row_id, tuple(segments))

    def collect(self, manifest: Manifest) -> None:
        """Remove what the manifest no longer needs."""
        named = manifest.files()
        for path in (self._folder / SEGMENTS).iterdir():
            if path.name not in named:
                path.unlink()
        for path in self._folder.glob("log-*"):
            if path.name < log.name(manifest.log):
                path.unlink()


def seal(store: Store, table: Table, commit: int, oldest: int) -> None:
    """Make segments of the blocks' rows that commits up to `commit` made."""
    with store.lock:
        old = _candidates(store.parts)
        counts = [part.visible_rows(commit) for part in old]
    old = tuple(part for part, rows in zip(old, counts, strict=True) if rows)
    counts = [rows for rows in counts if rows]
    if not any(isinstance(part, Block) for part in old):
        return
    kept = [_kept(part, rows, oldest) for part, rows in zip(old, counts, strict=True)]
    columns = [
        Column.concat(
            [part.column(position, 0, rows, keep) for part, rows, keep in zip(old, counts, kept, strict=True)]
        )
        for position in range(len(table.columns))
    ]
    row_ids = np.concatenate(
        [part.row_ids_of(0, rows, keep) for part, rows, keep in zip(old, counts, kept, strict=True)]
    )
    segments = []
    for start in range(0, len(row_ids), table.segment_rows):
        span = slice(start, start + table.segment_rows)
        pieces = [column.slice(start, min(start + table.segment_rows, len(row_ids))) for column in columns]
        segments.append((Segment.build(pieces, row_ids[span]), span))
    with store.lock:
        if not all(part in store.parts for part in old):
            return  # truncated meanwhile
        gone = np.concatenate(
            [part.gone[:rows][keep] for part, rows, keep in zip(old, counts, kept, strict=True)]
        )
        born = np.concatenate(
            [_born(part, rows)[keep] for part, rows, keep in zip(old, counts, kept, strict=True)]
        )
        new: list[Part] = []
        for segment, span in segments:
            marks, made = gone[span], born[span]
            new.append(
                Sealed(
                    segment,
                    row_ids[span],
                    marks.copy() if marks.any() else None,
                    made.copy() if (made > oldest).any() else None,
                )
            )
        last = old[-1]
        if isinstance(last, Block) and last.rows > counts[-1]:
            new.append(last.rest(counts[-1]))
        store.replace_parts(old, tuple(new))
        store.forget(oldest)


def _candidates(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The blocks at the end, and the sealed segment before them if it is small."""
    first = next((at for at, part in enumerate(parts) if isinstance(part, Block)), len(parts))
    if first and parts[first - 1].rows < SMALL_ROWS:
        first -= 1
    return parts[first:]


def _kept(part: Part, rows: int, oldest: int) -> Positions:
    gone = part.gone[:rows]
    return np.flatnonzero((gone == 0) | (gone > oldest))


def _born(part: Part, rows: int) -> Positions:
    if isinstance(part, Block):
        return part.born[:rows]
    assert isinstance(part, Sealed)
    return np.zeros(rows, np.int64) if part.born is None else part.born[:rows]
