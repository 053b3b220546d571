"""Temporary files: what statements put aside because memory is short.

They have no names, so nothing of them is left once their descriptors are closed, whatever ended the statement
or the server. Where the system has no nameless files, one is unlinked as soon as it is made; what a crash
leaves in between goes at the next start.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from storage.batch import Batch
from storage.codec import decode_batch, encode_parts
from storage.durability import files
from storage.errors import FileError
from storage.types import Type

NAME = "temporary"

Extent = tuple[int, int]
"""Where a batch stands in a file: offset and length in bytes."""


class Scratch:
    """The temporary files of a database: in its folder, or, if it has none, in the system's."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.files = 0  # made since the start
        self.nbytes = 0  # written since the start

    def open(self) -> ScratchFile:
        """A new file, open until it is closed or forgotten. Raises FileError."""
        try:
            if self._folder is None:
                descriptor = _nameless(Path(tempfile.gettempdir()))
            else:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                descriptor = _nameless(self._folder)
        except OSError as error:
            raise files.failure(error) from error
        self._add(1, 0)
        return ScratchFile(self, descriptor)

    def sweep(self) -> None:
        """Remove what a crash has left."""
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.iterdir():
                files.remove(path)

    def wrote(self, nbytes: int) -> None:
        """Count bytes that a file has taken."""
        self._add(0, nbytes)

    def _add(self, made: int, nbytes: int) -> None:
        with self._lock:
            self.files += made
            self.nbytes += nbytes


class ScratchFile:
    """Batches one after another. Written by one thread, read by any."""

    def __init__(self, owner: Scratch, descriptor: int) -> None:
        self._owner = owner
        self._descriptor = descriptor
        self._closing = weakref.finalize(self, _closed, descriptor)
        self.nbytes = 0

    def write(self, batch: Batch) -> Extent:
        """Append a batch; where it stands. Raises DiskFull, FileError."""
        length = files.write_all(self._descriptor, encode_parts(batch))
        extent = self.nbytes, length
        self.nbytes += length
        self._owner.wrote(length)
        return extent

    def read(self, types: tuple[Type, ...], extent: Extent) -> Batch:
        """The batch, of columns of these types, that stands there. Raises FileError."""
        offset, length = extent
        data = bytearray(length)
        view, at = memoryview(data), 0
        try:
            while at < length:
                done = os.preadv(self._descriptor, [view[at:]], offset + at)
                if not done:
                    raise FileError("a temporary file has been cut off")
                at += done
        except OSError as error:
            raise files.failure(error) from error
        return decode_batch(types, view)

    def close(self) -> None:
        """Give the disk space back."""
        self._closing()


def _closed(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def _nameless(folder: Path) -> int:
    """A file in the folder that has no name. Raises OSError."""
    flag = getattr(os, "O_TMPFILE", 0)
    if flag:
        with suppress(OSError):  # some file systems have none
            return os.open(folder, os.O_RDWR | os.O_CLOEXEC | flag, 0o600)
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.unlink(name)
    return descriptor
