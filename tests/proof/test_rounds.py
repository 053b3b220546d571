"""The short form of `make proof`."""

from __future__ import annotations

from random import Random

import pytest

from tests.proof.rounds import play


def test_codes_decide_as_the_scores_do() -> None:
    seed = Random().randrange(1 << 30)
    print("seed", seed)
    report = play(seed, 12_000)
    assert report.bugs == []
    assert report.pairs >= 12_000
    # the codes decide most: the test would be empty otherwise; rounds are many, as some are hard
    assert report.found["in full"] < 0.8 * report.rows


@pytest.mark.slow
def test_codes_decide_as_the_scores_do_for_long() -> None:
    seed = Random().randrange(1 << 30)
    print("seed", seed)
    assert play(seed, 100_000).bugs == []
