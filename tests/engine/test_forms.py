"""Text and binary forms: PostgreSQL's answers, round trips, and garbage that is never worse than an error.

forms.tsv holds what a PostgreSQL 15 said: type, input, '=' or SQLSTATE, output or message; control
characters and backslashes escaped.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import casts, forms
from engine.forms.style import Style
from storage import types as t
from storage.column import Column
from storage.errors import DatabaseError
from storage.timetz import packed
from storage.types import TEXT, Type

NAMES = {
    "boolean": t.BOOL, "smallint": t.INT2, "integer": t.INT4, "bigint": t.INT8, "real": t.FLOAT4,
    "double precision": t.FLOAT8, "numeric": t.NUMERIC, "numeric(5,2)": t.numeric(5, 2), "date": t.DATE,
    "time": t.TIME, "timetz": t.TIMETZ, "timestamp": t.TIMESTAMP, "timestamp(3)": t.TIMESTAMP.of(3),
    "timestamptz": t.TIMESTAMPTZ, "interval": t.INTERVAL, "uuid": t.UUID, "bytea": t.BYTEA, "text": TEXT,
    "varchar(3)": t.varchar(3), "char(3)": t.BPCHAR.of(7), "name": t.NAME, "json": t.JSON, "jsonb": t.JSONB,
    '"char"': t.CHAR, "oid": t.OID, "int2vector": t.INT2VECTOR,
}  # fmt: skip
CASES = (Path(__file__).parent / "forms.tsv").read_text().splitlines()


def _plain(text: str) -> str:
    return text.encode().decode("unicode_escape").encode("latin1").decode() if "\\" in text else text


@pytest.mark.parametrize("case", CASES)
def test_text_is_read_and_written_as_postgresql_does(case: str) -> None:
    name, text, verdict, expected = case.split("\t")
    type = t.array_of(NAMES[name[:-2]]) if name.endswith("[]") else NAMES[name]
    assert _read_back(type, _plain(text)) == (verdict, _plain(expected))


def _read_back(type: Type, text: str) -> tuple[str, str]:
    numeric = type.oid == t.NUMERIC.oid
    try:
        column = forms.parse_text(type.base if numeric else type, Column.of(TEXT, [text]))
        if numeric:
            column = casts.convert(column, type, None, explicit=False)
        return "=", forms.text_of(column).tolist()[0]
    except DatabaseError as error:
        return error.sqlstate, error.message


def test_zones_are_those_of_the_session() -> None:
    berlin = Style(time_zone="Europe/Berlin")
    texts = ["2024-07-01 10:00", "2024-01-01 10:00", "2024-01-01 10:00+00", None]
    column = forms.parse_text(t.TIMESTAMPTZ, Column.of(TEXT, texts), berlin)
    expected = ["2024-07-01 10:00:00+02", "2024-01-01 10:00:00+01", "2024-01-01 11:00:00+01", None]
    assert forms.text_of(column, berlin).tolist() == expected


_int = st.integers
VALUES: dict[Type, st.SearchStrategy[Any]] = {
    t.BOOL: st.booleans(),
    t.INT2: _int(-(2**15), 2**15 - 1),
    t.INT4: _int(-(2**31), 2**31 - 1),
    t.INT8: _int(-(2**63), 2**63 - 1),
    t.OID: _int(0, 2**32 - 1),
    t.FLOAT4: st.floats(width=32),
    t.FLOAT8: st.floats(),
    t.NUMERIC: st.decimals(allow_nan=False, allow_infinity=False, places=5) | st.just(Decimal("NaN")),
    TEXT: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    t.BYTEA: st.binary(),
    t.UUID: st.binary(min_size=16, max_size=16),
    t.binary(5): st.binary(min_size=5, max_size=5),
    t.DATE: _int(-2_400_000, 2_900_000),
    t.TIME: _int(0, 86_400_000_000),
    t.MACADDR: _int(0, 2**48 - 1),
    t.MACADDR8: _int(-(2**63), 2**63 - 1),
    t.MONEY: _int(-(2**63), 2**63 - 1),
    t.PG_LSN: _int(-(2**63), 2**63 - 1),
    t.XID8: _int(-(2**63), 2**63 - 1),
    t.TIMETZ: st.builds(packed, _int(0, 86_400_000_000), _int(-57_599, 57_599)),
    t.TIMESTAMP: _int(-200_000_000_000_000_000, 200_000_000_000_000_000),
    t.TIMESTAMPTZ: _int(-200_000_000_000_000_000, 200_000_000_000_000_000),
    t.INTERVAL: st.tuples(_int(-10_000, 10_000), _int(-10_000, 10_000), _int(-(10**12), 10**12)),
    t.vector(3): st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
    t.array_of(TEXT): st.lists(
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    ),
    t.array_of(t.INT4): st.lists(st.none() | _int(-(2**31), 2**31 - 1)),
    t.CHAR: _int(0, 127),
}


def _columns(type: Type) -> st.SearchStrategy[Column]:
    return st.lists(st.none() | VALUES[type], max_size=40).map(lambda items: Column.of(type, items))


def _same(left: Column, right: Column) -> bool:
    return left.type == right.type and repr(left.tolist()) == repr(right.tolist())


@pytest.mark.parametrize("type", list(VALUES), ids=str)
@given(data=st.data())
def test_every_value_survives_its_text_and_its_binary_form(type: Type, data: st.DataObject) -> None:
    column = data.draw(_columns(type))
    assert _same(forms.parse_text(type, forms.text_of(column)), column)
    assert _same(forms.parse_binary(type, forms.binary_of(column)), column)


EVERY = [type for type in t.TYPES if type.category != "P" and type.oid != t.UNKNOWN.oid]


@pytest.mark.parametrize("type", EVERY, ids=lambda type: type.name)
@given(text=st.text(max_size=20), raw=st.binary(max_size=40))
def test_garbage_is_an_error_and_nothing_worse(type: Type, text: str, raw: bytes) -> None:
    for read in (
        lambda: forms.parse_text(type, Column.of(TEXT, [text])),
        lambda: forms.parse_binary(type, Column.of(t.BYTEA, [raw])),
    ):
        with suppress(DatabaseError):
            forms.text_of(read())


def test_long_columns_take_the_fast_way_and_mean_the_same() -> None:
    numbers = np.arange(-50, 50)
    for type, texts in (
        (t.INT4, [str(n) for n in numbers]),
        (t.FLOAT8, [f"{n}.{abs(n)}" for n in numbers]),
        (t.DATE, [f"20{abs(n):02d}-01-02" for n in numbers]),
        (t.TIMESTAMP, [f"20{abs(n):02d}-01-02 03:04:05.{abs(n)}" for n in numbers]),
        (t.BOOL, ["t" if n % 3 else "f" for n in numbers]),
    ):
        column = Column.of(TEXT, [*texts, None])
        slow = [forms.parse_text(type, Column.of(TEXT, [text])).tolist()[0] for text in texts]
        assert forms.parse_text(type, column).tolist() == [*slow, None]
