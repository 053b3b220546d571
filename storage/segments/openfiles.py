"""Files that are read at given places: opened when they are needed, a bounded number of them open.

Reading is by `pread`: threads share a descriptor without a place of its own, and a file that was cut is a
short answer and no signal, as it would be in a mapping.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from storage.waiting import about_to_wait

File = tuple[int, Path]
LIMIT = 256
"""Descriptors that are kept open."""
_MOST = 1 << 30  # bytes in one call


class _Open:
    __slots__ = ("descriptor", "users")

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.users = descriptor, 0


class OpenFiles:
    """The files open for reading, the least recently used closed first.

    A file is named by a number of its reader's own besides its path, for a path may come to mean another.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[File, _Open] = OrderedDict()
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

    @contextmanager
    def _descriptor(self, file: File) -> Iterator[int]:
        with self._lock:
            self._close_forgotten()
            entry = self._open.get(file)
            if entry is None:
                entry = self._open[file] = _Open(os.open(file[1], os.O_RDONLY | os.O_CLOEXEC))
                self._close_some()
            self._open.move_to_end(file)
            entry.users += 1
        try:
            yield entry.descriptor
        finally:
            with self._lock:
                entry.users -= 1
                if self._open.get(file) is not entry and not entry.users:
                    os.close(entry.descriptor)

    def _close_forgotten(self) -> None:
        while self._forgotten:
            entry = self._open.pop(self._forgotten.popleft(), None)
            if entry is not None and not entry.users:
                os.close(entry.descriptor)

    def _close_some(self) -> None:
        """Close what is over the limit and not in use; the last one came just now."""
        for file, entry in list(self._open.items())[:-1]:
            if len(self._open) <= self._limit:
                return
            if not entry.users:
                del self._open[file]
                os.close(entry.descriptor)

    def forget(self, file: File) -> None:
        """The file will not be read again. Takes no lock: it is called wherever a reference is dropped."""
        self._forgotten.append(file)


def _advise(descriptor: int, spans: Sequence[tuple[int, int]]) -> None:
    """The disk may begin with all of these now."""
    if hasattr(os, "posix_fadvise"):
        for start, stop in spans:
            os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)


open_files = OpenFiles()
"""Those of this process."""
