"""pgvector's Python client, unchanged, with psycopg, asyncpg and SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import numpy as np
import psycopg
import pytest
from pgvector import Bit, HalfVector, SparseVector, Vector
from pgvector.asyncpg import register_vector as register_asyncpg
from pgvector.psycopg import register_vector, register_vector_async
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR, avg, sum
from sqlalchemy import Column, Engine, Index, Integer, MetaData, Table, create_engine, inspect, select
from sqlalchemy.exc import DataError

from tests.clients.conftest import Reached

COLUMNS = "id int, v vector(3), h halfvec(3), b bit(3), s sparsevec(3), many vector[]"
ROW = (
    Vector([1.5, 2, 3]),
    HalfVector([1.5, -2, 65504]),
    Bit("101"),
    SparseVector([0, 1.5, 0]),
    [Vector([1, 2, 3]), Vector([4, 5, 6])],
)


@pytest.fixture
def connection(reached: Reached) -> Iterator[psycopg.Connection]:
    """A connection that knows pgvector's types, with an empty table items."""
    with psycopg.connect(reached.url(), autocommit=True) as made:
        made.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(made)
        made.execute(f"CREATE TEMPORARY TABLE items ({COLUMNS})")
        yield made


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_there_and_back(connection: psycopg.Connection, binary: bool) -> None:
    mark = "%b" if binary else "%t"
    marks = ", ".join([mark] * 5)
    connection.execute(f"INSERT INTO items VALUES (1, {marks}), (2, NULL, NULL, NULL, NULL, NULL)", ROW)
    with connection.cursor(binary=binary) as cursor:
        first, second = cursor.execute("SELECT v, h, b, s, many FROM items ORDER BY id").fetchall()
    bits = b"\0\0\0\3\xa0" if binary else "101"  # the client writes Bit, and leaves it as it comes
    assert (first, second) == ((*ROW[:2], bits, *ROW[3:]), (None,) * 5)


