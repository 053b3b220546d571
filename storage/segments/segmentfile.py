"""A segment's file: what stands where in it, writing it whole, reading buffers of it.

    8 bytes   magic "GDBSEG02"
    buffers   each at a multiple of 64 bytes
    n bytes   foot: JSON
    8 bytes   length of the foot, little-endian
    4 bytes   CRC32C of the foot
    8 bytes   magic "GDBSEGEN"

    foot: {"rows": n, "columns": [column, ...], "row_ids": column, "ascending": bool,
           "sections": {name: {"head": {...}, "buffers": [[offset, length, CRC32C], ...]}, ...}}
    column: {"number": attnum, "type": [oid, modifier], "encoding": tag, "head": {...}, "raw": bytes,
             "distinct": n or null, "bounds": [[rows, nulls, low, high], ...],
             "buffers": [[offset, length, CRC32C], ...],
             "valid": {"encoding": tag, "head": {...}, "buffers": [[offset, length, CRC32C], ...]} or null}

`raw` is what the column takes when it is decoded, `distinct` about how many values it has, where that is
known (it is not there in older files). `valid` is a column of booleans, `bounds` are zones (see
storage.segments.zones). Row ids are relative: whoever names the file (manifest, commit record) says from what
base they count, so a file can be written before its rows have ids; `ascending` says whether they grow from
row to row. Sections belong to whoever put them there: a name, a head and buffers.

Format 1 ("GDBSEG01") had no numbers (its columns are those with attnum 1, 2, and so on), no `raw`, no
`ascending`, no sections, and absolute row ids: its base is 0. In files of both formats there may be "zones"
in place of "bounds" (see storage.segments.zones.read_old_zone), and "valid" may be the place of a bitmap,
first row in the lowest bit.

The length of a file is checked against what the manifest says when it is opened, and only the foot is read
then. A buffer is read when it is first asked for, its checksum checked, and kept in the buffer cache.
"""

from __future__ import annotations

import json
import struct
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import crc32c
import numpy as np
import numpy.typing as npt

from storage import codec
from storage.column import Array, Positions
from storage.durability import files
from storage.durability.files import Buffer
from storage.encodings.base import Bytes
from storage.errors import DataCorrupted
from storage.memory import memory
from storage.segments.cache import IDLE, cache
from storage.segments.openfiles import open_files

_MAGIC, _END = b"GDBSEG02", b"GDBSEGEN"
_MAGICS = (b"GDBSEG01", _MAGIC)
_TAIL = struct.Struct("<QI8s")
_ALIGN = 64
VECTORS = ".vectors"
"""What the name of a vector file ends with: see storage.segments.vectors."""
_TAIL_READ = 64 << 10  # read from the end at once: most feet are shorter

T = TypeVar("T")
Place = Sequence[int]
"""[offset, length, CRC32C] of a buffer."""


class Content:
    """The bytes of a file that is to be written: buffers, each given its place, then the foot."""

    def __init__(self, magic: bytes = _MAGIC) -> None:
        self._buffers: list[Buffer] = [magic]
        self._at = len(magic)

    def place(self, part: Bytes, checksum: int | None = None, align: int = _ALIGN) -> list[int]:
        """Put a buffer next; its place. `checksum` is its CRC32C, where that is known."""
        padding = -self._at % align
        self._buffers += [bytes(padding), part.data]
        offset = self._at + padding
        self._at = offset + len(part)
        return [offset, len(part), crc32c.crc32c(part.data) if checksum is None else checksum]

    def write(self, path: Path, foot: Mapping[str, Any]) -> int:
        """Write the file, whole and fsynced; its length. Raises DiskFull or FileError."""
        text = codec.json_bytes(foot)
        tail = _TAIL.pack(len(text), crc32c.crc32c(text), _END)
        files.replace(path, [*self._buffers, text, tail])
        return self._at + len(text) + len(tail)


