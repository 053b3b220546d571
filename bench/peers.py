"""Peers that search vectors, each over the same rows with the same number of threads.

A peer that is not installed is said in one line and left out. Slow ones get the first rows only: their rate
does not depend on how many there are.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import postgres
from bench.vectors import DIMENSIONS, Vectors

THREADS = os.cpu_count() or 1
Ids = npt.NDArray[np.int64]
_BLOCK = 16_384


@dataclass(frozen=True)
class Peer:
    """`above(query, threshold)` and `best(query, k)` give row numbers; None: has no such search."""

    name: str
    rows: int
    above: Callable[[Vectors, float], Ids] | None
    best: Callable[[Vectors, int], Ids] | None
    exact: bool = True


def blocks(rows: Vectors, count: int) -> Iterator[Vectors]:
    """The first `count` rows, copied block by block."""
    for start in range(0, count, _BLOCK):
        yield np.array(rows[start : min(start + _BLOCK, count)])


@contextmanager
def faiss_flat(rows: Vectors) -> Iterator[Peer]:
    """faiss IndexFlatIP: every row, in float32."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(DIMENSIONS)
    for block in blocks(rows, len(rows)):
        index.add(block)

    def above(query: Vectors, threshold: float) -> Ids:
        found: Ids = np.sort(index.range_search(query[None], threshold)[2])
        return found

    yield Peer("faiss IndexFlatIP", len(rows), above, lambda query, k: index.search(query[None], k)[1][0])


@contextmanager
def faiss_rabitq(rows: Vectors) -> Iterator[Peer]:
    """faiss IndexRaBitQFastScan: one bit a dimension, statistical: not exact."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexRaBitQFastScan(DIMENSIONS, faiss.METRIC_INNER_PRODUCT)
    index.train(np.array(rows[:: max(len(rows) // 20_000, 1)]))
    for block in blocks(rows, len(rows)):
        index.add(block)
    yield Peer(
        "faiss RaBitQ, 1 bit, approximate",
        len(rows),
        None,
        lambda query, k: index.search(query[None], k)[1][0],
        exact=False,
    )


@contextmanager
def duckdb(rows: Vectors) -> Iterator[Peer]:
    """DuckDB: array_inner_product over FLOAT[1024], in memory."""
    module = importlib.import_module("duckdb")
    pa = importlib.import_module("pyarrow")
    count = min(len(rows), 200_000)
    with module.connect() as connection:
        connection.execute(f"set threads = {THREADS}")
        connection.execute(f"create table v (id bigint, v float[{DIMENSIONS}])")
        first = 0
        for block in blocks(rows, count):
            ids = pa.array(np.arange(first, first + len(block)))
            values = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), DIMENSIONS)
            table = pa.table({"id": ids, "v": values})
            connection.register("block", table)
            connection.execute("insert into v select * from block")
            first += len(block)
        product = f"array_inner_product(v, $1::float[{DIMENSIONS}])"

        def asked(text: str, query: Vectors, last: float) -> Ids:
            return np.sort(connection.execute(text, [query.tolist(), last]).fetchnumpy()["id"])

        yield Peer(
            "DuckDB array_inner_product",
            count,
            lambda query, threshold: asked(f"select id from v where {product} > $2", query, threshold),
            lambda query, k: asked(f"select id from v order by {product} desc limit $2", query, k),
        )


@contextmanager
def clickhouse(rows: Vectors) -> Iterator[Peer]:
    """ClickHouse inside the process (chdb): dotProduct over Array(Float32), in memory."""
    session = importlib.import_module("chdb.session").Session()
    count = min(len(rows), 200_000)
    try:
        session.query("create database b")
        session.query("create table b.v (id UInt64, v Array(Float32)) engine = Memory")
        first = 0
        for block in blocks(rows, count):
            _insert(session, first, block)
            first += len(block)

        def asked(text: str, query: Vectors) -> Ids:
            numbers = ",".join(repr(float(x)) for x in query)
            text = text.format(f"dotProduct(v, cast([{numbers}], 'Array(Float32)'))")
            answer = session.query(
                f"{text} settings max_threads = {THREADS}, max_query_size = 1000000", "CSV"
            )
            return np.sort(np.array(str(answer).split(), np.int64))

        yield Peer(
            "ClickHouse (chdb) dotProduct",
            count,
            lambda query, threshold: asked(f"select id from b.v where {{}} > {threshold!r}", query),
            lambda query, k: asked(f"select id from b.v order by {{}} desc limit {k}", query),
        )
    finally:
        session.close()


def _insert(session: Any, first: int, block: Vectors) -> None:
    """Through a file in ClickHouse's own row form: id, length as a varint, floats."""
    import tempfile

    layout = np.dtype([("id", "<u8"), ("length", "u1", 2), ("v", "<f4", DIMENSIONS)])
    rows = np.zeros(len(block), layout)
    rows["id"] = first + np.arange(len(block))
    rows["length"] = (DIMENSIONS & 0x7F | 0x80, DIMENSIONS >> 7)
    rows["v"] = block
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(rows.tobytes())
        file.flush()
        session.query(
            f"insert into b.v select * from file('{file.name}', 'RowBinary', 'id UInt64, v Array(Float32)')"
        )


@contextmanager
def pgvector(rows: Vectors) -> Iterator[Peer]:
    """PostgreSQL with pgvector: an exact scan."""
    import psycopg

    count = min(len(rows), 100_000)
    settings = {"max_parallel_workers_per_gather": str(THREADS - 1), "shared_buffers": "1GB"}
    with postgres.running(**settings) as url:
        if url is None:
            raise ImportError("PostgreSQL is not installed")
        with psycopg.connect(url, autocommit=True) as connection:
            try:
                connection.execute("create extension vector")
            except psycopg.Error as error:
                raise ImportError("PostgreSQL has no pgvector") from error
            connection.execute(f"create table v (id bigint, v vector({DIMENSIONS}))")
            with connection.cursor().copy("copy v from stdin") as copy:
                for number, row in enumerate(np.concatenate(list(blocks(rows, count)))):
                    copy.write_row((number, str(row.tolist())))
            connection.execute("alter table v alter v set storage plain")
            connection.execute("analyze v")

            def asked(text: str, query: Vectors, last: float) -> Ids:
                answer = connection.execute(text, (str(query.tolist()), last), prepare=True)
                return np.sort(np.array([row[0] for row in answer], np.int64))

            yield Peer(
                "pgvector, exact scan",
                count,
                lambda query, threshold: asked("select id from v where v <#> %s < %s", query, -threshold),
                lambda query, k: asked("select id from v order by v <#> %s limit %s", query, k),
            )


PEERS = (faiss_flat, faiss_rabitq, duckdb, clickhouse, pgvector)


def present(rows: Vectors) -> Iterator[Peer]:
    """The peers that are there, one after another: each is gone before the next is made."""
    for peer in PEERS:
        try:
            with peer(rows) as found:
                yield found
        except ImportError as error:
            print(f"{peer.__name__} is left out: {error}")
