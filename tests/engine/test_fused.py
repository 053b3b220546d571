"""Fused expressions answer, null and raise as the trees they stand for."""

from __future__ import annotations

import pickle
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine import tiers
from engine.expressions import And, Call, Cast, Constant, Expression, InList, IsNull, Not, Or, Reference
from engine.fused import Fused, fuse
from storage import kernels
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatabaseError, NumericValueOutOfRange
from storage.kernels.shapes import Shapes
from storage.types import BOOL, FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, TEXT, Type
from tests.engine.calls import run_with

ROWS = 131
COLUMNS = (INT2, INT4, INT8, FLOAT4, FLOAT8, BOOL, INT4)
ITEMS: dict[str, list[Any]] = {
    "int2": [0, 1, -7, 32_767, -32_768],
    "int4": [0, 3, -2, 2**31 - 1, None],
    "int8": [5, -1, 2**40, -(2**63), 2**63 - 1],
    "float4": [0.5, -1.0, 3.0e38, None, 0.0],
    "float8": [1.5, float("nan"), float("inf"), 1e300, -2.25],
    "bool": [True, False, None],
}
WIDER = {INT2: 0, INT4: 1, INT8: 2}


def reference(index: int) -> Reference:
    return Reference(index, COLUMNS[index])


def of(type: Type) -> SearchStrategy[Expression]:
    """Columns and constants of a type."""
    columns = [reference(i) for i, t in enumerate(COLUMNS) if t is type]
    constants = [Constant(Column.scalar(type, item)) for item in ITEMS[type.name]]
    return st.sampled_from([*columns, *columns, *constants])


@st.composite
def numbers(draw: st.DrawFn, depth: int) -> Expression:
    """A numeric tree."""
    if depth == 0:
        return draw(of(draw(st.sampled_from([INT2, INT4, INT8, FLOAT4, FLOAT8]))))
    left, right = draw(numbers(depth - 1)), draw(numbers(depth - 1))
    if left.type in WIDER and right.type in WIDER:
        wider = left.type if WIDER[left.type] >= WIDER[right.type] else right.type
        symbol = draw(st.sampled_from("+-*/"))
    else:
        left, right = (Cast(n, FLOAT8) if n.type in WIDER else n for n in (left, right))
        wider = FLOAT4 if left.type is right.type is FLOAT4 else FLOAT8
        symbol = draw(st.sampled_from("+-*/"))
    return Call(f"operator {symbol}({left.type.name},{right.type.name})", (left, right), wider)


@st.composite
def conditions(draw: st.DrawFn, depth: int) -> Expression:
    """A condition over numeric trees."""
    kind = draw(st.sampled_from(["compare", "compare", "and", "or", "not", "null", "column"]))
    if depth == 0 or kind == "column":
        return draw(of(BOOL))
    if kind == "compare":
        left, right = draw(numbers(depth - 1)), draw(numbers(depth - 1))
        if (left.type in WIDER) != (right.type in WIDER):
            left, right = (Cast(n, FLOAT8) if n.type in WIDER else n for n in (left, right))
        symbol = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
        return Call(f"operator {symbol}({left.type.name},{right.type.name})", (left, right), BOOL)
    if kind == "not":
        return Not(draw(conditions(depth - 1)))
    if kind == "null":
        return IsNull(draw(numbers(depth - 1)), draw(st.booleans()))
    operands = tuple(draw(st.lists(conditions(depth - 1), min_size=2, max_size=3)))
    return And(operands) if kind == "and" else Or(operands)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    columns = []
    for type in COLUMNS:
        tame = st.sampled_from([item for item in ITEMS[type.name] if item is not None][:3])
        wild = st.sampled_from(ITEMS[type.name])
        items = draw(st.lists(wild if draw(st.booleans()) else tame, min_size=1, max_size=5))
        columns.append(Column.of(type, (items * ROWS)[:ROWS]))
    return Batch.of(*columns)


