"""Numbers: arithmetic, comparison, mathematics; the answers are PostgreSQL 15's."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.column import Column
from storage.errors import DatabaseError, NumericValueOutOfRange
from storage.types import (
    BPCHAR,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TEXT,
    UUID,
    Type,
    array_of,
)
from tests.engine.calls import apply, number, one


@pytest.mark.parametrize(
    ("id", "values", "answer"),
    [
        ("operator /(int4,int4)", (-7, 2), -3),
        ("operator %(int4,int4)", (-7, 2), -1),
        ("operator %(int8,int8)", (-(2**63), -1), 0),
        ("operator +(int2,int4)", (32767, 1), 32768),
        ("operator *(int8,int8)", (3_037_000_500, 3), 9_111_001_500),
        ("operator <<(int4,int4)", (1, 33), 2),
        ("operator #(int4,int4)", (5, 3), 6),
        ("gcd(int8,int8)", (12, 18), 6),
    ],
)
def test_integers(id: str, values: tuple[int, int], answer: int) -> None:
    types = {"int2": INT2, "int4": INT4, "int8": INT8}
    names = id[id.index("(") + 1 : -1].split(",")
    assert one(id, *((types[n], v) for n, v in zip(names, values, strict=True))) == answer


@pytest.mark.parametrize(
    ("id", "arguments", "state", "words"),
    [
        ("operator +(int4,int4)", [(INT4, 2**31 - 1), (INT4, 1)], "22003", "integer out of range"),
        ("operator +(int2,int2)", [(INT2, 32767), (INT2, 1)], "22003", "smallint out of range"),
        ("operator +(int8,int8)", [(INT8, 2**63 - 1), (INT8, 1)], "22003", "bigint out of range"),
        ("operator -(int8,int8)", [(INT8, -(2**63)), (INT8, 1)], "22003", "bigint out of range"),
        ("operator *(int8,int8)", [(INT8, 2**62), (INT8, 2)], "22003", "bigint out of range"),
        ("operator /(int8,int8)", [(INT8, -(2**63)), (INT8, -1)], "22003", "bigint out of range"),
        ("operator /(int4,int4)", [(INT4, 1), (INT4, 0)], "22012", "division by zero"),
        ("operator -(int4)", [(INT4, -(2**31))], "22003", "integer out of range"),
        ("operator /(float8,float8)", [(FLOAT8, 1.0), (FLOAT8, 0.0)], "22012", "division by zero"),
        (
            "operator *(float8,float8)",
            [(FLOAT8, 1e300), (FLOAT8, 1e300)],
            "22003",
            "value out of range: overflow",
        ),
        (
            "operator *(float8,float8)",
            [(FLOAT8, 1e-300), (FLOAT8, 1e-300)],
            "22003",
            "value out of range: underflow",
        ),
        ("sqrt(float8)", [(FLOAT8, -1.0)], "2201F", "cannot take square root of a negative number"),
        ("ln(float8)", [(FLOAT8, 0.0)], "2201E", "cannot take logarithm of zero"),
        (
            "operator /(numeric,numeric)",
            [(NUMERIC, number("1")), (NUMERIC, number("0"))],
            "22012",
            "division by zero",
        ),
    ],
)
def test_errors(id: str, arguments: list[tuple[Type, Any]], state: str, words: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        one(id, *arguments)
    assert (caught.value.sqlstate, caught.value.message) == (state, words)


@pytest.mark.parametrize(
    ("id", "values", "answer"),
    [
        ("operator +(numeric,numeric)", ("1.10", "2"), "3.10"),
        ("operator *(numeric,numeric)", ("1.10", "2.5"), "2.750"),
        ("operator /(numeric,numeric)", ("1", "3"), "0.33333333333333333333"),
        ("operator /(numeric,numeric)", ("10", "4"), "2.5000000000000000"),
        ("operator %(numeric,numeric)", ("-7.5", "2"), "-1.5"),
        ("power(numeric,numeric)", ("2", "0.5"), "1.4142135623730950"),
        ("power(numeric,numeric)", ("2.0", "-3"), "0.1250000000000000"),
        ("power(numeric,numeric)", ("1.5", "-10"), "0.0173415299158326"),
        ("sqrt(numeric)", ("2",), "1.414213562373095"),
        ("sqrt(numeric)", ("16",), "4.000000000000000"),
        ("sqrt(numeric)", ("123456789.12",), "11111.11106595556"),
        ("sqrt(numeric)", ("0.01",), "0.10000000000000000"),
        ("ln(numeric)", ("2",), "0.6931471805599453"),
        ("ln(numeric)", ("10.5",), "2.3513752571634777"),
        ("exp(numeric)", ("1",), "2.7182818284590452"),
        ("exp(numeric)", ("10.5",), "36315.502674246638"),
        ("log(numeric)", ("100",), "2.0000000000000000"),
        ("round(numeric)", ("2.5",), "3"),
        ("round(numeric)", ("-2.5",), "-3"),
        ("ceil(numeric)", ("-0.5",), "0"),
    ],
)
def test_numeric(id: str, values: tuple[str, ...], answer: str) -> None:
    assert str(one(id, *((NUMERIC, number(v)) for v in values))) == answer


def test_rounding_to_digits() -> None:
    assert str(one("round(numeric,int4)", (NUMERIC, number("1234.567")), (INT4, -2))) == "1200"
    assert str(one("round(numeric,int4)", (NUMERIC, number("1.005")), (INT4, 2))) == "1.01"
    assert str(one("round(numeric,int4)", (NUMERIC, number("1")), (INT4, 3))) == "1.000"


def test_round_of_floats_goes_to_even() -> None:
    assert apply("round(float8)", Column.of(FLOAT8, [0.5, 1.5, 2.5, -0.5]), rows=4) == [0.0, 2.0, 2.0, -0.0]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5), st.integers(-(2**63), 2**63 - 1))
def test_bigint_arithmetic_is_exact_or_refused(values: list[int], other: int) -> None:
    for symbol, exact in (
        ("+", [v + other for v in values]),
        ("-", [v - other for v in values]),
        ("*", [v * other for v in values]),
    ):
        column, id = Column.of(INT8, values), f"operator {symbol}(int8,int8)"
        if all(-(2**63) <= v < 2**63 for v in exact):
            assert apply(id, column, (INT8, other), rows=len(values)) == exact
        else:
            with pytest.raises(NumericValueOutOfRange):
                apply(id, column, (INT8, other), rows=len(values))


_FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def _rank(value: float) -> tuple[bool, float]:
    return (math.isnan(value), 0.0 if math.isnan(value) else value)


@given(st.lists(st.tuples(_FLOATS, _FLOATS), min_size=1, max_size=8))
def test_nan_is_the_greatest_float(pairs: list[tuple[float, float]]) -> None:
    left, right = (Column.of(FLOAT8, [p[i] for p in pairs]) for i in (0, 1))
    tests = {
        "=": lambda a, b: a == b,
        "<>": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    for symbol, test in tests.items():
        wanted = [test(_rank(a), _rank(b)) for a, b in pairs]
        id = f"operator {symbol}(float8,float8)"
        assert apply(id, left, right, rows=len(pairs)) == wanted
        constant = [test(_rank(a), _rank(pairs[0][1])) for a, _ in pairs]
        assert apply(id, left, (FLOAT8, pairs[0][1]), rows=len(pairs)) == constant


def test_nan_among_numerics() -> None:
    values = Column.of(NUMERIC, [number("1"), number("NaN"), number("Infinity")])
    nan = (NUMERIC, number("NaN"))
    assert apply("operator <(numeric,numeric)", values, nan, rows=3) == [True, False, True]
    assert apply("operator =(numeric,numeric)", values, nan, rows=3) == [False, True, False]


def test_other_comparisons() -> None:
    assert one("operator =(bpchar,bpchar)", (BPCHAR, "a  "), (BPCHAR, "a")) is True
    assert one("operator <(text,text)", (TEXT, "B"), (TEXT, "a")) is True
    assert (
        one("operator =(interval,interval)", (INTERVAL, (0, 1, 0)), (INTERVAL, (0, 0, 86_400_000_000)))
        is True
    )
    assert (
        one("operator <(uuid,uuid)", (UUID, b"\x00" * 15 + b"\x02"), (UUID, b"\x00" * 14 + b"\x01\x00"))
        is True
    )
    lists = array_of(INT4)
    assert one("operator <(anyarray,anyarray)", (lists, [1, 2]), (lists, [1, None])) is True
    assert one("operator =(anyarray,anyarray)", (lists, [1, None]), (lists, [1, None])) is True
    assert one("operator >(anyarray,anyarray)", (lists, [1, 2]), (lists, [1])) is True


def test_nulls_are_never_looked_at() -> None:
    divisors = Column.of(INT4, [1, None, 2])
    assert divisors.values[1] == 0
    assert apply("operator /(int4,int4)", (INT4, 4), divisors, rows=3) == [4, None, 2]
    assert apply("operator /(int4,int4)", (INT4, None), divisors, rows=3) == [None]
    many = Column(FLOAT8, np.array([1.0, math.nan]), np.array([True, False]))
    assert apply("operator >(float8,float8)", many, (FLOAT8, 0.5), rows=2) == [True, None]


def test_random_is_drawn_for_every_row() -> None:
    values = apply("random()", rows=100)
    assert len(set(values)) > 90
    assert all(0 <= v < 1 for v in values)


def test_float4_keeps_its_width() -> None:
    assert one("operator +(float4,float4)", (FLOAT4, 0.1), (FLOAT4, 0.2)) == np.float32(0.1) + np.float32(0.2)


def test_factorial() -> None:
    assert one("factorial(int8)", (INT8, 20)) == Decimal(math.factorial(20))
