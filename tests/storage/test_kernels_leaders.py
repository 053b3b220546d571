"""Leaders of groups: both twins find what sorting finds, however the rows are cut into batches."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import leaders as compiled
from storage.kernels.plain import leaders as plain
from storage.kernels.plain.leaders import LAST_PLACE, LAST_WORD

TWINS = pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
WORDS = st.sampled_from([0, 1, 2, 3, 1 << 63, (1 << 64) - 2, (1 << 64) - 1])
BATCHES = st.lists(st.lists(st.tuples(st.integers(0, 3), WORDS), max_size=12), min_size=1, max_size=4)


@TWINS
@given(BATCHES, st.integers(1, 4))
def test_leading_rows(twin: ModuleType, batches: list[list[tuple[int, int]]], count: int) -> None:
    best = np.full((4, count), LAST_WORD)
    places = np.full((4, count), LAST_PLACE)
    rows: list[tuple[int, int, int]] = []
    for number, batch in enumerate(batches):
        start = number << 32
        mine = [(group, word, start + i) for i, (group, word) in enumerate(batch)]
        rows += mine
        found = twin.lead_rows(*_arrays(batch), start, best, places)
        leaders = {row for group in range(4) for row in _sorted(rows, group)[:count]}
        assert found.tolist() == [row in leaders for row in mine]
    for group in range(4):
        leading = _sorted(rows, group)[:count]
        assert places[group].tolist() == [row[2] for row in leading] + [LAST_PLACE] * (count - len(leading))
        assert best[group].tolist() == [row[1] for row in leading] + [LAST_WORD] * (count - len(leading))


@TWINS
@given(BATCHES, st.integers(1, 4))
def test_leading_words(twin: ModuleType, batches: list[list[tuple[int, int]]], count: int) -> None:
    best = np.full((4, count), LAST_WORD)
    rows: list[tuple[int, int, int]] = []
    for batch in batches:
        rows += [(group, word, 0) for group, word in batch]
        found = twin.lead_words(*_arrays(batch), best)
        worst = []
        for group in range(4):
            leading = [row[1] for row in _sorted(rows, group)[:count]]
            worst.append(leading[-1] if len(leading) == count else LAST_WORD)
        assert found.tolist() == [word <= worst[group] for group, word in batch]


def _arrays(batch: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    groups, words = (list(each) for each in zip(*batch, strict=True)) if batch else ([], [])
    return np.array(groups, np.int64), np.array(words, np.uint64)


def _sorted(rows: list[tuple[int, int, int]], group: int) -> list[tuple[int, int, int]]:
    return sorted((row for row in rows if row[0] == group), key=lambda row: row[1:])
