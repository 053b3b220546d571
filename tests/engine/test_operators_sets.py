"""Operators that hold rows, against plain Python: sort, top, distinct, joins, set operations."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.memory import Memory
from engine.nodes import Call, Constant, Outer, Reference
from engine.operators import (
    Distinct,
    Filter,
    HashJoin,
    Lateral,
    Limit,
    LoopJoin,
    Scan,
    SetOperation,
    Sort,
    SortKey,
    Top,
    Window,
    WindowCall,
    loopparts,
)
from engine.seams import Expression
from storage.column import Column
from storage.memory import Reservations
from storage.types import BOOL, FLOAT8, INT4, INT8, TEXT, Type, binary
from tests.engine.tables import MemoryTable, Source, rows_of, run_over

A, B = Reference(0, INT4), Reference(1, TEXT)
TYPES = (INT4, TEXT)

numbers = st.one_of(st.none(), st.integers(-3, 3))
texts = st.one_of(st.none(), st.sampled_from(["", "a", "A", "b", "ab", "é"]))
tables = st.lists(st.tuples(numbers, texts), max_size=20)
sizes = st.sampled_from([1, 3, 100])


def constant(type: Type, value: Any) -> Constant:
    return Constant(Column.scalar(type, value))


def compare(symbol: str, left: Expression, right: Expression) -> Call:
    return Call(f"operator {symbol}(int4,int4)", (left, right), BOOL)


def by(rows: list[tuple[Any, ...]], keys: tuple[SortKey, ...]) -> list[tuple[Any, ...]]:
    """The rows sorted as SQL does, one stable pass a key."""
    for key in reversed(keys):
        index = key.expression.index  # type: ignore[attr-defined]  # a Reference
        null = [row for row in rows if row[index] is None]
        rest = [row for row in rows if row[index] is not None]
        # reverse=True keeps the order of equal rows too
        rest.sort(
            key=lambda row: row[index].encode() if isinstance(row[index], str) else row[index],
            reverse=key.descending,
        )
        rows = null + rest if key.nulls_first else rest + null
    return rows


orders = st.lists(
    st.builds(SortKey, st.sampled_from([A, B]), st.booleans(), st.booleans()), min_size=1, max_size=2
).map(tuple)


@given(tables, orders, sizes)
def test_sort(rows: list[tuple[Any, ...]], keys: tuple[SortKey, ...], size: int) -> None:
    numbered = [(*row, i) for i, row in enumerate(rows)]
    source = Source((*TYPES, INT4), tuple(numbered), size)
    assert rows_of(Sort(source, keys)) == by(numbered, keys)


@given(tables, orders, sizes, st.integers(0, 8), st.integers(0, 5))
def test_top_is_sort_and_limit(
    rows: list[tuple[Any, ...]], keys: tuple[SortKey, ...], size: int, count: int, offset: int
) -> None:
    numbered = [(*row, i) for i, row in enumerate(rows)]
    source = Source((*TYPES, INT4), tuple(numbered), size)
    top = Top(source, keys, constant(INT8, count), constant(INT8, offset))
    assert rows_of(top) == by(numbered, keys)[offset : offset + count]
    unlimited = Top(source, keys, None, constant(INT8, offset))
    assert rows_of(unlimited) == by(numbered, keys)[offset:]


def test_top_of_many_rows_cuts_as_it_goes() -> None:
    random = np.random.default_rng(5)
    values = random.integers(0, 1000, 200_000).astype(float)
    values[::1000] = np.nan
    memory = MemoryTable([Column(FLOAT8, values), Column(INT4, np.arange(200_000, dtype=np.int32))], 4096)
    scan = Scan(1, "t", (1, 2), (FLOAT8, INT4))
    for descending, limit in ((False, 10), (True, 300), (True, 5000)):
        keys = (SortKey(Reference(0, FLOAT8), descending, descending),)
        top = Top(scan, keys, constant(INT8, limit))
        ranks = np.where(np.isnan(values), np.inf, values)
        order = np.argsort(-ranks if descending else ranks, kind="stable")[:limit]
        assert [row for _, row in rows_of(top, run_over(memory))] == order.tolist()


def test_sort_leaves_wide_columns_where_they_are_until_they_go_out() -> None:
    width = 4096
    values = np.repeat(np.arange(100, dtype=np.uint8)[:, None], width, axis=1)
    memory = MemoryTable([Column(INT4, np.arange(100, dtype=np.int32)), Column(binary(width), values)], 30)
    scan = Scan(1, "t", (1, 2), (INT4, binary(width)))
    plan = Sort(scan, (SortKey(A, True),))
    rows = rows_of(plan, run_over(memory))
    assert [(a, image[0], len(image)) for a, image in rows] == [(i, i, width) for i in range(99, -1, -1)]
    top = Top(scan, (SortKey(A, True),), constant(INT8, 2))
    (batch,) = top.batches(run_over(memory))
    assert batch.columns[1].values[:, 0].tolist() == [99, 98]


@given(tables, sizes)
def test_distinct(rows: list[tuple[Any, ...]], size: int) -> None:
    source = Source(TYPES, tuple(rows), size)
    assert rows_of(Distinct(source)) == list(dict.fromkeys(rows))
    on = {}
    for row in rows:
        on.setdefault(row[0], row)
    assert rows_of(Distinct(source, (A,))) == list(on.values())


@given(tables, tables, sizes, st.sampled_from(["intersect", "except"]), st.booleans())
def test_set_operations(left: list[Any], right: list[Any], size: int, kind: Any, every: bool) -> None:
    plan = SetOperation(kind, every, Source(TYPES, tuple(left), size), Source(TYPES, tuple(right), size))
    ours, theirs = Counter(left), Counter(right)
    if not every:
        ours = Counter(set(left))
        theirs = Counter({row: len(left) for row in right})
    assert Counter(rows_of(plan)) == (ours & theirs if kind == "intersect" else ours - theirs)


def joined(kind: str, left: list[Any], right: list[Any], match: Any, width: int = 2) -> list[Any]:
    """The meaning of a join, as a list of rows in no order."""
    pairs = [(a, b) for a in left for b in right if match(a, b)]
    met = [any(match(a, b) for b in right) for a in left]
    if kind == "semi":
        return [a for a, ok in zip(left, met, strict=True) if ok]
    if kind == "anti":
        return [a for a, ok in zip(left, met, strict=True) if not ok]
    rows = [a + b for a, b in pairs]
    if kind in ("left", "full"):
        rows += [a + (None,) * width for a, ok in zip(left, met, strict=True) if not ok]
    if kind in ("right", "full"):
        rows += [(None,) * width + b for b in right if not any(match(a, b) for a in left)]
    return rows


KINDS = ["inner", "left", "right", "full", "semi", "anti"]
kinds = st.sampled_from(KINDS)


@settings(max_examples=200)
@given(tables, tables, sizes, sizes, kinds, st.sampled_from(["a", "b", "ab"]), st.booleans())
def test_hash_join(
    left: list[Any], right: list[Any], size: int, other: int, kind: Any, on: str, residual: bool
) -> None:
    references = [reference for name, reference in (("a", A), ("b", B)) if name in on]
    condition = compare("<", A, Reference(2, INT4)) if residual else None

    def match(a: Any, b: Any) -> bool:
        if residual and not (a[0] is not None and b[0] is not None and a[0] < b[0]):
            return False
        return all(a[r.index] is not None and a[r.index] == b[r.index] for r in references)

    plan = HashJoin(
        kind,
        Source(TYPES, tuple(left), size),
        Source(TYPES, tuple(right), other),
        tuple(references),
        tuple(references),
        condition,
    )
    assert Counter(rows_of(plan)) == Counter(joined(kind, left, right, match))


@given(tables, tables, sizes, kinds, st.booleans())
def test_loop_join(left: list[Any], right: list[Any], size: int, kind: Any, cross: bool) -> None:
    def match(a: Any, b: Any) -> bool:
        return cross or (a[0] is not None and b[0] is not None and a[0] < b[0])

    condition = None if cross else compare("<", A, Reference(2, INT4))
    plan = LoopJoin(kind, Source(TYPES, tuple(left), size), Source(TYPES, tuple(right), size), condition)
    assert Counter(rows_of(plan)) == Counter(joined(kind, left, right, match))


@given(tables, tables, sizes, kinds, st.booleans(), st.sampled_from([1, 2, 1024]), st.data())
def test_loop_join_of_what_is_put_aside(
    left: list[Any], right: list[Any], size: int, kind: Any, cross: bool, fewest: int, data: st.DataObject
) -> None:
    def match(a: Any, b: Any) -> bool:
        return cross or (a[0] is not None and b[0] is not None and a[0] < b[0])

    condition = None if cross else compare("<", A, Reference(2, INT4))
    plan = LoopJoin(kind, Source(TYPES, tuple(left), size), Source(TYPES, tuple(right), size), condition)
    memory = Memory({"work_mem": data.draw(st.sampled_from(["0kB", "1kB"])), "hash_mem_multiplier": "1"})
    with mock.patch.object(loopparts, "FEWEST_ROWS", fewest):
        found = [row for b in plan.batches(replace(run_over(), memory=memory)) for row in b.tuples()]
    assert Counter(found) == Counter(joined(kind, left, right, match))


def test_left_join_keeps_the_order_of_the_left_rows() -> None:
    left = tuple((i % 5, str(i)) for i in range(40))
    right = tuple((i, "r") for i in (1, 3, 3))
    plan = HashJoin("left", Source(TYPES, left, 7), Source(TYPES, right), (A,), (A,))
    assert [row[1] for row in rows_of(plan)] == [
        str(i) for i in range(40) for _ in range(2 if i % 5 == 3 else 1)
    ]


@pytest.mark.parametrize("repeated", [1, 2])
@pytest.mark.parametrize("hashed", [True, False])
def test_texts_that_a_join_refers_to_are_counted_until_nobody_does(repeated: int, hashed: bool) -> None:
    left = Source(TYPES, tuple((i, "l") for i in range(40)), 7)
    right = Source(TYPES, tuple((i % 40, "r" * 100) for i in range(40 * repeated)))
    plan: HashJoin | LoopJoin = HashJoin("inner", left, right, (A,), (A,))
    if not hashed:
        plan = LoopJoin("inner", left, right, compare("=", A, Reference(2, INT4)))
    server = Reservations(1 << 30)
    run = replace(run_over(), memory=Memory(server=server))
    batches = list(plan.batches(run))
    assert 4000 * repeated <= server.held <= 8000 * repeated
    kept = batches[0].columns[1]
    del batches
    assert server.held == 0, kept
    batches = list(plan.batches(run))
    referring = batches[-1].columns[3]
    del batches
    assert server.held >= 4000 * repeated
    del referring
    assert server.held == 0


@pytest.mark.parametrize("kind", ["inner", "full"])
def test_a_join_of_very_many_pairs_comes_in_pieces(kind: Any) -> None:
    ones = Column(INT4, np.ones(600, np.int32))
    memory = MemoryTable([ones], 300)
    scan = Scan(1, "t", (1,), (INT4,))
    plan = HashJoin(kind, scan, scan, (A,), (A,))
    batches = list(plan.batches(run_over(memory)))
    assert sum(batch.rows for batch in batches) == 360_000
    assert max(batch.rows for batch in batches) <= 65_536
    limited = Limit(plan, constant(INT8, 5))
    assert len(rows_of(limited, run_over(memory))) == 5


def test_joins_of_large_tables_in_the_pool() -> None:
    random = np.random.default_rng(3)
    keys = random.permutation(100_000).astype(np.int32)
    memory = MemoryTable([Column(INT4, keys), Column(INT4, keys * 2)], 8192)
    other = MemoryTable([Column(INT4, np.arange(0, 200_000, 4, dtype=np.int32))], 8192)
    plan = HashJoin("inner", Scan(1, "t", (1, 2), (INT4, INT4)), Scan(2, "u", (1,), (INT4,)), (A,), (A,))
    rows = rows_of(plan, run_over(memory, other))
    assert [row[0] for row in rows] == [int(key) for key in keys if key % 4 == 0]
    assert all(a == c and b == 2 * a for a, b, c in rows)


@given(tables, tables, sizes, st.sampled_from(["inner", "left"]), st.booleans())
def test_lateral(left: list[Any], right: list[Any], size: int, kind: Any, condition: bool) -> None:
    inner = Filter(Source(TYPES, tuple(right), size), compare(">", A, Outer(0, INT4)))
    extra = Call("operator =(text,text)", (B, Reference(3, TEXT)), BOOL) if condition else None
    plan = Lateral(kind, Source(TYPES, tuple(left), size), inner, (A,), extra)

    def match(a: Any, b: Any) -> bool:
        if condition and (a[1] is None or a[1] != b[1]):
            return False
        return a[0] is not None and b[0] is not None and b[0] > a[0]

    assert Counter(rows_of(plan)) == Counter(joined(kind, left, right, match))


@given(tables, sizes)
def test_window_functions_number_the_rows_of_partitions(rows: list[tuple[Any, ...]], size: int) -> None:
    order = (SortKey(A, descending=True, nulls_first=True),)
    calls = tuple(
        WindowCall(f"{name}()", INT8, partition=(B,), order=order)
        for name in ("row_number", "rank", "dense_rank")
    )
    expected = []
    for row in rows:
        mine = by([other for other in rows if other[1] == row[1]], order)
        before = mine.index(row)
        expected.append((*row, before + 1, len({other[0] for other in mine[:before]}) + 1))
    found = rows_of(Window(Source(TYPES, tuple(rows), size), calls))
    assert Counter((a, b, rank, dense) for a, b, _, rank, dense in found) == Counter(expected)
    for text in {row[1] for row in rows}:
        places = [number for _, b, number, _, _ in found if b == text]
        assert places == list(range(1, len(places) + 1))
