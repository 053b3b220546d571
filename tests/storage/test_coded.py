"""Coded columns in storage: put together, encoded and bounded as the same values written out are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import encodings
from storage.column import Column
from storage.encodings import BY_TAG
from storage.segments.coded import CodedColumn, Dictionary, decoded_bytes, written_out
from storage.segments.segment import SegmentColumn
from storage.segments.zones import zone_of
from storage.types import BPCHAR, BYTEA, TEXT, Type

quick = settings(max_examples=60)
VALUES: dict[Type, list[Any]] = {
    TEXT: ["", "a", "b", "a ", "é", "z" * 90],
    BPCHAR: ["a", "a ", "b", "c  "],
    BYTEA: [b"", b"a", b"\xff" * 70],
}


@st.composite
def coded(draw: st.DrawFn, type: Type, most: int = 40) -> CodedColumn:
    """A column over some of the type's values, in some order; nulls among them."""
    items = draw(st.permutations(VALUES[type]))[: draw(st.integers(1, len(VALUES[type])))]
    dictionary = Dictionary(Column.of(type, items), distinct=draw(st.booleans()))
    codes = np.array(draw(st.lists(st.integers(0, len(items) - 1), max_size=most)), np.int64)
    valid = np.array([draw(st.booleans()) for _ in codes], np.bool_) if draw(st.booleans()) else None
    return CodedColumn(type, dictionary, codes, valid)


@quick
@given(st.data(), st.sampled_from(list(VALUES)))
def test_put_together(data: st.DataObject, type: Type) -> None:
    parts: list[Column] = [data.draw(coded(type)) for _ in range(data.draw(st.integers(1, 4)))]
    if data.draw(st.booleans()):
        parts.insert(data.draw(st.integers(0, len(parts))), Column.of(type, [None, *VALUES[type]]))
    parts += data.draw(st.lists(st.sampled_from(parts), max_size=2))
    whole = Column.concat(parts)
    assert whole.tolist() == [item for part in parts for item in part.tolist()]
    assert whole.valid is None or whole.valid.tolist() == [item is not None for item in whole.tolist()]
    assert decoded_bytes(whole) == written_out(whole).nbytes or whole.valid is not None


def test_few_values_stay_coded() -> None:
    first, other = (
        CodedColumn(TEXT, Dictionary(Column.of(TEXT, items), distinct=True), np.arange(64) % 2)
        for items in (["a", "b"], ["c", "a"])
    )
    whole = Column.concat([first, other, first])
    assert isinstance(whole, CodedColumn)
    assert whole.dictionary.column.tolist() == ["a", "b", "c"]
    assert not isinstance(Column.concat([first.slice(0, 9), other.slice(0, 9)]), CodedColumn)


@pytest.mark.parametrize("times", [1, 4000])
@quick
@given(st.data(), st.sampled_from(list(VALUES)))
def test_segments_hold_the_values(times: int, data: st.DataObject, type: Type) -> None:
    some = data.draw(coded(type, 20))
    column = some.take(np.tile(np.arange(len(some)), times if len(some) else 0))
    built, other = SegmentColumn.build(column), SegmentColumn.build(written_out(column))
    assert built.decode(0, len(column), None).tolist() == column.tolist()
    assert built.zones == other.zones
    if column.valid is None:  # what stands under nulls may be anything
        assert (built.tag, built.raw) == (other.tag, other.raw)


@pytest.mark.parametrize("tag", BY_TAG)
@quick
@given(st.data(), st.sampled_from(list(VALUES)))
def test_every_encoding_takes_them(tag: str, data: st.DataObject, type: Type) -> None:
    column = data.draw(coded(type)).with_valid(None)
    encoded = BY_TAG[tag].encode(column)
    if encoded is None:
        return
    buffers = [part.copy() for part in encoded.buffers()]
    read = encodings.read(encoded.tag, type, encoded.head(), buffers)
    assert read.decode(0, len(column), None).tolist() == column.tolist()


@quick
@given(st.data(), st.sampled_from(list(VALUES)))
def test_bounds_are_those_of_the_rows(data: st.DataObject, type: Type) -> None:
    column = data.draw(coded(type))
    assert zone_of(column) == zone_of(written_out(column))
