"""Timing inside one process: medians, and what the memory can read with the same threads."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

_BYTES = 1 << 30
_SLICE = 32 << 20


@njit("uint64(uint64[::1])", nogil=True)
def _sum(words):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for word in words:
        total += word
    return total


def median_seconds(work: Callable[[], Any], times: int = 7) -> float:
    """The median of several runs, after one that does not count."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def best_rate(work: Callable[[], Any], nbytes: int) -> float:
    """GB/s of `work`, which reads `nbytes`: by the median."""
    return nbytes / median_seconds(work) / 1e9


@contextmanager
def _reading() -> Iterator[Callable[[], float]]:
    """Gives what reads a gigabyte of memory once, one thread a core: a compiled sum. Its GB/s."""
    cores = os.cpu_count() or 1
    words = np.ones(_BYTES // 8, np.uint64)
    parts = [words[at : at + _SLICE // 8] for at in range(0, len(words), _SLICE // 8)]
    with ThreadPoolExecutor(cores) as pool:

        def read() -> float:
            start = time.perf_counter()
            list(pool.map(_sum, parts))
            return words.nbytes / (time.perf_counter() - start) / 1e9

        read()
        yield read


def memory_read() -> float:
    """GB/s at which one thread a core reads memory: the median of several passes."""
    with _reading() as read:
        return statistics.median(read() for _ in range(7))


@dataclass(frozen=True)
class Beside:
    """What pieces of work took, each between two passes over memory: so both had the same machine."""

    times: tuple[float, ...]
    """Seconds of each."""
    reads: tuple[float, ...]
    """GB/s at which memory was read around each."""

    @property
    def seconds(self) -> float:
        return statistics.median(self.times)

    @property
    def read(self) -> float:
        """GB/s."""
        return statistics.median(self.reads)

    def share(self, nbytes: float) -> float:
        """The rate of reading so many bytes each time, as a share of the memory's: the median."""
        rates = (nbytes / seconds / 1e9 for seconds in self.times)
        return statistics.median(rate / read for rate, read in zip(rates, self.reads, strict=True))


def beside_reading(work: Iterable[Callable[[], Any]]) -> Beside:
    """Each piece of work once, between two passes over memory; the first is done once before."""
    times, reads = [], []
    with _reading() as read:
        before = read()
        for number, piece in enumerate(work):
            if not number:
                piece()
                before = read()
            start = time.perf_counter()
            piece()
            times.append(time.perf_counter() - start)
            after = read()
            reads.append((before + after) / 2)
            before = after
    return Beside(tuple(times), tuple(reads))
