"""LISTEN and NOTIFY between connections."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from server.config import Config
from server.listener import Server
from sql.session import Session
from storage.database import Database


@pytest.fixture
def address() -> Iterator[str]:
    """A server on loopback."""
    database = Database.open(None)
    with Server(
        database, Config(port=0), sessions=lambda user, name, given: Session(database, user, name, given)
    ) as server:
        yield f"host=127.0.0.1 port={server.port} user=glancedb dbname=glancedb"
    database.close()


def test_told_at_commit(address: str) -> None:
    """A listener that is idle is told, once the transaction commits, and not what was rolled back."""
    with psycopg.connect(address, autocommit=True) as one, psycopg.connect(address, autocommit=True) as two:
        one.execute("LISTEN news")
        two.execute("BEGIN; NOTIFY news, 'void'; ROLLBACK")
        with two.transaction():
            two.execute("NOTIFY news, 'a'")
            two.execute("NOTIFY news, 'a'")
            two.execute("SAVEPOINT s; NOTIFY news, 'gone'; ROLLBACK TO s; SELECT pg_notify('news', 'b')")
        two.execute("NOTIFY other, 'c'")
        told = list(one.notifies(timeout=20, stop_after=2))
        assert [(n.channel, n.payload, n.pid) for n in told] == [
            ("news", "a", two.info.backend_pid),
            ("news", "b", two.info.backend_pid),
        ]


def test_tells_itself(address: str) -> None:
    """The session that notifies is told too, before it is ready again."""
    with psycopg.connect(address, autocommit=True) as one:
        told: list[str] = []
        one.add_notify_handler(lambda notify: told.append(notify.payload))
        one.execute("LISTEN news")
        one.execute("NOTIFY news, 'self'")
        assert told == ["self"]
        one.execute("UNLISTEN news")
        one.execute("NOTIFY news, 'no more'")
        one.execute("SELECT 1")
        assert told == ["self"]
