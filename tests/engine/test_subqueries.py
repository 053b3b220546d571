"""Subqueries in expressions: values, null rules, memory, errors that wait for a row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.nodes import Call, Constant, Outer, Reference
from engine.operators import Filter, Project, Scan
from engine.run import Run
from engine.seams import Expression
from engine.subqueries import (
    ArraySubquery,
    ExistsSubquery,
    InSubquery,
    QuantifiedSubquery,
    ScalarSubquery,
)
from storage.column import Column
from storage.errors import CardinalityViolation, DivisionByZero
from storage.types import BOOL, INT2, INT4, TEXT, array_of
from tests.engine.tables import MemoryTable, Source, rows_of, run_over

A = Reference(0, INT4)
EQ = "operator =(int4,int4)"
items = st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=6)


def source(values: list[Any], size: int = 2) -> Source:
    return Source((INT4,), tuple((value,) for value in values), size)


def selected(values: list[Any], expression: Expression) -> list[Any]:
    return [value for (value,) in rows_of(Project(source(values), (expression,)))]


def equal(a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else a == b


def any_of(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def negated(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


@given(items, items, st.booleans())
def test_in_has_sql_nulls(left: list[Any], right: list[Any], negate: bool) -> None:
    expected = [any_of([equal(a, b) for b in right]) for a in left]
    if negate:
        expected = [negated(answer) for answer in expected]
    assert selected(left, InSubquery((A,), source(right), (), (EQ,), negate)) == expected
    one_by_one = InSubquery((A,), Project(source(right), (A,)), (A,), (EQ,), negate)
    assert selected(left, one_by_one) == expected


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.integers(0, 2))] * 2), max_size=6), items)
def test_rows_in_rows(left: list[Any], right: list[Any]) -> None:
    pairs = list(itertools.pairwise(right))
    node = InSubquery((A, Reference(1, INT4)), Source((INT4, INT4), tuple(pairs)), (), (EQ, EQ))

    def both(a: Any, b: Any) -> bool | None:
        first, second = equal(a[0], b[0]), equal(a[1], b[1])
        return False if False in (first, second) else None if None in (first, second) else True

    plan = Project(Source((INT4, INT4), tuple(left)), (node,))
    assert [value for (value,) in rows_of(plan)] == [any_of([both(a, b) for b in pairs]) for a in left]


def test_in_of_other_types_compares_with_the_operator() -> None:
    short = Source((INT2,), ((1,), (3,)))
    node = InSubquery((A,), short, (), ("operator =(int4,int2)",))
    assert selected([1, 2, 3, None], node) == [True, False, True, None]


@given(items, items, st.booleans())
def test_quantified(left: list[Any], right: list[Any], every: bool) -> None:
    node = QuantifiedSubquery((A,), source(right), (), "operator <(int4,int4)", every)
    answers = [[None if None in (a, b) else a < b for b in right] for a in left]
    expected = [negated(any_of([negated(x) for x in row])) if every else any_of(row) for row in answers]
    assert selected(left, node) == expected


@dataclass(frozen=True)
class Counted:
    """A plan that counts how often it is run."""

    child: Any
    runs: list[int] = field(default_factory=list, compare=False)

    @property
    def types(self) -> Any:
        return self.child.types

    @property
    def children(self) -> Any:
        return (self.child,)

    def explain(self) -> str:
        return "Counted"

    def batches(self, run: Run) -> Any:
        self.runs.append(1)
        return self.child.batches(run)


def greater(values: list[Any]) -> Counted:
    condition = Call("operator >(int4,int4)", (A, Outer(0, INT4)), BOOL)
    return Counted(Filter(source(values), condition))


def test_correlated_values_are_remembered() -> None:
    plan = greater([5])
    node = ScalarSubquery(plan, (A,), INT4)
    assert selected([1, 7, 1, None, 1, 7], node) == [5, None, 5, None, 5, None]
    assert len(plan.runs) == 3


def test_exists() -> None:
    assert selected([1, 9, None], ExistsSubquery(greater([5, 6]), (A,))) == [True, False, False]
    assert selected([1, 9], ExistsSubquery(source([]), (), True)) == [True, True]


def test_array() -> None:
    node = ArraySubquery(greater([5, None, 6, 2]), (A,), array_of(INT4))
    assert selected([1, 5, 9], node) == [[5, 6, 2], [6], []]
    texts = ArraySubquery(Source((TEXT,), (("a",), (None,))), (), array_of(TEXT))
    assert selected([1], texts) == [["a", None]]


def test_more_than_one_row() -> None:
    with pytest.raises(CardinalityViolation, match="more than one row returned by a subquery"):
        selected([1], ScalarSubquery(source([1, 2], 1), (), INT4))


def test_a_plain_subquery_runs_once_in_the_pool_and_its_error_waits_for_a_row() -> None:
    plan = Counted(source([3]))
    memory = MemoryTable([Column.of(INT4, range(100))], 10)
    condition = Call(EQ, (A, ScalarSubquery(plan, (), INT4)), BOOL)
    assert rows_of(Scan(1, "t", (1,), (INT4,), condition=condition), run_over(memory)) == [(3,)]
    assert len(plan.runs) == 1
    zero = Constant(Column.scalar(INT4, 0))
    failing = Project(source([1]), (Call("operator /(int4,int4)", (A, zero), INT4),))
    node = ScalarSubquery(failing, (), INT4)
    assert selected([], node) == []
    with pytest.raises(DivisionByZero):
        selected([1], node)
