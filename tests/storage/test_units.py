"""Numeric columns of units are the numeric columns of Decimals that they stand for."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import codec, encodings
from storage.batch import Batch
from storage.column import Column
from storage.decimals import decimal_bytes, unit_strings
from storage.encodings.decimals import in_units
from storage.predicate import Comparison
from storage.segments.segment import SegmentColumn
from storage.segments.zones import comparable, zone_of
from storage.types import NUMERIC, numeric

SCALES = st.integers(0, 6)
COMPARISONS = [op for op in Comparison if op.value in ("=", "<>", "<", "<=", ">", ">=")]


def amounts(scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**18) + 1, 10**18 - 1).map(lambda unit: Decimal(unit).scaleb(-scale))


@st.composite
def columns(draw: st.DrawFn, nulls: bool = True) -> Column:
    scale = draw(SCALES)
    item = amounts(scale)
    items = draw(st.lists(st.none() | item if nulls else item, min_size=1, max_size=30))
    return Column.of(numeric(18, scale), items)


def same(left: Column, right: list[Decimal | None]) -> None:
    assert [str(item) for item in left.tolist()] == [str(item) for item in right]


@given(columns())
def test_rows_of_units_are_those_of_their_objects(column: Column) -> None:
    items = column.tolist()
    some = np.arange(len(items))[::2]
    same(column.take(some), items[::2])
    same(column.take(np.arange(len(items)) % 2 == 0), items[::2])
    same(column.slice(1, len(items)), items[1:])
    same(Column.concat([column, column.slice(0, 1)]), items + items[:1])
    same(Column.concat([column, Column.of(NUMERIC, [Decimal("1.5")])]), [*items, Decimal("1.5")])
    same(Column.scalar(column.type, items[0]).spread(3), items[:1] * 3)


@given(columns())
def test_units_survive_the_log_and_a_segment(column: Column) -> None:
    logged = codec.decode_batch((column.type,), memoryview(codec.encode_batch(Batch.of(column)))).columns[0]
    assert (logged.units is None) == (column.units is None)
    same(logged, column.tolist())
    same(SegmentColumn.build(column).decode(0, len(column), None), column.tolist())


@given(st.lists(amounts(3) | amounts(1), min_size=1, max_size=20))
def test_numerics_of_any_scale_survive_a_segment(items: list[Decimal]) -> None:
    column = Column.of(NUMERIC, items)
    same(SegmentColumn.build(column).decode(0, len(items), None), items)


@pytest.mark.parametrize("op", COMPARISONS)
@given(
    column=columns(nulls=False),
    other=SCALES.flatmap(amounts) | st.sampled_from(["NaN", "Infinity", "-Infinity"]),
)
def test_a_constant_is_compared_in_units(op: Comparison, column: Column, other: Decimal | str) -> None:
    value = Decimal(other)
    want = [_holds(op, item, value) for item in column.tolist()]
    encoded = encodings.encode(column)
    found = encoded.select(op, value, 0, len(column))
    if found is not None:
        assert found.tolist() == want
    moved = in_units(op, value, column.scale)
    if isinstance(moved, bool):
        assert want == [moved] * len(column)
    assert zone_of(column).may_match(op, comparable(column.type, op, value)) or not any(want)


def _holds(op: Comparison, item: Decimal, value: Decimal) -> bool:
    """`item op value` with NaN greater than every number."""
    left, right = ((x.is_nan(), Decimal(0) if x.is_nan() else x) for x in (item, value))
    tests = {"=": left == right, "<": left < right, ">": left > right}
    tests |= {"<>": not tests["="], "<=": not tests[">"], ">=": not tests["<"]}
    return tests[op.value]


@given(
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-200, 200), max_size=20), st.integers(0, 18)
)
def test_units_have_the_keys_of_their_objects(units: list[int], scale: int) -> None:
    column = Column.scaled(NUMERIC, np.array(units, np.int64), scale)
    assert unit_strings(column.units, scale).to_pylist() == [decimal_bytes(v) for v in column.tolist()]
