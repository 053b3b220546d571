"""The buckets family: both twins against a dict, each on what the other has built."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.indexes.hashindex import HashIndex
from storage.kernels.compiled import buckets as compiled
from storage.kernels.plain import buckets as plain

TWINS = [plain, compiled]
word = st.one_of(st.sampled_from([0, 1, 2**64 - 1, 2**63]), st.integers(0, 2**64 - 1))
words = st.lists(word, max_size=60).map(lambda items: np.array(items, np.uint64))


def pairs(found: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


@pytest.mark.parametrize("finding", TWINS)
@given(words, words, st.lists(st.booleans(), min_size=60, max_size=60))
def test_rows_in_buckets_are_found(
    finding: ModuleType, hashes: np.ndarray, more: np.ndarray, kept: list[bool]
) -> None:
    positions = np.flatnonzero(kept[: len(hashes)])
    built = [twin.bucket_rows(hashes[positions], positions, len(hashes)) for twin in TWINS]
    for one, other in zip(*built, strict=True):
        assert one.tolist() == other.tolist()
    asked = np.concatenate([more, hashes])
    found = pairs(finding.probe_buckets(*built[0], len(hashes), asked))
    assert found == sorted(found)
    true = {(i, p) for i, h in enumerate(asked.tolist()) for p in positions.tolist() if hashes[p] == h}
    assert true <= set(found)
    assert pairs(plain.probe_buckets(*built[0], len(hashes), asked)) == found


@given(words, words, st.lists(st.booleans(), min_size=60, max_size=60))
def test_one_hash_finds_what_a_probe_finds(hashes: np.ndarray, more: np.ndarray, kept: list[bool]) -> None:
    positions = np.flatnonzero(kept[: len(hashes)])
    index = HashIndex(*plain.bucket_rows(hashes[positions], positions, len(hashes)), len(hashes))
    for hash in [*more.tolist(), *hashes.tolist()]:
        _, found = index.probe(np.array((hash,), np.uint64))
        assert index.rows_of(hash) == found.tolist()


def test_what_is_not_in_buckets_is_seldom_found() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    heads, entries = compiled.bucket_rows(hashes, np.arange(100_000), 100_000)
    asked, _ = compiled.probe_buckets(heads, entries, 100_000, rng.integers(0, 2**64, 100_000, np.uint64))
    assert len(asked) < 50


@pytest.mark.parametrize("entering", TWINS)
@pytest.mark.parametrize("finding", TWINS)
@given(words, words, st.integers(0, 60))
def test_entries_in_chains_are_found(
    entering: ModuleType, finding: ModuleType, hashes: np.ndarray, more: np.ndarray, cut: int
) -> None:
    slots, following = np.full(16, -1, np.int32), np.zeros(len(hashes), np.int32)
    cut = min(cut, len(hashes))
    entering.chain_words(slots, following, hashes, 0, cut)
    entering.chain_words(slots, following, hashes, cut, len(hashes))
    asked = np.concatenate([more, hashes])
    found = pairs(finding.probe_chains(slots, following, hashes, asked))
    newest_first = [
        (i, n) for i, h in enumerate(asked.tolist()) for n in reversed(range(len(hashes))) if hashes[n] == h
    ]
    assert found == newest_first
