"""Point lookups by primary key through the wire, at 1 and at 16 connections, beside PostgreSQL.

A lookup is a prepared `SELECT name FROM points WHERE id = $1` of asyncpg's, of a random row of a million;
the client, one process with one event loop, takes its share of the machine from both. `SELECT $1` beside it
is what a statement costs that looks for nothing. `pgbench -S -M prepared` is PostgreSQL's own client, in C,
on its own tables, where it is installed. `LOOKUPS_SECONDS` is a round's length.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from contextlib import ExitStack
from urllib.parse import urlsplit

import asyncpg
import psycopg

from bench.rounds import prepared, report, servers

SECONDS = float(os.environ.get("LOOKUPS_SECONDS", "3"))
CONNECTIONS = (1, 16)
ROWS = 1_000_000
SCALE = 10  # of pgbench: 100,000 rows each
LOOKUP, NOTHING = "SELECT name FROM points WHERE id = $1", "SELECT $1::int4"


def main() -> None:
    """Print the tables."""
    with ExitStack() as stack:
        urls = servers(stack)
        for url in urls.values():
            _prepare(url)
        report("lookup by primary key: statements/s", lookups, urls, CONNECTIONS)
        report("SELECT $1: statements/s", nothings, urls, CONNECTIONS)
        if shutil.which("pgbench") is not None:
            for url in urls.values():
                _pgbench(url, "-i", "-q", "-I", "dtgp", "-s", str(SCALE))
            report("pgbench -S -M prepared: statements/s", selects, urls, CONNECTIONS)


def _prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table points (id int primary key, name text)")
        connection.execute(f"insert into points select x, 'name ' || x from generate_series(1, {ROWS}) x")
        connection.execute("vacuum points")


def lookups(url: str, connections: int) -> float:
    """Lookups a second."""
    return prepared(url, connections, SECONDS, LOOKUP, _fetch)


def nothings(url: str, connections: int) -> float:
    """Statements a second that look for nothing."""
    return prepared(url, connections, SECONDS, NOTHING, _fetch)


_chance = random.Random(1)


async def _fetch(statement: asyncpg.prepared_stmt.PreparedStatement) -> None:
    assert len(await statement.fetch(_chance.randint(1, ROWS))) == 1


def selects(url: str, connections: int) -> float:
    """Statements a second of pgbench's."""
    said = _pgbench(
        url, "-n", "-S", "-M", "prepared", "-c", str(connections), "-T", str(max(round(SECONDS), 2))
    )
    found = re.search(r"tps = ([0-9.]+)", said)
    assert found is not None, said
    return float(found[1])


def _pgbench(url: str, *arguments: str) -> str:
    """What pgbench says. Raises CalledProcessError."""
    at = urlsplit(url)
    command = ["pgbench", "-h", str(at.hostname), "-p", str(at.port), "-U", str(at.username), *arguments]
    return subprocess.run([*command, at.path[1:]], check=True, capture_output=True, text=True).stdout
