"""Similarity search, exactly: thresholds and top-10 by certified codes, beside what reads every row.

One run, the same rows, the same number of threads, 1024 float32 dimensions, medians over the queries; after a
first one each, which does not count. Every answer of an exact search is compared with the reference's. The
sets are those of bench.vectors: synthetic clusters, and embeddings of real pictures.

- "codes alone": codes in memory, asked by a thread a core; the survivors' vectors, read from a file in the
  page cache, go through the reference. No SQL.
- "SQL over the wire": a server in a process of its own, the same rows loaded and sealed, a prepared
  statement of psycopg's, binary in and out.
- Bytes a row are what the codes' test looked at, survivors' vectors included; times rows/s that is the rate
  of reading, beside what the memory gives. Each query is asked between two passes over memory for that.

`SIMILARITY_ROWS` (1,000,000), `SIMILARITY_SETS` (both), `SIMILARITY_PEERS` (1; 0: only faiss IndexFlatIP).
A set takes 4 GB of disk for the file, 5 for the server's folder, and 4 GB of memory at a time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psycopg

from bench import peers, server, vectors
from bench.peers import THREADS, Ids, Peer
from bench.process import ready
from bench.table import Table
from bench.timing import Beside, beside_reading, median_seconds
from bench.vectors import DIMENSIONS, Vectors, VectorSet
from engine.formats.tuples import SIGNATURE
from sql.outcome import Done, Rows
from sql.session import Session
from storage import kernels
from storage.batch import Batch
from storage.codes import Codes, Limit, Metric, Promise, Question
from storage.column import Column
from storage.database import Database
from storage.predicate import Comparison
from storage.segments.merger import Merger

ROWS = int(os.environ.get("SIMILARITY_ROWS", "1000000"))
SETS = os.environ.get("SIMILARITY_SETS", ",".join(vectors.SETS)).split(",")
WITH_PEERS = os.environ.get("SIMILARITY_PEERS", "1") != "0"
ABOVE, BEST = 0.9, 10
ENCODED = 1 << 16
_SEGMENT = 1 << 17
_CLIENTS = (1, 4, 16)
_FIRST, _PIECE = 16, 256
"""Rows besides twice those wanted whose scores first limit a top-k; rows that are then looked at together."""
_SECONDS = 3.0
_ABOVE_TEXT = f"SELECT id FROM v WHERE DOT_PRODUCT(image, %b) > {ABOVE}"
_BEST_TEXT = f"SELECT id FROM v ORDER BY DOT_PRODUCT(image, %b) DESC LIMIT {BEST}"


@dataclass
class Figures:
    """What one way of searching took, and whether its answers were the reference's."""

    rows: int
    above: float = float("nan")
    best: float = float("nan")
    agrees: float = float("nan")
    """The share of the reference's answers that it found: of both searches."""


@dataclass
class Touched:
    """What a pass of the codes looked at: rows by depth, bytes."""

    rows: Counter[str] = field(default_factory=Counter)
    nbytes: int = 0


def main() -> None:
    """Print the tables."""
    ready()
    _encoding()
    _unsealed()
    for name in SETS:
        with tempfile.TemporaryDirectory(prefix="glancedb-similarity-") as folder:
            try:
                _set(vectors.made(name, ROWS, Path(folder)), Path(folder))
            except OSError as error:
                print(f"{name} is left out: {error}")


def _set(found: VectorSet, folder: Path) -> None:
    truth = Truth(found)
    figures: dict[str, Figures] = {}
    with _codes(found.rows) as alone:
        figures["GlanceDB, codes alone"] = _measured(alone.peer, truth)
        touched = [alone.touched(query) for query in found.queries]
        beside = beside_reading(partial(alone.above, query, ABOVE) for query in found.queries)
    figures["GlanceDB, SQL over the wire"] = _wire(found, truth, folder / "data")
    for peer in peers.present(found.rows) if WITH_PEERS else _only(peers.faiss_flat, found.rows):
        figures[peer.name] = _measured(peer, truth)
    _report(found, figures)
    _report_bytes(found, beside, touched)


def _only(peer: Callable[[Vectors], Any], rows: Vectors) -> Iterator[Peer]:
    with peer(rows) as found:
        yield found


