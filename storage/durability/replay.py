"""Reading the log back: its records in order, one in memory at a time.

`storage.durability.log` says what a file holds. The first version, which is read but not written any more:

    8 bytes   magic "GDBLOG01"
    8 bytes   number, little-endian
    records   until a length of zero, or the end of the file

    record:   8 bytes   length of the payload, little-endian
              4 bytes   CRC32C of the length's 8 bytes and the payload
              n bytes   payload

Its last file ends where it stops being valid, unless a valid record follows right behind.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import crc32c
import numpy as np

from storage.durability import files
from storage.durability.log import HEADER_BYTES, MAGIC, MARK, RECORD, header, name, numbers
from storage.errors import DataCorrupted

_OLD_MAGIC = b"GDBLOG01"
_OLD_HEADER = struct.Struct("<8sQ")
_OLD_RECORD = struct.Struct("<QI")
_WINDOW = 1 << 20

Found = tuple[memoryview, int, int]
"""A record: its payload, what it knew to be durable, where it ends."""
Read = Callable[[BinaryIO, int, int], Found | None]
"""The valid record at (file, offset, the file's size)."""
Scan = Generator[memoryview, None, int]
"""Payloads, and at last where the file ends."""


def replay(folder: Path, first: int) -> Iterator[memoryview]:
    """The payloads from file `first` on; what was never acknowledged is cut off the last one.

    Raises DataCorrupted, naming file and offset, where the log cannot be read.
    """
    found = [number for number in numbers(folder) if number >= first]
    for expected, number in enumerate(found, first):
        path = folder / name(number)
        if number != expected:
            raise DataCorrupted(
                f'log file "{folder / name(expected)}" is missing',
                hint="Restore it, or the whole folder, from a backup.",
            )
        last = number == found[-1]
        end = yield from scan(path, number, last=last)
        if last:
            _trim(path, end)


def scan(path: Path, number: int, *, last: bool) -> Scan:
    """The payloads of one file, and where it ends: 0 where it was never begun. Raises DataCorrupted."""
    with path.open("rb", buffering=_WINDOW) as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(HEADER_BYTES)
        if head[:8] == _OLD_MAGIC and head[8:16] == number.to_bytes(8, "little"):
            return (yield from _records(path, file, size, last, _OLD_HEADER.size, _read_old, _follows_old))
        if head == header(number, head[16:20]):
            read = partial(_read, seed=crc32c.crc32c(head[16:20]))
            return (yield from _records(path, file, size, last, HEADER_BYTES, read, _follows))
        if last and not any(head[: _OLD_HEADER.size]):
            return 0  # a server of the first version died while it began this file
        whole = crc32c.crc32c(head[:20]).to_bytes(4, "little") == head[20:24]
        if whole and head[:6] == MAGIC[:6] and head[6:8].isdigit() and head[6:8] > MAGIC[6:8]:
            raise DataCorrupted(
                f'log file "{path}" has format {int(head[6:8])}, this server reads up to {int(MAGIC[6:8])}',
                hint="Use the version of the server that wrote it.",
            )
        raise _damage(path, 0)


def _records(
    path: Path,
    file: BinaryIO,
    size: int,
    last: bool,
    at: int,
    read: Read,
    follows: Callable[[BinaryIO, int, int, Read], bool],
) -> Scan:
    file.seek(at)
    while (found := read(file, at, size)) is not None:
        payload, _, at = found
        yield payload
    if (last and follows(file, at, size, read)) or (not last and _nonzero(file, at)):
        raise _damage(path, at)
    return at


def _read(file: BinaryIO, at: int, size: int, seed: int) -> Found | None:
    if file.tell() != at:
        file.seek(at)
    head = file.read(RECORD.size)
    if len(head) < RECORD.size:
        return None
    stated, mark, length, durable = RECORD.unpack(head)
    end = at + RECORD.size + length + -length % 8
    if mark != MARK or end > size:
        return None
    padded = file.read(end - at - RECORD.size)
    if crc32c.crc32c(padded, crc32c.crc32c(head[4:], seed)) != stated:
        return None
    return memoryview(padded)[:length], durable, end


def _read_old(file: BinaryIO, at: int, size: int) -> Found | None:
    if file.tell() != at:
        file.seek(at)
    head = file.read(_OLD_RECORD.size)
    if len(head) < _OLD_RECORD.size:
        return None
    length, stated = _OLD_RECORD.unpack(head)
    end = at + _OLD_RECORD.size + length
    if length == 0 or end > size:
        return None
    payload = file.read(length)
    if crc32c.crc32c(payload, crc32c.crc32c(head[:8])) != stated:
        return None
    return memoryview(payload), 0, end


def _follows(file: BinaryIO, at: int, size: int, read: Read) -> bool:
    """Whether a valid record behind `at` knew the record at `at` to be durable."""
    mark = int.from_bytes(MARK, "little")
    start = at + 8
    while start < size:
        file.seek(start)
        window = file.read(_WINDOW)
        words = np.frombuffer(window, "<u4", len(window) // 4)[1::2]
        for place in np.flatnonzero(words == mark).tolist():
            found = read(file, start + 8 * place, size)
            if found is not None and found[1] > at:
                return True
        start += _WINDOW
    return False


def _follows_old(file: BinaryIO, at: int, size: int, read: Read) -> bool:
    """Whether a valid record stands right behind the one at `at`, if its length is true."""
    file.seek(at)
    head = file.read(_OLD_RECORD.size)
    if len(head) < _OLD_RECORD.size or not any(head):
        return False
    behind: int = at + _OLD_RECORD.size + _OLD_RECORD.unpack(head)[0]
    return behind < size and read(file, behind, size) is not None


def _nonzero(file: BinaryIO, at: int) -> bool:
    """Whether there is anything but zeros from `at` on."""
    file.seek(at)
    return any(any(window) for window in iter(partial(file.read, _WINDOW), b""))


def _trim(path: Path, at: int) -> None:
    """Cut off what was never acknowledged, so that a later start does not take it for damage."""
    if at == 0:
        files.disk.unlink(path)
        files.fsync_folder(path.parent)
    elif path.stat().st_size > at:
        descriptor = files.disk.open(path)
        try:
            files.disk.truncate(descriptor, at)
            files.disk.sync(descriptor)
        except OSError as error:
            raise files.failure(error) from error
        finally:
            files.disk.close(descriptor)


def _damage(path: Path, offset: int) -> DataCorrupted:
    return DataCorrupted(
        f'log file "{path}" is damaged at offset {offset}',
        detail="What stood there was acknowledged, so it is not the end of the log.",
        hint="Restore the data folder from a backup.",
    )
