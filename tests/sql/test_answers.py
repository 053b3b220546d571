"""Queries whose answers and errors are those that PostgreSQL 15 gave: answers.jsonl, one record a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.errors import DatabaseError
from tests.sql.planning import answer, filled

RECORDS = [json.loads(line) for line in (Path(__file__).parent / "answers.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    opened = filled()
    yield opened
    opened.close()


@pytest.mark.parametrize("record", RECORDS, ids=[r["sql"][:60] for r in RECORDS])
def test_answer(database: Database, record: dict[str, Any]) -> None:
    if "error" in record:
        with pytest.raises(DatabaseError) as caught:
            answer(database, record["sql"])
        error = caught.value
        assert [error.sqlstate, error.message, error.position, error.hint] == record["error"]
        return
    names, types, rows = answer(database, record["sql"])
    expected = [tuple(row) for row in record["rows"]]
    assert (names, types) == (record["names"], record["types"])
    if "order by" in record["sql"].lower():
        assert rows == expected
    else:
        assert sorted(rows, key=repr) == sorted(expected, key=repr)
