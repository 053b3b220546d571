"""Operators that go row by row or pass rows on: scan, filter, project, limit, append, sets, recursion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.conditions import And
from engine.counters import Counters
from engine.late import LateColumn
from engine.nodes import Call, Constant, Parameter, Reference
from engine.operators import (
    Append,
    Bound,
    Filter,
    FunctionScan,
    Limit,
    Nothing,
    OneRow,
    Project,
    ProjectSets,
    RecursiveUnion,
    Scan,
    Shared,
    Values,
    WorkTable,
)
from engine.operators.scan import only
from engine.seams import Expression
from storage.batch import BATCH_BYTES
from storage.column import Column
from storage.errors import DivisionByZero, InvalidRowCountInLimit, InvalidRowCountInOffset, QueryCanceled
from storage.predicate import Comparison
from storage.types import BOOL, FLOAT8, INT4, INT8, TEXT, Type, array_of, binary
from tests.engine.tables import MemoryTable, Source, rows_of, run_over

A, B = Reference(0, INT4), Reference(1, TEXT)


def constant(type: Type, value: Any) -> Constant:
    return Constant(Column.scalar(type, value))


def operation(symbol: str, left: Expression, right: Expression, type: Type = BOOL) -> Call:
    return Call(f"operator {symbol}(int4,int4)", (left, right), type)


def four(value: int) -> Constant:
    return constant(INT4, value)


ROWS = tuple((i if i % 7 else None, f"row {i}") for i in range(50))


def table(morsel: int = 8, **options: Any) -> MemoryTable:
    columns = [Column.of(INT4, [a for a, _ in ROWS]), Column.of(TEXT, [b for _, b in ROWS])]
    return MemoryTable(columns, morsel, **options)


@pytest.mark.parametrize("morsel", [1, 8, 100])
def test_scan_gives_the_rows_whose_condition_is_true(morsel: int) -> None:
    scan = Scan(1, "t", (2, 1), (TEXT, INT4), condition=operation("<", Reference(1, INT4), four(20)))
    expected = [(b, a) for a, b in ROWS if a is not None and a < 20]
    assert rows_of(scan, run_over(table(morsel))) == expected


def test_scan_leaves_out_what_the_snapshot_does_not_see_before_it_evaluates() -> None:
    visible = [i % 5 != 0 for i in range(50)]
    condition = operation("=", operation("/", four(10), operation("%", A, four(5), INT4), INT4), four(10))
    scan = Scan(1, "t", (1,), (INT4,), condition=condition, row_ids=True)
    assert scan.types == (INT4, INT8)
    rows = rows_of(scan, run_over(table(visible=visible)))
    assert rows == [(a, i) for i, (a, _) in enumerate(ROWS) if visible[i] and a is not None and a % 5 == 1]
    with pytest.raises(DivisionByZero):
        rows_of(scan, run_over(table()))


def test_scan_of_a_target_gives_only_the_ids_it_is_asked_for() -> None:
    run = run_over(table())
    run.memo[only(0)] = np.array([3, 14, 49])
    assert rows_of(Scan(1, "t", (2,), (TEXT,), row_ids=True), run) == [
        ("row 3", 3),
        ("row 14", 14),
        ("row 49", 49),
    ]


def test_a_bound_that_is_null_means_no_rows_and_one_that_fails_means_nothing() -> None:
    none = Bound(1, Comparison.EQ, (Parameter(0, INT4),))
    run = run_over(table(), parameters=[Column.scalar(INT4, None)])
    assert rows_of(Scan(1, "t", (1,), (INT4,), (none,)), run) == []
    failing = Bound(1, Comparison.EQ, (operation("/", four(1), four(0), INT4),))
    assert len(rows_of(Scan(1, "t", (1,), (INT4,), (failing,)), run_over(table()))) == 50


def test_wide_columns_are_fetched_for_survivors_only_and_when_asked() -> None:
    wide = Column(binary(4096), np.arange(20 * 4096, dtype=np.uint8).reshape(20, 4096))
    memory = MemoryTable([Column.of(INT4, range(20)), wide], 10)
    scan = Scan(1, "t", (1, 2), (INT4, binary(4096)), condition=operation("=", A, four(7)))
    (batch,) = scan.batches(run_over(memory))
    assert isinstance(batch.columns[1], LateColumn)
    assert (1, 1) not in memory.parts[0].fetched
    assert batch.columns[1].values.tolist() == wide.values[7:8].tolist()
    assert memory.parts[0].fetched == [(0, 10), (1, 1)]


@pytest.mark.parametrize("deleted", [(3,), (3, 4, 5, 6, 8, 9), ()])
def test_a_condition_on_wide_columns_never_fails_for_deleted_rows(
    deleted: tuple[int, ...],
) -> None:
    images = np.eye(10, 32, dtype=np.float32)
    divisors = [0 if i in deleted else 5 for i in range(10)]
    columns = [Column.of(INT4, divisors), Column(binary(128), images.view(np.uint8))]
    memory = MemoryTable(columns, 100, [i not in deleted for i in range(10)])
    asked = Constant(Column(binary(128), images[7:8].view(np.uint8), constant=True))
    dot = Call("dot_product(binary,binary)", (Reference(1, binary(128)), asked), FLOAT8)
    divided = operation("=", operation("/", four(10), A, INT4), four(2))
    close = Call("operator >(float8,float8)", (dot, constant(FLOAT8, 0.5)), BOOL)
    for condition in (And((divided, close)), And((close, divided))):
        scan = Scan(1, "t", (1, 2), (INT4, binary(128)), condition=condition, row_ids=True)
        assert [row[2] for row in rows_of(scan, run_over(memory))] == [7]


def test_batches_of_wide_rows_are_of_bounded_size_and_not_copied() -> None:
    values = np.zeros((3000, 4096), np.uint8)
    memory = MemoryTable([Column(binary(4096), values)], 3000)
    batches = list(Scan(1, "t", (1,), (binary(4096),)).batches(run_over(memory)))
    assert sum(batch.rows for batch in batches) == 3000
    assert all(batch.rows * 4096 <= BATCH_BYTES for batch in batches)
    assert all(np.shares_memory(batch.columns[0].values, values) for batch in batches)


def test_filter_and_project_over_anything() -> None:
    source = Source((INT4, TEXT), ROWS)
    plan = Project(Filter(source, operation(">", A, four(40))), (B, operation("+", A, four(1), INT4)))
    assert plan.types == (TEXT, INT4)
    assert rows_of(plan) == [(b, a + 1) for a, b in ROWS if a is not None and a > 40]


def test_counters_tell_rows_and_what_was_removed() -> None:
    scan = Scan(1, "t", (1,), (INT4,), condition=operation("<", A, four(20)))
    plan = Project(scan, (operation("+", A, A, INT4),))
    run = run_over(table())
    object.__setattr__(run, "counters", Counters())
    kept = len(rows_of(plan, run))
    assert run.counters.of(scan).rows == run.counters.of(plan).rows == kept
    assert run.counters.of(scan).notes["Rows Removed by Filter"] == 50 - kept


@pytest.mark.parametrize(("count", "offset"), [(0, 0), (3, 0), (7, 5), (None, 45), (100, 49), (5, None)])
def test_limit(count: int | None, offset: int | None) -> None:
    source = Source((INT4, TEXT), ROWS)
    plan = Limit(source, constant(INT8, count), constant(INT8, offset))
    skip = offset or 0
    assert rows_of(plan) == list(ROWS[skip : None if count is None else skip + count])


def test_limit_closes_what_is_below() -> None:
    source = Source((INT4, TEXT), ROWS)
    batches = Limit(Filter(source, constant(BOOL, True)), constant(INT8, 1)).batches(run_over())
    assert next(batches).rows == 1
    assert list(batches) == []
    assert source.closed == [True]


def test_negative_limits_are_errors() -> None:
    with pytest.raises(InvalidRowCountInLimit, match="LIMIT must not be negative"):
        rows_of(Limit(OneRow(), constant(INT8, -1)))
    with pytest.raises(InvalidRowCountInOffset, match="OFFSET must not be negative"):
        rows_of(Limit(OneRow(), None, constant(INT8, -1)))


def test_cancel_ends_any_plan() -> None:
    run = run_over(table())
    run.cancel.set("canceling statement due to user request")
    for plan in (Scan(1, "t", (1,), (INT4,)), Source((INT4,), ((1,),)), OneRow()):
        with pytest.raises(QueryCanceled):
            rows_of(plan, run)


def test_values_append_nothing() -> None:
    plan = Append(
        (Values(((four(1),), (four(2),)), (INT4,)), Nothing((INT4,)), Values(((four(3),),), (INT4,))), (INT4,)
    )
    assert rows_of(plan) == [(1,), (2,), (3,)]
    assert rows_of(OneRow()) == [()]


def test_function_scan_with_ordinality() -> None:
    function = "generate_series(int4,int4)"
    plan = FunctionScan(function, (four(4), four(6)), (INT4, INT8), ordinality=True)
    assert rows_of(plan) == [(4, 1), (5, 2), (6, 3)]
    assert rows_of(FunctionScan(function, (four(4), constant(INT4, None)), (INT4,))) == []


def test_sets_in_a_select_list_run_side_by_side() -> None:
    rows = (([1, 2, 3], "x"), ([], "y"), (None, "z"), ([4], "w"))
    source = Source((array_of(INT4), TEXT), rows, 2)
    unnest = Call("unnest(anyarray)", (Reference(0, array_of(INT4)),), INT4)
    series = Call("generate_series(int4,int4)", (four(1), four(2)), INT4)
    plan = ProjectSets(source, (Reference(1, TEXT), operation("+", unnest, four(10), INT4), series))
    assert rows_of(plan) == [
        ("x", 11, 1),
        ("x", 12, 2),
        ("x", 13, None),
        ("y", None, 1),
        ("y", None, 2),
        ("z", None, 1),
        ("z", None, 2),
        ("w", 14, 1),
        ("w", None, 2),
    ]
    assert rows_of(ProjectSets(source, (Reference(1, TEXT), unnest))) == [
        ("x", 1),
        ("x", 2),
        ("x", 3),
        ("w", 4),
    ]


def counting(distinct: bool, limit: int | None) -> RecursiveUnion:
    work: Any = WorkTable("n", (INT4,))
    if limit is not None:
        work = Filter(work, operation("<", A, four(limit)))
    step = Project(work, (operation("%", operation("+", A, four(1), INT4), four(7), INT4),))
    return RecursiveUnion(Values(((four(1),),), (INT4,)), step, distinct, "n")


def test_recursion_ends_when_there_is_nothing_new() -> None:
    assert [a for (a,) in rows_of(counting(True, None))] == [1, 2, 3, 4, 5, 6, 0]
    assert [a for (a,) in rows_of(counting(False, 4))] == [1, 2, 3, 4]


def test_a_shared_table_runs_once_and_only_as_far_as_it_is_read() -> None:
    endless = counting(False, None)
    shared = Shared("n", endless, (INT4,))
    run = run_over()
    assert rows_of(Limit(shared, constant(INT8, 9)), run) == [(a,) for a in [1, 2, 3, 4, 5, 6, 0, 1, 2]]
    source = Source((INT4,), tuple((i,) for i in range(10)))
    both = Append((Shared("s", source, (INT4,)), Shared("s", source, (INT4,))), (INT4,))
    assert [a for (a,) in rows_of(both, run_over())] == [*range(10), *range(10)]
    assert source.closed == [True]