def outcome(expression: Expression, batch: Batch) -> Any:
    try:
        column = expression.evaluate(batch, run_with()).spread(batch.rows)
    except DatabaseError as error:
        return error.sqlstate, error.message
    return [repr(item) for item in column.tolist()]


@settings(max_examples=400, deadline=None)
@given(st.one_of(conditions(3), numbers(3)), batches())
def test_fused_is_the_tree(expression: Expression, batch: Batch) -> None:
    fused = fuse(expression)
    if fused is not None:
        assert outcome(fused, batch) == outcome(expression, batch)


EXACT = {
    "money": ["1.00", "-7.25", "0.00", "92233720368547758.07"],
    "rates": ["0.05", "0.10", "0.00"],
    "fine": ["0.000001", "-1.500000", None],
    "mixed": ["1", "1.50", "NaN", None],
    "whole": ["3", "-9223372036854775807", "0"],
}


@st.composite
def decimals(draw: st.DrawFn, depth: int) -> Expression:
    """A tree of numerics: columns of several scales, constants, whole numbers."""
    if depth == 0:
        kind = draw(st.sampled_from(["column", "column", "constant", "whole"]))
        if kind == "whole":
            return Cast(Reference(len(EXACT), INT8), NUMERIC)
        if kind == "constant":
            return constant(NUMERIC, Decimal(draw(st.sampled_from(["1", "0.5", "-2.00", "NaN"]))))
        return Reference(draw(st.integers(0, len(EXACT) - 1)), NUMERIC)
    symbol = draw(st.sampled_from(["+", "-", "*", "negate"]))
    left = draw(decimals(draw(st.integers(0, depth - 1))))
    if symbol == "negate":
        return Call("operator -(numeric)", (left,), NUMERIC)
    return Call(f"operator {symbol}(numeric,numeric)", (left, draw(decimals(depth - 1))), NUMERIC)


@st.composite
def comparisons(draw: st.DrawFn) -> Expression:
    """A condition on numerics."""
    pairs = [
        Call(
            f"operator {draw(st.sampled_from(['=', '<>', '<', '<=', '>', '>=']))}(numeric,numeric)", two, BOOL
        )
        for two in draw(st.lists(st.tuples(decimals(1), decimals(2)), min_size=1, max_size=3))
    ]
    return pairs[0] if len(pairs) == 1 else And(tuple(pairs))


@settings(max_examples=400, deadline=None)
@given(st.one_of(decimals(3), comparisons()), st.data())
def test_fused_numerics_are_the_tree(expression: Expression, data: st.DataObject) -> None:
    columns = []
    for items in EXACT.values():
        drawn = data.draw(st.lists(st.sampled_from(items), min_size=1, max_size=4))
        made = Column.of(NUMERIC, [v and Decimal(v) for v in (drawn * ROWS)[:ROWS]])
        columns.append(made.in_units())
    whole = Column.of(INT8, (data.draw(st.lists(st.integers(-5, 5), min_size=1)) * ROWS)[:ROWS])
    batch = Batch.of(*columns, whole)
    fused = fuse(expression)
    if fused is not None:
        assert outcome(fused, batch) == outcome(expression, batch)


def test_numerics_run_as_programs() -> None:
    one = Cast(constant(INT4, 1), NUMERIC)
    net = Call("operator -(numeric,numeric)", (one, Reference(1, NUMERIC)), NUMERIC)
    fused = fuse(Call("operator *(numeric,numeric)", (Reference(0, NUMERIC), net), NUMERIC))
    assert isinstance(fused, Fused)
    price, discount = (Column.scaled(NUMERIC, np.arange(ROWS) * k, 2) for k in (100, 1))
    found = fused._run([price, Column.scalar(NUMERIC, Decimal(1)), discount], ROWS, run_with())
    assert found is not None
    assert found.scale == 4
    assert found.tolist()[2] == Decimal("1.9600")


