"""What a short statement's microseconds are spent on: CPU time of one thread, without sockets and the disk.

A statement is prepared and sent as Bind, Execute and Sync, which the connection answers as one
(`server.connection.Connection.series`); beside it the same as a simple Query. Columns: until its answer is
there, or its commit recorded; from there on, for a change to the end of its transaction. Medians of rounds.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from bench.table import Table
from server import messages
from server.connection import Connection, Piece
from server.messages import Bind, Execute, Parse, Query, Sync
from sql.session import Session
from storage.database import Database
from storage.durability import files
from storage.waiting import WouldBlock, at_once

ROUNDS, TIMES = 15, 200
ROWS = 100_000

TABLES = (
    "create table points (id int primary key, name text, score int)",
    f"insert into points select x, 'name ' || x, 0 from generate_series(1, {ROWS}) x",
    "vacuum points",
    "create table single (id bigint primary key, name text, at timestamptz)",
)
STATEMENTS: dict[str, tuple[str, str, Callable[[int], tuple[bytes, ...]]]] = {
    "SELECT $1": ("select $1::int4", "select {0}", lambda n: (b"%d" % n,)),
    "lookup, int column": (
        "select score from points where id = $1",
        "select score from points where id = {0}",
        lambda n: (b"%d" % (n % ROWS + 1),),
    ),
    "lookup, text column": (
        "select name from points where id = $1",
        "select name from points where id = {0}",
        lambda n: (b"%d" % (n % ROWS + 1),),
    ),
    "lookup in a block": (
        "select score from points where id = $1",
        "select score from points where id = {0}",
        lambda n: (b"%d" % (n % ROWS + 1),),
    ),
    "INSERT": (
        "insert into single values ($1, $2, now())",
        "insert into single values ({0}, '{1}', now())",
        lambda n: (b"%d" % n, b"name %d" % n),
    ),
    "UPDATE by key": (
        "update points set score = score + 1 where id = $1",
        "update points set score = score + 1 where id = {0}",
        lambda n: (b"%d" % (n % ROWS + 1),),
    ),
}


class Unsynced(files.Disk):
    """A disk that does not wait."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""


def main() -> None:
    """Print the table."""
    os.environ.setdefault("GLANCEDB_KERNELS", "compiled")
    disk, files.disk = files.disk, Unsynced()
    try:
        with tempfile.TemporaryDirectory(prefix="glancedb-bench-") as folder:
            database = Database.open(Path(folder) / "data")
            session = Session(database, "glancedb", "glancedb")
            session.defers_commits = True
            connection = Connection(session, b"")
            for text in TABLES:
                _answer(connection, Query(text))
            table = Table("microseconds a statement", ("", "begun", "ended", "together", "simple"))
            for number, (title, (prepared, simple, values)) in enumerate(STATEMENTS.items()):
                _answer(connection, Parse(f"s{number}", prepared))
                _answer(connection, Sync())
                inside = title.endswith("in a block")
                for text in ("begin", "select 1") if inside else ():
                    _answer(connection, Query(text))
                table.row(title, *_measured(connection, f"s{number}", simple, values))
                if inside:
                    _answer(connection, Query("rollback"))
            table.print()
            session.close()
            database.close()
    finally:
        files.disk = disk


_next = iter(range(1, 1 << 60))


def _measured(
    connection: Connection, name: str, simple: str, values: Callable[[int], tuple[bytes, ...]]
) -> list[float]:
    rounds: list[list[float]] = []
    for _ in range(ROUNDS):
        spent = [0.0] * 4
        for _ in range(TIMES):
            given = values(next(_next))
            for at, seconds in enumerate(_parts(connection, Bind("", name, (), given))):
                spent[at] += seconds
            given = values(next(_next))
            begun = time.thread_time()
            _answer(connection, Query(simple.format(*(value.decode() for value in given))))
            spent[3] += time.thread_time() - begun
        rounds.append([1e6 * seconds / TIMES for seconds in spent])
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def _parts(connection: Connection, bind: Bind) -> Iterator[float]:
    """Beginning, ending, and both."""
    messages = bind, Execute(""), Sync()
    inbox = [(data[0], data[5:]) for data in (message.write() for message in messages)]
    times = [time.thread_time()]
    try:
        with at_once:
            found = connection.series(inbox)
    except WouldBlock:  # the first time nothing is resident
        found = None
    if found is None:
        for part in messages:
            _answer(connection, part)
        yield from (0.0,) * 3
        return
    times.append(time.thread_time())
    for _ in found[0]:
        pass
    times.append(time.thread_time())
    begun, ended = (after - before for before, after in pairwise(times))
    yield from (begun, ended, begun + ended)


def _answer(connection: Connection, message: messages.Message) -> None:
    """Have a message answered: at once, or else as a thread would."""
    data = message.write()
    pieces: Iterator[Piece] = connection.receive(data[0], data[5:])
    try:
        with at_once:
            for piece in pieces:
                if not isinstance(piece, bytes):
                    break
    except WouldBlock:
        pieces = connection.receive(data[0], data[5:])
    said = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert b"SERROR" not in said, said
