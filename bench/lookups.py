"""Point lookups by primary key through the wire, at 1 and at 16 connections, beside PostgreSQL.

A lookup is a prepared `SELECT name FROM points WHERE id = $1` of asyncpg's, of a random row of a million;
the client, one process with one event loop, takes its share of the machine from both. `SELECT $1` beside it
is what a statement costs that looks for nothing. Rounds are interleaved; medians are told.
`LOOKUPS_SECONDS` is a round's length.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from contextlib import ExitStack

import asyncpg
import psycopg

from bench import postgres, server
from bench.table import Table

SECONDS = float(os.environ.get("LOOKUPS_SECONDS", "3"))
ROUNDS = 3
CONNECTIONS = (1, 16)
ROWS = 1_000_000
LOOKUP, NOTHING = "SELECT name FROM points WHERE id = $1", "SELECT $1::int4"


def main() -> None:
    """Print the tables."""
    with ExitStack() as stack:
        urls = {"GlanceDB": stack.enter_context(server.running())}
        theirs = stack.enter_context(postgres.running())
        if theirs is not None:
            urls["PostgreSQL"] = theirs
        for url in urls.values():
            _prepare(url)
        for title, text in (("lookup by primary key", LOOKUP), ("SELECT $1", NOTHING)):
            table = Table(
                f"{title}: statements/s", ("connections", *urls, *(["ratio"] if len(urls) > 1 else []))
            )
            for connections in CONNECTIONS:
                found: dict[str, list[float]] = {name: [] for name in urls}
                for _ in range(ROUNDS):
                    for name, url in urls.items():
                        found[name].append(asyncio.run(_rate(url, text, connections)))
                medians = [statistics.median(rates) for rates in found.values()]
                ratio = [medians[0] / medians[1]] if len(medians) > 1 else []
                table.row(str(connections), *medians, *ratio)
            table.print()


def _prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table points (id int primary key, name text)")
        connection.execute(f"insert into points select x, 'name ' || x from generate_series(1, {ROWS}) x")
        connection.execute("vacuum points")


async def _rate(url: str, text: str, connections: int) -> float:
    """Statements a second of so many connections, each sending its next when it has its answer."""
    deadline = 0.0

    async def work(connection: asyncpg.Connection, chance: random.Random) -> int:
        statement = await connection.prepare(text)
        done = 0
        while time.perf_counter() < deadline:
            assert len(await statement.fetch(chance.randint(1, ROWS))) == 1
            done += 1
        return done

    pool = [await asyncpg.connect(url) for _ in range(connections)]
    try:
        start = time.perf_counter()
        deadline = start + SECONDS
        done = await asyncio.gather(*(work(c, random.Random(i)) for i, c in enumerate(pool)))
        return sum(done) / (time.perf_counter() - start)
    finally:
        for connection in pool:
            await connection.close()