class Truth:
    """The reference's answers over the first n rows, by reading every one."""

    def __init__(self, found: VectorSet) -> None:
        self.queries = found.queries
        self.scores = []
        parts = [slice(start, start + 16_384) for start in range(0, len(found.rows), 16_384)]
        with ThreadPoolExecutor(THREADS) as pool:
            for query in found.queries:
                scored = pool.map(lambda part, q=query: kernels.dot(found.rows[part], q), parts)
                self.scores.append(np.concatenate(list(scored)))

    def above(self, number: int, rows: int) -> Ids:
        """Ascending ids of query `number`."""
        return np.flatnonzero(self.scores[number][:rows] > ABOVE)

    def best(self, number: int, rows: int) -> Ids:
        """Best first, ties by id."""
        return np.argsort(-self.scores[number][:rows], kind="stable")[:BEST]


def _measured(peer: Peer, truth: Truth) -> Figures:
    figures, agrees = Figures(peer.rows), []
    for kind, search, last in (("above", peer.above, ABOVE), ("best", peer.best, BEST)):
        if search is None:
            continue
        seconds, wanted = [], getattr(truth, kind)
        search(truth.queries[0], last)
        for number, query in enumerate(truth.queries):
            start = time.perf_counter()
            answer = search(query, last)
            seconds.append(time.perf_counter() - start)
            expected = wanted(number, peer.rows)
            agrees.append((len(np.intersect1d(answer, expected)), max(len(answer), len(expected))))
            if peer.name.startswith("GlanceDB"):
                assert sorted(answer) == sorted(expected), f"{peer.name}, {kind}, query {number}"
        setattr(figures, kind, statistics.median(seconds))
    hits, all = (sum(part) for part in zip(*agrees, strict=True))
    figures.agrees = hits / max(all, 1)
    return figures


class Alone:
    """Codes in memory, asked without SQL, and full vectors that survivors are read from."""

    def __init__(self, rows: Vectors, pool: ThreadPoolExecutor) -> None:
        self._rows, self._pool = rows, pool
        starts = range(0, len(rows), _SEGMENT)
        first = Codes.build(rows[:_SEGMENT])
        # segments share a centroid where one is as good for all, as those of a table do
        near = first.centroids[0]
        later = pool.map(lambda start: Codes.build(rows[start : start + _SEGMENT], near=near), starts[1:])
        codes = [first, *later]
        self._tasks = [
            (start, one, cells) for start, one in zip(starts, codes, strict=True) for cells in one.tasks()
        ]
        self.nbytes = sum(one.nbytes for one in {id(one): one for _, one, _ in self._tasks}.values())

    @property
    def peer(self) -> Peer:
        return Peer("GlanceDB, codes alone", len(self._rows), self.above, self.best)

    def above(self, query: Vectors, threshold: float) -> Ids:
        question = Question.of(Metric.DOT, query)

        def task(start: int, codes: Codes, cells: range) -> Ids:
            verdict = codes.decide(question, Comparison.GT, threshold, cells)
            maybe = verdict.maybe + start
            if len(maybe):
                maybe = maybe[kernels.dot(self._rows[maybe], query) > threshold]
            return np.concatenate([verdict.sure + start, maybe])

        waiting = iter(self._tasks)

        def work(_: int) -> list[Ids]:
            return [task(*given) for given in waiting]

        found = self._pool.map(work, range(THREADS))
        return np.sort(np.concatenate([part for parts in found for part in parts]))

    def best(self, query: Vectors, count: int) -> Ids:
        question, limit = Question.of(Metric.DOT, query), Limit(count, descending=True)
        scores: dict[int, float] = {}

        def look(positions: Ids) -> None:
            found = kernels.dot(self._rows[positions], query)
            limit.offer(found)
            scores.update(zip(positions.tolist(), found.tolist(), strict=True))

        def promise(start: int, codes: Codes, cells: range) -> tuple[Ids, Any, Promise]:
            promised = codes.promise(question, True, count, cells)
            assert promised is not None
            return promised.positions + start, promised.guesses, promised

        def candidates(start: int, codes: Codes, cells: range, promised: Promise) -> tuple[Ids, Any]:
            nearest = codes.nearest(question, limit, cells, None, promised)
            positions = nearest.positions + start
            fresh = np.isin(positions, known, invert=True)
            return positions[fresh], nearest.best[fresh]

        places, guesses, promises = zip(
            *self._pool.map(lambda given: promise(*given), self._tasks), strict=True
        )
        first = np.argsort(-np.concatenate(guesses))[: 2 * count + _FIRST]
        known = np.sort(np.concatenate(places)[first])
        look(known)
        found = list(
            self._pool.map(lambda given, promised: candidates(*given, promised), self._tasks, promises)
        )
        positions, best = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(-best, kind="stable")
        positions, best = positions[order], best[order]
        for at in range(0, len(positions), _PIECE):
            if best[at] < limit.value:
                break
            look(positions[at : at + _PIECE])
        return np.array(sorted(scores, key=lambda id: (-scores[id], id))[:count])

    def touched(self, query: Vectors) -> Touched:
        """What a threshold query looks at."""
        question, touched = Question.of(Metric.DOT, query), Touched()
        for _, codes, cells in self._tasks:
            verdict = codes.decide(question, Comparison.GT, ABOVE, cells)
            touched.nbytes += verdict.nbytes + len(verdict.maybe) * 4 * DIMENSIONS
            for depth, rows in enumerate(verdict.decided, 1):
                touched.rows[f"decided at depth {depth}"] += rows
            touched.rows["read in full"] += len(verdict.maybe)
        return touched


