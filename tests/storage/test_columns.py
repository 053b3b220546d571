"""Columns are known by number: those added and dropped while rows stand, in memory, in the log, in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from storage import codec
from storage.column import Column
from storage.database import Database
from storage.definitions import ColumnDefinition, Table
from storage.lists import Shaped
from storage.predicate import Compare, Comparison
from storage.transactions.transaction import Transaction
from storage.types import DATE, INT4, INT8, INTERVAL, NUMERIC, TEXT, UUID, array_of, varchar, vector
from tests.storage.rows import crashed, create, delete, insert, put, rows, rows_with_ids, update

MISSING = (
    (INT4, 7),
    (TEXT, "none"),
    (varchar(5), "x"),
    (NUMERIC, Decimal("1.10")),
    (DATE, -3),
    (UUID, bytes(range(16))),
    (vector(2), [0.5, -1.0]),
    (array_of(TEXT), ["a", None]),
    (array_of(INT4), Shaped([1, 2, None, 4], (1, 2, 0, 2))),
    (INTERVAL, (1, 2, 3)),
    (INT8, None),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "data")
    yield database
    database.close()


def add(transaction: Transaction, oid: int, *columns: ColumnDefinition) -> Table:
    """ALTER TABLE ADD COLUMN."""
    table = transaction.catalog.table(oid)
    transaction.define(replace(table, columns=(*table.columns, *columns)))
    return transaction.catalog.table(oid)


def drop(transaction: Transaction, oid: int, number: int) -> None:
    """ALTER TABLE DROP COLUMN."""
    table = transaction.catalog.table(oid)
    transaction.define(replace(table, columns=tuple(c for c in table.columns if c.number != number)))


def test_older_rows_have_the_missing_value_of_every_type(database: Database, tmp_path: Path) -> None:
    oid = create(database)
    put(database, oid, (1, "sealed"))
    database.optimize(oid)
    put(database, oid, (2, "in a block"))
    transaction = database.begin()
    insert(transaction, oid, (3, "own"))
    columns = [
        ColumnDefinition(f"c{at}", type, at, missing=value) for at, (type, value) in enumerate(MISSING, 3)
    ]
    add(transaction, oid, *columns)
    values = tuple(value for _, value in MISSING)
    expected = [(1, "sealed", *values), (2, "in a block", *values), (3, "own", *values)]
    assert rows(transaction, oid) == expected
    transaction.commit()
    assert rows(database, oid) == expected
    again = Database.open(crashed(tmp_path / "data", tmp_path / "crashed"))
    assert rows(again, oid) == expected
    again.optimize(oid)
    assert rows(again, oid) == expected
    again.close()


def test_a_definition_with_a_missing_value_is_kept_as_it_is() -> None:
    for type, value in MISSING:
        table = Table(1, 2, "t", (ColumnDefinition("c", type, 1, missing=value),))
        assert codec.decode_definition(codec.encode_definition(table)) == table


def test_snapshots_read_the_same_rows_by_their_own_definitions(database: Database) -> None:
    oid = create(database)
    put(database, oid, (1, "a"), (2, "b"))
    database.optimize(oid)
    old = database.begin("repeatable read")
    assert rows(old, oid) == [(1, "a"), (2, "b")]
    transaction = database.begin()
    drop(transaction, oid, 2)
    add(transaction, oid, ColumnDefinition("word", INT8, 3, missing=5))
    transaction.commit()
    put(database, oid, (3, 6))
    assert rows(database, oid) == [(1, 5), (2, 5), (3, 6)]
    assert rows(old, oid) == [(1, "a"), (2, "b")]
    old.rollback()
    writer = database.begin()
    update(writer, oid, 1, (1, 8))
    delete(writer, oid, 2)
    writer.commit()
    database.optimize(oid)
    assert rows(database, oid) == [(1, 8), (3, 6)]


def test_rows_of_one_block_may_have_different_columns(database: Database, tmp_path: Path) -> None:
    oid = create(database)
    expected: list[tuple[Any, ...]] = []
    for number in range(3, 7):
        put(database, oid, (number, "w", *[number] * (number - 3)))
        transaction = database.begin()
        add(transaction, oid, ColumnDefinition(f"c{number}", INT4, number, missing=-number))
        transaction.commit()
    for number in range(3, 7):
        later = [-n for n in range(number, 7)]
        expected.append((number, "w", *[number] * (number - 3), *later))
    assert rows(database, oid) == sorted(expected, key=repr)
    again = Database.open(crashed(tmp_path / "data", tmp_path / "crashed"))
    assert rows(again, oid) == sorted(expected, key=repr)
    again.close()


def test_zones_know_the_missing_value(database: Database) -> None:
    oid = create(database)
    put(database, oid, (1, "a"))
    database.optimize(oid)
    transaction = database.begin()
    table = add(
        transaction,
        oid,
        ColumnDefinition("seven", INT4, 3, missing=7),
        ColumnDefinition("nothing", INT4, 4),
    )
    transaction.commit()
    view = database.snapshot().table(oid)
    seven, nothing = table.columns[2:]
    for column, op, value, skipped in (
        (seven, Comparison.EQ, 7, 0),
        (seven, Comparison.EQ, 8, 1),
        (seven, Comparison.IS_NULL, None, 1),
        (nothing, Comparison.EQ, 7, 1),
        (nothing, Comparison.IS_NULL, None, 0),
    ):
        predicate = (Compare(column, op, value),)
        assert view.skipped(predicate) == (skipped, 1)
        for morsel in view.morsels(predicate):
            assert morsel.select(predicate) in (None, [True])


def test_a_longer_varchar_reads_what_is_there(database: Database) -> None:
    oid = create(database, columns=(("id", INT8), ("word", varchar(2))))
    put(database, oid, (1, "ab"))
    database.optimize(oid)
    put(database, oid, (2, "cd"))
    transaction = database.begin()
    table = transaction.catalog.table(oid)
    transaction.define(replace(table, columns=(table.columns[0], replace(table.columns[1], type=varchar(9)))))
    transaction.commit()
    put(database, oid, (3, "longer"))
    assert rows(database, oid) == [(1, "ab"), (2, "cd"), (3, "longer")]
    for morsel in database.snapshot().table(oid).morsels():
        column: Column = morsel.column(database.catalog.table(oid).columns[1])
        assert column.type == varchar(9)
    assert len(rows_with_ids(database.snapshot(), oid)) == 3