def test_psycopg_searches(connection: psycopg.Connection) -> None:
    rows = np.random.default_rng(5).normal(size=(200, 3)).astype(np.float32)
    with connection.cursor().copy("COPY items (id, v, h) FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "vector", "halfvec"])
        for number, row in enumerate(rows):
            copy.write_row((number, row, HalfVector(row)))
    query = rows[17]
    nearest = np.argsort(np.linalg.norm(rows.astype(float) - query, axis=1))[:5].tolist()
    statement = "SELECT id FROM items ORDER BY v <-> %s LIMIT 5"
    assert [id for (id,) in connection.execute(statement, (query,))] == nearest
    assert [id for (id,) in connection.execute(statement, (Vector(query),), prepare=True)] == nearest
    listed = connection.execute("SELECT id FROM items ORDER BY v <-> %s LIMIT 5", (query.tolist(),))
    assert [id for (id,) in listed] == nearest
    text = str(query.tolist())
    assert [id for (id,) in connection.execute(statement, (text,))] == nearest
    alike = connection.execute("SELECT count(*) FROM items WHERE v <=> %s < 0.1", (query,)).fetchone()
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    assert alike == ((1 - rows @ query / lengths < 0.1).sum(),)
    with connection.cursor().copy("COPY items (v) TO STDOUT WITH (FORMAT BINARY)") as copy:
        copy.set_types(["vector"])
        assert all((Vector(row),) == got for row, got in zip(rows, copy.rows(), strict=True))


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_vectors_of_any_length(connection: psycopg.Connection, binary: bool) -> None:
    connection.execute("CREATE TEMPORARY TABLE mixed (id int, v vector, h halfvec, s sparsevec)")
    rows = [
        (Vector([1, 2, 3]), HalfVector([1, 2]), SparseVector([0, 1])),
        (Vector([4]), None, SparseVector([2])),
    ]
    with connection.cursor().copy("COPY mixed FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "vector", "halfvec", "sparsevec"])
        for number, row in enumerate(rows):
            copy.write_row((number, *row))
    mark = "%b" if binary else "%t"
    connection.execute(f"INSERT INTO mixed VALUES (2, {mark}, NULL, NULL)", (Vector([1, 2, 4]),))
    with connection.cursor(binary=binary) as cursor:
        cursor.execute("SELECT v, h, s FROM mixed ORDER BY id")
        assert cursor.fetchall() == [*rows, (Vector([1, 2, 4]), None, None)]
    near = "SELECT id FROM mixed WHERE vector_dims(v) = 3 AND v <-> %s < 1.5 ORDER BY id"
    assert connection.execute(near, (np.array([1, 2, 3]),)).fetchall() == [(0,), (2,)]
    with pytest.raises(psycopg.errors.DataException, match="different vector dimensions 1 and 3"):
        connection.execute("SELECT v <-> %s FROM mixed WHERE id = 1", (np.array([1, 2, 3]),))


def test_psycopg_asynchronously(reached: Reached) -> None:
    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(reached.url(), autocommit=True) as connection:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            await register_vector_async(connection)
            cursor = await connection.execute("SELECT %s::vector, %s::halfvec", (ROW[0], ROW[1]))
            assert await cursor.fetchone() == ROW[:2]

    asyncio.run(run())


def test_asyncpg_there_and_back(reached: Reached) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(reached.url())
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            await register_asyncpg(connection)
            await connection.execute(f"CREATE TEMPORARY TABLE items ({COLUMNS})")
            values = [ROW[0], ROW[1], asyncpg.BitString("101"), ROW[3], ROW[4]]
            await connection.execute("INSERT INTO items VALUES (1, $1, $2, $3, $4, $5)", *values)
            await connection.copy_records_to_table("items", records=[(2, *values)])
            first, second = await connection.fetch("SELECT v, h, b, s, many FROM items ORDER BY id")
            assert tuple(first) == tuple(second)
            assert (first["v"], first["h"], first["s"], first["many"]) == (ROW[0], ROW[1], ROW[3], ROW[4])
            assert first["b"].to_int() == 5
            found = await connection.fetchval("SELECT v <-> $1 FROM items WHERE id = 1", [1.5, 2, 0])
            assert found == 3.0
            with pytest.raises(asyncpg.DataError, match="expected 3 dimensions, not 2"):
                await connection.execute("INSERT INTO items (v) VALUES ($1)", Vector([1, 2]))
        finally:
            await connection.close()

    asyncio.run(run())


ITEMS = Table(
    "alchemy_items",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("v", VECTOR(3)),
    Column("h", HALFVEC(3)),
    Column("b", BIT(3)),
    Column("s", SPARSEVEC(3)),
    Index("alchemy_items_hnsw", "v", postgresql_using="hnsw", postgresql_ops={"v": "vector_l2_ops"}),
    Index("alchemy_items_lists", "v", postgresql_using="ivfflat", postgresql_with={"lists": 1}),
)


@pytest.fixture
def engine(reached: Reached) -> Iterator[Engine]:
    """An engine with the table alchemy_items and three rows."""
    made = create_engine(f"postgresql+psycopg://glancedb@127.0.0.1:{reached.port}/glancedb")
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
    ITEMS.metadata.create_all(made)
    rows = [[1, 1, 1], [2, 2, 2], [1, 1, 2]]
    with made.begin() as connection:
        connection.execute(
            ITEMS.insert(),
            [
                {"id": n, "v": row, "h": row, "b": f"{n:03b}", "s": SparseVector(row)}
                for n, row in enumerate(rows, 1)
            ],
        )
    yield made
    ITEMS.metadata.drop_all(made)
    made.dispose()


def test_sqlalchemy(engine: Engine) -> None:
    v, h, b, s = ITEMS.c.v, ITEMS.c.h, ITEMS.c.b, ITEMS.c.s
    with engine.connect() as connection:

        def ids(*order: Any) -> list[int]:
            return list(connection.scalars(select(ITEMS.c.id).order_by(*order, ITEMS.c.id)))

        assert ids(v.l2_distance([1, 1, 1])) == [1, 3, 2]
        assert ids(v.max_inner_product([1, 1, 1])) == [2, 3, 1]
        assert ids(v.cosine_distance([1, 1, 1])) == [1, 2, 3]
        assert ids(v.l1_distance([1, 1, 1])) == [1, 3, 2]
        assert ids(h.l2_distance([1, 1, 1])) == [1, 3, 2]
        assert ids(b.hamming_distance("111")) == [3, 1, 2]
        assert ids(b.jaccard_distance("111")) == [3, 1, 2]
        assert ids(s.l2_distance(SparseVector([1, 1, 1]))) == [1, 3, 2]
        near = select(ITEMS.c.id).filter(v.l2_distance([1, 1, 1]) < 1.5).order_by(ITEMS.c.id)
        assert list(connection.scalars(near)) == [1, 3]
        row = connection.execute(select(v, h, b, s).where(ITEMS.c.id == 3)).one()
        assert (row.v, row.h, row.b, row.s) == ([1, 1, 2], [1, 1, 2], "011", SparseVector([1, 1, 2]))
        total, mean = connection.execute(select(sum(h), avg(v))).one()
        assert total == [4, 4, 5]
        assert np.allclose(mean, [4 / 3, 4 / 3, 5 / 3])


def test_sqlalchemy_reads_the_definitions(engine: Engine) -> None:
    types = {column["name"]: column["type"] for column in inspect(engine).get_columns("alchemy_items")}
    assert isinstance(types["v"], VECTOR)
    assert (types["v"].dim, types["h"].dim, types["s"].dim) == (3, 3, 3)
    indexes = {index["name"]: index for index in inspect(engine).get_indexes("alchemy_items")}
    assert indexes["alchemy_items_hnsw"]["dialect_options"]["postgresql_using"] == "hnsw"
    with engine.connect() as connection, pytest.raises(DataError, match="expected 3 dimensions, not 2"):
        connection.execute(ITEMS.insert(), [{"id": 9, "v": [1, 2]}])
