"""Casts: values and contexts, with PostgreSQL's answers, and the product's own between bytes and vectors."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import forms
from engine.casts import context, convert
from storage import types as t
from storage.column import Column
from storage.errors import CannotCoerce, DatabaseError
from storage.types import Type

PACKED = struct.pack("<2f", 1.0, 0.5)
CASTS: list[tuple[Type, Any, Type, Any]] = [
    (t.FLOAT8, 0.5, t.INT4, 0),
    (t.FLOAT8, 1.5, t.INT4, 2),
    (t.FLOAT8, 2.5, t.INT4, 2),
    (t.NUMERIC, Decimal("2.5"), t.INT4, 3),
    (t.NUMERIC, Decimal("-2.5"), t.INT4, -3),
    (t.NUMERIC, Decimal("1.005"), t.numeric(5, 2), Decimal("1.01")),
    (t.FLOAT8, 0.1, t.NUMERIC, Decimal("0.1")),
    (t.INT4, 7, t.BOOL, True),
    (t.BOOL, True, t.TEXT, "true"),
    (t.TEXT, "abcd", t.varchar(2), "ab"),
    (t.BPCHAR.of(7), "a  ", t.TEXT, "a"),
    (t.INT4, -1, t.OID, 2**32 - 1),
    (t.TEXT, " 12 ", t.INT8, 12),
    (t.JSONB, "1.50", t.NUMERIC, Decimal("1.50")),
    (t.array_of(t.INT4), [1, None], t.array_of(t.TEXT), ["1", None]),
    (t.BYTEA, PACKED, t.binary(8), PACKED),
    (t.array_of(t.FLOAT8), [1.0, 0.5], t.binary(8), PACKED),
    (t.TEXT, "[1, 0.5]", t.binary(8), PACKED),
    (t.binary(8), PACKED, t.vector(2), [1.0, 0.5]),
]


@pytest.mark.parametrize(("source", "value", "target", "wanted"), CASTS, ids=str)
def test_values_are_cast(source: Type, value: Any, target: Type, wanted: Any) -> None:
    found = convert(Column.of(source, [value, None]), target, None)
    assert found.type == target
    assert repr(found.tolist()) == repr([wanted, None])


@pytest.mark.parametrize(
    ("source", "value", "target", "state", "message"),
    [
        (t.INT8, 2**31, t.INT4, "22003", "integer out of range"),
        (t.FLOAT8, float("nan"), t.INT4, "22003", "integer out of range"),
        (t.NUMERIC, Decimal("NaN"), t.INT4, "0A000", "cannot convert NaN to integer"),
        (t.NUMERIC, Decimal(1000), t.numeric(5, 2), "22003", "numeric field overflow"),
        (t.FLOAT8, 1e300, t.FLOAT4, "22003", "value out of range: overflow"),
        (t.INT4, 1, t.DATE, "42846", "cannot cast type integer to date"),
        (
            t.BYTEA,
            b"abc",
            t.binary(8),
            "22000",
            "value of 3 bytes does not fit binary(8), which takes exactly 8",
        ),
        (t.array_of(t.FLOAT8), [1.0], t.vector(2), "22000", "expected 2 dimensions, not 1"),
    ],
)
def test_what_cannot_be_cast_says_why(
    source: Type, value: Any, target: Type, state: str, message: str
) -> None:
    with pytest.raises(DatabaseError) as raised:
        convert(Column.of(source, [value]), target, None)
    assert (raised.value.sqlstate, raised.value.message) == (state, message)


def test_an_assignment_refuses_what_a_written_cast_cuts() -> None:
    column = Column.of(t.TEXT, ["abcd"])
    with pytest.raises(DatabaseError, match="value too long for type character varying"):
        convert(column, t.varchar(2), None, explicit=False)
    blanks = Column.of(t.TEXT, ["ab  "])
    assert convert(blanks, t.varchar(2), None, explicit=False).tolist() == ["ab"]


def test_contexts_are_those_of_pg_cast() -> None:
    assert context(t.INT4, t.INT8) == "i"
    assert context(t.INT8, t.INT4) == "a"
    assert context(t.INT4, t.BOOL) == "e"
    assert context(t.TEXT, t.INT4) == "e"
    assert context(t.INT4, t.TEXT) == "a"
    assert context(t.INT4, t.DATE) is None
    assert context(t.array_of(t.INT4), t.array_of(t.INT8)) == "i"


SCALARS = [type for type in t.SCALARS if type.category not in "PX" and type.form is not t.Form.LIST]


@given(
    st.sampled_from(SCALARS), st.sampled_from(SCALARS), st.sampled_from(["1", "t", "2024-01-02", "a", "[1]"])
)
def test_any_two_types_cast_or_say_that_they_do_not(source: Type, target: Type, text: str) -> None:
    try:
        column = forms.parse_text(source, Column.of(t.TEXT, [text, None]))
        found = convert(column, target, None)
    except DatabaseError as error:
        if isinstance(error, CannotCoerce):
            assert context(source, target) is None
    else:
        assert (found.type.oid, len(found), found.tolist()[1]) == (target.oid, 2, None)
