"""Ranges in columns: the same after writing and reading, and their sets those of a model in Python."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine import forms
from storage import ranges
from storage.column import Column
from storage.types import INT4MULTIRANGE, INT4RANGE, NUMMULTIRANGE, NUMRANGE, TEXT, Type

NUMBERS = st.decimals(-20, 20, places=2, allow_nan=False) | st.sampled_from(
    [
        Decimal("0.000"),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
        Decimal("1E-30"),
        Decimal(10**25),
    ]
)


def read(type: Type, text: str) -> Column:
    return forms.parse_text(type, Column.of(TEXT, [text]))


@st.composite
def _numrange(draw: Any) -> str:
    low, high = sorted(
        (draw(NUMBERS), draw(NUMBERS)), key=lambda n: (n.is_nan(), Decimal(0) if n.is_nan() else n)
    )
    low, high = (draw(st.sampled_from(["", f"{n:f}"])) for n in (low, high))
    return f"{draw(st.sampled_from('[('))}{low},{high}{draw(st.sampled_from('])'))}"


@given(_numrange())
def test_numranges_come_back(text: str) -> None:
    column = read(NUMRANGE, text)
    shown = forms.text_of(column)
    assert forms.parse_text(NUMRANGE, shown).tolist() == column.tolist()
    assert forms.parse_binary(NUMRANGE, forms.binary_of(column)).tolist() == column.tolist()
    assert ranges.range_column(NUMRANGE, ranges.spans_of(column)).tolist() == column.tolist()


SETS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=4)


def _points(pairs: list[tuple[int, int]]) -> set[int]:
    return {point for low, size in pairs for point in range(low, low + size)}


def _text(pairs: list[tuple[int, int]]) -> str:
    return "{" + ",".join(f"[{low},{low + size})" for low, size in pairs) + "}"


@given(SETS, SETS, st.sampled_from([INT4MULTIRANGE, NUMMULTIRANGE]))
def test_multiranges_are_sets(left: list[tuple[int, int]], right: list[tuple[int, int]], type: Type) -> None:
    a, b = (ranges.pairs_of(read(type, _text(pairs)))[0] for pairs in (left, right))
    for combine, wanted in (
        (lambda x, y: ranges.united([*x, *y]), _points(left) | _points(right)),
        (ranges.intersected, _points(left) & _points(right)),
        (ranges.less, _points(left) - _points(right)),
    ):
        found = ranges.multirange_column(type, [combine(a, b)])
        points = [ranges.pairs_of(read(type, f"{{[{p},{p + 1})}}"))[0][0] for p in range(18)]
        there = {
            p
            for p, (low, high) in enumerate(points)
            for x, y in ranges.pairs_of(found)[0]
            if x <= low and high <= y
        }
        assert there == wanted
        assert forms.parse_text(type, forms.text_of(found)).tolist() == found.tolist()


def test_a_column_of_ranges_with_nulls() -> None:
    column = forms.parse_text(INT4RANGE, Column.of(TEXT, ["[1,3)", None, "empty"]))
    assert forms.text_of(column).tolist() == ["[1,3)", None, "empty"]
    assert forms.parse_binary(INT4RANGE, forms.binary_of(column)).tolist() == column.tolist()
