"""Bulk: rows of an open transaction that are many become segment files before it commits.

Past BUDGET bytes a table's new rows are sorted, encoded, written and fsynced by threads of their own, while
the statement goes on; the log's record of the commit will name the files, so the rows go through no log and
take no memory. A few lots may be on their way at once, then the statement waits for the first of them.
What is rolled back is removed at once, what is just being made as soon as its thread notices; what a crash
leaves is named by nothing, and removed at the next start.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import groupby

import numpy as np

from storage.errors import DatabaseError
from storage.memory import trim
from storage.segments.blocks import Block
from storage.segments.cache import cache, portion
from storage.segments.rewrite import make
from storage.segments.sealed import Sealed
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.sources import Source
from storage.transactions.changes import TableChanges
from storage.transactions.ownrows import OwnRows
from storage.waiting import about_to_wait

BUDGET = 64 << 20
"""Bytes of new rows of a table that stay in memory."""
PART = 16
"""Where the buffer cache is small, one of so many parts of it."""
AHEAD = 3
"""Lots of a table's rows that are on their way at once."""
REST = 4 << 20
"""Bytes of new rows that go through the log where other rows of the transaction are in files."""
THREADS = 2 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""A thread encodes, or waits for the disk."""

_LOOK = 0.05  # seconds after which who waits looks whether he still should

Lot = list[OwnRows]
Check = Callable[[], None]
"""Raises to have the work given up."""


class Bulk:
    """What makes files of transactions' rows; one a database."""

    def __init__(self, folder: SegmentFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def consider(self, changes: TableChanges, check: Check) -> None:
        """After an insert, by the transaction's thread and without the table's lock.

        Raises DiskFull or FileError where files could not be written, and what `check` raises while it waits.
        """
        while changes.sealing and changes.sealing[0][1].done():
            _install(changes, check)
        if self._folder.folder is None or _unsealed_bytes(changes) < portion(BUDGET, PART):
            return
        self._begin(changes)
        while len(changes.sealing) > AHEAD:
            _install(changes, check)

    def finish(self, changes: TableChanges, check: Check) -> None:
        """Before the commit: everything that is to be in files is there. Raises as `consider`."""
        while changes.sealing:
            _install(changes, check)
        if any(rows.sealed for rows in changes.inserted) and _unsealed_bytes(changes) > REST:
            self._begin(changes)
            while changes.sealing:
                _install(changes, check)

    def _begin(self, changes: TableChanges) -> None:
        for lot in _lots(changes):
            for rows in lot:
                rows.sealing = True
            changes.sealing.append((lot, self._submit(lot, changes)))

    def _submit(self, lot: Lot, changes: TableChanges) -> Future[list[Sealed]]:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, "bulk")
            return self._pool.submit(self._seal, lot, partial(_go_on, changes))

    def _seal(self, lot: Lot, check: Check) -> list[Sealed]:
        """The rows in files, under row ids that are their positions in the lot."""
        sources, first = [], 0
        for numbers, batch in ((rows.numbers, batch) for rows in lot for batch in rows.parts()):
            row_ids = np.arange(first, first + batch.rows, dtype=np.int64)
            sources.append(Source(Block(numbers, batch, row_ids, 0), batch.rows))
            first += batch.rows
        with cache.lend(sum(rows.nbytes for rows in lot)):
            made = [part for _, part in make(lot[0].table, sources, 0, self._folder, check=check)]
        trim()
        return made

    def close(self) -> None:
        """End the threads, once what they are at is done."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None


def settle(changes: TableChanges) -> None:
    """Wait for the files that are being made, and read from them; what could not be written stays."""
    while changes.sealing:
        with suppress(DatabaseError):
            _install(changes, lambda: None)


def discard(changes: TableChanges) -> None:
    """The transaction has ended: remove what was not committed, and have no more of it made."""
    changes.given_up = True
    for lot, future in changes.sealing:
        if not future.cancel():
            future.add_done_callback(partial(_drop, lot))
    changes.sealing = []
    for rows in changes.inserted:
        rows.drop()
    changes.inserted = []


def _unsealed(changes: TableChanges) -> Iterator[OwnRows]:
    """The rows in memory that are not on their way into files, the newest first."""
    for rows in reversed(changes.inserted):
        if rows.sealing or rows.sealed:
            return
        yield rows


def _unsealed_bytes(changes: TableChanges) -> int:
    return sum(rows.nbytes for rows in _unsealed(changes))


def _lots(changes: TableChanges) -> Iterator[Lot]:
    """The rows in memory, those of the same columns together."""
    found = list(_unsealed(changes))[::-1]
    for _, lot in groupby(found, lambda rows: (rows.numbers, rows.types)):
        yield list(lot)


def _drop(lot: Lot, future: Future[list[Sealed]]) -> None:
    if future.exception() is None:
        OwnRows.joined(lot, future.result()).drop()


class _GivenUp(Exception):
    """Nobody wants these files any more."""


def _go_on(changes: TableChanges) -> None:
    if changes.given_up:
        raise _GivenUp


def _await(future: Future[list[Sealed]], check: Check) -> None:
    about_to_wait()
    while not future.done():
        check()
        with suppress(TimeoutError):
            future.exception(_LOOK)


def _install(changes: TableChanges, check: Check) -> None:
    """Put the files of the first lot in the place of its rows."""
    if not changes.sealing[0][1].done():
        _await(changes.sealing[0][1], check)
    lot, future = changes.sealing.pop(0)
    try:
        made = future.result()
    except BaseException:
        for rows in lot:
            rows.sealing = False
        raise
    at = changes.inserted.index(lot[0])
    changes.inserted[at : at + len(lot)] = [OwnRows.joined(lot, made)]
