"""`make fuzz`: random queries, answered by us, DuckDB and PostgreSQL. Prints its seed, differences, counts.

python -m tests.generator [--seed N] [--queries N]

PostgreSQL is the one that PG_URI names, else one that is started for it where it is installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from bench import postgres
from tests.conftest import postgres_database
from tests.generator.search import Report, search


@contextmanager
def _postgres() -> Iterator[str | None]:
    given = os.environ.get("PG_URI")
    if given:
        with postgres_database(given) as address:
            yield address
        return
    with postgres.running() as uri:
        if uri is None:
            yield None
            return
        with postgres_database(uri) as address:
            yield address


def main() -> int:
    """Exit code 1 where anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.generator")
    parser.add_argument("--seed", type=int, default=Random().randrange(1 << 30))
    parser.add_argument("--queries", type=int, default=10_000)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    began, report, found = time.monotonic(), Report(), 0
    with _postgres() as address, tempfile.TemporaryDirectory() as folder:
        for difference in search(asked.seed, asked.queries, Path(folder), address, report):
            found += 1
            print(f"{difference}\n", flush=True)
    print(f"{report.queries} queries, {report.rows} rows, {time.monotonic() - began:.0f} s")
    print(f"answered by {dict(report.answered)}, refused by {dict(report.refused)}")
    for message, times in report.unsupported.most_common():
        print(f"0A000 {message}: {times}")
    print(f"{found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
