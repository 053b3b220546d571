"""Selection: both twins find what sorting finds, of groups of any size and any order."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import selection as compiled
from storage.kernels.plain import selection as plain

TWINS = pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
KEYS = st.one_of(st.integers(0, 3), st.integers(-(1 << 63), (1 << 63) - 1))
GROUPS = st.lists(st.lists(st.lists(KEYS, max_size=40), max_size=3), max_size=4)


@TWINS
@given(GROUPS, st.data())
def test_places(twin: ModuleType, groups: list[list[list[int]]], data: st.DataObject) -> None:
    runs = [run for group in groups for run in group]
    order = data.draw(st.permutations(range(len(runs))))  # a group's runs may stand anywhere
    keys: list[int] = []
    starts = np.zeros(len(runs), np.int64)
    for r in order:
        starts[r] = len(keys)
        keys += runs[r]
    places, expected, asked = [], [], []
    for group in groups:
        values = sorted(value for run in group for value in run)
        wanted = data.draw(st.sets(st.integers(0, len(values) - 1))) if values else set()
        places += sorted(wanted)
        expected += [values[place] for place in sorted(wanted)]
        asked.append(len(places))
    ends, lengths = np.cumsum([len(group) for group in groups]), [len(run) for run in runs]
    given = (_array(keys), starts, _array(lengths), ends.astype(np.int64), _array(places), _array(asked))
    assert twin.select_places(*given).tolist() == expected


@TWINS
@pytest.mark.parametrize("kind", ["ascending", "descending", "equal", "two", "organ pipe"])
def test_many_in_any_order(twin: ModuleType, kind: str) -> None:
    up = np.arange(5000)
    keys = {
        "ascending": up,
        "descending": up[::-1].copy(),
        "equal": up * 0,
        "two": up % 2,
        "organ pipe": np.minimum(up, up[::-1]),
    }[kind]
    places = _array([0, 1, 2499, 2500, 4999])
    one = (_array([0]), _array([5000]), _array([1]))
    assert twin.select_places(keys, *one, places, _array([5])).tolist() == np.sort(keys)[places].tolist()


def _array(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)
