"""The sums family: compiled against plain, and both against Python's integers and fractions."""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.kernels.compiled import sums as compiled
from storage.kernels.plain import sums as plain

TWINS = [plain, compiled]
quick = settings(max_examples=60)
sizes = st.sampled_from([1, 2, 7, 600])


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("form", [np.int16, np.int32, np.int64])
@quick
@given(sizes, st.data())
def test_integers_are_summed_exactly(twin: ModuleType, form: type, size: int, data: st.DataObject) -> None:
    least, most = np.iinfo(form).min, np.iinfo(form).max
    some = st.one_of(st.integers(least, most), st.sampled_from([least, most, 0, -1]))
    values = data.draw(st.lists(some, max_size=50))
    groups = np.random.default_rng(size).integers(0, size, len(values))
    counts, high, low, alone = (np.full(size, 5, np.int64) for _ in range(4))
    twin.sum_integers(groups, np.array(values, form), counts, high, low)
    twin.count_groups(groups, alone)
    for group in range(size):
        mine = [value for value, other in zip(values, groups, strict=True) if other == group]
        assert counts[group] == alone[group] == 5 + len(mine)
        assert (int(high[group]) << 32) + int(low[group]) == (5 << 32) + 5 + sum(mine)


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(sizes, st.lists(st.floats(), max_size=50))
def test_floats_are_summed_exactly(twin: ModuleType, size: int, values: list[float]) -> None:
    array = np.array(values, np.float64)
    groups = np.random.default_rng(size).integers(0, size, len(values))
    first, behind, finite = twin.float_digits(array)
    assert (first, behind, finite) == plain.float_digits(array)
    assert finite == np.isfinite(array).all()
    limbs, specials = np.full((size, behind - first + 1), 3, np.int64), np.zeros((size, 3), np.bool_)
    twin.sum_floats(groups, array, first - 1, limbs, specials)
    for group in range(size):
        mine = [value for value, other in zip(values, groups, strict=True) if other == group]
        total = sum((Fraction(value) for value in mine if np.isfinite(value)), Fraction(0))
        found = sum(
            (int(limb) - 3) * Fraction(2) ** (32 * (first - 1 + k) - plain.OFFSET)
            for k, limb in enumerate(limbs[group])
        )
        assert found == total
        seen = [np.isnan(mine).any(), np.inf in mine, -np.inf in mine]
        assert specials[group].tolist() == seen


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("form", [np.uint8, np.int32, np.uint32, np.int64, np.float32, np.float64])
@quick
@given(sizes, st.data())
def test_extremes_are_found(twin: ModuleType, form: type, size: int, data: st.DataObject) -> None:
    if np.dtype(form).kind == "f":
        some: st.SearchStrategy[float] = st.floats(width=32)
        least, most = -np.inf, np.nan
    else:
        least, most = np.iinfo(form).min, np.iinfo(form).max
        some = st.one_of(st.integers(least, most), st.sampled_from([least, most]))
    values = np.array(data.draw(st.lists(some, max_size=50)), form)
    groups = np.random.default_rng(size).integers(0, size, len(values))
    for kernel, neutral in ((twin.smallest, most), (twin.largest, least)):
        out, seen = np.full(size, neutral, form), np.zeros(size, np.bool_)
        kernel(groups, values, out, seen)
        for group in range(size):
            mine = sorted(values[groups == group].tolist(), key=lambda item: (item != item, item))
            assert seen[group] == bool(mine)
            if mine:
                best = mine[0] if kernel is twin.smallest else mine[-1]
                assert out[group] == best or (out[group] != out[group] and best != best)
