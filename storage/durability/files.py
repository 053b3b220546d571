"""Files as a database wants them: written aside and renamed, folders fsynced, one owner a data folder.

Whatever storage changes on disk goes through `disk`, one call for each thing that a crash can fall between:
tests put another in its place, which fails on demand or remembers what a power cut would have lost.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from storage.errors import CannotConnectNow, DatabaseError, DiskFull, FileError

Buffer = bytes | bytearray | memoryview
PART = ".part"  # ends the name of a file that is not whole yet
_SMALL = 64 << 10


class Disk:
    """The operating system's calls that change files and folders. All raise OSError."""

    def create(self, path: Path) -> int:
        """A new file, open for writing; one of that name must not be there."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """A file that is there, open for writing at its beginning."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        """Nothing more will be written."""
        os.close(descriptor)

    def write(self, descriptor: int, data: Buffer) -> int:
        """Write at the descriptor's position; returns how many bytes were taken."""
        return os.write(descriptor, data)

    def allocate(self, descriptor: int, start: int, length: int) -> None:
        """Take disk space, which reads as zeros."""
        os.posix_fallocate(descriptor, start, length)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file off."""
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        """Make what was written durable, and what is needed to find it in the file."""
        os.fdatasync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Move a file, over one that is there."""
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)

    def link(self, old: Path, new: Path) -> None:
        """A second name for a file."""
        os.link(old, new)

    def mkdir(self, path: Path) -> None:
        """A new folder, for its owner only."""
        os.mkdir(path, 0o700)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


disk = Disk()


def write_all(descriptor: int, buffers: Iterable[Buffer]) -> int:
    """Write every byte; returns how many. Raises DiskFull or FileError."""
    written = 0
    try:
        for buffer in _gathered(buffers):
            view = memoryview(buffer).cast("B")
            while view:
                done = disk.write(descriptor, view[: 1 << 30])
                written += done
                view = view[done:]
    except OSError as error:
        raise failure(error) from error
    return written


def _gathered(buffers: Iterable[Buffer]) -> Iterator[Buffer]:
    """The same bytes with small neighbours in one, for a system call costs more than a copy."""
    small: list[Buffer] = []
    size = 0
    for buffer in buffers:
        length = memoryview(buffer).nbytes
        if length < _SMALL:
            small.append(buffer)
            size += length
        if small and (length >= _SMALL or size >= _SMALL):
            yield b"".join(small)
            small, size = [], 0
        if length >= _SMALL:
            yield buffer
    if small:
        yield b"".join(small)


def failure(error: OSError) -> DiskFull | FileError:
    """The database's error for the operating system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"could not write: {os.strerror(error.errno)}", hint="Free some disk space.")
    return FileError(f"input/output failed: {error}")


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises FileError."""
    try:
        disk.sync_folder(folder)
    except OSError as error:
        raise failure(error) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, if it is not there, and make its name durable. Raises FileError."""
    try:
        if path.is_dir():
            return
        make_folder(path.parent)
        disk.mkdir(path)
    except OSError as error:
        raise failure(error) from error
    fsync_folder(path.parent)


def replace(path: Path, buffers: Iterable[Buffer]) -> None:
    """Put a whole new content at `path`: written aside, fsynced, renamed, the folder fsynced.

    Raises DiskFull or FileError, with the old content still there and nothing left aside.
    """
    aside = path.with_name(path.name + PART)
    try:
        if aside.exists():
            disk.unlink(aside)
        descriptor = disk.create(aside)
        try:
            write_all(descriptor, buffers)
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
        disk.rename(aside, path)
    except OSError as error:
        remove(aside)
        raise failure(error) from error
    except DatabaseError:
        remove(aside)
        raise
    fsync_folder(path.parent)


def writable(folder: Path) -> bool:
    """Whether files can be made in the folder."""
    return os.access(folder, os.W_OK | os.X_OK)


def remove(path: Path) -> None:
    """Remove a file that nothing names; where that fails it stays, and goes at the next start."""
    with suppress(OSError):
        disk.unlink(path)


class FolderLock:
    """The one owner of a data folder: a locked file that holds the owner's process id."""

    def __init__(self, folder: Path) -> None:
        """Raises CannotConnectNow, naming the pid, where another process has the folder, else FileError."""
        self._path = folder / "lock"
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileError(
                f'data folder "{folder}" cannot be used: {error.strerror}',
                hint="The user that the server runs as must own the folder.",
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise CannotConnectNow(
                f'data folder "{folder}" is in use by another server (pid {owner})',
                hint="Stop that server, or choose another folder.",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the folder up."""
        os.close(self._descriptor)
