"""What planning knows of tables: close to the truth, whatever rows they have, and across a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.definitions import ColumnDefinition, Table
from storage.predicate import Comparison
from storage.segments.statistics import TableStatistics, statistics_of
from storage.types import INT8, TEXT

ROWS = 50_000
TABLE = Table(
    20_000,
    2200,
    "t",
    tuple(ColumnDefinition(n, t, i) for i, (n, t) in enumerate([("a", INT8), ("b", INT8), ("c", TEXT)], 1)),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A table in two segments: a ascends, four rows a value; b is any of 7,000; c one of three, or null."""
    database = Database.open(tmp_path)
    transaction = database.begin()
    transaction.define(TABLE)
    transaction.commit()
    rng = np.random.default_rng(3)
    for start in (0, ROWS):
        transaction = database.begin()
        a = np.arange(start, start + ROWS) // 4
        b = rng.integers(0, 7_000, ROWS) * 1_000_003
        c = Column.of(TEXT, [(None, "x", "y", "z")[i % 4] for i in range(ROWS)])
        transaction.insert(TABLE.oid, Batch.of(Column(INT8, a), Column(INT8, b), c))
        transaction.commit()
        database.optimize(TABLE.oid, "flush")
    yield database
    database.close()


def found(database: Database) -> TableStatistics:
    return statistics_of(database.store(TABLE.oid))


def check(statistics: TableStatistics) -> None:
    assert statistics.rows == 2 * ROWS
    a, b, c = (statistics.column(number) for number in (1, 2, 3))
    assert a is not None
    assert a.distinct == pytest.approx(ROWS / 2, rel=0.25)
    assert a.share(Comparison.LT, ROWS // 8) == pytest.approx(0.25, abs=0.02)
    assert a.share(Comparison.GE, ROWS // 2 + 1) == 0
    assert a.share(Comparison.EQ, 7) == pytest.approx(2 / ROWS, rel=0.3)
    assert b is not None
    assert b.distinct == pytest.approx(7_000, rel=0.25)
    assert c is not None
    assert (c.distinct, c.nulls) == (3, 0.25)
    assert c.share(Comparison.IS_NULL, True) == 0.25
    assert c.share(Comparison.EQ, "y") == pytest.approx(1 / 3)
    assert c.share(Comparison.EQ, "zz") == 0


def test_close_to_the_truth(database: Database, tmp_path: Path) -> None:
    check(found(database))
    assert found(database) is found(database)
    database.close()
    again = Database.open(tmp_path)
    try:
        check(found(again))
    finally:
        again.close()


def test_rows_that_are_not_sealed_count(database: Database) -> None:
    before = found(database)
    transaction = database.begin()
    transaction.insert(TABLE.oid, Batch.of(*(Column.of(t.type, [None]) for t in TABLE.columns)))
    transaction.commit()
    after = found(database)
    assert after.rows == before.rows + 1
    transaction = database.begin()
    transaction.delete(TABLE.oid, np.array([1, 2, 3]))
    transaction.commit()
    assert found(database).rows == after.rows - 3


def test_nothing_is_known_of_nothing() -> None:
    database = Database.open(None)
    empty = found(database)
    assert (empty.rows, empty.column(1)) == (0, None)
    database.close()
