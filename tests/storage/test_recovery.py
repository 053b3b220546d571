"""What survives: reopening without close, the log cut anywhere, damage, a second server, disk failures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.definitions import Role, Schema
from storage.durability import files, log
from storage.durability.checkpoint import Policy
from storage.durability.replay import scan
from storage.errors import CannotConnectNow, DataCorrupted, DiskFull, FileError, SequenceLimitExceeded
from storage.segments.cache import cache
from storage.types import (
    BOOL,
    BYTEA,
    DATE,
    FLOAT8,
    INT4,
    INTERVAL,
    NUMERIC,
    TEXT,
    UUID,
    Type,
    array_of,
    binary,
    vector,
)
from storage.waiting import at_once
from tests.storage.rows import (
    crash,
    crashed,
    create,
    delete,
    insert,
    put,
    rows,
    sequence,
    update,
)


def test_a_commit_survives_a_crash(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    table = create(database, primary=[1])
    put(database, table, (1, "a"), (2, "b"), (3, None))
    transaction = database.begin()
    update(transaction, table, 1, (1, "A"))
    delete(transaction, table, 2)
    transaction.commit()
    lost = database.begin()
    insert(lost, table, (4, "d"))
    again = Database.open(crashed(tmp_path / "data", tmp_path / "crashed"))
    assert rows(again, table) == [(1, "A"), (3, None)]
    assert again.catalog.table(table).name == "t"
    put(again, table, (5, "e"))
    third = Database.open(crashed(tmp_path / "crashed", tmp_path / "twice"))
    assert rows(third, table) == [(1, "A"), (3, None), (5, "e")]
    for opened in (database, again, third):
        opened.close()


EVERY: tuple[tuple[Type, Any], ...] = (
    (BOOL, True),
    (INT4, -5),
    (FLOAT8, 2.5),
    (TEXT, "žluť"),
    (BYTEA, b"\x00\xff"),
    (DATE, 9000),
    (NUMERIC, Decimal("1.10")),
    (UUID, bytes(range(16))),
    (INTERVAL, (1, 2, 3)),
    (binary(4), b"abcd"),
    (vector(2), [1.0, 2.0]),
    (array_of(INT4), [1, None, 3]),
    (array_of(TEXT), ["x", None]),
)


def test_every_kind_of_value_survives_in_the_log_and_in_segments(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    types = [type for type, _ in EVERY]
    table = create(database, columns=[(f"c{at}", type) for at, type in enumerate(types)])
    put(database, table, tuple(value for _, value in EVERY), tuple(None for _ in EVERY))
    expected = rows(database, table)
    logged = Database.open(crashed(tmp_path / "data", tmp_path / "logged"))
    assert rows(logged, table) == expected
    logged.close()
    database.close()
    sealed = Database.open(tmp_path / "data")
    assert rows(sealed, table) == expected
    sealed.close()


def test_checkpoints_and_the_log_behind_them(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    table = create(database)
    expected = []
    for number in range(5):
        put(database, table, (number, "a"), (number + 100, "b"))
        expected += [(number, "a"), (number + 100, "b")]
        database.optimize(table)
        transaction = database.begin()
        delete(transaction, table, number)
        transaction.commit()
        expected.remove((number, "a"))
        copy = Database.open(crashed(tmp_path / "data", tmp_path / f"copy{number}"))
        assert rows(copy, table) == sorted(expected, key=repr)
        copy.close()
    assert len(list((tmp_path / "data").glob("log-*"))) == 1
    database.close()


def test_row_ids_are_not_used_again(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    table = create(database)
    transaction = database.begin()
    insert(transaction, table, (1, "a"), (2, "b"))
    transaction.commit()
    next_id = database.store(table).next_row_id
    transaction = database.begin()
    delete(transaction, table, 1)
    delete(transaction, table, 2)
    transaction.commit()
    for _ in range(2):
        database.close()
        database = Database.open(tmp_path)
        assert database.store(table).next_row_id == next_id
    transaction = database.begin()
    transaction.truncate(table)
    transaction.commit()
    database.close()
    database = Database.open(tmp_path)
    assert database.store(table).next_row_id == next_id
    database.close()


def test_definitions_survive(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    dropped = create(database, "dropped")
    kept = create(database, "kept", sort_key=((1, True),), options=(("a", "b"),), comment="x")
    transaction = database.begin()
    schema = Schema(transaction.allocate_oid(), "s")
    role = Role(transaction.allocate_oid(), "reader", password="SCRAM-SHA-256$4096:x")
    transaction.define(schema)
    transaction.define(role)
    transaction.drop(transaction.catalog.table(dropped))
    transaction.commit()
    for again in (Database.open(crashed(tmp_path / "data", tmp_path / "crashed")), database):
        catalog = again.catalog
        assert catalog.schemas[schema.oid] == schema
        assert catalog.role("reader") == role
        assert [table.oid for table in catalog.tables()] == [kept]
        assert catalog.table(kept).columns == database.catalog.table(kept).columns
        assert catalog.table(kept).options == (("a", "b"),)
        assert again.begin().allocate_oid() > role.oid
        again.close()
    reopened = Database.open(tmp_path / "data")
    assert reopened.catalog.table(kept).sort_key == ((1, True),)
    reopened.close()


def last_record(folder: Path) -> tuple[Path, int, int]:
    """The newest log file, and where its last record begins and ends."""
    number = log.numbers(folder)[-1]
    path = folder / log.name(number)
    start = end = log.HEADER_BYTES
    for payload in scan(path, number, last=True):
        start, end = end, end + log.RECORD.size + len(payload) + -len(payload) % 8
    return path, start, end


def test_the_log_cut_at_every_byte_of_the_last_record(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    table = create(database)
    put(database, table, (1, "a"))
    put(database, table, (2, "b"))
    path, start, end = last_record(tmp_path / "data")
    data = path.read_bytes()
    manifest = tmp_path / "data" / "manifest"
    for cut in range(start, end + 1):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        if manifest.exists():
            (folder / "manifest").write_bytes(manifest.read_bytes())
        # cut short, or the rest of a preallocated file
        left = data[:cut] + bytes(64 * (cut % 2))
        (folder / path.name).write_bytes(left)
        whole = left[start:end] == data[start:end]
        expected = [(1, "a"), (2, "b")] if whole else [(1, "a")]
        for _ in range(2):  # the second start finds the file that the first has left
            again = Database.open(folder)
            assert rows(again, table) == expected, cut
            crash(again)
    database.close()


def test_damage_before_the_end_stops_the_start(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    table = create(database)
    put(database, table, (1, "a"))
    path, start, _ = last_record(tmp_path / "data")
    put(database, table, (2, "b"))
    damaged = crashed(tmp_path / "data", tmp_path / "damaged") / path.name
    with damaged.open("r+b") as file:
        file.seek(start + 20)
        file.write(b"\xff")
    with pytest.raises(DataCorrupted) as caught:
        Database.open(damaged.parent)
    assert str(damaged) in caught.value.message
    assert f"offset {start}" in caught.value.message
    assert caught.value.hint
    database.close()


def test_a_missing_log_file_stops_the_start(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    database.close()
    database = Database.open(tmp_path / "data")
    create(database)
    folder = crashed(tmp_path / "data", tmp_path / "copy")
    numbers = sorted(folder.glob("log-*"))
    numbers[0].rename(folder / log.name(int(numbers[0].name[4:]) + 7))
    with pytest.raises(DataCorrupted, match="is missing"):
        Database.open(folder)
    database.close()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format":1,"crc32c":1}'])
def test_a_damaged_manifest_stops_the_start(tmp_path: Path, damage: bytes) -> None:
    Database.open(tmp_path).close()
    (tmp_path / "manifest").write_bytes(damage)
    with pytest.raises(DataCorrupted, match="manifest"):
        Database.open(tmp_path)


def test_a_second_server_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with pytest.raises(CannotConnectNow, match=f"pid {os.getpid()}"):
        Database.open(tmp_path)
    database.close()
    Database.open(tmp_path).close()


def test_sequences_go_on_after_a_crash_and_after_a_stop(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    up, down = sequence(database, "up"), sequence(database, "down", start=-1, increment=-3, minimum=-(10**9))
    given: dict[int, list[int]] = {up: [], down: []}
    for turn in range(4):
        for oid in (up, down):
            transaction = database.begin()
            given[oid] += transaction.next_value(oid, 20)
            given[oid] += transaction.next_value(oid)
            transaction.rollback()
        if turn % 2:
            database.optimize(create(database, f"t{turn}"))
        folder = crashed(tmp_path / ("data" if not turn else str(turn - 1)), tmp_path / str(turn))
        database.close()
        database = Database.open(folder)
    assert all(len(set(values)) == 84 for values in given.values())
    last = given[up][-1]
    before = database.begin().next_value(up)[0]
    assert before > last
    folder = database.folder
    database.close()
    database = Database.open(folder)
    assert database.begin().next_value(up)[0] == before + 1  # a clean stop skips nothing
    database.begin().set_value(up, 1000, False)
    database.close()
    database = Database.open(folder)
    assert database.begin().next_value(up)[0] == 1000
    database.close()


def test_drawing_a_value_is_durable_without_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.open(tmp_path)
    oid = sequence(database)
    synced: list[int] = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (synced.append(1), fdatasync(descriptor)))
    transaction = database.begin()
    transaction.next_value(oid)
    transaction.commit()
    assert synced
    database.close()


def test_a_sequence_ends_or_turns_over(tmp_path: Path) -> None:
    database = Database.open(None)
    ends = sequence(database, "ends", maximum=2)
    turns = sequence(database, "turns", maximum=2, cycle=True)
    transaction = database.begin()
    assert list(transaction.next_value(ends, 2)) == [1, 2]
    with pytest.raises(SequenceLimitExceeded) as caught:
        transaction.next_value(ends)
    assert caught.value.message == 'nextval: reached maximum value of sequence "ends" (2)'
    assert [transaction.next_value(turns)[0] for _ in range(5)] == [1, 2, 1, 2, 1]


def test_a_full_disk_rolls_back_and_the_server_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path)
    table = create(database)
    allocate = os.posix_fallocate

    def full(descriptor: int, start: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    big = "x" * (20 << 20)
    with pytest.raises(DiskFull):
        put(database, table, (1, big))
    monkeypatch.setattr(os, "posix_fallocate", allocate)
    put(database, table, (2, "b"))
    assert rows(database, table) == [(2, "b")]
    database.close()
    database = Database.open(tmp_path)
    assert rows(database, table) == [(2, "b")]
    database.close()


def test_after_a_failed_fsync_nothing_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path)
    table = create(database)
    put(database, table, (1, "a"))
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", _failing)
    with pytest.raises(FileError):
        put(database, table, (2, "b"))
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(FileError):
        put(database, table, (3, "c"))
    assert rows(database, table) == [(1, "a")]
    database.close()
    database = Database.open(tmp_path)
    assert (1, "a") in rows(database, table)
    assert (3, "c") not in rows(database, table)
    database.close()


def _failing(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


def test_a_checkpoint_that_fails_leaves_the_old_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path / "data")
    table = create(database)
    put(database, table, (1, "a"))
    replace = files.replace

    def failing(path: Path, buffers: Sequence[Any]) -> None:
        raise DiskFull("could not write")

    for name in ("segment", "manifest"):
        monkeypatch.setattr(
            files,
            "replace",
            lambda path, buffers, name=name: (failing if name in path.name else replace)(path, buffers),
        )
        with pytest.raises(DiskFull):
            database.optimize(table)
        put(database, table, (2, "b"))
        copy = Database.open(crashed(tmp_path / "data", tmp_path / name))
        assert rows(copy, table) == rows(database, table)
        crash(copy)
    monkeypatch.setattr(files, "replace", replace)
    database.close()
    database = Database.open(tmp_path / "data")
    assert rows(database, table) == [(1, "a"), (2, "b"), (2, "b")]
    database.close()


def test_checkpoints_begin_by_themselves(tmp_path: Path) -> None:
    database = Database.open(tmp_path, Policy(1 << 20))
    table = create(database, columns=[("v", binary(4096))])
    values = Column(binary(4096), np.zeros((100, 4096), np.uint8))
    for _ in range(40):
        transaction = database.begin()
        transaction.insert(table, Batch.of(values))
        transaction.commit()
    checkpoints = database._checkpoints
    assert checkpoints is not None
    database.close()
    assert (tmp_path / "manifest").exists()
    database = Database.open(tmp_path)
    assert database.snapshot().table(table).estimated_rows == 4000
    database.close()


def test_commits_go_on_while_a_checkpoint_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()

    class Slow(files.Disk):
        def create(self, path: Path) -> int:
            if path.parent.name == "segments":
                writing.set()
                assert go_on.wait(60)
            return super().create(path)

    monkeypatch.setattr(files, "disk", Slow())
    database = Database.open(tmp_path)
    table = create(database, primary=[1])
    put(database, table, (1, "before"))
    thread = threading.Thread(target=database.checkpoint)
    thread.start()
    assert writing.wait(60)
    put(database, table, (2, "meanwhile"))
    transaction = database.begin()
    update(transaction, table, 1, (1, "changed"))
    transaction.commit()
    assert rows(database, table) == [(1, "changed"), (2, "meanwhile")]
    go_on.set()
    thread.join()
    assert rows(database, table) == [(1, "changed"), (2, "meanwhile")]
    copy = Database.open(crashed(tmp_path, tmp_path.with_name("copy")))
    assert rows(copy, table) == [(1, "changed"), (2, "meanwhile")]
    copy.close()
    database.close()


def test_a_server_that_dies_again_and_again_does_not_replay_ever_more(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "0", Policy(1 << 30))
    table = create(database)
    replayed = []
    for life in range(4):
        put(database, table, (life, "x" * 9000), (life, "y" * 9000))
        folder = crashed(tmp_path / str(life), tmp_path / str(life + 1))
        database.close()
        database = Database.open(folder, Policy(30_000))
        replayed.append(database.recovery.bytes)
        assert len(rows(database, table)) == 2 * (life + 1)
    assert max(replayed) < 60_000
    assert database.checkpoints.requested == (replayed[-1] > 30_000)
    database.close()


CHILD = """
import sys
from pathlib import Path
from storage.durability.checkpoint import Policy
from storage.database import Database
from tests.storage.rows import create, put, insert, sequence
database = Database.open(Path(sys.argv[1]), Policy(20_000))
names = {table.name: table.oid for table in database.catalog.tables()}
table = names["t"] if names else create(database, primary=[1])
serial = next((s.oid for s in database.catalog.sequences()), 0) or sequence(database)
print("open", flush=True)
while True:
    transaction = database.begin()
    key = transaction.next_value(serial)[0]
    insert(transaction, table, (key, "x" * 50), (-key, "y"))
    transaction.commit()
    print(key, flush=True)
