"""Bulk loading, over the wire: lineitem from CSV, vectors from binary COPY, beside the peers; and out again.

The same client (psycopg, blocks of a megabyte) feeds GlanceDB and PostgreSQL; DuckDB reads the file itself,
into a database file, and checkpoints. All end with data that survives a crash. Beside them stands what the
disk takes: the same bytes written to a file and fsynced. Then the rows that were loaded go into another
table (INSERT ... SELECT, CREATE TABLE AS) and out to the client (COPY TO), on both servers. The rounds are
interleaved, medians are told. `LOADING_SCALE` is TPC-H's scale factor, `LOADING_VECTORS` the number of
4096-byte vectors.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg

from bench import postgres, server
from bench.table import Table
from engine.formats.tuples import SIGNATURE

SCALE = float(os.environ.get("LOADING_SCALE", "0.2"))
VECTORS = int(os.environ.get("LOADING_VECTORS", "50000"))
ROUNDS = 3
_BLOCK = 1 << 20
_LINEITEM = """create table lineitem (
    l_orderkey bigint not null, l_partkey bigint not null, l_suppkey bigint not null,
    l_linenumber integer not null, l_quantity numeric(15,2) not null, l_extendedprice numeric(15,2) not null,
    l_discount numeric(15,2) not null, l_tax numeric(15,2) not null, l_returnflag char(1) not null,
    l_linestatus char(1) not null, l_shipdate date not null, l_commitdate date not null,
    l_receiptdate date not null, l_shipinstruct char(25) not null, l_shipmode char(10) not null,
    l_comment varchar(44) not null)"""


@dataclass(frozen=True)
class Load:
    """What is measured, and what makes it possible once more."""

    run: Callable[[], None]
    before: Callable[[], None]


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="glancedb-loading-") as name, ExitStack() as stack:
        folder = Path(name)
        urls = {"GlanceDB": stack.enter_context(server.running())}
        theirs = stack.enter_context(postgres.running())
        if theirs is not None:
            urls["PostgreSQL"] = theirs
        _lineitem(folder, urls)
        _vectors(folder, urls)


def _lineitem(folder: Path, urls: dict[str, str]) -> None:
    generator = Path(sys.executable).parent / "tpchgen-cli"
    if not generator.exists():
        print("lineitem needs tpchgen-cli: pip install tpchgen-cli")
        return
    generate = [str(generator), "csv", "-s", str(SCALE)]
    subprocess.run(
        [*generate, "--tables=lineitem", f"--output-dir={folder}"], check=True, capture_output=True
    )
    path = folder / "lineitem.csv"
    loads = {
        name: _copy(url, _LINEITEM, "lineitem", path, "format csv, header") for name, url in urls.items()
    }
    if importlib.util.find_spec("duckdb") is not None:
        loads["DuckDB"] = _duckdb(folder / "duck.db", path)
    with path.open("rb") as file:
        rows = sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b"")) - 1
    _report(f"lineitem, scale {SCALE:g}: {rows} rows of CSV", path, rows, loads)
    _moved("lineitem", path, rows, urls)


def _vectors(folder: Path, urls: dict[str, str]) -> None:
    path = folder / "vectors.bin"
    layout = np.dtype([("n", ">i2"), ("l", ">i4"), ("id", ">i8"), ("m", ">i4"), ("image", "u1", 4096)])
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(SIGNATURE + bytes(8))
        for first in range(0, VECTORS, 4096):
            rows = np.zeros(min(4096, VECTORS - first), layout)
            rows["n"], rows["l"], rows["m"] = 2, 8, 4096
            rows["id"] = first + np.arange(len(rows))
            rows["image"] = rng.standard_normal((len(rows), 1024), np.float32).view(np.uint8)
            file.write(rows.tobytes())
        file.write(b"\xff\xff")
    types = {"GlanceDB": "binary(4096)", "PostgreSQL": "bytea"}
    loads = {
        name: _copy(url, f"create table v (id bigint, image {types[name]})", "v", path, "format binary")
        for name, url in urls.items()
    }
    _report(f"{VECTORS} vectors of 4096 bytes, binary COPY", path, VECTORS, loads)
    _moved("v", path, VECTORS, urls)


def _copy(url: str, create: str, table: str, path: Path, options: str) -> Load:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(create)

    def load() -> None:
        with (
            psycopg.connect(url, autocommit=True) as connection,
            path.open("rb") as file,
            connection.cursor().copy(f"copy {table} from stdin ({options})") as copy,
        ):
            while block := file.read(_BLOCK):
                copy.write(block)

    def emptied() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"truncate {table}")
            connection.execute("checkpoint")

    return Load(load, emptied)


def _moved(table: str, path: Path, rows: int, urls: dict[str, str]) -> None:
    """Rows that are there, into another table and out: MB/s are of the file that they came from."""
    works = {
        "INSERT ... SELECT": ("create table copied (like {0})", "insert into copied select * from {0}"),
        "CREATE TABLE AS": ("", "create table copied as select * from {0}"),
        "COPY TO, csv": ("", "copy {0} to stdout (format csv)"),
        "COPY TO, binary": ("", "copy {0} to stdout (format binary)"),
    }
    for title, (before, statement) in works.items():
        loads = {
            name: _statement(url, before.format(table), statement.format(table)) for name, url in urls.items()
        }
        _report(f"{title} of {table}", path, rows, loads, disk=False)


def _statement(url: str, before: str, statement: str) -> Load:
    def run() -> None:
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            if statement.startswith("copy"):
                with cursor.copy(statement) as copy:
                    for _ in copy:
                        pass
            else:
                cursor.execute(statement)

    def emptied() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop table if exists copied")
            if before:
                connection.execute(before)
            connection.execute("checkpoint")

    return Load(run, emptied)


def _duckdb(database: Path, path: Path) -> Load:
    import duckdb

    def load() -> None:
        with duckdb.connect(str(database)) as connection:
            connection.execute(f"copy lineitem from '{path}' (header)")
            connection.execute("checkpoint")

    def emptied() -> None:
        database.unlink(missing_ok=True)
        with duckdb.connect(str(database)) as connection:
            connection.execute(_LINEITEM)

    return Load(load, emptied)


def _write(path: Path) -> Load:
    """The file's bytes, copied and fsynced: what the disk takes."""
    target = path.with_suffix(".copy")

    def load() -> None:
        with path.open("rb") as source, target.open("wb") as file:
            while block := source.read(_BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    return Load(load, lambda: target.unlink(missing_ok=True))


def _report(title: str, path: Path, rows: int, loads: dict[str, Load], *, disk: bool = True) -> None:
    if disk:
        loads["file and fsync"] = _write(path)
    seconds: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(ROUNDS):
        for name, load in loads.items():
            load.before()
            start = time.perf_counter()
            load.run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    base = medians.get("PostgreSQL", medians["GlanceDB"])
    against = "PostgreSQL" if "PostgreSQL" in medians else "GlanceDB"
    table = Table(title, ("", "seconds", "rows/s", "MB/s", f"times {against}"))
    size = path.stat().st_size / 1e6
    for name, taken in medians.items():
        table.row(name, taken, rows / taken, size / taken, base / taken)
    table.print()
