"""TPC-H's answers are DuckDB's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import tpchdata
from engine import forms
from sql.outcome import Rows
from sql.session import Session
from storage.database import Database
from tests.tpch import SCALE, TABLES, answer_file, lines, queries, same, schema


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session whose database has the tables, sealed."""
    folder = tmp_path_factory.mktemp("tpch")
    files = tpchdata.generated(SCALE, folder)
    database = Database.open(None)
    session = Session(database, "glancedb", "glancedb", {})
    answered(session, schema())
    for name in TABLES:
        answered(session, f"COPY {name} FROM '{files / name}.parquet' (FORMAT parquet)")
        answered(session, f"OPTIMIZE TABLE {name}")
    yield session
    session.close()
    database.close()


def answered(session: Session, text: str) -> list[str]:
    """A text's rows as lines."""
    rows: list[tuple[str | None, ...]] = []
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            for batch in outcome.batches:
                rows += zip(*(forms.text_of(c, session.style).tolist() for c in batch.columns), strict=True)
        outcome.complete()
    return lines(rows)


@pytest.mark.parametrize("number", queries())
def test_answers(session: Session, number: str) -> None:
    answer = answered(session, queries()[number])
    expected = Path(answer_file(number)).read_text().splitlines()
    assert len(answer) == len(expected)
    for line, wanted in zip(answer, expected, strict=True):
        assert same(line, wanted), f"{line} is not {wanted}"
