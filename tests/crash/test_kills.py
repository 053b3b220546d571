"""A few kills; `make crash` does hundreds."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.crash.kills import Report, kill_often


def test_killed_at_random_moments(tmp_path: Path) -> None:
    seed = Random().randrange(1 << 30)
    print("seed", seed)
    report = Report()
    kill_often(tmp_path, seed, 4, report)
    assert not report.wrong, "\n".join(report.wrong)
    assert report.turns > 10
