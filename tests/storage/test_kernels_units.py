"""The family units: texts and wire forms are those of the Decimals, and both twins agree on garbage."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.forms.binary import numeric_bytes
from engine.forms.numbers import numeric_text
from storage.column import Column
from storage.kernels.compiled import units as compiled
from storage.kernels.plain import units as plain
from storage.types import NUMERIC

TWINS = [plain, compiled]
numbers = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-99, 99)
lists = st.lists(numbers, max_size=8)
scales = st.integers(0, 18)


def cut(content: np.ndarray, lengths: np.ndarray) -> list[bytes]:
    ends = np.cumsum(lengths)
    raw = content.tobytes()
    assert len(raw) == (ends[-1] if len(ends) else 0)
    return [raw[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]


@pytest.mark.parametrize("twin", TWINS)
@given(lists, scales)
def test_texts_and_wire_forms(twin: ModuleType, items: list[int], scale: int) -> None:
    units = np.array(items, np.int64)
    decimals = Column.scaled(NUMERIC, units, scale).tolist()
    assert cut(*twin.unit_texts(units, scale)) == [numeric_text(value).encode() for value in decimals]
    assert cut(*twin.unit_fields(units, scale)) == [numeric_bytes(value) for value in decimals]


def parsed(raw: list[bytes | None], precision: int, scale: int) -> list[int | None]:
    """What both twins read; None where it is odd."""
    results = []
    for twin in TWINS:
        lengths = np.array([-1 if item is None else len(item) for item in raw], np.int64)
        starts = np.cumsum(np.maximum(lengths, 0)) - np.maximum(lengths, 0)
        out, odd = np.full(len(raw), 7, np.int64), np.zeros(len(raw), np.bool_)
        data = np.frombuffer(b"".join(item or b"" for item in raw) + b"\0", np.uint8)
        count = twin.parse_fields(data, starts, lengths, precision, scale, out, odd)
        assert count == odd.sum()
        results.append(
            [None if bad else value for value, bad in zip(out.tolist(), odd.tolist(), strict=True)]
        )
    assert results[0] == results[1]
    return results[0]


@given(lists, scales, scales)
def test_wire_forms_are_read(items: list[int], shown: int, scale: int) -> None:
    decimals = Column.scaled(NUMERIC, np.array(items, np.int64), shown).tolist()
    found = parsed([None, *map(numeric_bytes, decimals)], 18, scale)
    assert found[0] == 0
    for value, units in zip(decimals, found[1:], strict=True):
        exact = int(value.scaleb(scale)) if shown <= scale and abs(value.scaleb(scale)) < 10**18 else None
        assert units == exact


@given(
    st.lists(
        st.none()
        | st.binary(max_size=14)
        | st.lists(st.sampled_from([0, 1, 2, 4, 0x4000, 0xFFFF, 0xC000, 9999, 10000]), max_size=9).map(
            lambda words: b"".join(word.to_bytes(2, "big") for word in words)
        ),
        max_size=5,
    ),
    st.integers(1, 18),
    st.integers(0, 18),
)
def test_garbage_is_odd_to_both(raw: list[bytes | None], precision: int, scale: int) -> None:
    parsed(raw, precision, scale)
