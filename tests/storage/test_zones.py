"""Zone maps: no block with a matching row is skipped, blocks that are out of reach are, bounds are short."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.column import Column
from storage.order import order_key
from storage.predicate import Comparison
from storage.segments.zonemap import ZoneMap
from storage.segments.zones import PREFIX, Zone, comparable, joined, read_old_zone, read_zone, stated, zone_of
from storage.types import BPCHAR, BYTEA, DATE, FLOAT8, INT4, INT8, INTERVAL, NUMERIC, TEXT, UUID, Type, binary
from tests.storage.test_encodings import TESTS, VALUES, float_key


@st.composite
def cases(draw: st.DrawFn) -> tuple[Column, Comparison, Any]:
    """(a column with nulls, an operator, a constant)."""
    type = draw(
        st.sampled_from([type for type in VALUES if type in (FLOAT8,) or order_key(type) is not None])
    )
    values = VALUES[type]
    items = draw(st.lists(st.none() | values, min_size=1, max_size=8))
    op = draw(st.sampled_from(list(TESTS)))
    near = [item for item in items if item is not None]
    constant = st.one_of(st.sampled_from(near), values) if near else values
    value = tuple(draw(st.lists(constant, max_size=3))) if op is Comparison.IN else draw(constant)
    return Column.of(type, items), op, value


@given(cases())
def test_no_match_is_skipped(case: tuple[Column, Comparison, Any]) -> None:
    column, op, value = case
    key = float_key if column.type == FLOAT8 else order_key(column.type)
    assert key is not None
    wanted = [key(item) for item in value] if op is Comparison.IN else key(value)
    matches = any(item is not None and TESTS[op](key(item), wanted) for item in column.tolist())
    zone = zone_of(column)
    again = read_zone(column.type, json.loads(json.dumps(stated(zone))))
    parts = joined([zone_of(column.slice(0, 3)), zone_of(column.slice(3, len(column)))])
    for known in (zone, again, parts):
        assert known.may_match(op, comparable(column.type, op, value)) or not matches
        assert known.may_match(Comparison.IS_NULL, None) == (None in column.tolist())
    assert again == zone


@given(cases())
def test_zones_side_by_side(case: tuple[Column, Comparison, Any]) -> None:
    column, op, value = case
    zones = [zone_of(column.slice(i, i + 2)) for i in range(0, len(column), 2)]
    known = ZoneMap(zones)
    for asked, key in ((op, comparable(column.type, op, value)), (Comparison.IS_NULL, None)):
        assert known.may_match(asked, key).tolist() == [zone.may_match(asked, key) for zone in zones]


def test_zones_at_the_ends_of_their_type() -> None:
    """The ends of int64 stand for bounds that are not known, and are bounds as well."""
    ends = [-(2**63), 2**63 - 1]
    zones = [zone_of(Column.of(INT8, [low, high])) for low in (*ends, 0) for high in (*ends, 0)]
    for op in (op for op in TESTS if op is not Comparison.IN):
        for key in (*ends, 0, ends[0] + 1, ends[1] - 1):
            assert ZoneMap(zones).may_match(op, key).tolist() == [zone.may_match(op, key) for zone in zones]


OUT_OF_REACH: list[tuple[Type, list[Any], Any]] = [
    (INT4, [5, 9], 4),
    (DATE, [5, 9], 4),
    (FLOAT8, [0.5, float("inf")], 0.25),
    (NUMERIC, [Decimal("1.10"), Decimal(7)], Decimal("1.09")),
    (NUMERIC, [Decimal("1.10"), Decimal("NaN")], Decimal("1.09")),
    (INTERVAL, [(1, 0, 0), (0, 31, 0)], (0, 29, 86_399_999_999)),
    (TEXT, ["é" * 100, "é" * 101], "z"),
    (BPCHAR, ["b  ", "c"], "a     "),
    (BYTEA, [b"\xff" * 100, b"\xff\xff"], b"\xff"),
    (UUID, [b"x" * 16, b"y" * 16], b"a" * 16),
    (binary(3), [b"abc", b"abd"], b"abb"),
]


@pytest.mark.parametrize(("type", "items", "below"), OUT_OF_REACH, ids=lambda item: str(item)[:20])
def test_what_is_out_of_reach_is_skipped(type: Type, items: list[Any], below: Any) -> None:
    zone = zone_of(Column.of(type, [*items, None]))
    for op in (Comparison.EQ, Comparison.LT, Comparison.LE):
        assert not zone.may_match(op, comparable(type, op, below))
    assert not zone.may_match(Comparison.IN, comparable(type, Comparison.IN, (below, below)))
    assert zone.may_match(Comparison.GT, comparable(type, Comparison.GT, below))


def test_bounds_of_long_texts_are_short() -> None:
    zone = zone_of(Column.of(TEXT, ["m" * 500, "n" * 1000]))
    assert (zone.low, zone.high) == (b"m" * PREFIX, b"n" * (PREFIX - 1) + b"o")
    assert zone.may_match(Comparison.EQ, b"n" * 1000)
    assert not zone.may_match(Comparison.GT, b"o")
    assert zone_of(Column.of(BYTEA, [b"\xff" * 100])).high is None


def test_old_bounds_are_texts() -> None:
    assert read_old_zone(TEXT, [3, 0, "é", "ü"]) == Zone(3, 0, "é".encode(), "ü".encode())
    assert read_old_zone(NUMERIC, [3, 1, "1.10", None]) == Zone(3, 1, Decimal("1.10"), None)
