"""The disk fails at every moment of a database's life: full for a while, or broken.

When it is full, statements fail with 53100, leave nothing behind, and all goes on when there is room. When
it is broken, whatever was told stays true, and what comes after a failed log is refused.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from random import Random

import pytest

from storage.database import Database
from storage.durability import files
from storage.durability.checkpoint import Policy
from storage.transactions.snapshot import Snapshot
from tests.crash.powercut import Remembering, Unsynced
from tests.crash.workload import Contents, Script, contents, drawn, small, steps
from tests.storage.rows import rows

ALLOWED = {errno.ENOSPC: ("53100", "58030"), errno.EIO: ("58030",)}

FOLLOWING = ("42P01", "42P07", "23505", "3B001")
"""What a step meets after one before it has failed: no table, the same name or key again, no savepoint."""


def latest(database: Database) -> Contents:
    """What stands in memory after the newest commit, told or not."""
    commit, catalog = database._latest
    snapshot = Snapshot(database, catalog, commit)
    return {table.name: rows(snapshot, table.oid) for table in catalog.tables()}


def live(folder: Path, seed: int, count: int, disk: Remembering) -> list[str]:
    """Run a workload on a disk that fails, open again on one that does not; what went wrong."""
    folder.mkdir()
    files.disk = disk
    wrong: list[str] = []
    allowed = ALLOWED[disk._error]
    try:
        database = Database.open(folder, Policy(30_000))
    except Exception as error:
        if getattr(error, "sqlstate", "") not in allowed:
            wrong.append(f"opening: {error!r}")
        files.disk = Unsynced()
        database = Database.open(folder)
    script = Script(database)
    assert database._log is not None
    broken = False
    for step in steps(Random(seed), count):
        before, failures = contents(database), len(disk.failed)
        errors = script.run(step)
        if broken or database._log.failed or disk.failed[failures:]:
            errors = [error for error in errors if error.sqlstate not in allowed]
        errors = [error for error in errors if error.sqlstate not in FOLLOWING]
        if errors:
            wrong.append(f"{step.texts}: {errors}")
        after = contents(database)
        if broken and after != before:
            wrong.append(f"{step.texts}: something became visible after the log had failed")
        broken = broken or database._log.failed
    script.end()
    told, written = contents(database), latest(database)
    try:
        database.close()
    except Exception as error:
        if getattr(error, "sqlstate", "") not in allowed:
            wrong.append(f"closing: {error!r}")
    files.disk = Unsynced()
    again = Database.open(folder)
    found = contents(again)
    if found != told and (not broken or found != written):
        wrong.append("another content after a restart")
    if script.values and drawn(again)["s"] <= max(script.values):
        wrong.append("a sequence's value again")
    left = sorted(path.name for path in folder.rglob("*" + files.PART))
    if left:
        wrong.append(f"left over: {left}")
    again.close()
    return wrong


def explore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, count: int, tries: int | None, error: int
) -> tuple[int, list[str]]:
    """How many failures were tried, and one line for each that went wrong."""
    small(monkeypatch)
    monkeypatch.setattr(files, "disk", files.disk)
    folder = tmp_path / "data"
    choose = Random(seed)
    disk = Remembering(folder, error=error)
    bugs = live(folder, seed, count, disk)
    shutil.rmtree(folder)
    every = range(disk.tried)
    moments = every if tries is None else sorted(choose.sample(every, min(tries, len(every))))
    for at in moments:
        disk = Remembering(folder, at, choose.choice((1, 1, 3, 30)), error)
        bugs += [
            f"seed {seed}, failing from operation {at} ({', '.join(map(str, disk.failed[:1]))}): {wrong}"
            for wrong in live(folder, seed, count, disk)
        ]
        shutil.rmtree(folder)
    return len(moments), bugs


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    seed = Random().randrange(1 << 30)
    print("seed", seed)
    tried, bugs = explore(tmp_path, monkeypatch, seed, 25, 12, error)
    assert not bugs, "\n".join(bugs[:20])
    assert tried == 12
