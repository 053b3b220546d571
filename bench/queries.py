"""The headline query through the wire, beside what the memory can read and what numpy does with the rows."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import numpy as np

from bench.process import ready
from bench.table import Table
from bench.timing import best_rate, memory_read
from glancedb.client import Client
from server.config import Config
from server.listener import Server
from storage.database import Database

ROWS, DIMENSIONS = 200_000, 1024
DDL = (
    "CREATE TABLE features (id bigint(11) NOT NULL AUTO_INCREMENT, image binary(4096) DEFAULT NULL, "
    "KEY id (id) USING CLUSTERED COLUMNSTORE)"
)
THRESHOLD = "SELECT id FROM features WHERE DOT_PRODUCT(image, $1) > 0.9"
TOP = "SELECT id FROM features ORDER BY DOT_PRODUCT(image, $1) DESC LIMIT 10"


def main() -> None:
    """Print the table."""
    vectors = np.random.default_rng(1).standard_normal((ROWS, DIMENSIONS), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ready()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder))
        try:
            with Server(database, Config(port=0)) as server:
                figures = asyncio.run(_measure(server.port, vectors))
        finally:
            database.close()
    read = memory_read()
    numpy_rate = best_rate(lambda: vectors @ vectors[5], vectors.nbytes)
    table = Table(
        f"{ROWS:,} rows of 4096 bytes, through the wire ({os.cpu_count()} cores)",
        ("what", "ms", "million rows/s", "GB/s", "of memory read", "of numpy X @ q"),
    )
    for name, seconds in figures.items():
        rate = vectors.nbytes / seconds / 1e9
        table.row(name, seconds * 1e3, ROWS / seconds / 1e6, rate, rate / read, rate / numpy_rate)
    for name, rate in (("numpy X @ q", numpy_rate), ("memory read, one thread a core", read)):
        seconds = vectors.nbytes / rate / 1e9
        table.row(name, seconds * 1e3, ROWS / seconds / 1e6, rate, rate / read, rate / numpy_rate)
    table.print()


async def _measure(port: int, vectors: np.ndarray) -> dict[str, float]:
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="glancedb", database="glancedb")
    client = Client(connection)
    await connection.execute(DDL)
    start = time.perf_counter()
    await client.copy_vectors("features", [vectors])
    loaded = time.perf_counter() - start
    query = vectors[5].tobytes()
    figures: dict[str, float] = {}
    for state in ("unsealed", "sealed"):
        for name, text in (("threshold 0.9", THRESHOLD), ("top 10", TOP)):
            statement = await connection.prepare(text)
            assert (await statement.fetch(query))[0]["id"] == 6
            figures[f"{name}, {state}"] = await _median(lambda s=statement: s.fetch(query))
        await connection.execute("OPTIMIZE TABLE features")
    await connection.close()
    print(f"loaded by binary COPY in {loaded:.1f} s: {ROWS / loaded / 1e3:.0f} thousand rows/s")
    return figures


async def _median(work: Callable[[], Awaitable[object]], times: int = 11) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
