"""TPC-H: each of its 22 queries beside DuckDB and PostgreSQL, on the same threads; times, ratios, memory.

GlanceDB and DuckDB run inside a process of their own each, over a folder and a file of theirs, so that the
largest memory of each, of loading and of the queries, is its own; PostgreSQL is a server. A query whose
answer is not DuckDB's is told. The first run of a query plans, reads and decodes; the median of those after
it stands apart. CPU is the process's time for the fastest run, on all threads: on a machine that others use,
too, its ratio says more than that of the times.

BENCH_SCALE is the scale factor (1), BENCH_ROUNDS how often a query is repeated (5), BENCH_QUERIES which ones
("01,06": all), BENCH_MEMORY how many GB GlanceDB and DuckDB are to live with, BENCH_POSTGRES=off leaves
PostgreSQL out, whose queries may take BENCH_PATIENCE seconds (60).
"""

from __future__ import annotations

import importlib
import io
import math
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import postgres, tpchdata
from bench.table import Table
from tests.tpch import TABLES, lines, queries, same, schema

THREADS = os.cpu_count() or 1
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MEMORY = float(os.environ.get("BENCH_MEMORY", "0"))
_CACHE, _STATEMENTS = 0.35, 0.4  # of MEMORY: what the process itself takes is no part of them
PATIENCE = float(os.environ.get("BENCH_PATIENCE", "60"))
_NEVER = math.nan
_COLUMNS = (
    *("query", "first", "again", "CPU", "DuckDB first", "again", "CPU", "PostgreSQL"),
    *("of DuckDB's time", "of its CPU", "PostgreSQL's of ours"),
)
_KEYS = """alter table lineitem add primary key (l_orderkey, l_linenumber);
alter table orders add primary key (o_orderkey); alter table customer add primary key (c_custkey);
alter table part add primary key (p_partkey); alter table supplier add primary key (s_suppkey);
alter table partsupp add primary key (ps_partkey, ps_suppkey);
alter table nation add primary key (n_nationkey); alter table region add primary key (r_regionkey);
create index on lineitem (l_partkey, l_suppkey); create index on orders (o_custkey)"""


@dataclass(frozen=True)
class Measured:
    """One query: seconds of the first run, the median of the others, and CPU seconds of the fastest."""

    first: float = _NEVER
    again: float = _NEVER
    cpu: float = _NEVER


@dataclass
class System:
    """What one system did: its queries by number, their answers, and its largest memory in MB."""

    queries: dict[str, Measured] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)
    loading: float = _NEVER
    memory: float = _NEVER


def main() -> None:
    """Print the tables."""
    for name in TABLES:
        tpchdata.table(name)
    ours, duckdb = _apart(_glancedb), _apart(_duckdb)
    theirs = System() if os.environ.get("BENCH_POSTGRES") == "off" else _postgres()
    table = Table(
        f"TPC-H at scale {tpchdata.scale()}, {THREADS} threads, milliseconds",
        _COLUMNS,
    )
    nothing = Measured()
    for number in _asked():
        a, b, c = (system.queries.get(number, nothing) for system in (ours, duckdb, theirs))
        times = [1e3 * seconds for seconds in (a.first, a.again, a.cpu, b.first, b.again, b.cpu, c.again)]
        table.row(number, *times, a.again / b.again, a.cpu / b.cpu, c.again / a.again)
    table.row(
        "geometric mean",
        *(1e3 * _mean(getattr(m, what) for m in ours.queries.values()) for what in ("first", "again", "cpu")),
        *(
            1e3 * _mean(getattr(m, what) for m in duckdb.queries.values())
            for what in ("first", "again", "cpu")
        ),
        1e3 * _mean(m.again for m in theirs.queries.values()),
        _mean(_ratios(ours, duckdb, "again")),
        _mean(_ratios(ours, duckdb, "cpu")),
        _mean(_ratios(theirs, ours, "again")),
    )
    table.print()
    print(f"\nlargest memory, loading: GlanceDB {ours.loading:.0f} MB, DuckDB {duckdb.loading:.0f} MB")
    print(f"largest memory, queries: GlanceDB {ours.memory:.0f} MB, DuckDB {duckdb.memory:.0f} MB")
    for number, answer in ours.answers.items():
        expected = duckdb.answers[number]
        if len(answer) != len(expected) or not all(map(same, answer, expected)):
            print(f"query {number}: {len(answer)} rows are not DuckDB's {len(expected)}")


def _asked() -> list[str]:
    chosen = os.environ.get("BENCH_QUERIES")
    return list(queries()) if chosen is None else chosen.split(",")


def _mean(values: Iterable[float]) -> float:
    """The geometric mean of those that are there."""
    known = [value for value in values if not math.isnan(value)]
    return math.exp(statistics.fmean(map(math.log, known))) if known else _NEVER