class SegmentFile:
    """A file that is there, open to be read for as long as somebody holds this."""

    def __init__(self, path: Path, nbytes: int | None = None, magics: Collection[bytes] = _MAGICS) -> None:
        """`nbytes` is the length that the file is to have; it begins with one of `magics`.

        Raises DataCorrupted, naming file and offset.
        """
        self.path = path
        self._magics = magics
        self._owner = cache.owner()
        self._file = self._owner, path
        _living.add(path)
        weakref.finalize(self, _closed, self._file)
        try:
            self.nbytes = path.stat().st_size
        except OSError as error:
            raise damage(path, 0, error.strerror or str(error)) from error
        if nbytes is not None and self.nbytes != nbytes:
            raise damage(path, min(self.nbytes, nbytes), f"it has {self.nbytes} bytes, not {nbytes}")

    @cached_property
    def foot(self) -> dict[str, Any]:
        """The foot, read when it is first asked for. Raises DataCorrupted, naming file and offset."""
        least = len(_MAGIC) + _TAIL.size
        magic = self._read(0, min(len(_MAGIC), self.nbytes)).tobytes()
        if self.nbytes < least or magic not in self._magics:
            raise damage(self.path, 0, "it does not begin as such a file")
        start = max(self.nbytes - _TAIL_READ, 0)
        end = self._read(start, self.nbytes).tobytes()
        length, stated, closing = _TAIL.unpack(end[-_TAIL.size :])
        at = self.nbytes - _TAIL.size - length
        if closing != _END or at < len(_MAGIC):
            raise damage(self.path, self.nbytes - _TAIL.size, "its end is missing or wrong")
        text = end[at - start : -_TAIL.size] if at >= start else self._read(at, at + length).tobytes()
        if crc32c.crc32c(text) != stated:
            raise damage(self.path, at, "the checksum of its foot is wrong")
        foot: dict[str, Any] = json.loads(text)
        return foot

    def _read(self, start: int, stop: int) -> Bytes:
        """Bytes start to stop, unchecked."""
        result = memory(stop - start)
        try:
            read = open_files.read(self._file, start, result.data)
        except OSError as error:
            raise damage(self.path, start, error.strerror or str(error)) from error
        if read < len(result):
            raise damage(self.path, start + read, "it ends there")
        result.flags.writeable = False
        return result

    def read_spans(self, spans: Sequence[tuple[int, int]], into: Bytes) -> None:
        """Put bytes start to stop of each span there, one after another, unchecked."""
        try:
            short = open_files.read_spans(self._file, spans, into.data)
        except OSError as error:
            raise damage(self.path, spans[0][0], error.strerror or str(error)) from error
        if short is not None:
            raise damage(self.path, short, "it ends there")

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        """A hint that these bytes will be read: the disk may begin with them."""
        with suppress(OSError):  # whoever reads them is told
            open_files.expect(self._file, spans)

    def buffer(self, name: Hashable, place: Place) -> StoredBuffer:
        """The buffer at a place; `name` tells what is kept of it from what is kept of others."""
        return StoredBuffer(self, name, *place)

    def kept(self, name: Hashable, load: Callable[[], tuple[Any, int]]) -> Any:
        """Something made of the file, and its bytes: from the buffer cache, or loaded into it."""
        return cache.get((self._owner, name), load)

    def keep_if_room(self, name: Hashable, load: Callable[[], Array]) -> Array:
        """An array made of the file, which the buffer cache keeps only where it has room."""

        def counted() -> tuple[Array, int]:
            array = load()
            return array, int(array.nbytes)

        return cache.get((self._owner, name), counted, modest=True)

    def peek(self, name: Hashable) -> Any | None:
        """What is kept under this name."""
        return cache.peek((self._owner, name))


class StoredBuffer:
    """See storage.encodings.base.Stored."""

    def __init__(self, file: SegmentFile, name: Hashable, offset: int, length: int, stated: int) -> None:
        self._file, self._name = file, name
        self._place = offset, length, stated
        self._offset, self.nbytes, self._stated = offset, length, stated

    def read(self) -> Bytes:
        """All of it. Raises DataCorrupted where its checksum is wrong."""
        part = self.part(0, self.nbytes)
        if crc32c.crc32c(part.data) != self._stated:
            raise self.damage(0, "a checksum is wrong")
        return part

    def kept(self) -> Bytes:
        """All of it, from the buffer cache. Raises as `read` does."""

        def load() -> tuple[Bytes, int]:
            return self.read(), self.nbytes

        buffer: Bytes = self._file.kept(self._name, load)
        return buffer

    def along(self, name: Hashable, make: Callable[[], T], nbytes: int) -> T:
        """What `make` makes of it and of others, kept in the buffer cache as so many bytes."""
        made: T = self._file.kept((self._name, name), lambda: (make(), nbytes))
        return made

    @property
    def later(self) -> Callable[[], Bytes | None]:
        """What gives all of it out of the buffer cache; None where that has no room for it.

        It does not hold the file, so the cache may keep what holds it.
        """
        known, owner = weakref.ref(self._file), (self._name, *self._place)

        def give() -> Bytes | None:
            file = known()
            return None if file is None else StoredBuffer(file, *owner)._kept_if_room()

        return give

    def _kept_if_room(self) -> Bytes | None:
        kept: Bytes | None = self._file.peek(self._name)
        if kept is not None or not self.has_room(self.nbytes):
            return kept
        return self._file.keep_if_room(self._name, self.read)

    def part(self, start: int, stop: int) -> Bytes:
        """Its bytes start to stop, unchecked. Raises DataCorrupted where they are not there."""
        return self._file._read(self._offset + start, self._offset + stop)

    def parts(self, spans: Sequence[tuple[int, int]], into: Bytes) -> None:
        """Put its bytes of each (start, stop) there, one after another, likewise."""
        offset = self._offset
        self._file.read_spans([(offset + start, offset + stop) for start, stop in spans], into)

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        """See Stored."""
        self._file.expect([(self._offset + start, self._offset + stop) for start, stop in spans])

    def has_room(self, nbytes: int) -> bool:
        """Whether `keep` would keep so many bytes."""
        return cache.has_room(nbytes, IDLE)

    def peek(self, name: Hashable) -> Any | None:
        """What `keep` was given under this name, if it is still there."""
        return self._file.peek((self._name, name))

    def keep(self, name: Hashable, load: Callable[[], Array]) -> Array:
        """An array made of it: kept in the buffer cache where that has room."""
        return self._file.keep_if_room((self._name, name), load)

    def damage(self, at: int, why: str) -> DataCorrupted:
        """The error that byte `at` of it is wrong."""
        return damage(self._file.path, self._offset + at, why)


