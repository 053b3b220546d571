"""A table as large as the disk takes: the threshold query through the wire, beside its kernel alone.

SCALE_ROWS (10,000,000) vectors of 4096 bytes (bench.vectors, clustered: up to a hundred answers a query) are
loaded by binary COPY and sealed, in a server of its own. They take 41 GB of disk; the server keeps codes in
memory and vectors where they are. The same queries are then asked of the same codes in this process, without
SQL, without the wire and without looking at what the codes leave open: that is "codes alone".
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from bench import server, vectors
from bench.peers import THREADS
from bench.process import ready
from bench.queries import DDL, THRESHOLD, TOP
from bench.table import Table
from bench.timing import memory_read
from bench.vectors import Vectors
from glancedb.client import Client
from storage.codes import Codes, Metric, Question
from storage.database import Database
from storage.predicate import Comparison
from storage.segments.coding import codes_of

ROWS = int(os.environ.get("SCALE_ROWS", "10000000"))
ABOVE = 0.9


def main() -> None:
    """Print the table."""
    ready()
    blocks, queries = vectors.SETS["clustered"](ROWS)
    with tempfile.TemporaryDirectory(prefix="glancedb-scale-") as name:
        data = Path(name) / "data"
        with server.process(data) as (url, pid):
            figures = asyncio.run(_through_the_wire(url, pid, blocks, queries))
        figures["codes alone"], row_bytes = codes_alone(data, "features", queries)
    read = memory_read()
    table = Table(
        f"{ROWS} rows of 4096 bytes, {len(queries)} queries, {THREADS} threads, medians",
        ("what", "ms", "million rows/s", "GB/s of codes", "of memory read", "of codes alone"),
    )
    for what, seconds in figures.items():
        rate = ROWS / seconds
        share = rate * row_bytes / 1e9
        table.row(what, seconds * 1e3, rate / 1e6, share, share / read, figures["codes alone"] / seconds)
    table.print()


async def _through_the_wire(
    url: str, pid: int, blocks: Iterable[Vectors], queries: Vectors
) -> dict[str, float]:
    connection = await asyncpg.connect(url)
    await connection.execute(DDL)
    began = time.perf_counter()
    await Client(connection).copy_vectors("features", blocks)
    loaded = time.perf_counter() - began
    await connection.execute("OPTIMIZE TABLE features", timeout=3600)
    sealed = time.perf_counter() - began - loaded
    print(f"loaded in {loaded:.0f} s, {ROWS / loaded / 1e3:.0f} thousand rows/s; sealed in {sealed:.0f} s")
    figures = {}
    for what, text in (("threshold 0.9, over the wire", THRESHOLD), ("top 10, over the wire", TOP)):
        statement = await connection.prepare(text)
        await statement.fetch(queries[0].tobytes())
        seconds, answers = [], []
        for query in queries:
            start = time.perf_counter()
            answers.append(len(await statement.fetch(query.tobytes())))
            seconds.append(time.perf_counter() - start)
        figures[what] = statistics.median(seconds)
        print(f"{what}: {min(answers)} to {max(answers)} answers")
    anonymous = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "Anon" in line)
    print(f"the server's anonymous memory: {int(anonymous.split()[1]) / 1e6:.1f} GB")
    await connection.close()
    return figures


def codes_alone(data: Path, name: str, queries: Vectors) -> tuple[float, int]:
    """(seconds a query, bytes a row that a scan reads): the codes of a table's `image`, asked in here.

    Nobody else has the folder. Medians, in memory, by a thread a core.
    """
    database = Database.open(data)
    try:
        table = next(table for table in database.catalog.tables() if table.name == name)
        image = table.column("image")
        assert image is not None
        found = [codes_of(part, image) for part in database.store(table.oid).parts]
        coded = [codes for codes in found if codes is not None]
        tasks = [(codes, cells) for codes in coded for cells in codes.tasks()]
        with ThreadPoolExecutor(THREADS) as pool:
            seconds = []
            for number, query in enumerate((queries[0], *queries)):
                start = time.perf_counter()
                list(pool.map(_decided(Question.of(Metric.DOT, query)), tasks))
                if number:
                    seconds.append(time.perf_counter() - start)
        return statistics.median(seconds), coded[0].row_bytes
    finally:
        database.close()


def _decided(question: Question) -> Callable[[tuple[Codes, range]], object]:
    return lambda task: task[0].decide(question, Comparison.GT, ABOVE, task[1])
