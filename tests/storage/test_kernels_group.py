"""The group family: plain against plain Python, compiled against plain, each on the other's tables."""

from __future__ import annotations

from itertools import combinations
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import group as compiled
from storage.kernels.plain import group as plain

TWINS = [plain, compiled]
words = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1)), max_size=50).map(
    lambda items: np.array(items, np.uint64)
)


@pytest.mark.parametrize("twin", TWINS)
@given(words)
def test_groups_are_numbered_by_first_appearance(twin: ModuleType, items: np.ndarray) -> None:
    codes, firsts = twin.group_words(items)
    order = list(dict.fromkeys(items.tolist()))
    assert codes.tolist() == [order.index(item) for item in items.tolist()]
    assert items[firsts].tolist() == order


@given(st.lists(st.integers(0, 9), max_size=50), st.integers(10, 12))
def test_numbers_are_grouped_as_words_are(items: list[int], limit: int) -> None:
    numbers = np.array(items, np.int64)
    expected = [part.tolist() for part in plain.group_words(numbers.view(np.uint64))]
    for twin in TWINS:
        assert [part.tolist() for part in twin.group_codes(numbers, limit)] == expected


@pytest.mark.parametrize("twin", TWINS)
@given(st.lists(st.integers(-1, 6), max_size=50))
def test_codes_are_put_in_order(twin: ModuleType, items: list[int]) -> None:
    starts, order = twin.order_codes(np.array(items, np.int64), 7)
    assert order.tolist() == sorted((i for i, c in enumerate(items) if c >= 0), key=lambda i: items[i])
    assert starts.tolist() == [sum(0 <= c < code for c in items) for code in range(8)]


@pytest.mark.parametrize("placing", TWINS)
@pytest.mark.parametrize("finding", TWINS)
@given(words, words, st.integers(0, 50))
def test_what_is_placed_is_found(
    placing: ModuleType, finding: ModuleType, items: np.ndarray, asked: np.ndarray, cut: int
) -> None:
    distinct = np.unique(items)
    slots = np.full(128, -1, np.int64)
    cut = min(cut, len(distinct))
    placing.place_words(slots, distinct[:cut], 0)
    placing.place_words(slots, distinct, cut)
    known = {item: i for i, item in enumerate(distinct.tolist())}
    both = np.concatenate([asked, items])
    found = finding.find_words(slots, distinct, both)
    assert found.tolist() == [known.get(item, -1) for item in both.tolist()]


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(0, 4))
def test_twins_hash_alike(strings: list[bytes], salt: int) -> None:
    offsets = np.cumsum([3] + [len(s) for s in strings]).astype(np.int64)
    data = np.frombuffer(b"xyz" + b"".join(strings), np.uint8)
    first, second = (twin.hash_bytes(offsets, data, salt) for twin in TWINS)
    assert first.tolist() == second.tolist()
    state = np.arange(len(strings), dtype=np.uint64)
    assert plain.mix_words(state, first, salt).tolist() == compiled.mix_words(state, first, salt).tolist()
    for i, j in combinations(range(len(strings)), 2):
        assert (first[i] == first[j]) == (strings[i] == strings[j])
