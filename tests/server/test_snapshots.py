"""What no statement reads by any more keeps no rows: whatever ended it, and without the garbage collector.

A snapshot in use keeps deleted rows from being cleaned away. Errors and the frames that they came through
refer to one another, so what a failed statement had may lie there until the collector comes by.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from server.config import Config
from server.listener import Server
from sql.session import Session
from storage.database import Database
from tests.server.test_leaks import FAILING, TABLES

ENDING = [
    "select 1",
    "select * from t where i = 5",
    "select * from keyed where id = 1",
    "select count(*) from t a join t b on a.k = b.k and a.i < 10",
    "select i from t order by s",
    "select (select max(b.i) from t b where b.k = a.k) from t a limit 3",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select * from r",
    "insert into keyed values (77, 1) returning id",
    "update keyed set n = n + 1 where id = 77 returning *",
    "insert into keyed values (77, 1) on conflict (id) do update set n = keyed.n + 1",
    "delete from keyed where id = 77 returning id",
    "explain analyze select count(*) from t",
    "select k, count(*) from t group by rollup (k)",
    "select distinct k from t",
    "select row_number() over (partition by k order by i) from t limit 5",
    "create table z as select * from t",
    "optimize table z full",
    "drop table z",
    "begin; declare c cursor for select * from t; fetch 5 from c; commit",
    "begin; declare c cursor for select * from t; fetch 5 from c; rollback",
    "begin; declare c cursor with hold for select * from t; fetch 5 from c; commit; fetch 3 from c; close c",
    "begin isolation level repeatable read; select * from t limit 1; select 1 / 0; rollback",
    "begin; savepoint s; insert into keyed values (1, 1); rollback to s; select * from t limit 1; commit",
    *FAILING,
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "data")
    yield database
    database.close()


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    sessions = lambda user, name, given: Session(database, user, name, given)  # noqa: E731
    with Server(database, Config(port=0), sessions=sessions) as server:
        yield f"host=127.0.0.1 port={server.port} user=glancedb dbname=glancedb"


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ended(connection: psycopg.Connection) -> None:
    """The session has done all that was asked of it."""
    connection.rollback()
    connection.pgconn.exec_(b"show work_mem")


@pytest.mark.usefixtures("uncollected")
def test_no_snapshot_outlives_its_transaction(url: str, database: Database) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)  # type: ignore[arg-type]
        for text in ENDING:
            connection.pgconn.exec_(text.encode())
            connection.pgconn.exec_(b"rollback")
            ended(connection)
            assert database.snapshots == [], text
            if ";" not in text:
                with suppress(psycopg.Error):
                    connection.execute(text, prepare=True)
                ended(connection)
                assert database.snapshots == [], f"{text}, prepared"


@pytest.mark.usefixtures("uncollected")
def test_nor_does_one_that_is_read_in_part_or_cancelled(url: str, database: Database) -> None:
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url, autocommit=True) as other:
        connection.execute(TABLES)  # type: ignore[arg-type]
        with connection.cursor() as cursor:
            assert next(cursor.stream("select * from t order by i"))[0] == 1
        ended(connection)
        assert database.snapshots == []
        with connection.cursor().copy("copy t to stdout") as copied:
            assert list(copied)
        ended(connection)
        assert database.snapshots == []
        with (
            pytest.raises(psycopg.errors.UniqueViolation),
            connection.cursor().copy("copy keyed from stdin") as copied,
        ):
            copied.write_row((1, 1))
        ended(connection)
        assert database.snapshots == []
        with connection.transaction(), connection.cursor("half") as half:
            half.execute("select * from t")
            assert half.fetchone() is not None
        ended(connection)
        assert database.snapshots == []
        waiting = threading.Thread(target=_cancel, args=(other, connection.info.backend_pid))
        waiting.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select i, pg_sleep(1) from t")
        waiting.join()
        ended(connection)
        ended(other)
        assert database.snapshots == []


def _cancel(other: psycopg.Connection, pid: int) -> None:
    """Cancel what a backend sleeps in, once it does."""
    asked = "select pg_cancel_backend(pid) from pg_stat_activity where pid = %s and query like '%%pg_sleep%%'"
    while not other.execute(asked, (pid,)).fetchall():
        pass
