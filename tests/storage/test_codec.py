"""Definitions as records: whatever a definition of any kind holds, its record gives back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import codec
from storage.definitions import ColumnDefinition
from storage.types import (
    BOOL,
    FLOAT8,
    INT4,
    INT8,
    NUMERIC,
    TEXT,
    TIMESTAMPTZ,
    Attribute,
    Type,
    array_of,
    composite,
    enum,
    varchar,
    vector,
)

_POINT = composite("point_of", 20_001, 20_002, (Attribute("x", INT4, 1), Attribute("y", NUMERIC, 3)))
_MOOD = enum("mood", 20_003, 20_004)
TYPES = (BOOL, INT4, INT8, FLOAT8, NUMERIC, TEXT, TIMESTAMPTZ, varchar(7), vector(3), _POINT, _MOOD)
VALUES: dict[int, Any] = {BOOL.oid: True, INT4.oid: -7, INT8.oid: 2**40, FLOAT8.oid: 0.5, TEXT.oid: "ü'\\"}


def types() -> st.SearchStrategy[Type]:
    return st.sampled_from(TYPES + tuple(map(array_of, TYPES[:-3])))


@st.composite
def columns(draw: st.DrawFn) -> ColumnDefinition:
    """A column; where its type has a value above, with or without it for older rows."""
    column = draw(st.builds(ColumnDefinition, missing=st.none()))
    value = VALUES.get(column.type.oid) if draw(st.booleans()) else None
    return replace(column, missing=value)


st.register_type_strategy(Type, types())
st.register_type_strategy(ColumnDefinition, columns())
st.register_type_strategy(float, st.floats(allow_nan=False))


@pytest.mark.parametrize("kind", sorted(codec._KINDS))
@given(data=st.data())
def test_a_record_gives_back_its_definition(kind: str, data: st.DataObject) -> None:
    item = data.draw(st.from_type(codec._KINDS[kind]))
    written = json.loads(json.dumps(codec.encode_definition(item)))
    assert written["kind"] == kind
    assert codec.decode_definition(written) == item
