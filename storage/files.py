"""Files as a database wants them: written aside and renamed, folders fsynced, one owner a data folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from storage.errors import CannotConnectNow, DiskFull, FileError

Buffer = bytes | bytearray | memoryview
_SMALL = 64 << 10


def write_all(descriptor: int, buffers: Iterable[Buffer]) -> int:
    """Write every byte; returns how many. Raises DiskFull or FileError."""
    written = 0
    try:
        for buffer in _gathered(buffers):
            view = memoryview(buffer).cast("B")
            while view:
                done = os.write(descriptor, view[: 1 << 30])
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
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, buffers: Iterable[Buffer]) -> None:
    """Put a whole new content at `path`: written aside, fsynced, renamed, the folder fsynced."""
    aside = path.with_name(path.name + ".part")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, buffers)
        os.fsync(descriptor)
    except OSError as error:
        raise failure(error) from error
    finally:
        os.close(descriptor)
    aside.rename(path)
    fsync_folder(path.parent)


class FolderLock:
    """The one owner of a data folder: a locked file that holds the owner's process id."""

    def __init__(self, folder: Path) -> None:
        """Raises CannotConnectNow, naming the pid, where another process has the folder."""
        self._path = folder / "lock"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
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
