"""The questions of h2oai's db-benchmark, ten to group and five to join, beside DuckDB and Polars.

H2OAI_ROWS (10,000,000) rows are made, H2OAI_TIMES (3) the times that a question is asked again: its first run
is told apart, of the others the median. CPU is the process's time for the fastest of these, on all threads:
on a machine that others use, too, its ratio says more than that of the times. Each engine has one thread a
core and gives an answer as columns of its own in its own process: this server as batches, DuckDB as a table,
Polars as a frame.
"""

from __future__ import annotations

import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.process import ready
from bench.questions import GROUPS, JOINS, Tables, group_rows, join_rows
from bench.table import Table
from engine.late import fetched
from sql.outcome import Rows
from sql.session import Session
from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.types import FLOAT8, INT4, TEXT, Type

ROWS = int(os.environ.get("H2OAI_ROWS", "10000000"))
TIMES = int(os.environ.get("H2OAI_TIMES", "3"))
THREADS = os.cpu_count() or 1
_TYPES: dict[pa.DataType, Type] = {pa.int32(): INT4, pa.float64(): FLOAT8, pa.string(): TEXT}
_LOADED = 1_000_000


@dataclass(frozen=True)
class Measured:
    """One question: seconds of the first run, the median of the others, CPU seconds of the fastest; rows."""

    first: float
    again: float
    cpu: float
    rows: int


Ask = Callable[[str], int]
"""What runs the question of a name and gives the number of its rows."""


def main() -> None:
    """Print the tables."""
    ready()
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    for title, questions, make in (("group by", GROUPS, group_rows), ("join", JOINS, join_rows)):
        tables = make(ROWS)
        found: dict[str, dict[str, Measured]] = {}
        for name, peer in (("GlanceDB", ours), ("DuckDB", duckdb), ("Polars", polars)):
            try:
                with peer(tables, questions) as ask:
                    found[name] = {question: _measured(ask, question) for question in questions}
            except ImportError as error:
                print(f"{name} is left out: {error}")
        answers = {name: [each.rows for each in measured.values()] for name, measured in found.items()}
        assert all(rows == answers["GlanceDB"] for rows in answers.values()), answers
        _report(f"h2oai {title}, {ROWS:,} rows, {THREADS} threads: seconds", questions, found)


def _measured(ask: Ask, question: str) -> Measured:
    runs, rows = [], 0
    for _ in range(TIMES + 1):
        start, cpu = time.perf_counter(), time.process_time()
        rows = ask(question)
        runs.append((time.perf_counter() - start, time.process_time() - cpu))
    others = runs[1:] or runs
    return Measured(runs[0][0], statistics.median(wall for wall, _ in others), min(others)[1], rows)


def _report(title: str, questions: Mapping[str, str], found: Mapping[str, Mapping[str, Measured]]) -> None:
    peers = [name for name in found if name != "GlanceDB"]
    theirs = (heading for name in peers for heading in (name, f"of {name}", "of its CPU"))
    table = Table(title, ("question", "first", "repeated", "CPU", *theirs))
    for question in questions:
        mine, figures = found["GlanceDB"][question], []
        for name in peers:
            peer = found[name][question]
            figures += [peer.again, mine.again / peer.again, mine.cpu / peer.cpu]
        table.row(question, mine.first, mine.again, mine.cpu, *figures)
    none, means = float("nan"), []
    for name in peers:
        pairs = [(found["GlanceDB"][question], found[name][question]) for question in questions]
        again = statistics.geometric_mean(mine.again / peer.again for mine, peer in pairs)
        means += [none, again, statistics.geometric_mean(mine.cpu / peer.cpu for mine, peer in pairs)]
    table.row("geometric mean", none, none, none, *means)
    table.print()


@contextmanager
def ours(tables: Tables, questions: Mapping[str, str]) -> Iterator[Ask]:
    """This server's session, without a wire, over a sealed database on disk."""
    with tempfile.TemporaryDirectory(prefix="glancedb-h2oai-") as folder:
        database = Database.open(Path(folder) / "data")
        try:
            session = Session(database, "glancedb", "glancedb")
            load(session, tables)
            yield lambda question: sum(batch.rows for batch in answer(session, questions[question]))
        finally:
            database.close()


