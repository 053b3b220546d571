"""Aggregate against plain Python, in batches of every size: groups, FILTER, DISTINCT, ORDER BY."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import engine.aggregates  # noqa: F401  # fills the registry
from engine.aggregates.registry import AggregateCall
from engine.nodes import Call, Constant, Reference
from engine.operators import Aggregate, Scan, SortKey
from engine.seams import Expression
from storage.column import Column
from storage.types import BOOL, FLOAT8, INT4, INT8, TEXT, Type, array_of
from tests.engine.tables import MemoryTable, Source, rows_of, run_over

A, B = Reference(0, INT4), Reference(1, TEXT)
numbers = st.one_of(st.none(), st.integers(-3, 3))
texts = st.one_of(st.none(), st.sampled_from(["", "a", "b"]))
tables = st.lists(st.tuples(numbers, texts), max_size=20)
sizes = st.sampled_from([1, 3, 100])


def aggregate(
    function: str,
    arguments: tuple[Expression, ...],
    type: Type,
    distinct: bool = False,
    filter: Expression | None = None,
    order: tuple[SortKey, ...] = (),
) -> AggregateCall:
    return AggregateCall(function, arguments, distinct, filter, order, type)


def source(rows: list[Any], size: int) -> Source:
    return Source((INT4, TEXT), tuple(rows), size)


COUNT = aggregate("count()", (), INT8)
SUM = aggregate("sum(int4)", (A,), INT8)


@given(tables, sizes)
def test_groups_come_in_order_of_appearance(rows: list[Any], size: int) -> None:
    plan = Aggregate(source(rows, size), (B,), (COUNT, SUM, aggregate("min(int4)", (A,), INT4)))
    groups: dict[Any, list[Any]] = {}
    for a, b in rows:
        groups.setdefault(b, []).append(a)
    expected = []
    for b, values in groups.items():
        present = [a for a in values if a is not None]
        expected.append((b, len(values), sum(present) if present else None, min(present, default=None)))
    assert rows_of(plan) == expected


def test_without_keys_there_is_one_row() -> None:
    assert rows_of(Aggregate(source([], 3), (), (COUNT, SUM))) == [(0, None)]
    assert rows_of(Aggregate(source([(1, "a"), (2, "b")], 1), (), (COUNT, SUM))) == [(2, 3)]
    assert rows_of(Aggregate(source([], 3), (A,), (COUNT,))) == []
    assert rows_of(Aggregate(source([(1, "a"), (1, "b")], 1), (A,), ())) == [(1,)]


@given(tables, sizes)
def test_distinct_and_filter(rows: list[Any], size: int) -> None:
    positive = Call("operator >(int4,int4)", (A, Constant(Column.scalar(INT4, 0))), BOOL)
    calls = (
        aggregate("count(any)", (A,), INT8, distinct=True),
        aggregate("sum(int4)", (A,), INT8, distinct=True, filter=positive),
        aggregate("count()", (), INT8, filter=positive),
        aggregate("array_agg(anynonarray)", (A,), array_of(INT4), distinct=True),
    )
    expected: dict[Any, list[Any]] = {}
    for a, b in rows:
        expected.setdefault(b, []).append(a)
    result = {row[0]: row[1:] for row in rows_of(Aggregate(source(rows, size), (B,), calls))}
    assert result.keys() == expected.keys()
    for b, values in expected.items():
        present = {a for a in values if a is not None}
        above = [a for a in values if a is not None and a > 0]
        listed = sorted(present) + ([None] if None in values else [])
        assert result[b] == (len(present), sum(set(above)) if above else None, len(above), listed)


@given(tables, sizes, st.booleans())
def test_order_by_inside(rows: list[Any], size: int, descending: bool) -> None:
    order = (SortKey(A, descending, descending),)
    comma = Constant(Column.scalar(TEXT, ","))
    calls = (
        aggregate("array_agg(anynonarray)", (A,), array_of(INT4), order=order),
        aggregate("string_agg(text,text)", (B, comma), TEXT),
    )
    present = sorted((a for a, _ in rows if a is not None), reverse=descending)
    nulls = [None] * (len(rows) - len(present))
    numbers = [*nulls, *present] if descending else [*present, *nulls]
    texts = [b for _, b in rows if b is not None]
    expected = (numbers or None, ",".join(texts) if texts else None)
    assert rows_of(Aggregate(source(rows, size), (), calls)) == [expected]


def test_many_groups_in_the_pool_give_the_same_bits() -> None:
    random = np.random.default_rng(11)
    keys = random.integers(0, 30_000, 100_000).astype(np.int32)
    values = random.normal(size=100_000) * 10.0 ** random.integers(-20, 20, 100_000)
    columns = [Column(INT4, keys), Column(FLOAT8, values)]
    scan = Scan(1, "t", (1, 2), (INT4, FLOAT8))
    plan = Aggregate(scan, (A,), (COUNT, aggregate("sum(float8)", (Reference(1, FLOAT8),), FLOAT8)))
    whole = sorted(rows_of(plan, run_over(MemoryTable(columns, 100_000))))
    assert [row[0] for row in whole] == sorted(dict.fromkeys(keys.tolist()))
    by_key: dict[int, list[float]] = {}
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        by_key.setdefault(key, []).append(value)
    for key, count, total in whole:
        assert count == len(by_key[key])
        assert math.isclose(total, math.fsum(by_key[key]), rel_tol=1e-15)
    for morsel in (100, 4096, 65_536):
        assert sorted(rows_of(plan, run_over(MemoryTable(columns, morsel)))) == whole
