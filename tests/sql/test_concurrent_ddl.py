"""DDL of several sessions: what waits, what goes on, and what plans make of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sql.outcome import Rows
from sql.session import Session
from storage.database import Database
from storage.errors import DatabaseError

_POLL = threading.Event()


class Sessions:
    """Sessions of one database by name; `start` runs a statement that has to wait."""

    def __init__(self) -> None:
        self.database = Database.open(None)
        self.pool = ThreadPoolExecutor(4)
        self._sessions: dict[str, Session] = {}

    def __getitem__(self, name: str) -> Session:
        if name not in self._sessions:
            self._sessions[name] = Session(self.database, "glancedb", "glancedb")
        return self._sessions[name]

    def run(self, name: str, text: str) -> list[str]:
        """The rows and tags of a text, or its error."""
        found: list[str] = []
        try:
            for outcome in self[name].simple(text):
                if isinstance(outcome, Rows):
                    for batch in outcome.batches:
                        columns = [column.tolist() for column in batch.columns]
                        found += ["|".join(map(str, row)) for row in zip(*columns, strict=True)]
                    outcome.complete()
                else:
                    found.append(outcome.complete())
        except DatabaseError as error:
            return [f"{error.sqlstate}: {error.message}"]
        return found

    def start(self, name: str, text: str) -> Future[list[str]]:
        """Begin a text, and return once it waits."""
        waiting = len(self.database.waits.waiting())
        future = self.pool.submit(self.run, name, text)
        for _ in range(30_000):
            if len(self.database.waits.waiting()) > waiting or future.done():
                break
            _POLL.wait(0.001)
        assert not future.done(), f"it did not wait: {future.result()}"
        return future

    def close(self) -> None:
        """End all sessions, then the database."""
        for session in self._sessions.values():
            session.close()
        self.pool.shutdown()
        self.database.close()


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    sessions = Sessions()
    sessions.run("a", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    yield sessions
    sessions.close()


def test_two_transactions_may_create_at_once(sessions: Sessions) -> None:
    sessions.run("a", "BEGIN; CREATE TABLE x (a int)")
    sessions.run("b", "BEGIN; CREATE TABLE y (a int); COMMIT")
    assert sessions.run("b", "SELECT count(*) FROM x") == ['42P01: relation "x" does not exist']
    sessions.run("a", "COMMIT")
    assert sessions.run("b", "SELECT count(*) FROM x") == ["0"]


def test_the_second_to_create_waits_and_finds_it_there(sessions: Sessions) -> None:
    sessions.run("a", "BEGIN; CREATE TABLE x (a int)")
    future = sessions.start("b", "CREATE TABLE x (b int)")
    sessions.run("a", "COMMIT")
    assert future.result(30) == ['42P07: relation "x" already exists']


@pytest.mark.parametrize(
    ("change", "tag"),
    [
        ("DROP TABLE t", "DROP TABLE"),
        ("TRUNCATE t", "TRUNCATE TABLE"),
        ("ALTER TABLE t ADD COLUMN b int", "ALTER TABLE"),
        ("ALTER TABLE t ALTER COLUMN a TYPE text", "ALTER TABLE"),
        ("ALTER TABLE t RENAME TO u", "ALTER TABLE"),
    ],
)
def test_ddl_waits_for_open_readers(sessions: Sessions, change: str, tag: str) -> None:
    assert sessions.run("a", "BEGIN; SELECT a FROM t") == ["BEGIN", "1"]
    timed = sessions.run("b", f"SET lock_timeout = '20ms'; {change}")
    assert timed == ["55P03: canceling statement due to lock timeout"]
    sessions.run("b", "SET lock_timeout = 0")
    future = sessions.start("b", change)
    assert sessions.run("a", "SELECT a FROM t") == ["1"]
    sessions.run("a", "COMMIT")
    assert future.result(30) == [tag]


def test_readers_wait_for_ddl_and_meet_what_it_left(sessions: Sessions) -> None:
    sessions.run("a", "PREPARE p AS SELECT * FROM t")
    sessions.run("c", "BEGIN; DROP TABLE t; CREATE TABLE t (a int, b text); INSERT INTO t VALUES (2, 'x')")
    plain = sessions.start("b", "SELECT * FROM t")
    kept = sessions.start("a", "EXECUTE p")
    sessions.run("c", "COMMIT")
    assert plain.result(30) == ["2|x"]
    assert kept.result(30) == ["0A000: cached plan must not change result type"]


def test_a_reader_that_waited_for_a_drop_says_so(sessions: Sessions) -> None:
    sessions.run("b", "SELECT * FROM t")  # its plan is kept
    sessions.run("a", "BEGIN; DROP TABLE t")
    future = sessions.start("b", "SELECT * FROM t")
    sessions.run("a", "COMMIT")
    assert future.result(30) == ['42P01: relation "t" does not exist']


def test_a_snapshot_still_reads_what_was_dropped_since(sessions: Sessions) -> None:
    sessions.run("b", "CREATE TABLE other (a int)")
    sessions.run("a", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other")
    sessions.run("b", "DROP TABLE t")
    assert sessions.run("a", "SELECT a FROM t") == ["1"]
    assert sessions.run("a", "COMMIT; SELECT a FROM t") == ['42P01: relation "t" does not exist']


def test_a_plan_notices_a_table_that_comes_before_in_the_path(sessions: Sessions) -> None:
    sessions.run("a", "CREATE SCHEMA s; SET search_path = s, public")
    assert sessions.run("a", "SELECT a FROM t WHERE a > 0") == ["1"]
    sessions.run("b", "CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (7)")
    assert sessions.run("a", "SELECT a FROM t WHERE a > 0") == ["7"]


def test_a_writer_that_waited_writes_under_the_new_definition(sessions: Sessions) -> None:
    sessions.run("a", "BEGIN; ALTER TABLE t ADD COLUMN b text DEFAULT 'new', ALTER COLUMN a TYPE bigint")
    future = sessions.start("b", "INSERT INTO t (a) VALUES (2)")
    sessions.run("a", "COMMIT")
    assert future.result(30) == ["INSERT 0 1"]
    assert sessions.run("c", "SELECT * FROM t ORDER BY a") == ["1|new", "2|new"]


def test_a_snapshot_reads_what_a_changed_type_was(sessions: Sessions) -> None:
    sessions.run("b", "CREATE TABLE other (a int)")
    sessions.run("a", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other")
    sessions.run("b", "ALTER TABLE t ALTER COLUMN a TYPE text USING 'n' || a; INSERT INTO t VALUES ('more')")
    assert sessions.run("a", "SELECT a + 1 FROM t") == ["2"]
    assert sessions.run("a", "INSERT INTO t VALUES (3)")[0].startswith("40001")
    assert sessions.run("a", "ROLLBACK; SELECT a FROM t ORDER BY a") == ["ROLLBACK", "more", "n1"]


def test_a_view_that_is_replaced_is_read_anew(sessions: Sessions) -> None:
    sessions.run("a", "CREATE VIEW v AS SELECT a FROM t")
    assert sessions.run("b", "SELECT a FROM v") == ["1"]
    sessions.run("a", "CREATE OR REPLACE VIEW v AS SELECT a + 10 AS a FROM t")
    assert sessions.run("b", "SELECT a FROM v") == ["11"]


def test_a_view_in_use_is_not_dropped(sessions: Sessions) -> None:
    sessions.run("a", "CREATE VIEW v AS SELECT a FROM t; BEGIN; SELECT a FROM v")
    future = sessions.start("b", "DROP TABLE t CASCADE")
    assert sessions.run("a", "SELECT a FROM v; COMMIT") == ["1", "COMMIT"]
    assert future.result(30) == ["DROP TABLE"]


def test_an_index_and_a_table_do_not_take_one_name(sessions: Sessions) -> None:
    sessions.run("a", "BEGIN; CREATE TABLE x (a int)")
    future = sessions.start("b", "CREATE INDEX x ON t (a)")
    sessions.run("a", "COMMIT")
    assert future.result(30) == ['42P07: relation "x" already exists']
    sessions.run("a", "CREATE INDEX y ON t (a)")
    assert sessions.run("b", "CREATE TABLE y (a int)") == ['42P07: relation "y" already exists']
    assert sessions.run("b", "ALTER TABLE x RENAME TO y") == ['42P07: relation "y" already exists']
