"""Forms of vectors and bit strings: what is written is read back; numbers are rounded once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import forms
from engine.forms import bits, sparse, vectors
from storage import encodings
from storage.batch import Batch
from storage.codec import decode_batch, encode_batch
from storage.column import Column
from storage.errors import DatabaseError
from storage.indexes.comparable import column_keys
from storage.types import BIT, BYTEA, ELEMENTS, HALFVEC, SPARSEVEC, TEXT, VARBIT, VECTOR, Type

quick = settings(max_examples=80, deadline=None)
DENSE = list(ELEMENTS.values())


@st.composite
def dense(draw: st.DrawFn) -> Column:
    """A few vectors of some element type, of one length, nulls among them; dimensions declared or not."""
    type = draw(st.sampled_from(DENSE))
    assert type.dtype is not None
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    raw = np.random.default_rng(draw(st.integers(0, 2**32))).bytes(shape[0] * shape[1] * type.dtype.itemsize)
    values = np.frombuffer(raw, type.dtype).reshape(shape)
    if type.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, type.dtype.type(0.5))
    valid = draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0]))
    valid[0] = True
    sized = type.of(shape[1]) if draw(st.booleans()) else type
    return Column(sized, values, None if all(valid) else np.array(valid))


@st.composite
def ragged(draw: st.DrawFn) -> Column:
    """A few vectors of several lengths, nulls among them."""
    parts = draw(st.lists(dense(), min_size=1, max_size=4))
    type = parts[0].type.base
    return Column.concat([part.retype(type) for part in parts if part.type.base == type])


def _same(a: Column, b: Column) -> None:
    assert a.is_valid().tolist() == b.is_valid().tolist()
    there = np.flatnonzero(a.is_valid())
    (ours, mine), (theirs, others) = map(vectors.elements_of, (a.take(there), b.take(there)))
    assert (ours.tobytes(), mine.tolist()) == (theirs.tobytes(), others.tolist())


@quick
@given(ragged())
def test_vectors_of_several_lengths_there_and_back(column: Column) -> None:
    _same(column, forms.parse_text(column.type, forms.text_of(column)))
    _same(column, forms.parse_binary(column.type, forms.binary_of(column)))
    _same(column, decode_batch((column.type,), memoryview(encode_batch(Batch.of(column)))).columns[0])
    kept = column.take(np.flatnonzero(column.is_valid()))
    _same(kept, encodings.encode(kept).decode(0, len(kept), None))


@quick
@given(ragged())
def test_vectors_of_several_lengths_sort_as_lists(column: Column) -> None:
    kept = column.take(np.flatnonzero(column.is_valid()))
    (key,) = column_keys(kept)
    items, strings = kept.tolist(), key.strings.to_pylist()
    order = sorted(range(len(kept)), key=strings.__getitem__)
    assert order == sorted(range(len(kept)), key=items.__getitem__)


elements = st.dictionaries(
    st.integers(0, 99),
    st.floats(width=32, allow_nan=False, allow_infinity=False).filter(bool),
    max_size=6,
)
some_sparse = st.builds(
    lambda found, more: sparse.pack(
        100 + more,
        np.array(sorted(found), np.int32),
        np.array([found[place] for place in sorted(found)], np.float32),
    ),
    elements,
    st.integers(0, 2),
)
some_bits = st.text("01", max_size=20).map(bits.pack)


@pytest.mark.parametrize(
    ("type", "values"), [(SPARSEVEC, some_sparse), (BIT, some_bits), (VARBIT, some_bits)]
)
@quick
@given(st.data())
def test_packed_values_there_and_back(
    type: Type, values: st.SearchStrategy[bytes], data: st.DataObject
) -> None:
    items = data.draw(st.lists(st.none() | values, min_size=1, max_size=5))
    column = Column(type, pa.array(items, pa.large_binary()))
    assert forms.parse_text(type, forms.text_of(column)).values.to_pylist() == items
    assert forms.parse_binary(type, forms.binary_of(column)).values.to_pylist() == items


def _sparse_order(raw: bytes) -> list[float]:
    return sparse.to_dense(raw).tolist()


@pytest.mark.parametrize(
    ("type", "values", "order"),
    [
        (SPARSEVEC, some_sparse, _sparse_order),
        (VARBIT, some_bits, lambda raw: (raw[:-1], bits.length_of(raw))),
    ],
)
@quick
@given(st.data())
def test_keys_have_the_order_of_values(type: Type, values: st.SearchStrategy[bytes], order, data) -> None:  # type: ignore[no-untyped-def]
    items = data.draw(st.lists(values, min_size=2, max_size=2))
    (key,) = column_keys(Column(type, pa.array(items, pa.large_binary())))
    left, right = key.strings.to_pylist()
    first, second = map(order, items)
    assert (left < right, left == right) == (first < second, first == second)


@quick
@given(st.integers(-(2**70), 2**70), st.integers(-60, 10), st.integers(0, 3))
def test_float4_elements_are_rounded_once(digits: int, exponent: int, kind: int) -> None:
    if kind == 1:  # the middle between two float4s, and a hair beside it
        middle = Fraction(2 * (digits % 2**23 + 2**23) + 1, 2)
        text = f"{float(middle):.1f}{'' if exponent % 3 else '0000000000000000000001'}"
    elif kind == 2:
        text = f"{digits}e{exponent - 60}"
    else:
        text = f"{digits}e{exponent}"
    exact = Fraction(text)
    try:
        got = vectors.parse_vector(VECTOR, f"[{text}]")[0]
    except DatabaseError as error:
        assert error.sqlstate == "22003"
        assert abs(exact) >= Fraction(float(np.finfo(np.float32).max))
        return
    error = abs(Fraction(float(got)) - exact)
    for other in (np.nextafter(got, np.float32(np.inf)), np.nextafter(got, np.float32(-np.inf))):
        if np.isfinite(other):
            assert error <= abs(Fraction(float(other)) - exact)


@quick
@given(st.text("[]{}/:,.0123456789eExinfa+-_ \t", max_size=24), st.sampled_from([*DENSE, SPARSEVEC, VARBIT]))
def test_no_text_does_worse_than_be_refused(text: str, type: Type) -> None:
    try:
        column = forms.parse_text(type, Column.of(TEXT, [text]))
    except DatabaseError:
        return
    assert len(column) == 1


@quick
@given(st.binary(max_size=40), st.sampled_from([*DENSE, SPARSEVEC, VARBIT, BIT]))
def test_no_bytes_do_worse_than_be_refused(raw: bytes, type: Type) -> None:
    try:
        column = forms.parse_binary(type, Column.of(BYTEA, [raw]))
    except DatabaseError:
        return
    assert forms.binary_of(column).values.to_pylist()[0][:4] == raw[:4]


def test_halves_go_by_way_of_float4() -> None:
    # a hair above the middle of two halves: the float4 is the middle, and that goes to the even one
    assert vectors.parse_vector(HALFVEC, "[1.00048828125000001]")[0] == np.float16(1.0)
