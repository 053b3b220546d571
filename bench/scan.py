"""The reference kernel alone: dot products of 4 KB rows, beside memory read and numpy."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench.table import Table
from bench.timing import best_rate, memory_read
from storage.kernels.compiled import dot as compiled
from storage.kernels.plain import dot as plain

ROWS, DIMENSIONS = 300_000, 1024


def main() -> None:
    """Print the table."""
    rows = np.random.default_rng(1).standard_normal((ROWS, DIMENSIONS), np.float32)
    query = rows[7].copy()
    cores = os.cpu_count() or 1
    parts = [rows[at : at + 8192] for at in range(0, ROWS, 8192)]
    rates = {}
    with ThreadPoolExecutor(cores) as pool:
        for name, kernel in (("dot", compiled.dot), ("l2", compiled.l2), ("cosine", compiled.cosine)):
            rates[f"{name}, compiled"] = best_rate(
                lambda k=kernel: list(pool.map(lambda part: k(part, query), parts)), rows.nbytes
            )
        some = parts[:4]
        rates["dot, numpy twin"] = best_rate(
            lambda: list(pool.map(lambda part: plain.dot(part, query), some)),
            sum(part.nbytes for part in some),
        )
        rates["numpy X @ q, float32"] = best_rate(
            lambda: list(pool.map(lambda part: part @ query, parts)), rows.nbytes
        )
    rates["memory read"] = read = memory_read()
    table = Table(
        f"kernels over rows of 4096 bytes, {cores} threads",
        ("what", "million rows/s", "GB/s", "of memory read"),
    )
    for name, rate in rates.items():
        table.row(name, rate * 1e3 / (4 * DIMENSIONS), rate, rate / read)
    table.print()
