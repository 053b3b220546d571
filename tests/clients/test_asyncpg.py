"""asyncpg: binary in both directions, prepared statements, cursors, COPY by records, pools."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Interface, IPv4Network, IPv6Address
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.clients.conftest import PASSWORD, Reached

Use = Callable[[Any], Awaitable[None]]


def connected(reached: Reached, use: Use, **options: object) -> None:
    """Run `use` with a connection."""

    async def run() -> None:
        connection = await asyncpg.connect(reached.url(), **options)
        try:
            await use(connection)
        finally:
            await connection.close()

    asyncio.run(run())


def test_every_type_there_and_back(reached: Reached) -> None:
    values: list[tuple[str, object]] = [
        ("int2", -7),
        ("int4", 2**31 - 1),
        ("int8", -(2**63)),
        ("float8", 1.5),
        ("float4", -0.25),
        ("bool", False),
        ("text", "gräßlich"),
        ("varchar", "abc"),
        ("bytea", b"\x00\xff"),
        ("numeric", Decimal("-123456789012345678901234567890.00010")),
        ("numeric", Decimal("0.0001")),
        ("date", date(1582, 10, 15)),
        ("time", time(12, 34, 56, 789)),
        ("timetz", time(12, 34, 56, 789, timezone(timedelta(hours=-3, minutes=-30)))),
        ("timetz[]", [time(0, 0, tzinfo=UTC), None]),
        ("timestamp", datetime(1969, 12, 31, 23, 59, 59, 999999)),
        ("timestamptz", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
        ("interval", timedelta(days=3, seconds=5, microseconds=7)),
        ("uuid", UUID("12345678-1234-5678-1234-567812345678")),
        ("json", '{"a": 1}'),
        ("jsonb", '{"a": 1}'),
        ("int4[]", [1, None, 3]),
        ("text[]", ["a", "", None]),
        ("float8[]", [1.0, 2.5]),
        ("timestamp[]", [datetime(2000, 1, 1)]),
        ("inet", IPv4Interface("10.1.2.3/8")),
        ("inet", IPv6Address("::1")),
        ("macaddr", "08:00:2b:01:02:03"),
        ("macaddr8", "f8:00:2b:01:02:03:04:05"),
        ("cidr", IPv4Network("10.0.0.0/8")),
        ("jsonpath", '$."a"[*]?(@ > 1)'),
        ("int4range", asyncpg.Range(1, 5)),
        ("numrange", asyncpg.Range(Decimal("1.50"), None, lower_inc=False)),
        ("daterange", asyncpg.Range(empty=True)),
        ("tstzrange", asyncpg.Range(None, datetime(2026, 11, 23, 17, 0, tzinfo=UTC), upper_inc=True)),
        ("int8multirange", [asyncpg.Range(1, 5), asyncpg.Range(7, 9)]),
        ("int4[]", [[1, None], [3, 4]]),
        ("text[]", [[["a"], ["b"]], [["c"], [None]]]),
    ]

    async def use(connection: Any) -> None:
        for type, value in values:
            found = await connection.fetchrow(f"select $1::{type} as a, null::{type} as b", value)
            assert tuple(found) == (value, None), type

    connected(reached, use)


def test_a_prepared_statement(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        statement = await connection.prepare("select $1::int8 + n as sum from generate_series(1, $2) as g(n)")
        assert [a.name for a in statement.get_attributes()] == ["sum"]
        assert [p.name for p in statement.get_parameters()] == ["int8", "int4"]
        for base in range(10):
            assert [r["sum"] for r in await statement.fetch(base, 3)] == [base + 1, base + 2, base + 3]

    connected(reached, use)


def test_planned_again_after_ddl(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        await connection.execute("create table planned (a int8)")
        statement = await connection.prepare("select * from planned")
        count = await connection.prepare("select count(*) from planned")
        assert await statement.fetch() == []
        await connection.execute("drop table planned; create table planned (a int8, b text)")
        await connection.execute("insert into planned values (1, 'x')")
        assert await count.fetchval() == 1
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="cached plan must not change result type"):
            await statement.fetch()
        await connection.execute("drop table planned")

    connected(reached, use)


def test_a_cursor(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        query = "select n from generate_series(1, 1000) as g(n)"
        async with connection.transaction():
            assert [r["n"] async for r in connection.cursor(query, prefetch=7)] == list(range(1, 1001))
            cursor = await connection.cursor(query)
            assert [r["n"] for r in await cursor.fetch(3)] == [1, 2, 3]
            assert await cursor.forward(10) == 10
            assert (await cursor.fetchrow())["n"] == 14

    connected(reached, use)


def test_transactions(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        await connection.execute("create table moved (a int8)")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute("insert into moved values (1)")
                await connection.execute("select 1/0")
        async with connection.transaction():
            await connection.execute("insert into moved values (2)")
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await connection.execute("insert into moved values (3)")
                    raise ZeroDivisionError
        for isolation in ("repeatable_read", "serializable", "read_committed"):
            async with connection.transaction(isolation=isolation, readonly=True):
                assert await connection.fetchval("select sum(a) from moved") == 2
        await connection.execute("drop table moved")

    connected(reached, use)


def test_a_key_that_is_there_twice(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        await connection.execute("create table keyed (a int primary key)")
        with pytest.raises(asyncpg.UniqueViolationError, match="keyed_pkey"):
            async with connection.transaction():
                await connection.executemany("insert into keyed values ($1)", [(1,), (1,)])
        assert await connection.fetchval("select count(*) from keyed") == 0
        await connection.execute("drop table keyed")

    connected(reached, use)


def test_many_rows_in(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        await connection.execute("create table many (a int8 not null, b text, c bytea, d float8)")
        await connection.executemany(
            "insert into many values ($1, $2, $3, $4)",
            [(n, f"t{n}", bytes([n]), n / 2) for n in range(100)],
        )
        records = [(n, None if n % 3 else "x\ty", b"\\", float(n)) for n in range(100, 20_000)]
        assert await connection.copy_records_to_table("many", records=records) == "COPY 19900"
        assert await connection.fetchval("select sum(a) from many") == sum(range(20_000))
        out = io.BytesIO()
        await connection.copy_from_query("select a, b from many where a < 3 order by a", output=out)
        assert out.getvalue() == b"0\tt0\n1\tt1\n2\tt2\n"
        with pytest.raises(asyncpg.NotNullViolationError):
            await connection.copy_records_to_table("many", records=[(None, None, None, None)])
        await connection.execute("drop table many")

    connected(reached, use)


def test_errors_leave_the_connection_usable(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        for statement, error in (
            ("select * from nowhere", asyncpg.UndefinedTableError),
            ("select nothing", asyncpg.UndefinedColumnError),
            ("select nothing(1)", asyncpg.UndefinedFunctionError),
            ("selec", asyncpg.PostgresSyntaxError),
            ("select $1 is null", asyncpg.IndeterminateDatatypeError),
        ):
            with pytest.raises(error):
                await connection.fetch(statement)
            assert await connection.fetchval("select 1") == 1

    connected(reached, use)


def test_a_timeout_cancels(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch("select pg_sleep(30)", timeout=0.2)
        assert await connection.fetchval("select 1") == 1
        await connection.execute("set statement_timeout = 100")
        with pytest.raises(asyncpg.QueryCanceledError, match="statement timeout"):
            await connection.fetch("select pg_sleep(30)")

    connected(reached, use)


def test_a_pool_and_its_reset(reached: Reached) -> None:
    async def run() -> None:
        async with asyncpg.create_pool(reached.url(), min_size=2, max_size=4) as pool:

            async def one(number: int) -> int:
                async with pool.acquire() as connection:
                    await connection.execute("set statement_timeout = '5s'")
                    found: int = await connection.fetchval("select $1::int8", number)
                    return found

            assert await asyncio.gather(*[one(n) for n in range(40)]) == list(range(40))
            async with pool.acquire() as connection:
                assert await connection.fetchval("show statement_timeout") == "0"

    asyncio.run(run())


def test_settings_of_the_start(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        assert connection.get_settings().application_name == "me"
        assert await connection.fetchval("show search_path") == "public"

    connected(reached, use, server_settings={"application_name": "me", "search_path": "public"})


def test_introspection_of_a_type(reached: Reached) -> None:
    """A type that the driver does not know makes it ask the catalog, recursively."""

    async def use(connection: Any) -> None:
        await connection.set_type_codec(
            "vector", encoder=str, decoder=lambda text: text, schema="public", format="text"
        )
        assert await connection.fetchval("select '[1,2,3]'::vector(3)") == "[1,2,3]"

    connected(reached, use)


def test_scram_and_tls(reached: Reached) -> None:
    async def run() -> None:
        context = ssl.create_default_context(cafile=str(reached.authority))
        for secure in (context, False):
            connection = await asyncpg.connect(
                host="localhost",
                port=reached.port,
                user="ann",
                password=PASSWORD,
                ssl=secure,
                database="glancedb",
            )
            assert await connection.fetchval("select current_user") == "ann"
            await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(reached.url("ann"), password="wrong")

    asyncio.run(run())


def test_vectors_as_the_product_has_them(reached: Reached) -> None:
    """The talk's table, by binary COPY, asked with bytes, with a list and with hex."""

    async def use(connection: Any) -> None:
        await connection.execute(
            "CREATE TABLE features (id bigint(11) NOT NULL AUTO_INCREMENT, image binary(16) DEFAULT NULL, "
            "KEY id (id) USING CLUSTERED COLUMNSTORE)"
        )
        near = bytes.fromhex("0000003f" * 4)  # four times 0.5
        far = bytes.fromhex("0000003f0000003f000000bf000000bf")
        await connection.copy_records_to_table("features", columns=["image"], records=[(near,), (far,)])
        query = "SELECT id FROM features WHERE DOT_PRODUCT(image, $1) > 0.9"
        assert [r["id"] for r in await connection.fetch(query, near)] == [1]
        literal = f"SELECT id FROM features WHERE DOT_PRODUCT(image, 0x{near.hex()}) > 0.9"
        assert [r["id"] for r in await connection.fetch(literal)] == [1]
        top = "SELECT id FROM features ORDER BY DOT_PRODUCT(image, $1) DESC, id LIMIT 2"
        assert [r["id"] for r in await connection.fetch(top, far)] == [2, 1]
        await connection.execute("DROP TABLE features")

    connected(reached, use)


def test_enums(reached: Reached) -> None:
    async def use(connection: Any) -> None:
        await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        await connection.execute("CREATE TABLE moods (m mood, ms mood[])")
        query = "INSERT INTO moods VALUES ($1, $2) RETURNING m, ms, m > 'sad'"
        made = await connection.fetchrow(query, "happy", ["sad", None, "happy"])
        assert tuple(made) == ("happy", ["sad", None, "happy"], True)
        await connection.copy_records_to_table("moods", records=[("sad", None), (None, ["sad"])])
        found = await connection.fetch("SELECT m, ms FROM moods ORDER BY m")
        assert [tuple(row) for row in found] == [
            ("sad", None),
            ("happy", ["sad", None, "happy"]),
            (None, ["sad"]),
        ]
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await connection.execute(query, "glad", None)
        await connection.execute("DROP TABLE moods")
        await connection.execute("DROP TYPE mood")

    connected(reached, use)