def peek_all(buffers: Sequence[StoredBuffer], names: Sequence[Hashable]) -> list[Any | None]:
    """What each buffer's `keep` was given under the name beside it, if it is still there."""
    pairs = zip(buffers, names, strict=True)
    return cache.peek_all([(buffer._file._owner, (buffer._name, name)) for buffer, name in pairs])


def kept_all(buffers: Sequence[StoredBuffer]) -> list[Bytes]:
    """All of each buffer, from the buffer cache. Raises DataCorrupted."""
    found = cache.peek_all([(buffer._file._owner, buffer._name) for buffer in buffers])
    return [buffer.kept() if one is None else one for buffer, one in zip(buffers, found, strict=True)]


def read_rows(
    buffers: Sequence[StoredBuffer], which: Positions, places: Positions, into: npt.NDArray[np.uint8]
) -> None:
    """Fill row i of (n, bytes) with what stands at places[i] of the buffer number which[i], unchecked.

    The places of all are read in one go. Raises DataCorrupted where one is not there.
    """
    files, nbytes = [buffer._file._file for buffer in buffers], into.shape[1]
    at = places + np.array([buffer._offset for buffer in buffers], np.int64)[which]
    done = 0
    while done < len(at):
        with suppress(OSError):  # told by the read below
            done += open_files.read_rows(files, which[done:], at[done:], into[done:])
        if done < len(at):
            span = int(at[done]), int(at[done]) + nbytes
            buffers[int(which[done])]._file.read_spans([span], into[done])
            done += 1


def expect_rows(buffers: Sequence[StoredBuffer], which: Positions, places: Positions, nbytes: int) -> None:
    """A hint that so many bytes at these places will be asked for: the disk may begin with them."""
    at = places + np.array([buffer._offset for buffer in buffers], np.int64)[which]
    with suppress(OSError):  # whoever reads them is told
        open_files.expect_rows([buffer._file._file for buffer in buffers], which, at, nbytes)


class _Living:
    """The paths of files that somebody holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: Counter[Path] = Counter()
        self.gone: deque[Path] = deque()  # filled without the lock: see storage.segments.cache

    def add(self, path: Path) -> None:
        with self._lock:
            self._paths[path] += 1

    def paths(self) -> set[Path]:
        with self._lock:
            while self.gone:
                self._paths[self.gone.popleft()] -= 1
            self._paths = +self._paths
            return set(self._paths)


_living = _Living()


def _closed(file: tuple[int, Path]) -> None:
    owner, path = file
    _living.gone.append(path)
    open_files.forget(file)
    cache.forget(owner)


def in_use() -> set[Path]:
    """The files that somebody may still read: a snapshot that is older than what took their place."""
    return _living.paths()


def damage(path: Path, offset: int, why: str) -> DataCorrupted:
    """The error that a file of segments or vectors cannot be read."""
    kind = "vector" if path.suffix == VECTORS else "segment"
    return DataCorrupted(
        f'{kind} file "{path}" is damaged at offset {offset}: {why}',
        hint="Restore the data folder from a backup.",
    )
