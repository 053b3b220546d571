"""Timing inside one process: medians, and what the memory can read with the same threads."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


def memory_read() -> float:
    """GB/s at which one thread a core reads memory: a compiled sum over a gigabyte."""
    cores = os.cpu_count() or 1
    words = np.ones(_BYTES // 8, np.uint64)
    parts = [words[at : at + _SLICE // 8] for at in range(0, len(words), _SLICE // 8)]
    with ThreadPoolExecutor(cores) as pool:
        return best_rate(lambda: list(pool.map(_sum, parts)), words.nbytes)