"""


def test_killed_at_any_moment_nothing_told_is_lost(tmp_path: Path) -> None:
    told: list[int] = []
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "GLANCEDB_KERNELS": "plain"}
    for round in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=root,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        told += [int(child.stdout.readline()) for _ in range(60 + 37 * round)]
        child.kill()
        told += [int(line) for line in child.stdout.read().split("\n")[:-1]]
        child.stdout.close()
        child.wait()
        database = Database.open(tmp_path)
        (table,) = database.catalog.tables()
        keys = [row[0] for row in rows(database, table.oid)]
        assert set(told) <= set(keys)
        assert sorted(-key for key in keys) == sorted(keys)  # each transaction whole
        crash(database)
    assert len(set(told)) == len(told)


def test_a_commit_that_is_begun_at_once_is_recorded_once(tmp_path: Path) -> None:
    """The marks of its deletes may stand in files that the cache has let go of."""
    database = Database.open(tmp_path / "data")
    table = create(database, primary=[1], sort_key=((1, True),))
    put(database, table, (1, "a"), (2, "b"), (3, "c"))
    database.optimize(table)
    transaction = database.begin()
    update(transaction, table, 1, (1, "A"))
    limit, cache.limit = cache.limit, 0
    cache.limit = limit
    with at_once:
        transaction.record()
    transaction.commit()
    assert rows(database, table) == [(1, "A"), (2, "b"), (3, "c")]
    again = Database.open(crashed(tmp_path / "data", tmp_path / "crashed"))
    assert rows(again, table) == [(1, "A"), (2, "b"), (3, "c")]
    again.close()
    database.close()
