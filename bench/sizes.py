"""Bytes on disk: TPC-H's lineitem and orders in segment files by column, beside DuckDB's own files."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np

from bench import tpchdata
from bench.process import ready
from bench.table import Table
from storage.segments.segment import Segment

SEGMENT_ROWS = 1 << 20


def main() -> None:
    """Print the tables."""
    ready()
    with tempfile.TemporaryDirectory() as folder:
        totals = [(name, *_ours(name, Path(folder)), _theirs(name, Path(folder))) for name in TABLES]
    table = Table("whole files, MB", ("table", "ours", "DuckDB", "of DuckDB", "million values/s encoded"))
    for name, ours, rate, theirs in totals:
        table.row(name, ours / 1e6, theirs / 1e6, ours / theirs, rate / 1e6)
    table.print()


TABLES = ("lineitem", "orders")


def _ours(name: str, folder: Path) -> tuple[int, float]:
    """(bytes of the table's segment files, values encoded a second on one thread)."""
    columns = tpchdata.columns(name)
    rows = len(next(iter(columns.values())))
    numbers = tuple(range(1, len(columns) + 1))
    nbytes, seconds = 0, 0.0
    sizes = np.zeros(len(columns), np.int64)
    tags: list[set[str]] = [set() for _ in columns]
    for start in range(0, rows, SEGMENT_ROWS):
        stop = min(start + SEGMENT_ROWS, rows)
        parts = [column.slice(start, stop) for column in columns.values()]
        began = time.perf_counter()
        segment = Segment.build(numbers, parts, np.arange(stop - start))
        seconds += time.perf_counter() - began
        nbytes += segment.write(folder / f"{name}-{start}.segment")
        for number, column in segment.columns.items():
            sizes[number - 1] += column.nbytes
            tags[number - 1].add(column.tag)
    table = Table(f"{name}, {rows:,} rows", ("column and encoding", "MB", "bits a value", "of plain"))
    for column, size, used in zip(columns, sizes.tolist(), tags, strict=True):
        plain = columns[column].nbytes
        table.row(f"{column} ({', '.join(sorted(used))})", size / 1e6, 8 * size / rows, size / plain)
    table.print()
    return nbytes, rows * len(columns) / seconds


def _theirs(name: str, folder: Path) -> int:
    """Bytes of DuckDB's file of the table."""
    path = folder / f"{name}.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE {name} AS FROM '{tpchdata.table(name)}'")
        connection.execute("CHECKPOINT")
    return path.stat().st_size
