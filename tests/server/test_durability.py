"""What is on disk, asked for over the wire: CHECKPOINT, BACKUP DATABASE and `glancedb backup`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from server.config import Config
from server.listener import Server
from server.main import main
from storage import backup
from storage.database import Database


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
