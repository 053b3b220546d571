"""Numeric in units gives, digit by digit, what numeric in Decimals gives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aggregates.registry import start
from engine.casts import convert
from engine.forms import PLAIN, binary_of, text_of
from engine.functions.calls import call
from engine.orders import order_words, sorted_rows
from storage import types as t
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import BOOL, NUMERIC, Type, numeric
from tests.engine.calls import run_with

RUN = run_with()

units = (
    st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-20, 20) | st.sampled_from([2**63 - 1, -(2**63) + 1])
)
scales = st.integers(0, 18)


def both(items: list[int], scale: int, type: Type = NUMERIC, constant: bool = False) -> tuple[Column, Column]:
    """The same numbers in units and as objects."""
    counted = Column.scaled(type, np.array(items, np.int64), scale, constant=constant)
    return counted, Column(type, counted.values.copy(), constant=constant)


def shown(work: Any, *arguments: Any) -> Any:
    """A column's values with their scales, or the error."""
    try:
        return [str(item) for item in work(*arguments).tolist()]
    except DatabaseError as error:
        return f"{error.sqlstate} {error.message}"


@pytest.mark.parametrize("symbol", ["+", "-", "*", "=", "<>", "<", "<=", ">", ">="])
@given(
    pairs=st.lists(st.tuples(units, units), min_size=1, max_size=5),
    a=scales,
    b=scales,
    constant=st.booleans(),
)
def test_operators(symbol: str, pairs: list[tuple[int, int]], a: int, b: int, constant: bool) -> None:
    left = both([x for x, _ in pairs], a)
    right = both([y for _, y in pairs][: 1 if constant else None], b, constant=constant)
    type = NUMERIC if symbol in "+-*" else BOOL
    name = f"operator {symbol}(numeric,numeric)"
    results = [shown(call, name, columns, len(pairs), RUN, type) for columns in zip(left, right, strict=True)]
    assert results[0] == results[1]


@pytest.mark.parametrize("symbol", ["=", "<>", "<", "<=", ">", ">="])
@given(
    items=st.lists(units | st.integers(-(10**15), 10**15), min_size=1, max_size=5),
    scale=scales,
    near=st.integers(-3, 3),
    digits=st.integers(1, 40),
    other=st.none() | st.just(Decimal("NaN")) | st.decimals(allow_nan=False, allow_infinity=True),
)
def test_finer_constants(
    symbol: str, items: list[int], scale: int, near: int, digits: int, other: Decimal | None
) -> None:
    """A constant with more digits than units have, beside the numbers themselves."""
    columns = both(items, scale)
    close = columns[1].item(0) + near * Decimal(10) ** -(scale + digits)
    constant = Column(NUMERIC, np.array([close if other is None else other], object), constant=True)
    name = f"operator {symbol}(numeric,numeric)"
    counted, plain = (shown(call, name, (column, constant), len(items), RUN, BOOL) for column in columns)
    assert counted == plain


@given(
    items=st.lists(units, min_size=1, max_size=5),
    scale=scales,
    precision=st.integers(1, 18),
    to=st.integers(0, 6),
)
def test_casts(items: list[int], scale: int, precision: int, to: int) -> None:
    counted, objects = both(items, scale)
    for target in (numeric(precision, min(to, precision)), t.INT2, t.INT4, t.INT8, t.FLOAT8, t.FLOAT4):
        found, wanted = (shown(convert, column, target, PLAIN) for column in (counted, objects))
        assert found == wanted, target
    assert text_of(counted).tolist() == text_of(objects).tolist()
    assert binary_of(counted).tolist() == binary_of(objects).tolist()


parts = st.lists(
    st.tuples(st.lists(st.tuples(st.integers(0, 2), units), max_size=4), scales, st.booleans()), max_size=4
)


@pytest.mark.parametrize("name", ["sum", "avg", "min", "max"])
@given(parts=parts)
def test_aggregates(name: str, parts: list[tuple[list[tuple[int, int]], int, bool]]) -> None:
    """Batches of any scale, in units or not, come together as if all were objects."""
    results = []
    for mixed in (True, False):
        whole = start(f"{name}(numeric)", [NUMERIC], NUMERIC, RUN)
        for rows, scale, in_units in parts:
            column = both([unit for _, unit in rows], scale)[0 if in_units and mixed else 1]
            part = start(f"{name}(numeric)", [NUMERIC], NUMERIC, RUN)
            part.update(np.array([group for group, _ in rows], np.int64), [column], 3)
            whole.merge(part, np.arange(3), 3)
        whole.reserve(3)
        results.append(shown(whole.finish, 3))
    assert results[0] == results[1]


@given(items=st.lists(units, min_size=1, max_size=5), scale=scales, to=st.integers(-3, 20))
def test_rounding(items: list[int], scale: int, to: int) -> None:
    digits = Column.scalar(t.INT4, to)
    found, wanted = (
        shown(call, "round(numeric,int4)", (column, digits), len(items), RUN, NUMERIC)
        for column in both(items, scale)
    )
    assert found == wanted
    found, wanted = (
        shown(call, "round(numeric)", (column,), len(items), RUN, NUMERIC) for column in both(items, scale)
    )
    assert found == wanted


@given(
    items=st.lists(st.none() | units, min_size=1, max_size=8),
    scale=scales,
    descending=st.booleans(),
    nulls_first=st.booleans(),
)
def test_order(items: list[int | None], scale: int, descending: bool, nulls_first: bool) -> None:
    valid = np.array([item is not None for item in items])
    orders = []
    for column in both([item or 0 for item in items], scale):
        words, _ = order_words(column.with_valid(valid), descending, nulls_first)
        orders.append(sorted_rows(words, RUN).tolist())
    assert orders[0] == orders[1]
