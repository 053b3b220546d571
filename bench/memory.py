"""Vectors ten times larger than the memory that the server is given: thresholds at the speed of codes.

A server in a process of its own is given MEMORY_BUDGET (512MB): as `shared_buffers` what is left of it
beside the process itself. It is loaded with 4096-byte vectors (bench.vectors, clustered) of MEMORY_TIMES (10)
times the budget, and started again. Then the page cache is told to forget the data folder's files, and the
server is asked. Its anonymous memory is what the kernel says (RssAnon in /proc/PID/status, looked at every
few milliseconds, from the start of the process to its end), and what it read of the disk what the kernel
counted (read_bytes in /proc/PID/io). Every answer is compared with brute force over the rows as they were
sent. "without codes" is with `enable_certified_scan` off: every vector is read. "codes alone" are the same
codes, asked by a thread a core in this process, without SQL, the wire, and what codes leave open.

What is wanted in memory is the signs and the second plane of every row, 276 bytes, 6.7 % of the vectors, so
67 % of the budget. In 512MB, of which interpreter, libraries, machine code and what allocators keep take 304,
the second plane of a part of the rows stays on disk, and of the rows that signs leave open there the vectors
are read.

It takes as much disk as the vectors are, 5.5 GB. The exit status is 1 where the budget was passed.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench import server, vectors
from bench.peers import THREADS
from bench.process import ready
from bench.scale import codes_alone
from bench.table import Table
from bench.vectors import DIMENSIONS, Vectors
from engine.formats.tuples import SIGNATURE
from sql import settings
from storage import kernels

BUDGET = settings.number("shared_buffers", os.environ.get("MEMORY_BUDGET", "512MB")) * 8192
TIMES = float(os.environ.get("MEMORY_TIMES", "10"))
OWN = 304 << 20
"""Bytes of a server's process that are not its buffer cache."""
ABOVE = 0.9
_LAYOUT = np.dtype([("n", ">i2"), ("l", ">i4"), ("id", ">i8"), ("m", ">i4"), ("image", "<f4", DIMENSIONS)])
_TEXT = f"SELECT id FROM v WHERE DOT_PRODUCT(image, %b) > {ABOVE}"


def main() -> None:
    """Print the table."""
    ready()
    rows = int(TIMES * BUDGET) // (4 * DIMENSIONS)
    config = f"shared_buffers = '{(BUDGET - OWN) >> 10}kB'\n"
    with tempfile.TemporaryDirectory(prefix="glancedb-memory-") as name:
        data = Path(name) / "data"
        with server.process(data, config) as (url, pid), Watched(pid) as watched:
            truth = _load(url, rows)
        loading = watched.most
        alone, _ = codes_alone(data, "v", truth.queries)
        began = time.perf_counter()
        with server.process(data, config) as (url, pid), Watched(pid) as watched:
            print(f"started in {time.perf_counter() - began:.2f} s")
            _ask(url, pid, data, rows, truth, alone)
        print(f"\nmemory given: {BUDGET / 1e6:.0f} MB; vectors: {rows * 4 * DIMENSIONS / 1e6:.0f} MB")
        for what, most in (("loading and merging", loading), ("queries", watched.most)):
            print(f"RssAnon at most, {what}: {most / 1e6:.0f} MB, {most / BUDGET:.0%} of what was given")
    if max(loading, watched.most) > BUDGET:
        sys.exit("the budget was passed")


class Truth:
    """The answers, gathered while rows are sent."""

    def __init__(self, queries: Vectors) -> None:
        self.queries = queries
        self._found: list[list[Any]] = [[] for _ in queries]

    def see(self, first: int, block: Vectors) -> None:
        for found, query in zip(self._found, self.queries, strict=True):
            found.append(first + np.flatnonzero(kernels.dot(block, query) > ABOVE))

    def of(self, number: int) -> list[int]:
        """Ascending ids."""
        ids: list[int] = np.concatenate(self._found[number]).tolist()
        return ids


def _load(url: str, rows: int) -> Truth:
    blocks, queries = vectors.SETS["clustered"](rows)
    truth, first = Truth(queries), 0
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create table v (id bigint, image binary({4 * DIMENSIONS}))")
        with connection.cursor().copy("copy v from stdin (format binary)") as copy:
            copy.write(SIGNATURE + bytes(8))
            for block in blocks:
                lines = np.zeros(len(block), _LAYOUT)
                lines["n"], lines["l"], lines["m"] = 2, 8, 4 * DIMENSIONS
                lines["id"], lines["image"] = first + np.arange(len(block)), block
                copy.write(lines.tobytes())
                truth.see(first, block)
                first += len(block)
            copy.write(b"\xff\xff")
        loaded = time.perf_counter() - began
        connection.execute("optimize table v full")
    print(f"loaded in {loaded:.0f} s, generating and brute force included")
    print(f"merged in {time.perf_counter() - began - loaded:.1f} s")
    return truth


def _ask(url: str, pid: int, data: Path, rows: int, truth: Truth, alone: float) -> None:
    table = Table(
        f"{rows} vectors of {4 * DIMENSIONS} bytes, {TIMES:g} times the {BUDGET / 1e6:.0f} MB of memory"
        f" that the server may have, {THREADS} threads",
        ("", "ms", "CPU ms", "million rows/s", "of codes alone", "answers", "MB read", "RssAnon MB"),
    )
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.cursor(binary=True)

        def asked(number: int) -> int:
            query = truth.queries[number].tobytes()
            found = sorted(row[0] for row in cursor.execute(_TEXT, (query,), prepare=True))
            assert found == truth.of(number), f"query {number}"
            return len(found)

        def measured(name: str, numbers: range, *, warm: bool) -> None:
            if not warm:
                forget(data)
            seconds, answers, before, spent = [], 0, read_bytes(pid), cpu_seconds(pid)
            with Watched(pid) as watched:
                for number in numbers:
                    began = time.perf_counter()
                    answers += asked(number)
                    seconds.append(time.perf_counter() - began)
            median = statistics.median(seconds)
            cpu = (cpu_seconds(pid) - spent) / len(seconds)
            read = (read_bytes(pid) - before) / len(seconds)
            figures = median * 1e3, cpu * 1e3, rows / median / 1e6, alone / median
            table.row(name, *figures, answers / len(seconds), read / 1e6, watched.most / 1e6)

        many = range(1, len(truth.queries))
        measured("the first query, nothing in memory", range(1), warm=False)
        measured("codes in memory, vectors on disk", many, warm=False)
        measured("the same vectors asked for again", many, warm=True)
        connection.execute("set enable_certified_scan = off")
        measured("without codes", range(1, 3), warm=False)
    table.row("codes alone", alone * 1e3, math.nan, rows / alone / 1e6, 1, *[math.nan] * 3)
    table.print()


class Watched:
    """The most anonymous memory that a process had while the context lasted, in bytes."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._path = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            lines = dict(line.split(":", 1) for line in self._path.read_text().splitlines())
            self.most = max(self.most, int(lines["RssAnon"].split()[0]) << 10)
            if self._ended.wait(0.005):
                return


def read_bytes(pid: int) -> int:
    """What a process has read of disks."""
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["read_bytes"])


def cpu_seconds(pid: int) -> float:
    """What a process and its threads have computed, of all cores, kernel included."""
    return time.clock_gettime(~pid << 3 | 2)  # Linux's number of that process's clock


def forget(folder: Path) -> None:
    """Have the page cache forget the files of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
