"""`make crash`: the long forms. Prints its seed, one line for each bug, and counts.

python -m tests.crash [--seed N] [--kills N] [--cuts N] [--failures N]
"""

from __future__ import annotations

import argparse
import errno
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.crash import test_failures, test_powercut
from tests.crash.kills import Report, kill_often


def main() -> int:
    """Exit code 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--seed", type=int, default=Random().randrange(1 << 30))
    parser.add_argument("--kills", type=int, default=500, help="of the server, by SIGKILL")
    parser.add_argument("--cuts", type=int, default=10_000, help="of the power, in the simulation")
    parser.add_argument("--failures", type=int, default=1_000, help="of the disk, full or broken")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    bugs = _kills(asked.seed, asked.kills) + _cuts(asked.seed, asked.cuts)
    bugs += _failures(asked.seed, asked.failures)
    return 1 if bugs else 0


def _told(what: str, began: float, bugs: list[str]) -> int:
    for bug in bugs:
        print(bug)
    print(f"{what}: {len(bugs)} bugs, {time.monotonic() - began:.0f} s", flush=True)
    return len(bugs)


def _kills(seed: int, kills: int) -> int:
    began = time.monotonic()
    report = Report()
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):  # tells what there is
        kill_often(Path(folder), seed, kills, report)
    counted = f"{report.kills} kills while writing, {report.kills_at_start} while starting"
    return _told(f"{counted}, {report.turns} transactions told", began, report.wrong)


def _cuts(seed: int, wanted: int) -> int:
    began, tried, bugs = time.monotonic(), 0, list[str]()
    while tried < wanted:
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            more, found = test_powercut.explore(Path(folder), patch, seed, 120, 1000)
        tried, bugs, seed = tried + more, bugs + found, seed + 1
    return _told(f"{tried} power cuts", began, bugs)


def _failures(seed: int, wanted: int) -> int:
    began, tried, bugs = time.monotonic(), 0, list[str]()
    while tried < wanted:
        for error in (errno.ENOSPC, errno.EIO):
            with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
                more, found = test_failures.explore(Path(folder), patch, seed, 40, 100, error)
            tried, bugs = tried + more, bugs + found
        seed += 1
    return _told(f"{tried} failures of the disk", began, bugs)


if __name__ == "__main__":
    sys.exit(main())
