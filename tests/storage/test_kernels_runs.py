"""The runs family: compiled against plain, and plain against a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.kernels.compiled import runs as compiled
from storage.kernels.plain import runs as plain


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.data())
@pytest.mark.parametrize("form", [np.bool_, np.int16, np.float32, np.int64, np.float64])
def test_runs_are_repeated(form: type, lengths: list[int], data: st.DataObject) -> None:
    values = np.random.default_rng(len(lengths)).integers(0, 99, len(lengths)).astype(form)
    expected = np.array([value for value, n in zip(values, lengths, strict=True) for _ in range(n)], form)
    start = data.draw(st.integers(0, lengths[0] - 1))
    stop = data.draw(st.integers(start, len(expected)))
    for twin in (plain, compiled):
        out = np.empty(stop - start, form)
        twin.repeat_runs(values, np.cumsum(lengths), start, out)
        assert (out == expected[start:stop]).all()