X, Y, NAME = Reference(0, INT4), Reference(1, FLOAT8), Reference(2, TEXT)


def constant(type: Type, value: Any) -> Constant:
    return Constant(Column.scalar(type, value))


def test_neighbours_of_what_does_not_fit_become_one_program() -> None:
    less = Call("operator <(int4,int4)", (X, constant(INT4, 5)), BOOL)
    more = Call("operator >(float8,float8)", (Y, constant(FLOAT8, 0.5)), BOOL)
    named = InList(NAME, (constant(TEXT, "a"),), False, "operator =(text,text)")
    fused = fuse(And((less, more, named, more)))
    assert isinstance(fused, And)
    first, second, third = fused.operands
    assert isinstance(first, Fused)
    assert (first.original, second, third) == (And((less, more)), named, more)
    assert fuse(less) is None


def test_a_program_shares_what_stands_twice() -> None:
    double = Call("operator +(int4,int4)", (X, X), INT4)
    fused = fuse(Call("operator *(int4,int4)", (double, double), INT4))
    assert isinstance(fused, Fused)
    assert (len(fused.inputs), len(fused.code)) == (1, 2)
    assert pickle.loads(pickle.dumps(fused)) == fused


def test_what_must_raise_raises_as_the_tree_does() -> None:
    square = Call("operator *(int4,int4)", (X, X), INT4)
    fused = fuse(Call("operator +(int4,int4)", (square, X), INT4))
    assert fused is not None
    batch = Batch.of(Column(INT4, np.arange(100_000, dtype=np.int32)))
    with pytest.raises(NumericValueOutOfRange, match="integer out of range"):
        fused.evaluate(batch, run_with())


def test_both_tiers_answer_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLANCEDB_CACHE", str(tmp_path))
    monkeypatch.setenv("GLANCEDB_KERNELS", "auto")
    monkeypatch.setattr(tiers, "SHAPES", Shapes())
    net = Call("operator -(numeric,numeric)", (constant(NUMERIC, Decimal(1)), Reference(1, NUMERIC)), NUMERIC)
    fused = fuse(Call("operator *(numeric,numeric)", (Reference(0, NUMERIC), net), NUMERIC))
    assert fused is not None
    price = Column.scaled(NUMERIC, np.arange(ROWS) * 100, 2, np.arange(ROWS) % 7 > 0)
    discount = Column.scaled(NUMERIC, np.arange(ROWS) % 11, 2)
    batch = Batch.of(price, discount)
    answers = {}
    for mode in tiers.MODES:
        run = replace(run_with(), settings={"interpreter_mode": mode})
        answers[mode] = [repr(item) for item in fused.evaluate(batch, run).tolist()]
        assert len(tiers.SHAPES.ready) == (mode == "compile")
    assert answers["compile"] == answers["interpret"] == answers["interpret_first"]
    assert None not in tiers.SHAPES.ready.values()


def test_one_value_for_all_rows_is_not_looked_for_behind_itself() -> None:
    """An outer row's value is a part of a longer column, and so is its mask."""
    kernels.warm(wait=True)
    longer, valid = np.arange(ROWS + 1.0), np.arange(ROWS + 1) % 3 != 2
    one = Constant(Column(FLOAT8, longer[1:2], valid[1:2], constant=True))
    values = np.linspace(-3, 3, ROWS)
    sum_ = Call("operator +(float8,float8)", (reference(4), one), FLOAT8)
    fused = fuse(Call("operator *(float8,float8)", (sum_, one), FLOAT8))
    assert isinstance(fused, Fused)
    columns = tuple(Column(t, values) if t is FLOAT8 else Column.nulls(t, ROWS) for t in COLUMNS)
    answer = fused.evaluate(Batch(columns, ROWS), run_with())
    assert answer.valid is None
    assert answer.values.tolist() == (values + 1).tolist()
