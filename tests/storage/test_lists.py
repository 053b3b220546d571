"""Columns of arrays whose bounds are not plain: the same rows after taking, joining and writing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine import forms
from storage import codec
from storage.batch import Batch
from storage.column import Column
from storage.indexes.comparable import column_keys
from storage.lists import Shaped, shaped
from storage.types import INT4, array_of

INTS = array_of(INT4)


@st.composite
def _array(draw: Any) -> Any:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    lowers = draw(st.lists(st.integers(-3, 3), min_size=len(sizes), max_size=len(sizes)))
    count = int(np.prod(sizes))
    items = draw(st.lists(st.none() | st.integers(-9, 9), min_size=count, max_size=count))
    return shaped(items, tuple(part for pair in zip(lowers, sizes, strict=True) for part in pair))


ARRAYS = st.lists(st.none() | st.just([]) | st.lists(st.integers(-9, 9), max_size=4) | _array(), max_size=8)


@given(ARRAYS, ARRAYS, st.data())
def test_the_same_rows_come_back(left: list[Any], right: list[Any], data: st.DataObject) -> None:
    rows = left + right
    column = Column.concat([Column.of(INTS, left), Column.of(INTS, right)])
    assert column.tolist() == rows
    assert (
        codec.decode_batch((INTS,), memoryview(codec.encode_batch(Batch.of(column)))).columns[0].tolist()
        == rows
    )
    assert forms.parse_text(INTS, forms.text_of(column)).tolist() == rows
    assert forms.parse_binary(INTS, forms.binary_of(column)).tolist() == rows
    if rows:
        taken = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5))
        assert column.take(np.array(taken, np.int64)).tolist() == [rows[row] for row in taken]
        assert column.slice(1, len(rows)).tolist() == rows[1:]


@given(_array(), _array())
def test_keys_are_equal_where_arrays_are(left: Any, right: Any) -> None:
    keys = [column_keys(Column.of(INTS, [array]))[0].strings.to_pylist() for array in (left, right)]
    assert (keys[0] == keys[1]) == (left == right)


def test_an_array_of_other_bounds_is_another() -> None:
    assert Shaped([1], (0, 1)) != Shaped([1], (2, 1))
    assert Shaped([1], (0, 1)) != [1]
