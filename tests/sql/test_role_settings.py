"""ALTER ROLE ... SET: sessions of the role begin with it, after a restart too."""

from __future__ import annotations

from pathlib import Path

from sql.outcome import Rows
from sql.session import Session
from storage.database import Database


def ask(session: Session, text: str) -> list[tuple[object, ...]]:
    """The rows of the last statement of a text."""
    rows: list[tuple[object, ...]] = []
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            batches = list(outcome.batches)
            columns = [
                [value for b in batches for value in b.columns[i].tolist()]
                for i in range(len(outcome.fields))
            ]
            rows = list(zip(*columns, strict=True))
        if hasattr(outcome, "complete"):
            outcome.complete()
    return rows


def test_sessions_begin_with_what_their_role_says(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    first = Session(database, "glancedb", "glancedb")
    ask(first, "CREATE USER reader")
    ask(first, "ALTER ROLE reader SET work_mem = '8MB'; ALTER ROLE reader SET datestyle TO German")
    reader = Session(database, "reader", "glancedb")
    assert ask(reader, "SHOW work_mem") == [("8MB",)]
    assert ask(reader, "SHOW datestyle") == [("German, DMY",)]
    assert ask(reader, "SET work_mem = '1MB'; RESET work_mem; SHOW work_mem") == [("8MB",)]
    assert ask(Session(database, "reader", "glancedb", {"work_mem": "2MB"}), "SHOW work_mem") == [("2MB",)]
    ask(reader, "ALTER ROLE reader SET timezone = 'Asia/Tokyo'")
    database.close()
    database = Database.open(tmp_path)
    try:
        reader = Session(database, "reader", "glancedb")
        assert ask(reader, "SHOW timezone") == [("Asia/Tokyo",)]
        assert ask(reader, "SHOW work_mem") == [("8MB",)]
        ask(reader, "ALTER ROLE reader RESET ALL")
        assert ask(Session(database, "reader", "glancedb"), "SHOW work_mem") != [("8MB",)]
    finally:
        database.close()
