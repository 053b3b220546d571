"""The write-ahead log: what commit promises, in order.

A log is a series of files `log-<number>`, each

    8 bytes   magic "GDBLOG01"
    8 bytes   number, little-endian
    records   until a length of zero, or the end of the file

    record:   8 bytes   length of the payload, little-endian
              4 bytes   CRC32C of the length's 8 bytes and the payload
              n bytes   payload

Files are preallocated in steps, so a full disk shows when space is taken and not when a commit is
written; a preallocated tail reads as a length of zero. `append` writes, `flush` makes durable: commits
that wait at the same time share one fsync. After a failed fsync nothing can be known of what reached the
disk, so the log refuses everything from then on, and the server has to be started again from it.

A record cut short or garbled at the very end was never acknowledged and is dropped; one that has a valid
record behind it is damage, and stops the start.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import crc32c

from storage import files
from storage.errors import CrashShutdown, DatabaseError, DataCorrupted
from storage.files import Buffer

_MAGIC = b"GDBLOG01"
_HEADER = struct.Struct("<8sQ")
_RECORD = struct.Struct("<QI")
_STEP = 16 << 20


def name(number: int) -> str:
    """The file name of log file `number`."""
    return f"log-{number:08d}"


class Log:
    """The log's open end. Positions count the bytes appended since it was opened."""

    def __init__(self, folder: Path, number: int) -> None:
        """Begin file `number` in the folder; it must not exist."""
        self._folder = folder
        self._lock = threading.Lock()  # appending
        self._flushing = threading.Lock()  # fsync: held by the one that does it for all
        self._written = 0
        self._flushed = 0
        self._failed: DatabaseError | None = None
        self._descriptor = -1
        self._begin(number)

    def _begin(self, number: int) -> None:
        path = self._folder / name(number)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self.number = number
        self._at = 0
        self._allocated = 0
        self._allocate(_HEADER.size)
        self._at = files.write_all(self._descriptor, [_HEADER.pack(_MAGIC, number)])
        os.fsync(self._descriptor)
        files.fsync_folder(self._folder)

    def _allocate(self, size: int) -> None:
        """Take disk space for `size` bytes more. Raises DiskFull, with nothing written."""
        end = self._at + size
        if end > self._allocated:
            goal = -(-end // _STEP) * _STEP
            try:
                os.posix_fallocate(self._descriptor, self._allocated, goal - self._allocated)
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
        """Write a record; returns the position that `flush` takes. Raises DiskFull with nothing written."""
        views = [memoryview(part).cast("B") for part in payload]
        length = sum(len(view) for view in views)
        crc = crc32c.crc32c(length.to_bytes(8, "little"))
        for view in views:
            crc = crc32c.crc32c(view, crc)
        with self._lock:
            self._check()
            self._allocate(_RECORD.size + length)
            try:
                self._at += files.write_all(self._descriptor, [_RECORD.pack(length, crc), *views])
            except DatabaseError as error:
                self._fail(error)
                raise
            self._written += 1
            return self._written

    def flush(self, position: int) -> None:
        """Wait until the record at `position` and all before it are on disk."""
        while self._flushed < position:
            with self._flushing:
                if self._flushed >= position:
                    return
                self._check()
                with self._lock:
                    target, descriptor = self._written, self._descriptor
                try:
                    os.fdatasync(descriptor)
                except OSError as error:
                    self._fail(files.failure(error))
                    self._check()
                self._flushed = target

    def rotate(self) -> int:
        """Begin the next file; what was appended before is durable. Returns its number."""
        with self._flushing, self._lock:
            self._check()
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._fail(files.failure(error))
                self._check()
            self._flushed = self._written
            os.close(self._descriptor)
            self._begin(self.number + 1)
            return self.number

    def close(self) -> None:
        """Make durable what was appended, and close."""
        with self._flushing, self._lock:
            if self._failed is None:
                os.fdatasync(self._descriptor)
            os.close(self._descriptor)

    def _fail(self, error: DatabaseError) -> None:
        self._failed = error

    def _check(self) -> None:
        if self._failed is not None:
            raise CrashShutdown(
                "the log could not be written, and the server no longer accepts changes",
                detail=self._failed.message,
                hint="Restart the server: it recovers from what reached the disk.",
            )


def replay(folder: Path, first: int) -> Iterator[memoryview]:
    """The payloads from file `first` on, in order.

    Raises DataCorrupted, naming file and offset, where the log cannot be read.
    """
    numbers = sorted(int(path.name[4:]) for path in folder.glob("log-*"))
    numbers = [number for number in numbers if number >= first]
    for expected, number in enumerate(numbers, first):
        if number != expected:
            raise DataCorrupted(
                f'log file "{folder / name(expected)}" is missing',
                hint="Restore it, or the whole folder, from a backup.",
            )
        yield from _records(folder / name(number), number, last=number == numbers[-1])


def _records(path: Path, number: int, last: bool) -> Iterator[memoryview]:
    # read, not mapped: rows keep views of it for long, and each mapping would keep a descriptor
    data = memoryview(path.read_bytes())
    size = len(data)
    if size < _HEADER.size:
        if last:
            return _trim(path, 0)  # the server died while it began this file
        raise _damage(path, 0)
    if _HEADER.unpack_from(data) != (_MAGIC, number):
        if last and not any(data[: _HEADER.size]):
            return _trim(path, 0)
        raise _damage(path, 0)
    at = _HEADER.size
    while (end := _valid(data, at)) is not None:
        yield data[at + _RECORD.size : end]
        at = end
    if at + _RECORD.size <= size and any(data[at : at + _RECORD.size]):
        (length, _) = _RECORD.unpack_from(data, at)
        behind = at + _RECORD.size + length
        if not last or (behind <= size and _valid(data, behind) is not None):
            raise _damage(path, at)
    if last:
        _trim(path, at)


def _trim(path: Path, at: int) -> None:
    """Cut off what was never acknowledged, so that a later start does not take it for damage."""
    if at == 0:
        path.unlink()
        files.fsync_folder(path.parent)
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _valid(data: memoryview, at: int) -> int | None:
    """The end of the valid record at `at`, or None."""
    if at + _RECORD.size > len(data):
        return None
    length, crc = _RECORD.unpack_from(data, at)
    end = at + _RECORD.size + length
    if length == 0 or end > len(data):
        return None
    payload = data[at + _RECORD.size : end]
    if crc32c.crc32c(payload, crc32c.crc32c(length.to_bytes(8, "little"))) != crc:
        return None
    return int(end)


def _damage(path: Path, offset: int) -> DataCorrupted:
    return DataCorrupted(
        f'log file "{path}" is damaged at offset {offset}',
        detail="Records behind the damage were acknowledged, so it is not the end of the log.",
        hint="Restore the data folder from a backup.",
    )
