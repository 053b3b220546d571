"""Bit sets and bloom filters: the twins agree, nothing put in is missing, and little else is found."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import members as compiled
from storage.kernels.plain import members as plain

NUMBERS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=60).map(lambda v: np.array(v, np.int64))
TWINS = pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])


@TWINS
@given(st.integers(-(1 << 63), (1 << 63) - 300), st.lists(st.integers(0, 255)), NUMBERS)
def test_bit_sets(twin: ModuleType, low: int, held: list[int], asked: np.ndarray) -> None:
    words = np.zeros(4, np.uint64)
    values = np.array([low + v for v in held], np.int64)
    twin.set_bits(values, low, words)
    asked = np.concatenate([asked, values, np.array([low, low + 255], np.int64)])
    found = twin.among_bits(asked, low, words)
    assert found.tolist() == [int(v) in {low + h for h in held} for v in asked]


@TWINS
@given(st.integers(-(1 << 63), (1 << 63) - 300), st.lists(st.integers(0, 255)), NUMBERS)
def test_bit_sets_number_what_they_hold(
    twin: ModuleType, low: int, held: list[int], asked: np.ndarray
) -> None:
    words = np.zeros(4, np.uint64)
    values = np.array([low + v for v in held], np.int64)
    twin.set_bits(values, low, words)
    asked = np.concatenate([asked, values, np.array([low, low + 255], np.int64)])
    found = twin.rank_bits(asked, low, words, twin.count_bits(words))
    numbers = {low + v: code for code, v in enumerate(sorted(set(held)))}
    assert found.tolist() == [numbers.get(v, -1) for v in asked.tolist()]


@TWINS
@given(st.sampled_from([1, 2, 64, 1024]), NUMBERS)
def test_bloom_filters_hold_what_was_put_in(twin: ModuleType, count: int, values: np.ndarray) -> None:
    words = np.zeros(count, np.uint64)
    twin.set_bloom(values, words)
    assert twin.among_bloom(values, words).all()


@given(st.sampled_from([1, 2, 64, 1024]), NUMBERS, NUMBERS)
def test_bloom_twins_agree(count: int, values: np.ndarray, asked: np.ndarray) -> None:
    words, others = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    plain.set_bloom(values, words)
    compiled.set_bloom(values, others)
    assert words.tolist() == others.tolist()
    assert plain.among_bloom(asked, words).tolist() == compiled.among_bloom(asked, words).tolist()


@TWINS
def test_bloom_filters_say_yes_to_little_else(twin: ModuleType) -> None:
    rng = np.random.default_rng(2)
    words = np.zeros(4096, np.uint64)
    twin.set_bloom(rng.integers(0, 1 << 40, 16_384), words)
    assert twin.among_bloom(rng.integers(0, 1 << 40, 100_000), words).mean() < 0.05
