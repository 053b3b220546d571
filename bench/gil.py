"""The interpreter's lock: what share of a query's time holds it, and what a second core gives.

Each query is asked again and again in a process of its own while py-spy looks a thousand times a second
whether some thread holds the lock, and which. `lock` is the share of looks at which one does, `a thread`
that share divided by the threads; `in batches` is what of the latter is held by workers, from when they take
a batch until it is done: how much of a batch's time is under the lock. The rest is the statement's own: it is
read, planned, its batches cut and its answer written once, however many rows there are. `cores` is how many
cores the process kept busy. GIL_ROWS (10,000,000) rows are made as for `bench h2oai`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.h2oai import answer, load
from bench.process import ready
from bench.questions import GROUPS, JOINS, group_rows, join_rows
from bench.table import Table
from sql.session import Session
from storage.database import Database

ROWS = int(os.environ.get("GIL_ROWS", "10000000"))
SECONDS, RATE = 5, 1000
THREADS = os.cpu_count() or 1
_WORK = "_Queue._work (engine/pool.py"  # what a worker's calls begin with
QUERIES = {
    "scan and filter": ("groups", "select count(*) from x where v3 > 99.9 and v1 = 3"),
    "aggregate": ("groups", "select sum(v1), avg(v3), min(v2), max(id6) from x"),
    "few groups": ("groups", GROUPS["mean v1 to v3 by id4"]),
    "many groups": ("groups", GROUPS["sum v1 to v3 by id6"]),
    "groups of text": ("groups", GROUPS["sum v1, mean v3 by id3"]),
    "sort": ("groups", "select v3 from x order by v3, id6"),
    "small join": ("joins", "select count(*), sum(v2) from x join small using (id1)"),
    "medium join": ("joins", "select count(*), sum(v2) from x join medium using (id2)"),
    "big join": ("joins", JOINS["big inner on int"]),
}
"""Each with the tables that it asks."""


def main() -> None:
    """Print the table."""
    spy = Path(sys.executable).parent / "py-spy"
    if not spy.exists():
        print("py-spy is not installed")
        return
    table = Table(
        f"the interpreter's lock, {ROWS:,} rows, {THREADS} threads",
        ("query", "lock, %", "a thread, %", "in batches, %", "cores", "ms a query", "ms held"),
    )
    with tempfile.TemporaryDirectory(prefix="glancedb-gil-") as folder:
        for name, make in (("groups", group_rows), ("joins", join_rows)):
            database = Database.open(Path(folder) / name)
            load(Session(database, "glancedb", "glancedb"), make(ROWS))
            database.close()
        for query, (tables, text) in QUERIES.items():
            found = _looked_at(spy, Path(folder), tables, text)
            shares = (100 * found.share, 100 * found.share / THREADS, 100 * found.batches / THREADS)
            table.row(query, *shares, found.cores, 1e3 * found.seconds, 1e3 * found.seconds * found.share)
    table.print()


@dataclass(frozen=True)
class Looks:
    """What looking at a query has shown.

    The shares of the looks at which the lock was held, and held by a worker with a batch; the cores that were
    busy; the seconds of a query.
    """

    share: float
    batches: float
    cores: float
    seconds: float


def _looked_at(spy: Path, folder: Path, tables: str, text: str) -> Looks:
    """Look at a query."""
    command = [sys.executable, "-m", "bench.gil", str(folder / tables), text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        looks = folder / "looks.txt"
        record = [str(spy), "record", "--gil", "--format", "raw", "--rate", str(RATE), "--nonblocking"]
        record += ["--duration", str(SECONDS), "--output", str(looks), "--pid", str(child.pid)]
        subprocess.run(record, check=True, capture_output=True)
        child.stdin.close()
        cores, seconds = (float(figure) for figure in child.stdout.readline().split())
    held = batches = 0
    for line in looks.read_text(errors="replace").splitlines():
        calls, _, count = line.rpartition(" ")
        if count.isdecimal():  # a name that was read while it changed may have a line's end in it
            held += int(count)
            batches += int(count) * (_WORK in calls)
    return Looks(held / (SECONDS * RATE), batches / (SECONDS * RATE), cores, seconds)


def _ask(folder: Path, text: str) -> None:
    """Ask until the input ends; then print how many cores were busy, and the seconds a query."""
    ready()
    database = Database.open(folder)
    session = Session(database, "glancedb", "glancedb")
    for _ in answer(session, text):
        pass
    print("ready", flush=True)
    os.set_blocking(sys.stdin.fileno(), False)
    began, busy, times = time.perf_counter(), time.process_time(), 0
    while not (times and _ended()):
        for _ in answer(session, text):
            pass
        times += 1
    seconds = time.perf_counter() - began
    print((time.process_time() - busy) / seconds, seconds / times, flush=True)
    database.close()


def _ended() -> bool:
    """Whether the input has ended."""
    try:
        return os.read(sys.stdin.fileno(), 1) == b""
    except BlockingIOError:
        return False


if __name__ == "__main__":
    _ask(Path(sys.argv[1]), sys.argv[2])
