"""Checkpoints, restarts, replay and backups at a size, beside what the disk itself takes.

A table of 1 KB vectors and one of short rows are filled through the log, with checkpoints in the background
as a server has them, and closed. Then a process opens the folder, once with nothing to replay and once with
a tail of the log; opening must take the same time whatever the size. `DURABILITY_GB` is the size, 10 in the
long form; files were just written, so they are read out of the page cache.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.table import Table
from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.definitions import PUBLIC, ColumnDefinition
from storage.definitions import Table as TableDefinition
from storage.durability.checkpoint import Policy
from storage.types import INT8, TEXT, Type, vector

GB = float(os.environ.get("DURABILITY_GB", "0.25"))
TAIL = 64 << 20  # bytes of log to replay
_DIMENSIONS = 256
_LOT = 8_000  # rows of vectors a transaction: 8 MB, which go through the log
_WORDS = pa.array([f"word number {number}" for number in range(1000)], pa.large_string())
_NOTHING = (math.nan, math.nan, math.nan)
_NEVER = Policy(1 << 60, 1e9)
_OPEN = """
import sys, time
from pathlib import Path
from storage.database import Database
from storage.durability.checkpoint import Policy
began = time.perf_counter()
database = Database.open(Path(sys.argv[1]), Policy(1 << 60, 1e9))
opened = time.perf_counter() - began
table = next(table for table in database.catalog.tables() if table.name == "vectors")
view = database.snapshot().table(table.oid)
morsel = next(iter(view.morsels()))
morsel.column(table.columns[1], None)
print(opened, time.perf_counter() - began, database.recovery.records, database.recovery.bytes, flush=True)
import os
os._exit(0)
"""


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="glancedb-durability-") as name:
        folder = Path(name) / "data"
        nbytes = int(GB * 1e9)
        plain = min(nbytes, 2_000_000_000)
        disk = _disk(Path(name) / "plain", plain)
        rate = plain / disk
        table = Table(f"Durability at {GB:g} GB", ("", "seconds", "MB", "MB/s", "of the disk's rate"))
        table.row("write and fsync a plain file", disk, plain / 1e6, *_rates(plain, disk, rate))
        loading, checkpoint, size = _load(folder, nbytes)
        loaded = loading, nbytes / 1e6, *_rates(nbytes, loading, rate)
        table.row("load through the log, checkpoints beside", *loaded)
        table.row("last checkpoint, of what is left", checkpoint, *_NOTHING)
        opened, first, _, _ = _open(folder)
        table.row("open, nothing to replay", opened, size / 1e6, *_NOTHING[:2])
        table.row("  and the first rows read", first, *_NOTHING)
        _tail(folder)
        opened, _, records, replayed = _open(folder)
        figures = opened, replayed / 1e6, *_rates(replayed, opened, rate)
        table.row(f"open, {records:.0f} records to replay", *figures)
        _backups(folder, Path(name) / "backup", table, rate)
        table.print()


def _rates(nbytes: float, seconds: float, rate: float) -> tuple[float, float]:
    return nbytes / seconds / 1e6, nbytes / seconds / rate


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _disk(path: Path, nbytes: int) -> float:
    """Seconds to write so many bytes and fsync them."""
    block = np.random.default_rng(1).bytes(16 << 20)

    def work() -> None:
        with path.open("wb") as file:
            for _ in range(max(nbytes // len(block), 1)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    seconds = _timed(work)
    path.unlink()
    return seconds


def _create(database: Database, name: str, columns: tuple[tuple[str, Type], ...]) -> int:
    transaction = database.begin()
    defined = tuple(ColumnDefinition(column, type, at) for at, (column, type) in enumerate(columns, 1))
    table = TableDefinition(transaction.allocate_oid(), PUBLIC, name, defined)
    transaction.define(table)
    transaction.commit()
    return table.oid


def _load(folder: Path, nbytes: int) -> tuple[float, float, int]:
    """(seconds to load, seconds of the last checkpoint, bytes on disk)."""
    database = Database.open(folder)
    kind = vector(_DIMENSIONS)
    vectors = _create(database, "vectors", (("id", INT8), ("v", kind)))
    words = _create(database, "words", (("id", INT8), ("word", TEXT)))
    values = np.random.default_rng(2).standard_normal((_LOT, _DIMENSIONS), np.float32)
    lots = max(nbytes // (values.nbytes + 16 * _LOT), 1)

    def work() -> None:
        for lot in range(lots):
            ids = np.arange(lot * _LOT, (lot + 1) * _LOT)
            transaction = database.begin()
            transaction.insert(vectors, Batch.of(Column(INT8, ids), Column(kind, values + np.float32(lot))))
            text = _WORDS.take(pa.array(ids % 1000))
            transaction.insert(words, Batch.of(Column(INT8, ids), Column(TEXT, text)))
            transaction.commit()

    loading = _timed(work)
    checkpoint = _timed(database.checkpoint)
    database.close()
    return loading, checkpoint, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _open(folder: Path) -> tuple[float, float, float, float]:
    """(seconds to open, seconds to the first rows, records and bytes replayed), in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, str(folder)], capture_output=True, text=True, check=True
    )
    opened, first, records, nbytes = map(float, done.stdout.split())
    return opened, first, records, nbytes


def _tail(folder: Path) -> None:
    """Leave a log behind that has to be replayed: a crash after many small commits and some large ones."""
    copy = folder.with_name("copy")
    database = Database.open(folder, _NEVER)
    tables = {table.name: table.oid for table in database.catalog.tables()}
    kind = vector(_DIMENSIONS)
    values = np.zeros((1000, _DIMENSIONS), np.float32)
    while database.log_bytes < TAIL:
        transaction = database.begin()
        transaction.insert(tables["vectors"], Batch.of(Column(INT8, np.arange(1000)), Column(kind, values)))
        transaction.synchronous = False
        transaction.commit()
        for number in range(100):
            transaction = database.begin()
            batch = Batch.of(Column(INT8, np.array([number])), Column(TEXT, _WORDS.slice(number, 1)))
            transaction.insert(tables["words"], batch)
            transaction.synchronous = False
            transaction.commit()
    database.flush()
    with database.merging:
        shutil.copytree(folder, copy)
    database.close()
    shutil.rmtree(folder)
    copy.rename(folder)


def _backups(folder: Path, to: Path, table: Table, rate: float) -> None:
    database = Database.open(folder, _NEVER)
    database.checkpoint()
    for name in ("back up", "back up again, nothing new"):
        began = time.perf_counter()
        report = database.back_up(to)
        seconds = time.perf_counter() - began
        table.row(name, seconds, report.copied_bytes / 1e6, *_rates(report.copied_bytes, seconds, rate))
    database.close()
