"""Files that are read at given places: opened when they are needed, a bounded number of them open.

Reading is by `pread`: threads share a descriptor without a place of its own, and a file that was cut is a
short answer and no signal, as it would be in a mapping.
"""

from __future__ import annotations

import os
import resource
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from storage import kernels
from storage.column import Positions
from storage.encodings.base import Bytes
from storage.kernels.plain.reading import Descriptors
from storage.waiting import about_to_wait

File = tuple[int, Path]
SHARE = 0.25
"""The share of the descriptors which the system allows that are kept open."""
_FEWEST, _MOST_OPEN = 64, 4096
_MOST = 1 << 30  # bytes in one call


class _Open:
    __slots__ = ("descriptor", "users")

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.users = descriptor, 0


class OpenFiles:
    """The files open for reading, the least recently used closed first.

    A file is known by a number of its reader's own: its path may come to mean another.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = default_limit() if limit is None else limit
        self._lock = threading.Lock()
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._forgotten: deque[File] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def read(self, file: File, offset: int, into: memoryview) -> int:
        """Fill `into` with the file's bytes from `offset` on; fewer only where it ends. Raises OSError."""
        end = self.read_spans(file, [(offset, offset + len(into))], into)
        return len(into) if end is None else end - offset

    def read_spans(self, file: File, spans: Sequence[tuple[int, int]], into: memoryview) -> int | None:
        """Fill `into` with the file's bytes start to stop of each span, one span after another.

        Returns where the file ends, if it ends within one; None where all are there. Raises OSError.
        """
        about_to_wait()
        at = 0
        with self._descriptor(file) as descriptor:
            if len(spans) > 1:
                _advise(descriptor, spans)
            for start, stop in spans:
                while start < stop:
                    read = os.preadv(descriptor, [into[at : at + min(stop - start, _MOST)]], start)
                    if not read:
                        return start
                    at, start = at + read, start + read
        return None

    def expect(self, file: File, spans: Sequence[tuple[int, int]]) -> None:
        """Have the disk begin with these spans, which will be read. Raises OSError."""
        about_to_wait()
        with self._descriptor(file) as descriptor:
            _advise(descriptor, spans)

    def read_rows(self, files: Sequence[File], which: Positions, places: Positions, into: Bytes) -> int:
        """Fill row i of (n, bytes) with what stands at places[i] of the file number which[i].

        Returns how many were filled: fewer than n where the next one failed or its file ends within it.
        Raises OSError where a file cannot be opened.
        """
        about_to_wait()
        with self._descriptors(files) as descriptors:
            if len(which) > 1:
                kernels.expect_rows(descriptors[which], places, into.shape[1])
            return kernels.read_rows(descriptors[which], places, into)

    def expect_rows(self, files: Sequence[File], which: Positions, places: Positions, nbytes: int) -> None:
        """Have the disk begin with so many bytes at these places, which will be read. Raises OSError."""
        about_to_wait()
        with self._descriptors(files) as descriptors:
            kernels.expect_rows(descriptors[which], places, nbytes)

    @contextmanager
    def _descriptor(self, file: File) -> Iterator[int]:
        with self._descriptors([file]) as descriptors:
            yield int(descriptors[0])

    @contextmanager
    def _descriptors(self, files: Sequence[File]) -> Iterator[Descriptors]:
        taken: list[tuple[File, _Open]] = []
        try:
            with self._lock:
                self._close_forgotten()
                taken.extend((file, self._taken(file)) for file in files)
                self._close_some()
            yield np.array([entry.descriptor for _, entry in taken], np.int32)
        finally:
            with self._lock:
                for file, entry in taken:
                    entry.users -= 1
                    if not entry.users and self._open.get(file[0]) is not entry:
                        os.close(entry.descriptor)
                self._close_some()

    def _taken(self, file: File) -> _Open:
        """A file, open and in use."""
        entry = self._open.get(file[0])
        if entry is None:
            entry = self._open[file[0]] = _Open(os.open(file[1], os.O_RDONLY | os.O_CLOEXEC))
        else:
            self._open.move_to_end(file[0])
        entry.users += 1
        return entry

    def _close_forgotten(self) -> None:
        while self._forgotten:
            entry = self._open.pop(self._forgotten.popleft()[0], None)
            if entry is not None and not entry.users:
                os.close(entry.descriptor)

    def _close_some(self) -> None:
        """Close what is over the limit and not in use."""
        if len(self._open) <= self._limit:
            return
        for number, entry in list(self._open.items()):
            if len(self._open) <= self._limit:
                return
            if not entry.users:
                del self._open[number]
                os.close(entry.descriptor)

    def forget(self, file: File) -> None:
        """The file will not be read again. Takes no lock: it is called wherever a reference is dropped."""
        self._forgotten.append(file)


def _advise(descriptor: int, spans: Sequence[tuple[int, int]]) -> None:
    """The disk may begin with all of these now."""
    if hasattr(os, "posix_fadvise"):
        for start, stop in spans:
            os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)


def default_limit() -> int:
    """How many descriptors are kept open unless it is told otherwise."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST_OPEN
    return min(max(int(SHARE * allowed), _FEWEST), _MOST_OPEN)


open_files = OpenFiles()
"""Those of this process."""
