"""What is on disk, asked for over the wire: CHECKPOINT, BACKUP DATABASE and `glancedb backup`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from server.config import Config
from server.listener import Server
from server.main import main
from storage.database import Database
from storage.durability import backup, files, log
from storage.durability.files import Disk


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """That of a server."""
    database = Database.open(tmp_path / "data")
    try:
        with Server(database, Config(port=0)) as server:
            yield server.port
    finally:
        database.close()


def connect(port: int, user: str = "glancedb") -> psycopg.Connection:
    return psycopg.connect(f"host=127.0.0.1 port={port} user={user} dbname=glancedb", autocommit=True)


def test_a_backup_over_the_wire(port: int, tmp_path: Path) -> None:
    to = tmp_path / "it's a backup"
    with connect(port) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, word text)")
        connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        cursor = connection.execute("BACKUP DATABASE TO '" + str(to).replace("'", "''") + "'")
        assert [column.name for column in cursor.description or ()] == [
            "files",
            "bytes",
            "copied",
            "copied_bytes",
        ]
        (path,) = (to / "segments").iterdir()
        assert cursor.fetchone() == (1, path.stat().st_size, 1, path.stat().st_size)
        connection.execute("INSERT INTO t VALUES (3, 'c')")
    answer = CliRunner().invoke(main, ["backup", "--port", str(port), str(to)])
    assert answer.exit_code == 0, answer.output
    assert " MB copied" in answer.output
    backup.restore(to, tmp_path / "again", lambda: None)
    database = Database.open(tmp_path / "again")
    with Server(database, Config(port=0)) as server, connect(server.port) as connection:
        assert connection.execute("SELECT * FROM t ORDER BY 1").fetchall() == [(1, "a"), (2, "b"), (3, "c")]
    database.close()


def test_only_superusers_may(port: int, tmp_path: Path) -> None:
    with connect(port) as connection:
        connection.execute("CREATE ROLE bob LOGIN")
    with connect(port, "bob") as connection:
        for text in ("CHECKPOINT", f"BACKUP DATABASE TO '{tmp_path / 'backup'}'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be superuser"):
                connection.execute(text)
    assert not (tmp_path / "backup").exists()


class Failing(Disk):
    """A disk on which one operation fails, while it is told to."""

    def __init__(self, operation: str, number: int) -> None:
        self.operation, self.number = operation, number
        self.fails = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("operation", "number", "fails") or name != self.operation or not self.fails:
            return found
        number = self.number

        def fail(*given: Any) -> Any:
            raise OSError(number, os.strerror(number))

        return fail


def test_a_full_disk_over_the_wire(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_STEP", 4096)
    disk = Failing("allocate", 28)
    monkeypatch.setattr(files, "disk", disk)
    with connect(port) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, word text)")
        connection.execute("INSERT INTO t VALUES (1, 'a')")
        disk.fails = True
        for _ in range(2):
            with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
                connection.execute("INSERT INTO t VALUES (2, %s)", ("b" * 20_000_000,))
            with pytest.raises(psycopg.errors.DiskFull):
                connection.execute("CHECKPOINT")
            assert connection.execute("SELECT * FROM t").fetchall() == [(1, "a")]
        disk.fails = False
        connection.execute("INSERT INTO t VALUES (2, 'b')")
        connection.execute("CHECKPOINT")
        assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == [(1, "a"), (2, "b")]


def test_a_failed_fsync_over_the_wire(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Failing("sync", 5)
    monkeypatch.setattr(files, "disk", disk)
    with connect(port) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1)")
        disk.fails = True
        with pytest.raises(psycopg.errors.IoError):
            connection.execute("INSERT INTO t VALUES (2)")
        disk.fails = False
        with pytest.raises(psycopg.errors.IoError, match="no changes are accepted any more"):
            connection.execute("INSERT INTO t VALUES (3)")
        assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]


def test_checkpoints_are_counted(port: int) -> None:
    query = "SELECT checkpoints_req, buffers_checkpoint FROM pg_stat_bgwriter"
    with connect(port) as connection:
        connection.execute("CREATE TABLE t (id int)")
        connection.execute("INSERT INTO t VALUES (1)")
        before = connection.execute(query).fetchone()
        connection.execute("CHECKPOINT")
        after = connection.execute(query).fetchone()
    assert before == (0, 0)
    assert after == (1, 1)