def load(session: Session, tables: Tables) -> None:
    """Make the tables and fill them."""
    for name, table in tables.items():
        types = {field.name: _TYPES[field.type] for field in table.schema}
        list(answer(session, f"create table {name} ({', '.join(f'{c} {t.name}' for c, t in types.items())})"))
        list(answer(session, "begin"))
        relation = next(t for t in session.catalog.tables() if t.name == name)
        for piece in table.to_batches(max_chunksize=_LOADED):
            columns = (
                Column.from_arrow(types[field.name], array)
                for field, array in zip(table.schema, piece.columns, strict=True)
            )
            session.transaction.insert(relation.oid, Batch(tuple(columns), piece.num_rows))
        list(answer(session, "commit"))
        list(answer(session, f"optimize table {name}"))


def answer(session: Session, text: str) -> Iterator[Batch]:
    """The batches of a statement's answer, every value of them there."""
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            for batch in outcome.batches:
                for column in fetched(batch).columns:
                    assert column.units is not None or len(column.values) == batch.rows
                yield batch
        outcome.complete()  # type: ignore[union-attr]


@contextmanager
def duckdb(tables: Tables, questions: Mapping[str, str]) -> Iterator[Ask]:
    """DuckDB, in memory."""
    with importlib.import_module("duckdb").connect() as connection:
        connection.execute(f"set threads = {THREADS}")
        for name, table in tables.items():
            connection.register("given", table)
            connection.execute(f"create table {name} as select * from given")
            connection.unregister("given")

        def ask(question: str) -> int:
            connection.execute(f"create or replace temporary table answer as {questions[question]}")
            rows: int = connection.execute("select count(*) from answer").fetchone()[0]
            return rows

        yield ask


@contextmanager
def polars(tables: Tables, questions: Mapping[str, str]) -> Iterator[Ask]:
    """Polars, by its own expressions."""
    module = importlib.import_module("polars")
    frames = {name: module.from_arrow(table) for name, table in tables.items()}
    asked = _polars_questions(module, frames)
    yield lambda question: asked[question]().height


def _polars_questions(pl: Any, frames: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """A question's frame, by its name."""
    x = frames["x"].lazy()
    small, medium, big = (frames[name].lazy() if name in frames else x for name in ("small", "medium", "big"))

    def groups(by: list[str], *values: Any) -> Callable[[], Any]:
        return lambda: x.group_by(by).agg(*values).collect()

    def joins(other: Any, key: str, how: str = "inner") -> Callable[[], Any]:
        return lambda: x.join(other, on=key, how=how).collect()

    v1, v2, v3 = (pl.col(name) for name in ("v1", "v2", "v3"))
    largest = x.group_by("id6").agg(v3.top_k(2)).explode("v3")
    answers = (
        groups(["id1"], v1.sum()),
        groups(["id1", "id2"], v1.sum()),
        groups(["id3"], v1.sum(), v3.mean()),
        groups(["id4"], v1.mean(), v2.mean(), v3.mean()),
        groups(["id6"], v1.sum(), v2.sum(), v3.sum()),
        groups(["id4", "id5"], v3.median().alias("median_v3"), v3.std().alias("sd_v3")),
        groups(["id3"], (v1.max() - v2.min()).alias("range_v1_v2")),
        lambda: largest.collect(),
        groups(["id2", "id4"], (pl.corr("v1", "v2") ** 2).alias("r2")),
        groups([f"id{i}" for i in range(1, 7)], v3.sum(), pl.len().alias("count")),
        joins(small, "id1"),
        joins(medium, "id2"),
        joins(medium, "id2", "left"),
        joins(medium, "id5"),
        joins(big, "id3"),
    )
    return dict(zip((*GROUPS, *JOINS), answers, strict=True))
