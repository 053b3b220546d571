"""The questions of h2oai's db-benchmark over a few thousand rows: DuckDB's answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import duckdb
import pytest

from bench.h2oai import answer, load
from bench.questions import GROUPS, JOINS, Tables, group_rows, join_rows
from sql.session import Session
from storage.database import Database

ROWS = 20_000


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows with every number a float, in one order."""
    plain = [tuple(v if v is None or isinstance(v, str) else float(v) for v in row) for row in rows]
    return sorted(plain, key=lambda row: [(v is None, str(type(v)), v) for v in row])


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return left == right or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


@pytest.mark.parametrize(
    ("tables", "questions"),
    [(group_rows(ROWS, groups=20), GROUPS), (join_rows(ROWS), JOINS)],
    ids=("group by", "join"),
)
def test_answers_are_those_of_duckdb(tables: Tables, questions: Mapping[str, str]) -> None:
    database = Database.open(None)
    with duckdb.connect() as peer:
        session = Session(database, "glancedb", "glancedb")
        load(session, tables)
        for name, table in tables.items():
            peer.register(name, table)
        for question, text in questions.items():
            ours = _sorted([row for batch in answer(session, text) for row in batch.tuples()])
            theirs = _sorted(peer.execute(text).fetchall())
            assert len(ours) == len(theirs), question
            for mine, other in zip(ours, theirs, strict=True):
                assert all(map(_same, mine, other)), (question, mine, other)
    database.close()
