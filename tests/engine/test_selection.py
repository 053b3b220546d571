"""Selection: what stands at places of groups, merged in any way, is what sorting says; large groups, too."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aggregates import selection
from engine.aggregates.selection import Selection, is_selectable, signed, unsigned
from engine.run import Run
from storage.column import Column
from storage.types import BOOL, DATE, FLOAT4, FLOAT8, INT2, INT8, INTERVAL, OID, TEXT, Type

NUMBERS = st.one_of(st.integers(-2, 2), st.integers(-(1 << 63), (1 << 63) - 1))
BATCHES = st.lists(st.lists(st.tuples(st.integers(0, 3), NUMBERS), max_size=30), max_size=4)
EMPTY = Run(None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("large", [False, True])
@given(BATCHES, st.data())
def test_places(large: bool, batches: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    sizes = {"PIECE": 3, "_LARGE": 3, "_SAMPLE": 4} if large else {"PIECE": 7}
    with mock.patch.multiple(selection, **sizes):
        whole = Selection(INT8, EMPTY)
        for batch in batches:
            one = Selection(INT8, EMPTY)
            groups = np.array([group for group, _ in batch], np.int64)
            one.add(groups, Column(INT8, np.array([value for _, value in batch], np.int64)), 4)
            whole.merge(one, np.array([3, 2, 1, 0]))
        values = [(3 - group, value) for batch in batches for group, value in batch]
        expected = np.array([value for _, value in sorted(values)], np.int64)
        offsets = whole.offsets(4)
        assert offsets.tolist() == [sum(group < g for group, _ in values) for g in range(5)]
        wanted = data.draw(st.sets(st.integers(0, len(values) - 1))) if values else set()
        places = np.array(sorted(wanted), np.int64)
        assert whole.at(places, 4).values.tolist() == expected[places].tolist()
        kept, column = whole.rows()
        assert sorted(zip(kept.tolist(), column.values.tolist(), strict=True)) == sorted(values)


def test_many_equal_ones_and_a_sample_that_misleads() -> None:
    for values in (np.zeros(9000, np.int64), np.arange(9000), np.where(np.arange(9000) % 9, 10**6, 1)):
        with mock.patch.multiple(selection, PIECE=1000, _LARGE=1000, _SAMPLE=1000):
            one = Selection(INT8, EMPTY)
            one.add(np.zeros(9000, np.int64), Column(INT8, values), 1)
            places = np.array([0, 1, 999, 1000, 4500, 8998, 8999])
            assert one.at(places, 1).values.tolist() == np.sort(values)[places].tolist()


FLOATS = np.array([-np.inf, -1.5, -0.0, 0.0, 5e-324, 2.0, np.inf, np.nan])


@pytest.mark.parametrize(
    ("type", "values"),
    [
        (FLOAT8, FLOATS),
        (FLOAT4, FLOATS.astype(np.float32)),
        (INT2, np.array([-(1 << 15), -1, 0, (1 << 15) - 1], np.int16)),
        (INT8, np.array([-(1 << 63), -1, 0, (1 << 63) - 1])),
        (DATE, np.array([-5, 0, 7], np.int32)),
        (BOOL, np.array([False, True])),
        (OID, np.array([0, 1, (1 << 32) - 1], np.uint32)),
    ],
    ids=lambda given: given.name if isinstance(given, Type) else "",
)
def test_values_are_signed_integers_in_their_order(type: Type, values: np.ndarray) -> None:
    assert is_selectable(type)
    keys = signed(values)
    assert (np.sort(keys) == keys).all()
    back = unsigned(keys, type)
    assert back.dtype == values.dtype
    assert np.array_equal(np.signbit(back), np.signbit(values)) if values.dtype.kind == "f" else True
    assert np.array_equal(back, values, equal_nan=values.dtype.kind == "f")
    assert signed(-np.array([np.nan])).tolist() == signed(np.array([np.nan])).tolist()


def test_others_are_not() -> None:
    assert not is_selectable(TEXT)
    assert not is_selectable(INTERVAL)
