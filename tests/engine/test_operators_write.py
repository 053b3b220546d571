"""Insert, update and delete on a transaction that only remembers what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from engine.nodes import Call, Constant, Reference
from engine.operators import Append, Check, Delete, Insert, Invariants, Limit, Project, Scan, Update, Values
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, Table
from storage.errors import CheckViolation, NotNullViolation
from storage.transactions.locks import Policy, RowMode
from storage.types import BOOL, INT4, INT8, TEXT, Type
from tests.engine.tables import MemorySnapshot, MemoryTable, Source, rows_of

A, B, ID = Reference(0, INT4), Reference(1, TEXT), Reference(2, INT8)
COLUMNS = (ColumnDefinition("a", INT4, 1, not_null=True), ColumnDefinition("b", TEXT, 2))
CATALOG = Catalog(relations={1: Table(1, 2200, "t", COLUMNS)})


@dataclass
class Notebook:
    """A transaction in which others have changed `taken` first, into the rows of `later`."""

    tables: list[MemoryTable]
    taken: dict[int, int] = field(default_factory=dict)  # id -> id of its successor, 0 if deleted
    later: MemoryTable | None = None
    inserted: list[Any] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    updated: list[Any] = field(default_factory=list)
    catalog: Catalog = CATALOG
    read_only: bool = False

    def insert(self, table: int, batch: Batch) -> Positions:
        self.inserted += batch.tuples()
        return np.arange(batch.rows)

    def delete(self, table: int, row_ids: Positions, mode: RowMode = RowMode.UPDATE) -> Positions:
        assert not set(row_ids.tolist()) & set(self.deleted)
        done = [id for id in row_ids.tolist() if id not in self.taken]
        self.deleted += done
        return np.array(done[::-1], np.int64)

    def update(self, table: int, row_ids: Positions, batch: Batch, mode: RowMode) -> Positions:
        kept = np.isin(row_ids, self.delete(table, row_ids))
        self.updated += zip(row_ids[kept].tolist(), batch.take(kept).tuples(), strict=True)
        return np.where(kept, -np.arange(1, batch.rows + 1), 0)

    def lock(self, table: int, row_ids: Positions, mode: RowMode, policy: Policy = "wait") -> Positions:
        return np.array([self.taken.get(id, id) for id in row_ids.tolist()], np.int64)

    def took(self, table: int, row_ids: Positions) -> Mask:
        return np.isin(row_ids, self.deleted)

    def took_since(self, table: int, row_ids: Positions, command: int) -> Mask:
        return np.zeros(len(row_ids), np.bool_)  # no function of a statement changes rows here

    def run(self) -> Run:
        for table in self.tables:
            table.newer = self.later
        snapshot = MemorySnapshot(dict(enumerate(self.tables, 1)), CATALOG)
        return Run(snapshot, self)  # type: ignore[arg-type]  # what operators use of one


def table(values: list[Any], morsel: int = 3) -> MemoryTable:
    return MemoryTable([Column.of(INT4, values), Column.of(TEXT, [f"b{v}" for v in values])], morsel)


def operation(symbol: str, left: Expression, right: Expression, type: Type = BOOL) -> Call:
    return Call(f"operator {symbol}(int4,int4)", (left, right), type)


def four(value: int | None) -> Constant:
    return Constant(Column.scalar(INT4, value))


def target(limit: int) -> Scan:
    return Scan(1, "t", (1, 2), (INT4, TEXT), condition=operation("<", A, four(limit)), row_ids=True)


def test_insert_tells_how_many_and_returns_what_was_asked() -> None:
    source = Source((INT4, TEXT), tuple((i, str(i)) for i in range(5)), 2)
    book = Notebook([])
    (batch,) = Insert(1, source).batches(book.run())
    assert (batch.columns, batch.rows) == ((), 5)
    assert book.inserted == [(i, str(i)) for i in range(5)]
    plan = Insert(1, source, (B, operation("+", A, A, INT4)))
    assert plan.types == (TEXT, INT4)
    assert rows_of(plan, book.run()) == [(str(i), 2 * i) for i in range(5)]


def test_an_insert_is_complete_before_its_first_row_comes_out() -> None:
    source = Source((INT4, TEXT), tuple((i, None) for i in range(5)), 1)
    book = Notebook([])
    assert rows_of(Limit(Insert(1, source, (A,)), four(1)), book.run()) == [(0,)]
    assert len(book.inserted) == 5


def test_no_rows_are_no_rows() -> None:
    (batch,) = Insert(1, Source((INT4, TEXT), ())).batches(Notebook([]).run())
    assert batch.rows == 0


def test_update_gives_each_row_its_new_version_once() -> None:
    book = Notebook([table([1, 2, 3, 4, 5])])
    new = Project(target(4), (operation("+", A, four(10), INT4), B, ID))
    assert rows_of(Update(1, Append((new, new), (INT4, TEXT, INT8)), (A, B)), book.run()) == [
        (11, "b1"),
        (12, "b2"),
        (13, "b3"),
    ]
    assert book.updated == [(0, (11, "b1")), (1, (12, "b2")), (2, (13, "b3"))]


def test_delete_counts_and_returns_the_old_rows_and_what_joins_them() -> None:
    book = Notebook([table([1, 2, 3])])
    extra = Project(target(3), (A, B, ID, operation("*", A, four(100), INT4)))
    assert rows_of(Delete(1, extra, (B, Reference(3, INT4))), book.run()) == [("b1", 100), ("b2", 200)]
    assert book.deleted == [0, 1]


def test_rows_that_others_changed_are_looked_at_again() -> None:
    # 0 was deleted, 1 is now 7 and no longer meant, 2 is now 3 and still is.
    later = table([0, 0, 0, 0, 0, 7, 3])
    book = Notebook([table([0, 1, 2, 3, 9])], {0: 0, 1: 5, 2: 6}, later)
    new = Project(target(5), (operation("+", A, four(10), INT4), B, ID))
    assert rows_of(Update(1, new, (A,)), book.run()) == [(13,), (13,)]
    assert sorted(book.updated) == [(3, (13, "b3")), (6, (13, "b3"))]
    book = Notebook([table([0, 1, 2, 3, 9])], {0: 0, 1: 5, 2: 6}, later)
    (batch,) = Delete(1, target(5)).batches(book.run())
    assert batch.rows == 2
    assert sorted(book.deleted) == [3, 6]


def test_the_first_failing_row_is_told() -> None:
    positive = Check("t_a_check", operation(">", A, four(0)))
    small = Check("a_small", operation("<", A, four(100)))
    plan = Insert(
        1,
        Source((INT4, TEXT), ((1, "x"), (None, "y"), (-1, None))),
        None,
        Invariants((0,), (positive, small)),
    )
    with pytest.raises(NotNullViolation) as caught:
        rows_of(plan, Notebook([]).run())
    error = caught.value
    assert error.message == 'null value in column "a" of relation "t" violates not-null constraint'
    assert error.detail == "Failing row contains (null, y)."
    assert (error.schema, error.table, error.column) == ("public", "t", "a")
    long = "é" * 40
    with pytest.raises(CheckViolation) as caught_check:
        rows_of(
            replace(plan, child=Values(((four(-1), Constant(Column.scalar(TEXT, long))),), (INT4, TEXT))),
            Notebook([]).run(),
        )
    violation = caught_check.value
    assert violation.message == 'new row for relation "t" violates check constraint "t_a_check"'
    assert violation.detail == f"Failing row contains (-1, {'é' * 32}...)."
    assert violation.constraint == "t_a_check"


def test_a_check_that_is_null_is_met() -> None:
    check = Check("t_a_check", operation(">", A, four(0)))
    book = Notebook([])
    rows_of(Insert(1, Source((INT4, TEXT), ((None, "x"),)), None, Invariants((), (check,))), book.run())
    assert book.inserted == [(None, "x")]
