"""Composite types and domains in drivers: what they ask of the catalog, and both forms of the values."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import NamedTuple

import asyncpg
import psycopg
import pytest
from psycopg import errors
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo, register_composite

from tests.clients.conftest import Reached

_TYPES = """
    DROP TABLE IF EXISTS parcels;
    DROP TYPE IF EXISTS box, place CASCADE;
    DROP DOMAIN IF EXISTS weight, code CASCADE;
    CREATE DOMAIN weight AS numeric(8, 2) CHECK (value > 0);
    CREATE DOMAIN code AS text NOT NULL;
    CREATE TYPE place AS (street text, number int);
    CREATE TYPE box AS (width float8, at place, tags text[]);
    CREATE TABLE parcels (id code PRIMARY KEY, w weight, b box, more box[], ways place[]);
"""


class Place(NamedTuple):
    """As the type of its name."""

    street: str | None
    number: int | None


HERE = Place('St. "Jean", (7)', 7)


@pytest.fixture
def connection(reached: Reached) -> psycopg.Connection[tuple[object, ...]]:
    with psycopg.connect(reached.url(), autocommit=True) as connection:
        connection.execute(_TYPES)
        for name, factory in (("place", Place), ("box", None)):
            info = CompositeInfo.fetch(connection, name)
            assert info is not None, name
            register_composite(info, connection, factory)
        yield connection  # type: ignore[misc]


def test_psycopg_learns_the_fields(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    info = CompositeInfo.fetch(connection, "box")
    assert info is not None
    assert list(info.field_names) == ["width", "at", "tags"]
    place = TypeInfo.fetch(connection, "place")
    texts = TypeInfo.fetch(connection, "text")
    floats = TypeInfo.fetch(connection, "float8")
    assert place is not None
    assert texts is not None
    assert floats is not None
    assert list(info.field_types) == [floats.oid, place.oid, texts.array_oid]


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_sends_and_reads_rows(
    connection: psycopg.Connection[tuple[object, ...]], binary: bool
) -> None:
    box = CompositeInfo.fetch(connection, "box")
    assert box is not None
    register_composite(box, connection)
    made = box.python_type
    assert made is not None
    whole = made(1.5, HERE, ["a", None, "b,c"])
    empty = made(None, None, [])
    with connection.cursor(binary=binary) as cursor:
        cursor.execute(
            "INSERT INTO parcels VALUES ('x', 2.345, %b, ARRAY[%b::box, %b::box], %b)",
            (whole, whole, empty, [HERE, Place(None, None)]),
        )
        cursor.execute("SELECT b, more, ways, (b).at, w FROM parcels")
        assert cursor.fetchone() == (
            whole, [whole, empty], [HERE, Place(None, None)], HERE, Decimal("2.35")
        )  # fmt: skip
        cursor.execute("SELECT id FROM parcels WHERE (b).at = %b AND b = %b", (HERE, whole))
        assert cursor.fetchone() == ("x",)
        cursor.execute("SELECT %b::place, %t::place", (HERE, HERE))
        assert cursor.fetchone() == (HERE, HERE)


def test_what_a_domain_refuses(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    with pytest.raises(errors.CheckViolation) as refused:
        connection.execute("INSERT INTO parcels (id, w) VALUES (%s, %s)", ("y", Decimal(-1)))
    assert refused.value.diag.constraint_name == "weight_check"
    assert refused.value.diag.datatype_name == "weight"
    with pytest.raises(errors.NotNullViolation):
        connection.execute("INSERT INTO parcels (id) VALUES (%s)", (None,))
    with pytest.raises(errors.NumericValueOutOfRange):
        connection.execute("SELECT %s::weight", (Decimal(10**7),))
    assert connection.execute("SELECT 1.005::weight").fetchone() == (Decimal("1.01"),)


def test_asyncpg_knows_composites_and_domains_by_itself(reached: Reached) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(reached.url())
        await connection.execute(_TYPES)
        await connection.execute(
            "INSERT INTO parcels VALUES ($1, $2, $3, $4, $5)",
            "x",
            Decimal("2.345"),
            (1.5, tuple(HERE), ["a", None]),
            [(None, None, None), (2.0, ("q", None), [])],
            [tuple(HERE), None],
        )
        row = await connection.fetchrow(
            "SELECT w, b, more, ways, (b).at AS at FROM parcels WHERE id = $1", "x"
        )
        assert row is not None
        assert row["w"] == Decimal("2.35")
        assert row["b"]["at"]["street"] == HERE.street
        assert row["b"]["tags"] == ["a", None]
        assert [box["width"] for box in row["more"]] == [None, 2.0]
        assert row["ways"][1] is None
        assert tuple(row["at"]) == HERE
        found = await connection.fetchval(
            "SELECT count(*) FROM parcels WHERE (b).at = $1::place", tuple(HERE)
        )
        assert found == 1
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO parcels (id, w) VALUES ('y', $1)", Decimal(0))
        kind = (await connection.prepare("SELECT b, w FROM parcels")).get_attributes()
        assert [(a.type.name, a.type.kind) for a in kind] == [("box", "composite"), ("numeric", "scalar")]
        copied = await connection.copy_records_to_table(
            "parcels", columns=["id", "b"], records=[("z", (3.0, ("s", 1), ["t"]))]
        )
        assert copied == "COPY 1"
        await connection.close()

    asyncio.run(run())
