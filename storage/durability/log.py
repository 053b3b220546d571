"""The write-ahead log: what commit promises, in order.

A log is a series of files `log-<number>`, integers little-endian. Later formats keep the header's form:

    8 bytes   magic "GDBLOG02"
    8 bytes   number
    4 bytes   salt: any number, drawn when the file is made
    4 bytes   CRC32C of all before
    records   each at a multiple of 8, until there is no valid one

    record:   4 bytes   CRC32C of the salt and of all of the record that follows
              4 bytes   mark "Rec\\n"
              8 bytes   length of the payload, without its padding
              8 bytes   durable: how many bytes of this file were known to be on disk when it was written
              n bytes   payload (see storage.durability.records), padded to a multiple of 8

Files are preallocated in steps, so a full disk shows when space is taken and not when a commit is
written; a preallocated tail reads as zeros. `append` keeps a record in memory (a large one is written at
once), `flush` writes and makes durable: one that waits does it for all, and those who came while it was at
fsync share the next. `when_durable` is for those who do not wait: the log's own thread flushes for them and
tells. A file is whole and durable before the next one is begun. After a failed write or fsync nothing can be
known of what reached the disk, so the log refuses everything from then on, and the server has to be started
again from it.

Lock order: `_writing`, then `_lock`. Whoever writes takes, under both, all that was kept, so records are
written in the order of their positions.

Where the last file stops being valid, it ends: what follows was never acknowledged, and is cut off. But if
a valid record further on knew that place to be on disk, or the file is not the last, that is damage to what
was acknowledged, and stops the start. Reading is storage.durability.replay's.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import crc32c

from storage.durability import files
from storage.durability.files import Buffer
from storage.errors import DatabaseError, FileError
from storage.waiting import about_to_wait

MAGIC = b"GDBLOG02"
HEADER_BYTES = 24
RECORD = struct.Struct("<I4sQQ")
MARK = b"Rec\n"
_STEP = 16 << 20
_LARGE = 64 << 10  # bytes of a record that is not copied to be kept
LATE = 0.2  # seconds after which a commit that did not wait is durable, about


def name(number: int) -> str:
    """The file name of log file `number`."""
    return f"log-{number:08d}"


def numbers(folder: Path) -> list[int]:
    """The log files in a folder, ascending."""
    return sorted(int(path.name[4:]) for path in folder.glob("log-*") if path.name[4:].isdigit())


def header(number: int, salt: bytes) -> bytes:
    """What file `number` begins with."""
    head = MAGIC + number.to_bytes(8, "little") + salt
    return head + crc32c.crc32c(head).to_bytes(4, "little")


@dataclass(frozen=True)
class Prepared:
    """A file that is durable under a name that no start looks at, for the log to go on in."""

    number: int
    descriptor: int
    salt: bytes


class Log:
    """The log's open end. Positions count the records appended since it was opened."""

    def __init__(self, folder: Path, number: int) -> None:
        """Begin file `number` in the folder; it must not exist. Raises DiskFull or FileError."""
        self._folder = folder
        self._lock = threading.Lock()  # appending
        self._writing = threading.Lock()
        self._kept: list[Buffer] = []  # appended and not written yet
        self._flushing = threading.Condition()  # guards `_flusher`, and wakes those that wait for it
        self._flusher = False  # whether somebody is at fsync, for all
        self._written = self._flushed = 0  # positions
        self.appended = 0  # bytes of records, in whichever file
        self._failed: DatabaseError | None = None
        self._late: threading.Thread | None = None
        self._late_wanted = threading.Event()
        self._asked: SimpleQueue[tuple[int, Callable[[], None]] | None] = SimpleQueue()
        self._teller: threading.Thread | None = None
        self._closing = threading.Event()
        self._begin(self._prepared(number))

    def prepare(self) -> Prepared:
        """Make the file that follows the current one. Raises DiskFull or FileError, with nothing left."""
        return self._prepared(self.number + 1)

    def _prepared(self, number: int) -> Prepared:
        aside = self._folder / (name(number) + files.PART)
        salt = os.urandom(4)
        try:
            if aside.exists():
                files.disk.unlink(aside)
            descriptor = files.disk.create(aside)
        except OSError as error:
            raise files.failure(error) from error
        try:
            files.disk.allocate(descriptor, 0, _STEP)
            files.write_all(descriptor, [header(number, salt)])
            files.disk.sync(descriptor)
        except (OSError, DatabaseError) as error:
            files.disk.close(descriptor)
            files.remove(aside)
            raise files.failure(error) if isinstance(error, OSError) else error from error
        return Prepared(number, descriptor, salt)

    def _begin(self, prepared: Prepared) -> None:
        """Go on in a prepared file."""
        path = self._folder / name(prepared.number)
        aside = path.with_name(path.name + files.PART)
        try:
            files.disk.rename(aside, path)
        except OSError as error:
            files.disk.close(prepared.descriptor)
            files.remove(aside)
            raise files.failure(error) from error
        try:
            files.disk.sync_folder(self._folder)
        except OSError as error:  # whether the file will be found after a crash is not known
            self._failed = files.failure(error)
            self._check()
        self.number = prepared.number
        self._descriptor = prepared.descriptor
        self._seed = crc32c.crc32c(prepared.salt)
        self._at = self._durable = HEADER_BYTES
        self._allocated = _STEP

    def _allocate(self, size: int) -> None:
        """Take disk space for `size` bytes more. Raises DiskFull, with nothing written."""
        end = self._at + size
        if end > self._allocated:
            goal = -(-end // _STEP) * _STEP
            about_to_wait()
            try:
                files.disk.allocate(self._descriptor, self._allocated, goal - self._allocated)
            except OSError as error:
                raise files.failure(error) from error
            self._allocated = goal

    @property
    def failed(self) -> bool:
        """Whether writing or fsync has failed: nothing is accepted any more."""
        return self._failed is not None

    @property
    def size(self) -> int:
        """Bytes in the current file."""
        return self._at

    @property
    def written(self) -> int:
        """The position of the last record."""
        return self._written

    def append(self, payload: Sequence[Buffer]) -> int:
        """Add a record; returns the position that `flush` takes. Raises DiskFull with nothing added.

        The payload must not change until it is written: see `_LARGE`.
        """
        length = sum(memoryview(part).nbytes for part in payload)
        padded = [*payload, bytes(-length % 8)]
        with self._lock:
            self._check()
            head = RECORD.pack(0, MARK, length, self._durable)[4:]
            crc = crc32c.crc32c(head, self._seed)
            for part in padded:
                crc = crc32c.crc32c(part, crc)
            self._allocate(RECORD.size + length + 8)
            record = [crc.to_bytes(4, "little"), head, *padded]
            self._kept += [b"".join(record)] if length < _LARGE else record
            whole = RECORD.size + len(padded[-1]) + length
            self._at += whole
            self.appended += whole
            self._written += 1
            position = self._written
        if length >= _LARGE:
            self._write()
        return position

    def _write(self) -> tuple[int, int, int]:
        """Write what was kept; returns the last position, the end and descriptor of the file it is in."""
        with self._writing:
            with self._lock:
                self._check()
                kept, self._kept = self._kept, []
                target, end, descriptor = self._written, self._at, self._descriptor
            try:
                files.write_all(descriptor, kept)
            except DatabaseError as error:
                self._failed = error
                raise
        return target, end, descriptor

    def write(self) -> None:
        """Hand what was appended to the system: the end of this process takes nothing of it any more.

        Raises DiskFull or FileError, and then the log has failed.
        """
        self._write()

    def is_durable(self, position: int) -> bool:
        """Whether `flush` would not wait, because the record is on disk or never will be."""
        return self._flushed >= position or self._failed is not None

    def flush(self, position: int) -> None:
        """Wait until the record at `position` and all before it are on disk. Raises FileError."""
        while self._flushed < position:
            if self._failed is None:
                about_to_wait()
            with self._flushing:
                if self._flusher:
                    self._flushing.wait()
                    continue
                if self._flushed >= position:
                    return
                self._check()
                self._flusher = True
            try:
                self._sync()
            finally:
                with self._flushing:
                    self._flusher = False
                    self._flushing.notify_all()

    def _sync(self) -> None:
        """Make what was appended so far durable; for the one that is the flusher."""
        target, end, descriptor = self._write()
        try:
            files.disk.sync(descriptor)
        except OSError as error:
            self._failed = files.failure(error)
            self._check()
        self._flushed, self._durable = target, end

    def when_durable(self, position: int, told: Callable[[], None]) -> None:
        """Have the record made durable, and `told` called on the log's thread once `flush` will not wait.

        `told` returns at once and raises nothing.
        """
        self._asked.put((position, told))
        if self._teller is None:
            with self._lock:
                if self._teller is None:
                    self._teller = threading.Thread(target=self._tell, name="log", daemon=True)
                    self._teller.start()

    def _tell(self) -> None:
        """Flush for all who have asked until now, and tell them."""
        while (first := self._asked.get()) is not None:
            asked = [first]
            with suppress(Empty):
                while (another := self._asked.get_nowait()) is not None:
                    asked.append(another)
                self._asked.put(None)  # the end, once these are told
            with suppress(DatabaseError):  # they find it themselves
                self.flush(max(position for position, _ in asked))
            for _, told in asked:
                told()

    def flush_later(self) -> None:
        """Have what was appended made durable within about LATE seconds, and do not wait."""
        if self._late is None:
            with self._lock:
                if self._late is None:
                    self._late = threading.Thread(target=self._flush_late, name="log-late", daemon=True)
                    self._late.start()
        self._late_wanted.set()

    def _flush_late(self) -> None:
        while not self._closing.is_set() and self._failed is None:
            self._late_wanted.wait()
            self._closing.wait(LATE)
            self._late_wanted.clear()
            with suppress(FileError):  # the next that writes is told
                self.flush(self._written)

    def rotate(self, prepared: Prepared) -> None:
        """Go on in the file that `prepare` made; what was appended before is durable.

        Raises DiskFull or FileError with the current file still the last. Appending waits for an fsync and
        a rename. One rotation at a time.
        """
        with self._flushing:
            while self._flusher:
                self._flushing.wait()
            self._flusher = True
        try:
            self._sync()  # so that little is left to do under the locks
            with self._writing, self._lock:
                old, end = self._descriptor, self._at
                self._check()
                try:
                    files.write_all(old, self._kept)
                    files.disk.sync(old)
                except (OSError, DatabaseError) as error:
                    self._failed = files.failure(error) if isinstance(error, OSError) else error
                    self._check()
                self._kept = []
                self._flushed = self._written
                self._begin(prepared)
            with suppress(OSError):  # only gives the preallocated rest back
                files.disk.truncate(old, end)
            files.disk.close(old)
        finally:
            with self._flushing:
                self._flusher = False
                self._flushing.notify_all()

    def close(self) -> None:
        """Make durable what was appended, and close. Raises FileError where that fails."""
        self._closing.set()
        self._late_wanted.set()
        if self._late is not None:
            self._late.join()
        self._asked.put(None)
        if self._teller is not None:
            self._teller.join()
        try:
            if self._failed is None:
                self.flush(self._written)
        finally:
            files.disk.close(self._descriptor)

    def _check(self) -> None:
        if self._failed is not None:
            raise FileError(
                "the log could not be written, and no changes are accepted any more",
                detail=self._failed.message,
                hint="Restart the server: it recovers from what reached the disk.",
            )
