"""The family words: texts and wire forms are those of the Decimals."""

from __future__ import annotations

from decimal import Context, Decimal
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.forms.binary import numeric_bytes
from engine.forms.numbers import numeric_text
from storage.kernels.compiled import words as compiled
from storage.kernels.plain import words as plain

TWINS = [plain, compiled]
_EXACT = Context(prec=100)
digits = st.integers(0, 127).flatmap(lambda bits: st.integers(-(1 << bits) + 1, (1 << bits) - 1))
numbers = digits | st.sampled_from([0, 10**38, -(10**38), 10**18, 10**36, 2**127 - 1])
scales = st.integers(-1, 60)


def cut(content: np.ndarray, lengths: np.ndarray) -> list[bytes]:
    ends = np.cumsum(lengths)
    raw = content.tobytes()
    assert len(raw) == (ends[-1] if len(ends) else 0)
    return [raw[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]


@pytest.mark.parametrize("twin", TWINS)
@given(st.lists(st.tuples(numbers, scales), max_size=8))
def test_texts_and_wire_forms(twin: ModuleType, items: list[tuple[int, int]]) -> None:
    words = np.array(
        [[units >> 64, (units & 2**64 - 1) - ((units >> 63 & 1) << 64)] for units, _ in items], np.int64
    ).reshape(-1, 2)
    shown = np.array([scale for _, scale in items], np.int16)
    values = [None if scale < 0 else Decimal(units).scaleb(-scale, _EXACT) for units, scale in items]
    texts, fields = cut(*twin.word_texts(words, shown)), cut(*twin.word_fields(words, shown))
    assert texts == [b"" if value is None else numeric_text(value).encode() for value in values]
    assert fields == [b"" if value is None else numeric_bytes(value) for value in values]
