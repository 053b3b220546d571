"""Nodes of expressions: three-valued logic, laziness, constants, arrays."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expressions import (
    And,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    Constant,
    Distinction,
    Expression,
    Extreme,
    InList,
    IsNull,
    MakeArray,
    Not,
    NullIf,
    Or,
    Outer,
    Parameter,
    Quantified,
    Reference,
    Subscript,
    true_rows,
)
from storage.batch import Batch
from storage.column import Column
from storage.errors import DivisionByZero
from storage.types import BOOL, INT2VECTOR, INT4, TEXT, Type, array_of
from tests.engine.calls import run_with

EQUALS = "operator =(int4,int4)"
TERNARY = (True, False, None)


def constant(type: Type, value: Any) -> Constant:
    return Constant(Column.scalar(type, value))


def evaluate(expression: Expression, *columns: Column) -> list[Any]:
    """The values for a batch of these columns, a constant written out."""
    batch = Batch.of(*columns) if columns else Batch((), 1)
    return expression.evaluate(batch, run_with()).spread(batch.rows).tolist()


def call(id: str, *arguments: Expression, type: Type = INT4) -> Call:
    return Call(id, arguments, type)


A, B = Reference(0, BOOL), Reference(1, BOOL)
X, Y = Reference(0, INT4), Reference(1, INT4)


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def test_logic_of_three_values() -> None:
    pairs = list(product(TERNARY, TERNARY))
    left, right = (Column.of(BOOL, [p[i] for p in pairs]) for i in (0, 1))
    assert evaluate(And((A, B)), left, right) == [_and(a, b) for a, b in pairs]
    flip = {True: False, False: True, None: None}
    assert evaluate(Or((A, B)), left, right) == [flip[_and(flip[a], flip[b])] for a, b in pairs]
    assert evaluate(Not(A), left, right) == [flip[a] for a, _ in pairs]
    for value in TERNARY:
        wanted = [_and(a, value) for a, _ in pairs]
        assert evaluate(And((A, constant(BOOL, value))), left, right) == wanted
        assert evaluate(And((constant(BOOL, value), A)), left, right) == wanted


def test_empty_and_constant_logic() -> None:
    assert evaluate(And(())) == [True]
    assert evaluate(Or(())) == [False]
    assert (
        And((constant(BOOL, True), constant(BOOL, None))).evaluate(Batch((), 3), run_with()).tolist()[0]
        is None
    )


@given(st.lists(st.sampled_from(TERNARY), min_size=1, max_size=20), st.integers(2, 4))
def test_more_operands(values: list[bool | None], count: int) -> None:
    columns = [Column.of(BOOL, values[i:] + values[:i]) for i in range(count)]
    got = evaluate(And(tuple(Reference(i, BOOL) for i in range(count))), *columns)
    wanted: list[bool | None] = [True] * len(values)
    for column in columns:
        wanted = [_and(a, b) for a, b in zip(wanted, column.tolist(), strict=True)]
    assert got == wanted


ZERO = constant(INT4, 0)
QUOTIENT = call("operator /(int4,int4)", constant(INT4, 10), X)
NOT_ZERO = call("operator <>(int4,int4)", X, ZERO, type=BOOL)


def test_and_spares_later_operands_the_rows_it_has_decided() -> None:
    column = Column.of(INT4, [0, 5, 0, 2])
    big = call("operator >(int4,int4)", QUOTIENT, constant(INT4, 2), type=BOOL)
    assert evaluate(And((NOT_ZERO, big)), column) == [False, False, False, True]
    with pytest.raises(DivisionByZero):
        evaluate(And((big, NOT_ZERO)), column)


def test_case_evaluates_a_branch_for_its_rows_only() -> None:
    column = Column.of(INT4, [0, 5, None, 2])
    assert evaluate(Case(((NOT_ZERO, QUOTIENT),), constant(INT4, -1), INT4), column) == [-1, 2, -1, 5]
    assert evaluate(Case(((NOT_ZERO, QUOTIENT),), None, INT4), column) == [None, 2, None, 5]
    always = Case(((constant(BOOL, True), X), (NOT_ZERO, QUOTIENT)), None, INT4)
    assert evaluate(always, column) == [0, 5, None, 2]


def test_coalesce_asks_only_where_it_must() -> None:
    column = Column.of(INT4, [1, None, 3])
    guarded = Coalesce((X, call("operator /(int4,int4)", constant(INT4, 1), ZERO)), INT4)
    with pytest.raises(DivisionByZero):
        evaluate(guarded, column)
    assert evaluate(guarded, Column.of(INT4, [1, 2])) == [1, 2]
    assert evaluate(Coalesce((X, constant(INT4, 9)), INT4), column) == [1, 9, 3]
    assert evaluate(Coalesce((constant(INT4, None), X), INT4), column) == [1, None, 3]


def test_null_tests() -> None:
    column = Column.of(BOOL, [True, None, False])
    assert evaluate(IsNull(A), column) == [False, True, False]
    assert evaluate(IsNull(A, negated=True), column) == [True, False, True]
    assert evaluate(BooleanTest(A, True), column) == [True, False, False]
    assert evaluate(BooleanTest(A, False, negated=True), column) == [True, True, False]
    assert evaluate(BooleanTest(A, None), column) == [False, True, False]


def test_distinction_and_nullif() -> None:
    left, right = Column.of(INT4, [1, 1, None, None]), Column.of(INT4, [1, 2, 1, None])
    assert evaluate(Distinction(X, Y, EQUALS), left, right) == [False, True, True, False]
    assert evaluate(Distinction(X, Y, EQUALS, negated=True), left, right) == [True, False, False, True]
    assert evaluate(Distinction(X, constant(INT4, None), EQUALS), left, right) == [True, True, False, False]
    assert evaluate(NullIf(X, Y, EQUALS), left, right) == [None, 1, None, None]


def test_extremes() -> None:
    left, right = Column.of(INT4, [1, None, 3, None]), Column.of(INT4, [2, 2, 1, None])
    assert evaluate(Extreme((X, Y), INT4, True, "operator >(int4,int4)"), left, right) == [2, 2, 3, None]
    assert evaluate(
        Extreme((X, Y, constant(INT4, 0)), INT4, False, "operator <(int4,int4)"), left, right
    ) == [0, 0, 0, 0]


@pytest.mark.parametrize("items", [(1, 2), (1, 2, 3, 4), (1, None, 3, 7)])
def test_in_list(items: tuple[int | None, ...]) -> None:
    values = [1, 5, None, 3]
    column = Column.of(INT4, values)
    nodes = tuple(constant(INT4, item) for item in items)
    wanted = [
        None if v is None else True if v in items else (None if None in items else False) for v in values
    ]
    assert evaluate(InList(X, nodes, False, EQUALS), column) == wanted
    flip = {True: False, False: True, None: None}
    assert evaluate(InList(X, nodes, True, EQUALS), column) == [flip[w] for w in wanted]


def test_in_list_of_texts() -> None:
    nodes = tuple(constant(TEXT, item) for item in "abc")
    got = evaluate(
        InList(Reference(0, TEXT), nodes, False, "operator =(text,text)"), Column.of(TEXT, ["a", "x", None])
    )
    assert got == [True, False, None]


LISTS = array_of(INT4)


def test_quantified() -> None:
    column = Column.of(INT4, [1, 5, None])
    some = Quantified(X, constant(LISTS, [1, 2, None]), EQUALS, every=False)
    assert evaluate(some, column) == [True, None, None]
    every = Quantified(X, constant(LISTS, [2, 7]), "operator <>(int4,int4)", every=True)
    assert evaluate(every, column) == [True, True, None]
    assert evaluate(Quantified(X, constant(LISTS, []), EQUALS, every=True), column) == [True] * 3
    assert evaluate(Quantified(X, constant(LISTS, None), EQUALS, every=False), column) == [None] * 3
    by_row = Quantified(X, Reference(1, LISTS), EQUALS, every=False)
    arrays = Column.of(LISTS, [[3, 1], [None], []])
    assert evaluate(by_row, column, arrays) == [True, None, False]


def test_arrays() -> None:
    left, right = Column.of(INT4, [1, None]), Column.of(INT4, [2, 3])
    assert evaluate(MakeArray((X, Y, constant(INT4, 0)), LISTS), left, right) == [[1, 2, 0], [None, 3, 0]]
    assert evaluate(MakeArray((), LISTS)) == [[]]
    arrays = Column.of(LISTS, [[1, 2], None, []])
    first = Subscript(Reference(0, LISTS), (constant(INT4, 1),), INT4)
    assert evaluate(first, arrays) == [1, None, None]
    from_zero = Subscript(Reference(0, INT2VECTOR), (constant(INT4, 0),), INT4)
    assert evaluate(from_zero, Column.of(INT2VECTOR, [[7, 8]])) == [7]


def test_constants_stay_constant() -> None:
    batch = Batch.of(Column.of(INT4, [1, 2, 3]))
    column = call("operator +(int4,int4)", constant(INT4, 1), constant(INT4, 2)).evaluate(batch, run_with())
    assert column.constant
    assert column.tolist() == [3]
    assert true_rows(Column.scalar(BOOL, True), 3).tolist() == [True] * 3
    assert true_rows(Column.scalar(BOOL, None), 2).tolist() == [False] * 2


def test_plans_travel() -> None:
    plan = And(
        (NOT_ZERO, IsNull(Case(((NOT_ZERO, QUOTIENT),), Parameter(0, INT4), INT4)), IsNull(Outer(0, INT4)))
    )
    assert pickle.loads(pickle.dumps(plan.operands[0])).function == NOT_ZERO.function
