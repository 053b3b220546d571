"""Single-row commits a second, at 1 and at 32 connections, beside PostgreSQL in the same run.

`INSERT` is one prepared insert of asyncpg's a transaction; `pgbench -N` is that script of PostgreSQL's
(an update, a select and an insert in one transaction), as simple queries over psycopg, one thread a
connection. Rounds are interleaved; medians are told. Everything acknowledged is on disk in both servers,
so a connection alone waits for the disk: its rate of fsyncs stands beside. `COMMITS_SECONDS` is a round's
length.
"""

from __future__ import annotations

import itertools
import os
import random
import tempfile
import threading
import time
from contextlib import ExitStack

import asyncpg
import psycopg

from bench.rounds import prepared, report, servers

SECONDS = float(os.environ.get("COMMITS_SECONDS", "3"))
CONNECTIONS = (1, 32)
ACCOUNTS = 100_000


def main() -> None:
    """Print the table."""
    with ExitStack() as stack:
        urls = servers(stack)
        for url in urls.values():
            _prepare(url)
        report("INSERT, prepared: commits/s", inserts, urls, CONNECTIONS)
        report("pgbench -N: commits/s", scripts, urls, CONNECTIONS)
    print(f"\nfsyncs a second of a file that grows by 100 bytes: {_fsyncs():.0f}")


def _prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table single (id bigint primary key, name text, at timestamptz)")
        connection.execute(
            "create table accounts (aid int primary key, bid int, abalance int, filler char(84))"
        )
        connection.execute(
            "create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))"
        )
        connection.execute(f"insert into accounts select x, 1, 0, '' from generate_series(1, {ACCOUNTS}) x")


def inserts(url: str, connections: int) -> float:
    """Commits a second of prepared single-row inserts."""
    return prepared(url, connections, SECONDS, "insert into single values ($1, $2, now())", _insert)


_keys = itertools.count(1)


async def _insert(statement: asyncpg.prepared_stmt.PreparedStatement) -> None:
    key = next(_keys)
    await statement.fetch(key, f"name {key}")


def scripts(url: str, connections: int) -> float:
    """Transactions a second of pgbench -N's script."""
    done = [0] * connections
    ready = threading.Barrier(connections)

    def work(number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(url, autocommit=True) as connection:
            ready.wait()
            deadline = time.perf_counter() + SECONDS
            while time.perf_counter() < deadline:
                aid, delta = chance.randint(1, ACCOUNTS), chance.randint(-5000, 5000)
                connection.execute("begin")
                connection.execute(f"update accounts set abalance = abalance + {delta} where aid = {aid}")
                connection.execute(f"select abalance from accounts where aid = {aid}")
                connection.execute(
                    f"insert into history (tid, bid, aid, delta, mtime) values (1, 1, {aid}, {delta}, now())"
                )
                connection.execute("end")
                done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / SECONDS


def _fsyncs() -> float:
    """What the disk takes, one after another."""
    with tempfile.NamedTemporaryFile() as file:
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + 1:
            os.write(file.fileno(), bytes(100))
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - start)
