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


def test_what_is_said_of_fewer_sessions_comes_first(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    first = Session(database, "glancedb", "glancedb")
    ask(first, "CREATE USER reader")
    said = [
        ("ALTER ROLE ALL SET work_mem = '2MB'", "2MB"),
        ("ALTER DATABASE glancedb SET work_mem = '3MB'", "3MB"),
        ("ALTER ROLE reader SET work_mem = '4MB'", "4MB"),
        ("ALTER ROLE reader IN DATABASE glancedb SET work_mem TO '5MB'", "5MB"),
    ]
    for statement, shown in said:
        ask(first, statement)
        assert ask(Session(database, "reader", "glancedb"), "SHOW work_mem") == [(shown,)]
    assert ask(Session(database, "glancedb", "glancedb"), "SHOW work_mem") == [("3MB",)]
    kept = ask(
        first,
        "SELECT setdatabase <> 0, setrole <> 0, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
    )
    assert [row[2] for row in kept] == [[f"work_mem={n}MB"] for n in (2, 4, 3, 5)]
    database.close()
    database = Database.open(tmp_path)
    try:
        first = Session(database, "glancedb", "glancedb")
        ask(first, "SET timezone = 'Asia/Tokyo'; ALTER DATABASE glancedb SET timezone FROM CURRENT")
        assert ask(Session(database, "reader", "glancedb"), "SHOW timezone; SHOW work_mem") == [("5MB",)]
        assert ask(Session(database, "reader", "glancedb"), "SHOW timezone") == [("Asia/Tokyo",)]
        ask(first, "ALTER ROLE ALL RESET ALL; ALTER DATABASE glancedb RESET work_mem; DROP ROLE reader")
        assert ask(first, "SELECT setconfig FROM pg_db_role_setting") == [(["TimeZone=Asia/Tokyo"],)]
    finally:
        database.close()
