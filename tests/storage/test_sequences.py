"""A sequence gives no value twice, whoever draws and gives back beside whom."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from storage.definitions import PUBLIC
from storage.definitions import Sequence as SequenceDefinition
from storage.transactions.sequences import Sequences
from storage.types import INT8


@pytest.fixture
def often() -> Iterator[None]:
    """Threads take turns between any two instructions."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_what_is_kept_is_kept_by_one(often: None) -> None:
    sequences = Sequences(lambda oid, value, called: None)
    sequence = SequenceDefinition(16384, PUBLIC, "s", INT8)

    def draws(seed: int) -> list[int]:
        random, kept = Random(seed), []
        for _ in range(3000):
            value, before = sequences.draw(sequence)
            if random.random() < 0.5:
                sequences.give_back(sequence, value, before)
            else:
                kept.append(value)
        return kept

    with ThreadPoolExecutor(4) as pool:
        kept = Counter(value for values in pool.map(draws, range(4)) for value in values)
    assert not [value for value, times in kept.items() if times > 1]


def test_what_nobody_wanted_is_drawn_next() -> None:
    sequences = Sequences(lambda oid, value, called: None)
    sequence = SequenceDefinition(16384, PUBLIC, "s", INT8, start=5, increment=5)
    value, before = sequences.draw(sequence)
    sequences.give_back(sequence, value, before)
    assert list(sequences.next(sequence, 2)) == [5, 10]
    value, before = sequences.draw(sequence)
    assert list(sequences.next(sequence, 1)) == [20]
    sequences.give_back(sequence, value, before)
    assert list(sequences.next(sequence, 1)) == [25]
