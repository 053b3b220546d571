"""Rates through the wire, of GlanceDB and of PostgreSQL in turn: the rounds of benches of short statements.

Rounds are interleaved, so that what else the machine does meets both; medians are told, and their ratio.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

import asyncpg

from bench import postgres, server
from bench.table import Table

ROUNDS = 3

Rate = Callable[[str, int], float]
"""Statements or commits a second of a server, by its URL and how many connections send them."""


def servers(stack: ExitStack) -> dict[str, str]:
    """The servers' URLs by name, while the stack lasts: PostgreSQL's where it is installed."""
    urls = {"GlanceDB": stack.enter_context(server.running())}
    theirs = stack.enter_context(postgres.running())
    return urls if theirs is None else {**urls, "PostgreSQL": theirs}


def report(title: str, rate: Rate, urls: dict[str, str], connections: Sequence[int]) -> None:
    """Print a table of medians, a row for each number of connections."""
    table = Table(title, ("connections", *urls, *(["ratio"] if len(urls) > 1 else [])))
    for count in connections:
        found: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                found[name].append(rate(url, count))
        medians = [statistics.median(rates) for rates in found.values()]
        table.row(str(count), *medians, *([medians[0] / medians[1]] if len(medians) > 1 else []))
    table.print()


Once = Callable[[asyncpg.prepared_stmt.PreparedStatement], Awaitable[None]]
"""Runs a prepared statement once."""


def prepared(url: str, connections: int, seconds: float, text: str, once: Once) -> float:
    """Statements a second of asyncpg connections on one loop, each sending its next once it is answered."""
    return asyncio.run(_prepared(url, connections, seconds, text, once))


async def _prepared(url: str, connections: int, seconds: float, text: str, once: Once) -> float:
    async def work(connection: asyncpg.Connection) -> int:
        statement = await connection.prepare(text)
        done = 0
        while time.perf_counter() < start + seconds:
            await once(statement)
            done += 1
        return done

    pool = [await asyncpg.connect(url) for _ in range(connections)]
    try:
        start = time.perf_counter()
        done = await asyncio.gather(*map(work, pool))
        return sum(done) / (time.perf_counter() - start)
    finally:
        for connection in pool:
            await connection.close()
