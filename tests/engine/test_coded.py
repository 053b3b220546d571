"""Coded columns: grouping, keys, functions and casts by distinct value, beside the same on plain values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.byvalue import by_value
from engine.casts import convert
from engine.conditions import member
from engine.functions.calls import call
from engine.groups import KeyIndex, number
from storage.column import Column
from storage.errors import DatabaseError
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import BOOL, BPCHAR, BYTEA, INT4, NUMERIC, TEXT, UUID, VARCHAR, Type
from tests.engine.calls import run_with

VALUES: dict[Type, list[Any]] = {
    TEXT: ["", "a", "b", "a ", "é", "12"],
    VARCHAR: ["x", "y"],
    BPCHAR: ["a", "a ", "b", "c  "],
    BYTEA: [b"", b"a", b"\0"],
    NUMERIC: [Decimal("1.1"), Decimal("1.10"), Decimal("NaN"), Decimal("-3")],
    UUID: [bytes(16), b"x" * 16],
    INT4: [1, 2, 3],
}


quick = settings(max_examples=50)


@st.composite
def pairs(draw: st.DrawFn, rows: int, types: tuple[Type, ...] = tuple(VALUES)) -> tuple[Column, Column]:
    """(a coded column, the same values plainly)."""
    type = draw(st.sampled_from(types))
    dictionary = Dictionary(Column.of(type, VALUES[type]), distinct=True)
    codes = np.array(
        draw(st.lists(st.integers(0, len(dictionary) - 1), min_size=rows, max_size=rows)), np.int64
    )
    valid = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_)
    coded = CodedColumn(type, dictionary, codes, None if valid.all() else valid)
    items = [VALUES[type][code] if ok else None for code, ok in zip(codes.tolist(), valid, strict=True)]
    return coded, Column.of(type, items)


@quick
@given(st.data(), st.integers(1, 12), st.integers(1, 4))
def test_groups_are_those_of_the_values(data: st.DataObject, rows: int, width: int) -> None:
    columns = [data.draw(pairs(rows)) for _ in range(width)]
    plainly = number([plain for _, plain in columns], rows)
    for mixed in ([coded for coded, _ in columns], [pair[i % 2] for i, pair in enumerate(columns)]):
        groups, firsts = number(mixed, rows)
        assert groups.tolist() == plainly[0].tolist()
        assert firsts.tolist() == plainly[1].tolist()


@quick
@given(st.data(), st.integers(1, 12), st.integers(1, 3))
def test_an_index_takes_and_finds_both(data: st.DataObject, rows: int, width: int) -> None:
    columns = [data.draw(pairs(rows)) for _ in range(width)]
    coded, plain = [c for c, _ in columns], [p for _, p in columns]
    one, other = KeyIndex([c.type for c in plain]), KeyIndex([c.type for c in plain])
    assert [part.tolist() for part in one.assign(coded, rows)] == [
        part.tolist() for part in other.assign(plain, rows)
    ]
    assert (
        one.find(plain, rows).tolist() == one.find(coded, rows).tolist() == other.find(plain, rows).tolist()
    )


def _outcome(work: Any) -> Any:
    try:
        return work().tolist()
    except DatabaseError as error:
        return (type(error), str(error))


CALLS: list[tuple[str, Type, tuple[tuple[Type, Any], ...]]] = [
    ("upper(text)", TEXT, ()),
    ("length(text)", INT4, ()),
    ("operator =(text,text)", BOOL, ((TEXT, "a"),)),
    ("operator ~~(text,text)", BOOL, ((TEXT, "a%"),)),
    ("operator ||(text,text)", TEXT, ((TEXT, "z"),)),
    ("substring(text,int4)", TEXT, ((INT4, 2),)),
    ("strpos(text,text)", INT4, ((TEXT, None),)),
]


@pytest.mark.parametrize("asked", CALLS, ids=lambda asked: asked[0])
@quick
@given(st.data(), st.integers(1, 12), st.booleans())
def test_functions_see_each_value_once(asked: Any, data: st.DataObject, rows: int, first: bool) -> None:
    function, type, constants = asked
    coded, plain = data.draw(pairs(rows, (TEXT,)))
    more = [Column.scalar(*constant) for constant in constants]

    def on(column: Column) -> Column:
        columns = [*more, column] if first and function.endswith("(text,text)") else [column, *more]
        return call(function, columns, rows, run_with(), type).spread(rows)

    for _ in range(2):  # once more, from what is remembered
        assert on(coded).tolist() == on(plain).tolist()


@quick
@given(st.data(), st.integers(1, 12), st.sampled_from([(TEXT, VARCHAR.of(5)), (BPCHAR, TEXT), (TEXT, INT4)]))
def test_casts_see_each_value_once(data: st.DataObject, rows: int, types: tuple[Type, Type]) -> None:
    source, target = types
    coded, plain = data.draw(pairs(rows, (source,)))
    outcomes = [_outcome(lambda c=c: convert(c, target, run_with())) for c in (coded, plain)]
    assert outcomes[0] == outcomes[1]


@quick
@given(
    st.data(), st.integers(1, 12), st.lists(st.sampled_from(["a", "b", "zz", None]), min_size=1, max_size=4)
)
def test_lists_are_looked_for_once_a_value(data: st.DataObject, rows: int, items: list[str | None]) -> None:
    coded, plain = data.draw(pairs(rows, (TEXT,)))
    constants = [Column.scalar(TEXT, item) for item in items]
    found = [member(c, constants, "operator =(text,text)", rows, run_with()).tolist() for c in (coded, plain)]
    assert found[0] == found[1]


def test_a_value_that_no_row_has_may_fail() -> None:
    dictionary = Dictionary(Column.of(TEXT, ["1", "x"]), distinct=True)
    column = CodedColumn(TEXT, dictionary, np.array([0, 0, 0]))

    def work(values: Column) -> Column:
        return convert(values, INT4, run_with())

    assert by_value(column, work) is None
    assert call("length(text)", [column], 3, run_with(), INT4).tolist() == [1, 1, 1]
    assert convert(column, INT4, run_with()).tolist() == [1, 1, 1]


def test_more_values_than_rows_are_left_alone() -> None:
    dictionary = Dictionary(Column.of(TEXT, ["1", "x"]), distinct=True)
    column = CodedColumn(TEXT, dictionary, np.array([0]))
    assert by_value(column, lambda values: values) is None
