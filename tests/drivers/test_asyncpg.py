"""asyncpg: always binary, prepared statements, its own introspection, COPY, pools."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests.drivers.conftest import VECTORS

Test = Callable[[Any], Awaitable[None]]


@pytest.fixture
def run(port: int) -> Callable[[Test], None]:
    def start(test: Test) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=port, user="glancedb", database="glancedb"
            )
            try:
                await test(connection)
            finally:
                await connection.close()

        asyncio.run(work())

    return start


def test_the_headline_query(run: Callable[[Test], None]) -> None:
    async def test(connection: Any) -> None:
        query = VECTORS[2].tobytes()
        text = "SELECT id FROM features WHERE DOT_PRODUCT(image, $1) > 0.9"
        assert [tuple(row) for row in await connection.fetch(text, query)] == [(3,)]
        top = "SELECT id FROM features ORDER BY DOT_PRODUCT(image, $1) DESC, id LIMIT 2"
        assert [row["id"] for row in await connection.fetch(top, query)] == [3, 1]

    run(test)


def test_values_of_every_usual_type_go_there_and_back(run: Callable[[Test], None]) -> None:
    values: dict[str, Any] = {
        "bool": True,
        "int2": -3,
        "int4": 70_000,
        "int8": 2**60,
        "float4": 1.5,
        "float8": 0.1,
        "numeric": Decimal("12345.6780"),
        "text": "žluťoučký",
        "bytea": b"\0\1\xff",
        "date": datetime.date(2026, 2, 28),
        "time": datetime.time(1, 2, 3, 4),
        "timestamp": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
        "timestamptz": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "interval": datetime.timedelta(days=3, seconds=4, microseconds=5),
        "uuid": uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "jsonb": '{"a": [1, 2]}',
        "int4[]": [1, None, 3],
        "text[]": ["a", None, 'b "c"'],
        "float8[]": [1.5, 2.5],
    }

    async def test(connection: Any) -> None:
        for type, value in values.items():
            assert await connection.fetchval(f"SELECT $1::{type}", value) == value, type
            assert await connection.fetchval(f"SELECT $1::{type}", None) is None

    run(test)


def test_copy_in_and_out(run: Callable[[Test], None]) -> None:
    async def test(connection: Any) -> None:
        await connection.execute("CREATE TABLE copied (a int, b text, c timestamptz)")
        moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        records = [(i, f"row {i}" if i % 3 else None, moment) for i in range(5000)]
        assert await connection.copy_records_to_table("copied", records=records) == "COPY 5000"
        rows = await connection.fetch("SELECT * FROM copied ORDER BY a")
        assert [tuple(row) for row in rows] == records

    run(test)


def test_transactions_cursors_and_errors(run: Callable[[Test], None]) -> None:
    async def test(connection: Any) -> None:
        await connection.execute("CREATE TABLE moved (a int PRIMARY KEY)")
        with pytest.raises(asyncpg.UniqueViolationError, match="moved_pkey"):
            async with connection.transaction():
                await connection.executemany("INSERT INTO moved VALUES ($1)", [(1,), (1,)])
        assert await connection.fetchval("SELECT count(*) FROM moved") == 0
        async with connection.transaction():
            await connection.executemany("INSERT INTO moved VALUES ($1)", [(i,) for i in range(100)])
            cursor = connection.cursor("SELECT a FROM moved ORDER BY a", prefetch=7)
            assert [row["a"] async for row in cursor] == list(range(100))
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await connection.fetch("SELECT 1 / 0")
            await connection.execute("DELETE FROM moved WHERE a >= 10")
        assert await connection.fetchval("SELECT count(*) FROM moved") == 10

    run(test)


def test_a_statement_is_cancelled_when_its_time_is_over(run: Callable[[Test], None]) -> None:
    async def test(connection: Any) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch("SELECT pg_sleep(60)", timeout=0.2)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.execute("SET statement_timeout = 100")
        with pytest.raises(asyncpg.QueryCanceledError, match="statement timeout"):
            await connection.fetch("SELECT pg_sleep(60)")

    run(test)


def test_a_prepared_statement_is_planned_again_after_ddl(run: Callable[[Test], None]) -> None:
    async def test(connection: Any) -> None:
        await connection.execute("CREATE TABLE again (a int)")
        same = await connection.prepare("SELECT count(*) FROM again")
        other = await connection.prepare("SELECT * FROM again")
        assert await same.fetchval() == 0
        await connection.execute("DROP TABLE again; CREATE TABLE again (a text, b int)")
        await connection.execute("INSERT INTO again VALUES ('x', 1)")
        assert await same.fetchval() == 1
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="cached plan must not change result type"):
            await other.fetch()

    run(test)


def test_a_pool_resets_its_connections(port: int) -> None:
    async def work() -> None:
        pool = await asyncpg.create_pool(
            host="127.0.0.1", port=port, user="glancedb", database="glancedb", min_size=1, max_size=2
        )
        async with pool:
            for _ in range(3):
                async with pool.acquire() as connection:
                    await connection.execute("SET application_name = 'pooled'")
                    assert await connection.fetchval("SHOW application_name") == "pooled"
            async with pool.acquire() as connection:
                assert await connection.fetchval("SHOW application_name") == ""

    asyncio.run(work())
