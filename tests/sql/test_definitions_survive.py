"""Definitions after a restart: by the log alone, by a checkpoint alone, and by both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sql.outcome import Rows
from sql.session import Session
from storage.codec import encode_catalog
from storage.database import Database

MADE = """
    CREATE SCHEMA s;
    CREATE TABLE s.t (a int PRIMARY KEY, b text DEFAULT 'x', c int CHECK (c > 0), d serial);
    INSERT INTO s.t (a, c) VALUES (1, 5), (2, 6);
    CREATE VIEW s.v AS SELECT a, c FROM s.t WHERE a > 1;
    COMMENT ON TABLE s.t IS 'a table';
    COMMENT ON COLUMN s.t.c IS 'a column';
    COMMENT ON SCHEMA s IS 'a schema';
    CREATE SEQUENCE s.q INCREMENT 3;
    CREATE TABLE s.copy AS SELECT * FROM s.v;
    CREATE TEMP TABLE gone (a int);
    INSERT INTO gone VALUES (1)
"""
CHANGED = """
    ALTER TABLE s.t RENAME COLUMN c TO cc;
    ALTER TABLE s.t ADD COLUMN e numeric(10,2) DEFAULT 1.25 NOT NULL;
    ALTER TABLE s.t DROP COLUMN b;
    DROP VIEW s.v;
    ALTER TABLE s.t ALTER COLUMN cc TYPE bigint USING cc * 10;
    ALTER TABLE s.copy RENAME TO renamed;
    ALTER SCHEMA s RENAME TO moved;
    ALTER SEQUENCE moved.q RESTART WITH 100;
    SELECT nextval('moved.q');
    INSERT INTO moved.t (a, cc) VALUES (3, 70);
    CREATE VIEW moved.v AS SELECT a, cc::int AS c, e FROM moved.t WHERE a > 1
"""


def run(database: Database, text: str) -> list[tuple[object, ...]]:
    """The rows of a text's last statement."""
    session = Session(database, "glancedb", "glancedb")
    found: list[tuple[object, ...]] = []
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            found = [row for batch in outcome.batches for row in batch.tuples()]
        outcome.complete()
    session.close()
    return found


def look(database: Database) -> list[object]:
    """All that can be seen of it."""
    catalog = encode_catalog(database.catalog)
    items = [{k: v for k, v in item.items() if k != "version"} for item in catalog["items"]]
    return [
        sorted(items, key=lambda item: item["oid"]),
        run(database, "SELECT * FROM moved.t ORDER BY a"),
        run(database, "SELECT * FROM moved.v ORDER BY a"),
        run(database, "SELECT * FROM moved.renamed ORDER BY a"),
        run(database, "SELECT obj_description('moved.t'::regclass), pg_get_viewdef('moved.v'::regclass)"),
    ]


@pytest.mark.parametrize("checkpoint", ["never", "between", "last"])
def test_definitions_survive(tmp_path: Path, checkpoint: str) -> None:
    database = Database.open(tmp_path / "data")
    run(database, MADE)
    if checkpoint == "between":
        database.checkpoint()
    run(database, CHANGED)
    if checkpoint == "last":
        database.checkpoint()
    before = look(database)
    shutil.copytree(tmp_path / "data", tmp_path / "crashed", ignore=shutil.ignore_patterns("lock"))
    database.close()
    for folder in ("crashed", "data"):
        again = Database.open(tmp_path / folder)
        assert look(again) == before
        assert run(again, "SELECT count(*) FROM pg_class WHERE relname = 'gone'") == [(0,)]
        run(again, "ALTER TABLE moved.t ADD COLUMN later int; INSERT INTO moved.t (a, cc) VALUES (9, 1)")
        number = run(again, "SELECT attnum FROM pg_attribute WHERE attname = 'later'")
        assert number == [(6,)], "a number of a dropped column is not used again"
        again.close()
