"""Operators on a real database: what concurrent changes do to UPDATE and DELETE, what scans skip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.nodes import Call, Constant, Reference
from engine.operators import Delete, Insert, Project, Scan, Update
from engine.run import Run
from engine.seams import Expression
from storage.column import Column
from storage.database import Database
from storage.definitions import ColumnDefinition, Table
from storage.seams import Transaction
from storage.types import BOOL, INT4, INT8, TEXT, Type
from tests.engine.tables import Source, rows_of

A, B, ID = Reference(0, INT4), Reference(1, TEXT), Reference(2, INT8)
COLUMNS = (ColumnDefinition("a", INT4, 1), ColumnDefinition("b", TEXT, 2))


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.open(None)
    yield database
    database.close()


def begin(database: Database) -> Transaction:
    return database.begin("read committed")


def run_of(transaction: Transaction) -> Run:
    return Run(transaction.snapshot(), transaction)


@pytest.fixture
def table(database: Database) -> int:
    """A table of (i, 'i') for i below 5."""
    transaction = begin(database)
    oid = transaction.allocate_oid()
    transaction.define(Table(oid, 2200, "t", COLUMNS))
    rows_of(Insert(oid, Source((INT4, TEXT), tuple((i, str(i)) for i in range(5)))), run_of(transaction))
    transaction.commit()
    return oid


def four(value: int) -> Constant:
    return Constant(Column.scalar(INT4, value))


def operation(symbol: str, left: Expression, right: Expression, type: Type = BOOL) -> Call:
    return Call(f"operator {symbol}(int4,int4)", (left, right), type)


def target(table: int, limit: int) -> Scan:
    condition = operation("<", A, four(limit))
    return Scan(table, "t", (1, 2), (INT4, TEXT), condition=condition, row_ids=True)


def add(table: int, limit: int, amount: int) -> Update:
    new = Project(target(table, limit), (operation("+", A, four(amount), INT4), B, ID))
    return Update(table, new, (A, B))


def content(database: Database, table: int) -> list[Any]:
    return sorted(rows_of(Scan(table, "t", (1, 2), (INT4, TEXT)), run_of(begin(database))))


def test_a_statement_does_not_see_its_own_rows(database: Database, table: int) -> None:
    transaction = begin(database)
    run = run_of(transaction)
    rows_of(Insert(table, Scan(table, "t", (1, 2), (INT4, TEXT))), run)
    assert len(rows_of(Scan(table, "t", (1,), (INT4,)), run)) == 5
    assert len(rows_of(Scan(table, "t", (1,), (INT4,)), run_of(transaction))) == 10
    assert rows_of(add(table, 1, 10), run_of(transaction)) == [(10, "0"), (10, "0")]


def test_an_update_goes_on_from_what_another_has_committed(database: Database, table: int) -> None:
    first, second = begin(database), begin(database)
    before = run_of(second)  # its snapshot is older than the other's commit
    assert rows_of(add(table, 3, 10), run_of(first)) == [(10, "0"), (11, "1"), (12, "2")]
    rows_of(Delete(table, target(table, 4)), run_of(first))
    first.commit()
    assert sorted(rows_of(add(table, 12, 100), before)) == [(104, "4"), (110, "0"), (111, "1")]
    second.commit()
    assert content(database, table) == [(12, "2"), (104, "4"), (110, "0"), (111, "1")]


def test_a_delete_asks_its_condition_again(database: Database, table: int) -> None:
    first, second = begin(database), begin(database)
    before = run_of(second)
    rows_of(add(table, 2, 10), run_of(first))
    first.commit()
    assert sorted(rows_of(Delete(table, target(table, 11), (A,)), before)) == [(2,), (3,), (4,), (10,)]
    second.commit()
    assert content(database, table) == [(11, "1")]