@contextmanager
def _codes(rows: Vectors) -> Iterator[Alone]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield Alone(rows, pool)


def _encoding() -> None:
    """Vectors per second to codes: in memory, a thread a core."""
    rows = np.random.default_rng(3).standard_normal((ENCODED, DIMENSIONS), np.float32)
    parts = [rows[start : start + (1 << 13)] for start in range(0, len(rows), 1 << 13)]
    table = Table(f"encoding {DIMENSIONS} float32 to codes, {THREADS} threads", ("", "vectors/s", "GB/s"))
    with ThreadPoolExecutor(THREADS) as pool:
        seconds = median_seconds(lambda: list(pool.map(Codes.build, parts)), 3)
    table.row("Codes.build", len(rows) / seconds, rows.nbytes / seconds / 1e9)
    table.print()


def _unsealed() -> None:
    """Rows that are not sealed yet are read in full."""
    rows = min(ROWS, 200_000)
    values = np.random.default_rng(4).standard_normal((rows, DIMENSIONS), np.float32)
    with patch.object(Merger, "start"):  # which would seal them meanwhile
        database = Database.open(None)
        try:
            beside = _asked_unsealed(database, values)
        finally:
            database.close()
    rate = values.nbytes / beside.seconds / 1e9
    table = Table(
        f"{rows} rows that are not sealed, threshold, {THREADS} threads",
        ("", "ms", "GB/s", "of memory read"),
    )
    table.row("SQL in the process", beside.seconds * 1e3, rate, beside.share(values.nbytes))
    table.row("memory read", values.nbytes / beside.read / 1e6, beside.read, 1)
    table.print()


def _asked_unsealed(database: Database, values: Vectors) -> Beside:
    session = Session(database, "glancedb", "glancedb", {})
    _run(session, f"create table v (id bigint, image vector({DIMENSIONS}))")
    _insert(database, values)
    _run(session, f"create table asked (image vector({DIMENSIONS}))")
    _run(session, f"insert into asked values ('[{','.join(map(str, values[7]))}]')")
    text = f"select id from v where image <*> (select image from asked) > {0.9 * DIMENSIONS}"

    def ask() -> None:
        assert _run(session, text) == [(7,)]

    beside = beside_reading([ask] * 21)
    table = next(table for table in database.catalog.tables() if table.name == "v")
    assert database.store(table.oid).unsealed_rows == len(values)
    return beside


def _run(session: Session, text: str) -> list[tuple[Any, ...]]:
    rows = []
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            rows += [row for batch in outcome.batches for row in batch.tuples()]
        assert isinstance(outcome, Rows | Done)
        outcome.complete()
    return rows


def _insert(database: Database, values: Vectors) -> None:
    transaction = database.begin()
    table = next(table for table in transaction.catalog.tables() if table.name == "v")
    for start in range(0, len(values), 8192):
        part = values[start : start + 8192]
        ids = np.arange(start, start + len(part))
        types = [column.type for column in table.columns]
        transaction.insert(table.oid, Batch.of(Column(types[0], ids), Column(types[1], part)))
    transaction.commit()


