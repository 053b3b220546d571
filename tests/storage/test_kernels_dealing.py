"""Dealing words into buckets: the twins agree, and a bucket has what lies between its borders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import dealing as compiled
from storage.kernels.plain import dealing as plain

WORDS = st.one_of(st.integers(0, 9), st.integers(0, (1 << 64) - 1))


@given(st.lists(WORDS, max_size=60), st.sets(WORDS, max_size=20))
def test_dealt_words(words: list[int], borders: set[int]) -> None:
    given, edges = np.array(words, np.uint64), np.array(sorted(borders), np.uint64)
    order, ends = plain.deal_words(given, edges)
    again, same = compiled.deal_words(given, edges)
    assert order.tolist() == again.tolist()
    assert ends.tolist() == same.tolist()
    dealt = [order[first:last].tolist() for first, last in pairwise(ends)]
    lows, highs = [0, *sorted(borders)], [*sorted(borders), 1 << 64]
    expected = [
        [i for i, word in enumerate(words) if low <= word < high]
        for low, high in zip(lows, highs, strict=True)
    ]
    assert dealt == expected