def _ratios(one: System, other: System, what: str) -> list[float]:
    nothing = Measured()
    return [getattr(m, what) / getattr(other.queries.get(n, nothing), what) for n, m in one.queries.items()]


def _apart(work: Callable[[], System]) -> System:
    """What `work` measures in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work)


def _measured(run: Callable[[str], Any], shown: Callable[[Any], list[str]]) -> System:
    """Every query, by what runs a text to its last row and what shows these as lines; the largest memory."""
    system = System(loading=_largest_memory())
    _forget_largest_memory()
    for number in _asked():
        text = queries()[number]
        first, _, answer = _timed(run, text)
        system.answers[number] = shown(answer)
        runs = [_timed(run, text)[:2] for _ in range(ROUNDS)]
        again = statistics.median(wall for wall, _ in runs)
        system.queries[number] = Measured(first, again, min(cpu for _, cpu in runs))
    system.memory = _largest_memory()
    return system


def _largest_memory() -> float:
    """The most that this process has held since it forgot, or its start, in MB."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_largest_memory() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _timed(run: Callable[[str], Any], text: str) -> tuple[float, float, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    answer = run(text)
    return time.perf_counter() - start, time.process_time() - cpu, answer


def _glancedb() -> System:
    from bench.process import ready
    from engine import forms
    from sql.outcome import Rows
    from sql.session import Session
    from storage.database import Database
    from storage.memory import reservations
    from storage.segments.cache import cache

    cache.limit = int(_CACHE * MEMORY * (1 << 30)) or 4 << 30
    ready()
    reservations.limit = int(_STATEMENTS * MEMORY * (1 << 30)) or reservations.limit
    with tempfile.TemporaryDirectory(prefix="glancedb-tpch-") as name, ExitStack() as stack:
        database = stack.enter_context(closing(Database.open(Path(name))))
        session = stack.enter_context(closing(Session(database, "glancedb", "glancedb", {})))

        def run(text: str) -> list[Any]:
            batches: list[Any] = []
            for outcome in session.simple(text):
                if isinstance(outcome, Rows):
                    batches += outcome.batches
                outcome.complete()
            return batches

        def shown(batches: list[Any]) -> list[str]:
            texts = ([forms.text_of(c, session.style).tolist() for c in b.columns] for b in batches)
            return [line for columns in texts for line in lines(list(zip(*columns, strict=True)))]

        run(schema())
        for table in TABLES:
            run(f"COPY {table} FROM '{tpchdata.table(table)}' (FORMAT parquet)")
            run(f"OPTIMIZE TABLE {table}")
        return _measured(run, shown)


def _duckdb() -> System:
    duckdb = importlib.import_module("duckdb")
    with tempfile.TemporaryDirectory(prefix="duckdb-tpch-") as name, ExitStack() as stack:
        connection = stack.enter_context(duckdb.connect(str(Path(name) / "tpch.db")))
        connection.execute(f"set threads = {THREADS}")
        if MEMORY:
            connection.execute(f"set memory_limit = '{MEMORY}GB'")
        connection.execute(schema())
        for table in TABLES:
            connection.execute(f"insert into {table} from '{tpchdata.table(table)}'")
        connection.execute("checkpoint")
        return _measured(lambda text: connection.execute(text).fetchall(), lines)


def _written(batch: Any) -> Any:
    """The batch with its string views as strings: Arrow's CSV knows no views."""
    import pyarrow as pa

    columns = [c.cast(pa.string()) if pa.types.is_string_view(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _postgres() -> System:
    import psycopg
    from pyarrow import csv, parquet

    system = System()
    settings = {"shared_buffers": "1GB", "work_mem": "256MB"}
    settings |= {"max_parallel_workers_per_gather": str(THREADS - 1)}
    with postgres.running(**settings) as url:
        if url is None:
            print("PostgreSQL is left out: it is not installed")
            return system
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(schema())
            for table in TABLES:
                with connection.cursor().copy(f"copy {table} from stdin (format csv)") as copy:
                    for batch in parquet.ParquetFile(tpchdata.table(table)).iter_batches():
                        buffer = io.BytesIO()
                        csv.write_csv(_written(batch), buffer, csv.WriteOptions(include_header=False))
                        copy.write(buffer.getvalue())
            connection.execute(_KEYS)
            connection.execute("analyze")
            connection.execute(f"set statement_timeout = '{PATIENCE:g}s'")
            for number in _asked():
                text = queries()[number]
                run = lambda text: connection.execute(text).fetchall()  # noqa: E731
                try:
                    first, *_ = _timed(run, text)
                    again = statistics.median(_timed(run, text)[0] for _ in range(min(ROUNDS, 3)))
                    system.queries[number] = Measured(first, again)
                except psycopg.errors.QueryCanceled:
                    system.queries[number] = Measured()
    return system
