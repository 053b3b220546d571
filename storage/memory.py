"""Memory: large pieces that go back to the system at once, and how much statements have taken in all.

The C library's malloc keeps what was freed, a heap a thread, and takes ever larger pieces for its heaps once
some have been freed; a server's anonymous memory would stay at what its largest load or query took. `settle`
has it map large pieces one by one, `trim` takes back what is left over after much work.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from contextlib import suppress

import numpy as np
import numpy.typing as npt

SHARE = 0.4
"""The share of the machine's memory that statements may take unless it is told otherwise."""
_HUGE = 2 << 20
_LARGE = 4 << 20


def memory(nbytes: int) -> npt.NDArray[np.uint8]:
    """(nbytes,) writable anonymous memory, in huge pages where it is large.

    A mapping of its own, so that letting go of it gives it back to the system at once; a private one, for
    shared memory gets no huge pages unless the system is told so, and its first write takes five times as
    long. Scans of 4 KB rows read huge pages at 41 GB/s where small ones gave 36 and a mapped file 15 to 38.
    What is left over at the end of whole huge pages is in small ones, or 6.6 MB of codes would take 8.
    """
    if nbytes < _LARGE:
        return np.empty(nbytes, np.uint8)
    mapping = mmap.mmap(-1, nbytes + _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(mapping, np.uint8)
    start = -whole.ctypes.data % _HUGE
    if hasattr(mmap, "MADV_HUGEPAGE"):
        end = start + nbytes // _HUGE * _HUGE
        with suppress(OSError):  # of a system that has none
            mapping.madvise(mmap.MADV_HUGEPAGE, start, end - start)
            mapping.madvise(mmap.MADV_NOHUGEPAGE, end, len(mapping) - end)
    return whole[start : start + nbytes]


def settle(buffers: int = 0) -> None:
    """Have malloc give freed memory back: for a process of ours, before it has threads.

    Pieces of 4 MB, of a large server 8, are mapped one by one, as `memory` does, and threads share heaps,
    two a core. The end of a heap goes back when 8 MB of it are free, or a thirty-second part of the
    `buffers` that the server has, up to 32 MB: the arrays of a morsel, 4 MB a column where it is long, come
    and go, and each page that went back is a fault to get again.
    With 8 MB a join of ten million rows had 85,000 faults, two thirds of its time, with 32 MB none; but
    after a load of a gigabyte 8 MB leave 40 MB where 120 stayed. May be asked again, for other `buffers`.
    Where the C library is not GNU's nothing is done.
    """
    tune = getattr(_LIBRARY, "mallopt", None)
    if tune is not None:
        for parameter, value in (
            (_MMAP_THRESHOLD, min(max(_LARGE, buffers // 128), 2 * _LARGE)),
            (_TRIM_THRESHOLD, min(max(2 * _LARGE, buffers // 32), 8 * _LARGE)),
            (_ARENA_MAX, 2 * (os.cpu_count() or 1)),
        ):
            tune(parameter, value)


def trim() -> None:
    """Give back to the system what is free in the middle of malloc's heaps. Takes milliseconds."""
    give = getattr(_LIBRARY, "malloc_trim", None)
    if give is not None:
        give(0)


_LIBRARY = ctypes.CDLL(None) if os.name == "posix" else None
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h


class Reservations:
    """How much memory running statements have taken together, and the most that they may."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        self.limit = limit
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes that are taken."""
        return self._held

    def take(self, nbytes: int) -> bool:
        """Take so many bytes more, if that many are left."""
        with self._lock:
            if self._held + nbytes > self.limit:
                return False
            self._held += nbytes
            return True

    def give(self, nbytes: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._held -= nbytes


def default_limit() -> int:
    """SHARE of the machine's memory, in bytes."""
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * SHARE)


reservations = Reservations(default_limit())
"""Those of this process."""
