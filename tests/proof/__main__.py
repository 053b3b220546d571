"""`make proof`: certified codes against the scores themselves. Prints its seed, each bug, and counts.

python -m tests.proof [--seed N] [--pairs N] [--processes N]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from multiprocessing import Pool
from random import Random

from tests.proof.rounds import Report, play

_PIECE = 5_000


def _piece(job: tuple[int, int]) -> tuple[int, Report]:
    return job[0], play(*job)


def main() -> int:
    """Exit code 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof")
    parser.add_argument("--seed", type=int, default=Random().randrange(1 << 30))
    parser.add_argument("--pairs", type=int, default=1_000_000, help="of a query and a threshold")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    began, bugs, pairs, rows = time.monotonic(), 0, 0, 0
    taken = full = 0
    jobs = [(asked.seed + piece, _PIECE) for piece in range(-(-asked.pairs // _PIECE))]
    with Pool(asked.processes) as pool:
        for seed, report in pool.imap_unordered(_piece, jobs):
            for bug in report.bugs:
                print(f"seed {seed}: {bug}", flush=True)
            bugs, pairs, rows = bugs + len(report.bugs), pairs + report.pairs, rows + report.rows
            taken, full = taken + report.found["taken"], full + report.found["in full"]
    print(f"{pairs} pairs of a query and a threshold: {rows} decisions, {taken} taken, {full} left open")
    print(f"{bugs} bugs, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main())
