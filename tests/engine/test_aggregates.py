"""Aggregates: the answers are PostgreSQL 15's, and the same in every order of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aggregates import statistics
from engine.aggregates.exact import ExactSums
from engine.aggregates.registry import BY_ID, State, start
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import BOOL, FLOAT4, FLOAT8, INT4, INT8, INTERVAL, NUMERIC, TEXT, VECTOR, Type, array_of
from tests.engine.calls import run_with


def state(id: str, types: Sequence[Type], result: Type | None = None) -> State:
    return start(id, types, result or BY_ID[id].result, run_with())


def over(
    id: str, *columns: Column, groups: Sequence[int] | None = None, count: int = 1, result: Type | None = None
) -> Any:
    """The aggregate of columns: one value, or one a group."""
    whole = state(id, [column.type for column in columns], result)
    rows = max(len(column) for column in columns)
    whole.update(np.array(groups or [0] * rows, np.int64), columns, count)
    answers = whole.finish(count).tolist()
    return answers if groups else answers[0]


def decimals(*texts: str) -> Column:
    return Column.of(NUMERIC, [None if t is None else Decimal(t) for t in texts])


@pytest.mark.parametrize(
    ("id", "column", "answer"),
    [
        ("sum(int4)", Column.of(INT4, [1, 2, None]), 3),
        ("sum(int8)", Column.of(INT8, [2**63 - 1] * 2), Decimal(18446744073709551614)),
        ("avg(int4)", Column.of(INT4, [1, 2, 3, 4]), Decimal("2.5000000000000000")),
        ("avg(numeric)", decimals("1", "2", "2"), Decimal("1.6666666666666667")),
        ("avg(float4)", Column.of(FLOAT4, [1, 2, 3, 4]), 2.5),
        ("sum(numeric)", decimals("1.10", "2.2"), Decimal("3.30")),
        ("variance(numeric)", decimals("1.5", "2.25", "4"), Decimal("1.6458333333333333")),
        ("stddev(numeric)", decimals("1.5", "2.25", "4"), Decimal("1.2829003598617210")),
        ("var_pop(numeric)", decimals("1.5", "2.25", "4"), Decimal("1.09722222222222222222")),
        ("stddev_pop(numeric)", decimals("1.5", "2.25", "4"), Decimal("1.04748375749804455964")),
        ("variance(int4)", Column.of(INT4, [1, 2, 4]), Decimal("2.3333333333333333")),
        ("var_samp(float8)", Column.of(FLOAT8, [1.5, 2.25, 4]), 1.6458333333333333),
        ("stddev(float8)", Column.of(FLOAT8, [1.5, 2.25, 4]), 1.282900359861721),
        ("stddev(int4)", Column.of(INT4, [1]), None),
        ("count(any)", Column.of(INT4, [None, 1]), 1),
        ("max(text)", Column.of(TEXT, ["a", None, "b"]), "b"),
        ("min(text)", Column.of(TEXT, [None]), None),
        ("min(float8)", Column.of(FLOAT8, [math.nan, 1]), 1.0),
        ("max(numeric)", decimals("1", "Infinity"), Decimal("Infinity")),
        ("bool_and(bool)", Column.of(BOOL, [True, None]), True),
        ("bool_or(bool)", Column.of(BOOL, [False, None]), False),
        ("bit_or(int4)", Column.of(INT4, [1, 4]), 5),
        ("sum(interval)", Column.of(INTERVAL, [(1, 0, 0), (0, 2, 3)]), (1, 2, 3)),
    ],
)
def test_answers(id: str, column: Column, answer: Any) -> None:
    got = over(id, column)
    assert got == answer
    assert str(got) == str(answer)


def test_nan_and_infinity() -> None:
    assert math.isnan(over("max(float8)", Column.of(FLOAT8, [1.0, math.nan])))
    assert math.isnan(over("sum(float8)", Column.of(FLOAT8, [math.inf, -math.inf, 1.0])))
    assert over("sum(float8)", Column.of(FLOAT8, [math.inf, 1.0])) == math.inf
    with pytest.raises(DatabaseError, match="value out of range: overflow"):
        over("sum(float8)", Column.of(FLOAT8, [1e308, 1e308]))


def test_pairs() -> None:
    y, x = Column.of(FLOAT8, [2, 3.5, 8]), Column.of(FLOAT8, [1, 2, 4])
    wanted = {
        "corr": 0.9958705948858224,
        "covar_pop": 3.1666666666666665,
        "covar_samp": 4.75,
        "regr_slope": 2.0357142857142856,
        "regr_intercept": -0.25,
        "regr_avgx": 2.3333333333333335,
    }
    assert {name: over(f"{name}(float8,float8)", y, x) for name in wanted} == wanted


def test_collecting() -> None:
    items = Column.of(INT4, [1, None, 3])
    lists = array_of(INT4)
    assert over("array_agg(anynonarray)", items, groups=[1, 0, 1], count=3, result=lists) == [
        [None],
        [1, 3],
        None,
    ]
    words = Column.of(TEXT, ["a", None, "b"])
    assert over("string_agg(text,text)", words, Column.scalar(TEXT, ", ")) == "a, b"


_FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(st.lists(_FLOATS, min_size=1, max_size=40))
def test_sums_of_floats_are_exact(values: list[float]) -> None:
    got = over("sum(float8)", Column.of(FLOAT8, values))
    assert got == over("sum(float8)", Column.of(FLOAT8, values[::-1]))
    exact = sum(map(Fraction, values))
    assert abs(Fraction(got) - exact) <= abs(exact) * Fraction(1, 2**52) + Fraction(1, 2**1074)


@given(st.lists(st.tuples(st.integers(0, 4), _FLOATS), min_size=1, max_size=40), st.integers(1, 39))
def test_merged_states_give_the_same_bits(rows: list[tuple[int, float]], cut: int) -> None:
    groups = np.array([g for g, _ in rows])
    values = Column.of(FLOAT8, [v / 2**600 for _, v in rows])
    for id in ("sum(float8)", "avg(float8)", "variance(float8)", "max(float8)", "count(any)"):
        whole = state(id, [FLOAT8])
        whole.update(groups, [values], 5)
        first, second = state(id, [FLOAT8]), state(id, [FLOAT8])
        first.update(groups[:cut], [values.slice(0, cut)], 5)
        # the second state numbers its groups backwards
        second.update(4 - groups[cut:], [values.slice(cut, len(values))], 5)
        first.merge(second, np.array([4, 3, 2, 1, 0]), 5)
        assert first.finish(5).tolist() == whole.finish(5).tolist()


@given(st.lists(st.tuples(st.integers(0, 4), _FLOATS), min_size=1, max_size=40))
def test_merged_groups_give_the_same_bits(rows: list[tuple[int, float]]) -> None:
    groups = np.array([g for g, _ in rows])
    values = Column.of(FLOAT8, [v / 2**600 for _, v in rows])
    wider = np.array([0, 1, 1, 0, 0])
    for id in (
        "sum(float8)",
        "avg(float8)",
        "variance(float8)",
        "max(float8)",
        "count(any)",
        "corr(float8,float8)",
    ):
        columns = [values] * (2 if "," in id else 1)
        fine, whole, rolled = (state(id, [FLOAT8] * len(columns)) for _ in range(3))
        fine.update(groups, columns, 5)
        whole.update(wider[groups], columns, 2)
        rolled.merge(fine, wider, 2)
        assert rolled.finish(2).tolist() == whole.finish(2).tolist()


def test_groups_that_come_later() -> None:
    whole = state("sum(int4)", [INT4])
    whole.update(np.array([0]), [Column.of(INT4, [1])], 1)
    whole.update(np.array([2]), [Column.of(INT4, [5])], 3)
    assert whole.finish(4).tolist() == [1, None, 5, None]


def test_vectors_and_intervals() -> None:
    vectors = Column.of(VECTOR, [[1, 2], [3, 5], [0, 0]])
    assert over("sum(vector)", vectors) == [4.0, 7.0]
    assert over("avg(vector)", vectors, groups=[1, 1, 0], count=3) == [[0, 0], [2.0, 3.5], None]
    mean = over("avg(interval)", Column.of(INTERVAL, [(1, 0, 0), (0, 2, 10_800_000_000), (0, 0, 5_000_000)]))
    assert mean == (0, 10, 61_201_666_667)


@given(st.lists(st.integers(-(1 << 120), 1 << 120), min_size=1, max_size=5), st.integers(0, 1100))
def test_sums_of_two_words_are_the_numbers_they_stand_for(totals: list[int], base: int) -> None:
    low = np.array([total & (1 << 64) - 1 for total in totals], np.uint64).view(np.int64)
    high = np.array([total >> 64 for total in totals], np.int64)
    sums = ExactSums.of_words(low, high, base)
    assert sums.whole(1152) == [total << base + 77 for total in totals]
    if base == 1075 and all(-(1 << 63) <= total < 1 << 63 for total in totals):
        assert sums.integers().tolist() == totals  # type: ignore[union-attr]


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=5), st.booleans())
def test_sums_that_are_whole_numbers(totals: list[int], parts: bool) -> None:
    low = np.array(totals, np.int64)
    sums = ExactSums.of_words(low, low >> 63, 1075)
    if parts:
        other = ExactSums()
        other.grow(len(totals))
        other.merge(sums, np.arange(len(totals)))
        sums = other
    found = sums.integers()
    assert found is not None
    assert found.tolist() == totals
    sums.add(np.zeros(1, np.int64), np.array([0.5]))
    assert sums.integers() is None


@pytest.mark.parametrize("id", ["variance(float8)", "stddev_pop(float8)"])
@given(data=st.data())
def test_spreads_of_many_groups_are_those_of_each(id: str, data: st.DataObject) -> None:
    """What is decided by a few doubles a group is what whole numbers of any length say, bit by bit."""
    near = st.floats(-1e3, 1e3) | st.floats(1e9, 1e9 + 1e-3) | st.sampled_from([0.1, 1e-200, 1e150, 5e-324])
    items = data.draw(st.lists(st.tuples(st.integers(0, 5), near), max_size=30))
    groups = np.array([group for group, _ in items], np.int64)
    made = state(id, [FLOAT8])
    made.update(groups, [Column.of(FLOAT8, [value for _, value in items])], 6)
    made.reserve(6)
    wanted = list(made._answers(np.arange(6)))  # type: ignore[attr-defined]
    assert made.finish(6).tolist() == wanted


def test_spreads_of_usual_groups_are_sure() -> None:
    random = np.random.default_rng(5)
    made = state("stddev(float8)", [FLOAT8])
    made.update(np.repeat(np.arange(1000), 7), [Column(FLOAT8, random.random(7000) * 100)], 1000)
    assert made._quick(1000)[2].all()  # type: ignore[attr-defined]


def test_correlations_of_many_groups_are_those_of_each() -> None:
    random = np.random.default_rng(5)
    sizes = random.integers(0, 30, 3000)
    groups = np.repeat(np.arange(3000), sizes)
    y, x = (random.integers(low, high, len(groups)) for low, high in ((-9, 9), (-5, 200)))
    x[groups % 7 == 0] = 3
    x[groups % 11 == 0] *= 1 << 30
    many = state("corr(float8,float8)", [FLOAT8, FLOAT8])
    many.update(groups, [Column(FLOAT8, each.astype(np.float64)) for each in (y, x)], 3000)
    wanted = []
    for group in range(3000):
        mine = groups == group
        n, a, b = int(mine.sum()), y[mine].tolist(), x[mine].tolist()
        products = sum(v * w for v, w in zip(a, b, strict=True))
        sums = (sum(a), sum(v * v for v in a), sum(b), sum(v * v for v in b), products)
        wanted.append(None if n < 1 else statistics._correlation(n, 1, *sums))
    assert many.finish(3000).tolist() == wanted


def held(value: Any) -> Any:
    """What a state holds, to be compared: arrays as lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [held(each) for each in value]
    if isinstance(value, ExactSums):
        return held(vars(value))
    if isinstance(value, dict):
        return {name: held(each) for name, each in value.items() if name != "run"}
    return repr(value)


@pytest.mark.parametrize("id", sorted(id for id in BY_ID if id.endswith(("(float8)", "(float8,float8)"))))
def test_what_is_merged_stays_as_it_is(id: str) -> None:
    random = np.random.default_rng(7)
    columns = [Column(FLOAT8, -random.random(500) * 2.0**60) for _ in BY_ID[id].arguments]
    groups = random.integers(0, 5, 500)
    types = [FLOAT8] * len(columns)
    part, whole = state(id, types), state(id, types)
    part.update(groups, columns, 5)
    before = held(vars(part))
    for _ in range(2):
        whole.merge(part, np.array([6, 2, 0, 3, 4]), 7)
        assert held(vars(part)) == before
