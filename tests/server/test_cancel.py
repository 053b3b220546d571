"""Cancels at the edges of statements: just before one begins, between two messages, of an idle session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.errors import QueryCanceled

from server.config import Config
from server.listener import Server
from sql.session import Session
from storage.database import Database


@pytest.fixture
def address() -> Iterator[str]:
    database = Database.open(None)
    config = Config(port=0)
    with Server(database, config, sessions=lambda *given: Session(database, *given)) as server:
        yield f"host=127.0.0.1 port={server.port} user=glancedb dbname=glancedb"
    database.close()


@pytest.mark.parametrize("extended", [False, True])
def test_a_cancel_just_before_a_statement_begins(
    address: str, extended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has been read, the statement has not begun: it is cancelled, the next one is not."""
    begin, arriving = Session.begin_statement, [True]

    def begin_late(session: Session) -> None:
        if arriving:
            arriving.clear()
            session.cancel()
        begin(session)

    with psycopg.connect(address, autocommit=True) as connection:
        cursor: psycopg.Cursor[Any] = connection.cursor()
        parameters = (20,) if extended else None
        monkeypatch.setattr(Session, "begin_statement", begin_late)
        with pytest.raises(QueryCanceled):
            cursor.execute("SELECT pg_sleep(%s)" if extended else "SELECT pg_sleep(20)", parameters)
        assert cursor.execute("SELECT sum(i) FROM generate_series(1, 1000) i").fetchall() == [(500500,)]


def test_who_cancels_an_idle_session_came_too_late(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as one, psycopg.connect(address, autocommit=True) as other:
        asked = "SELECT pg_cancel_backend(%s)"
        assert other.execute(asked, (one.info.backend_pid,)).fetchall() == [(True,)]
        assert one.execute("SELECT sum(i) FROM generate_series(1, 1000) i").fetchall() == [(500500,)]


def test_a_cancelled_block_goes_on_after_rollback(address: str) -> None:
    with psycopg.connect(address) as connection:
        pid = connection.execute("SELECT pg_backend_pid()").fetchall()
        with pytest.raises(QueryCanceled):
            connection.execute("SELECT pg_cancel_backend(%s), pg_sleep(20)", pid[0])
        connection.rollback()
        assert connection.execute("SELECT 1 FROM generate_series(1, 3)").fetchall() == [(1,)] * 3