def _wire(found: VectorSet, truth: Truth, data: Path) -> Figures:
    with server.running(data) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create table v (id bigint, image binary({4 * DIMENSIONS}))")
        start = time.perf_counter()
        _load(connection, found.rows)
        connection.execute("optimize table v")
        print(
            f"\n{found.name}: {len(found.rows)} rows loaded and sealed in {time.perf_counter() - start:.0f} s"
        )
        cursor = connection.cursor(binary=True)

        def asked(text: str, query: Vectors) -> Ids:
            answer = cursor.execute(text, (query.tobytes(),), prepare=True).fetchall()
            return np.sort(np.array([row[0] for row in answer], np.int64))

        peer = Peer(
            "GlanceDB, SQL over the wire",
            len(found.rows),
            lambda query, _: asked(_ABOVE_TEXT, query),
            lambda query, _: asked(_BEST_TEXT, query),
        )
        figures = _measured(peer, truth)
        for text in (_ABOVE_TEXT, _BEST_TEXT):
            literal = text.replace("%b", f"0x{found.queries[0].tobytes().hex()}")
            explained = connection.execute(f"EXPLAIN (ANALYZE) {literal}").fetchall()
            print("\n".join(line if len(line) < 160 else f"{line[:150]}..." for (line,) in explained))
        _concurrency(url, found)
    return figures


def _load(connection: Any, rows: Vectors) -> None:
    layout = np.dtype([("n", ">i2"), ("l", ">i4"), ("id", ">i8"), ("m", ">i4"), ("image", "<f4", DIMENSIONS)])
    with connection.cursor().copy("copy v from stdin (format binary)") as copy:
        copy.write(SIGNATURE + bytes(8))
        first = 0
        for block in peers.blocks(rows, len(rows)):
            wire = np.zeros(len(block), layout)
            wire["n"], wire["l"], wire["m"] = 2, 8, 4 * DIMENSIONS
            wire["id"] = first + np.arange(len(block))
            wire["image"] = block
            copy.write(wire.tobytes())
            first += len(block)
        copy.write(b"\xff\xff")


def _concurrency(url: str, found: VectorSet) -> None:
    """Queries a second of several clients at once."""
    table = Table(
        f"{found.name}: threshold queries of several clients",
        ("clients", "queries/s", "million rows/s", "ms"),
    )
    for clients in _CLIENTS:
        stop = time.perf_counter() + _SECONDS
        done: list[float] = []
        lock = threading.Lock()

        def client(number: int, stop: float = stop, done: list[float] = done, lock: Any = lock) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                cursor, times = connection.cursor(binary=True), []
                while time.perf_counter() < stop:
                    start = time.perf_counter()
                    query = found.queries[(number + len(times)) % len(found.queries)]
                    cursor.execute(_ABOVE_TEXT, (query.tobytes(),), prepare=True).fetchall()
                    times.append(time.perf_counter() - start)
            with lock:
                done.extend(times)

        begun = time.perf_counter()
        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = len(done) / (time.perf_counter() - begun)
        table.row(str(clients), rate, rate * len(found.rows) / 1e6, statistics.median(done) * 1e3)
    table.print()


def _report(found: VectorSet, figures: dict[str, Figures]) -> None:
    flat = figures.get("faiss IndexFlatIP", Figures(0))
    answers = f"{len(found.rows)} rows, {len(found.queries)} queries, {THREADS} threads"
    for kind, title in (("above", f"DOT_PRODUCT > {ABOVE}"), ("best", f"top {BEST}")):
        table = Table(
            f"{found.name}: {title}; {answers}",
            ("", "rows", "ms", "million rows/s", "times faiss flat", "agrees"),
        )
        base = flat.rows / getattr(flat, kind) if flat.rows else float("nan")
        for name, one in figures.items():
            seconds = getattr(one, kind)
            if seconds == seconds:
                rate = one.rows / seconds
                table.row(name, one.rows, seconds * 1e3, rate / 1e6, rate / base, one.agrees)
        table.print()


def _report_bytes(found: VectorSet, beside: Beside, touched: list[Touched]) -> None:
    """What bounds the codes: bytes a row, and the rate that the memory gave at that time."""
    rows = len(found.rows)
    nbytes = statistics.mean(one.nbytes for one in touched) / rows
    table = Table(f"{found.name}: what a threshold query looks at, mean of the queries", ("", "figure"))
    table.row("bytes a row, survivors included", nbytes)
    for depth in touched[0].rows:
        table.row(f"% of rows {depth}", 100 * statistics.mean(one.rows[depth] for one in touched) / rows)
    table.row("memory read, GB/s", beside.read)
    table.row("million rows/s at that rate", beside.read * 1e3 / nbytes)
    table.row("codes alone, million rows/s", rows / beside.seconds / 1e6)
    table.row("ratio", beside.share(nbytes * rows))
    table.print()
