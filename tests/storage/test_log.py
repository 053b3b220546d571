"""The log: what a torn, cut or damaged file means, how commits share an fsync, and small records' bytes."""

from __future__ import annotations

import os
import random
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.durability import compact, files, log, replay
from storage.durability.files import Disk
from storage.errors import DataCorrupted, DiskFull, FileError
from storage.types import INT8, NUMERIC, TEXT
from tests.storage.rows import create, insert, put, rows
from tests.storage.test_recovery import EVERY

KINDS = (*EVERY, (NUMERIC.of((10 << 16) + 2 + 4), Decimal("1.10")))


def payloads(folder: Path) -> list[bytes]:
    """All records."""
    return [bytes(payload) for payload in replay.replay(folder, 1)]


def write(folder: Path, *groups: list[bytes]) -> list[int]:
    """A log of these records, each group made durable before the next; where each record begins."""
    written = log.Log(folder, 1)
    starts = []
    for group in groups:
        for payload in group:
            starts.append(written.size)
            position = written.append([payload])
        written.flush(position)
    written.close()
    return starts


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.binary(max_size=70), min_size=1, max_size=3), max_size=5))
def test_what_is_appended_is_read(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write(folder, *groups)
    assert payloads(folder) == [payload for group in groups for payload in group]


def test_a_tear_among_records_that_no_fsync_covered_is_the_end(tmp_path: Path) -> None:
    starts = write(tmp_path, [b"a" * 100], [b"b" * 9000, b"c" * 100])
    path = tmp_path / log.name(1)
    data = bytearray(path.read_bytes())
    data[starts[1] + 4096 : starts[1] + 8192] = bytes(4096)  # a page of b was lost, c was written
    path.write_bytes(data)
    assert payloads(tmp_path) == [b"a" * 100]
    assert path.stat().st_size == starts[1]
    assert payloads(tmp_path) == [b"a" * 100]


def test_a_flipped_bit_before_what_an_fsync_covered_is_damage(tmp_path: Path) -> None:
    starts = write(tmp_path, [b"a" * 100], [b"b" * 100], [b"c" * 100])
    path = tmp_path / log.name(1)
    data = path.read_bytes()
    choose = random.Random(1)
    for _ in range(200):
        bit = choose.randrange(8 * starts[2])
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(DataCorrupted) as caught:
            payloads(tmp_path)
        at = max([0, *(start for start in starts if start <= bit // 8)])
        assert caught.value.message == f'log file "{path}" is damaged at offset {at}'


def test_a_file_that_is_full_gives_back_what_it_did_not_need(tmp_path: Path) -> None:
    written = log.Log(tmp_path, 1)
    written.append([b"a" * 100])
    size = written.size
    written.rotate(written.prepare())
    assert (tmp_path / log.name(1)).stat().st_size == size
    written.close()
    assert payloads(tmp_path) == [b"a" * 100]


def test_a_file_that_is_not_the_last_may_not_end_early(tmp_path: Path) -> None:
    written = log.Log(tmp_path, 1)
    written.append([b"a" * 100])
    written.rotate(written.prepare())
    written.append([b"b"])
    written.close()
    assert payloads(tmp_path) == [b"a" * 100, b"b"]
    path = tmp_path / log.name(1)
    data = bytearray(path.read_bytes())
    data[log.HEADER_BYTES + 30] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataCorrupted, match=f"offset {log.HEADER_BYTES}"):
        payloads(tmp_path)


class Gate(Disk):
    """A disk whose fsync of files waits to be let through, and is counted."""

    def __init__(self) -> None:
        self.syncs = 0
        self.waiting = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.open_gate = True

    def sync(self, descriptor: int) -> None:
        if not self.open_gate:
            self.waiting.release()
            assert self.let.acquire(timeout=60)
        self.syncs += 1
        super().sync(descriptor)


def test_commits_that_wait_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(files, "disk", gate)
    database = Database.open(tmp_path)
    table = create(database)
    assert database._log is not None
    before, written = gate.syncs, database._log.written
    gate.open_gate = False
    threads = [threading.Thread(target=put, args=(database, table, (number, "x"))) for number in range(32)]
    threads[0].start()
    assert gate.waiting.acquire(timeout=60)  # the first is at its fsync
    for thread in threads[1:]:
        thread.start()
    arrived = threading.Event()
    while database._log.written < written + 32:  # the others have written, and wait
        arrived.wait(0.001)
    gate.let.release()
    assert gate.waiting.acquire(timeout=60)
    gate.let.release()
    for thread in threads:
        thread.join(60)
    assert gate.syncs - before == 2
    assert len(rows(database, table)) == 32
    gate.open_gate = True
    database.close()


def test_a_commit_that_does_not_wait_is_durable_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(files, "disk", gate)
    database = Database.open(tmp_path)
    table = create(database)
    before = gate.syncs
    gate.open_gate = False
    for number in range(3):
        transaction = database.begin()
        transaction.synchronous = False
        insert(transaction, table, (number, "x"))
        transaction.commit()
    assert gate.syncs == before
    assert len(rows(database, table)) == 3
    assert gate.waiting.acquire(timeout=60)  # in the background
    gate.open_gate = True
    gate.let.release()
    database.close()


class Failing(Disk):
    """A disk on which the operations named in `fail` do not work."""

    def __init__(self, *fail: str, number: int = 5) -> None:
        self.fail = set(fail)
        self.number = number
        self.tried: list[str] = []

    def _try(self, name: str) -> None:
        self.tried.append(name)
        if name in self.fail:
            raise OSError(self.number, os.strerror(self.number))

    def create(self, path: Path) -> int:
        self._try("create")
        return super().create(path)

    def write(self, descriptor: int, data: files.Buffer) -> int:
        self._try("write")
        return super().write(descriptor, data)

    def allocate(self, descriptor: int, start: int, length: int) -> None:
        self._try("allocate")
        super().allocate(descriptor, start, length)

    def sync(self, descriptor: int) -> None:
        self._try("sync")
        super().sync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        self._try("rename")
        super().rename(old, new)

    def sync_folder(self, folder: Path) -> None:
        self._try("sync_folder")
        super().sync_folder(folder)


@pytest.mark.parametrize("operation", ["sync", "write"])
def test_a_log_that_could_not_be_written_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    disk = Failing()
    monkeypatch.setattr(files, "disk", disk)
    database = Database.open(tmp_path)
    table = create(database)
    put(database, table, (1, "a"))
    disk.fail = {operation}
    with pytest.raises(FileError):
        put(database, table, (2, "b"))
    disk.fail, disk.tried = set(), []
    for _ in range(2):
        with pytest.raises(FileError) as caught:
            put(database, table, (3, "c"))
        assert caught.value.message == "the log could not be written, and no changes are accepted any more"
        assert "Input/output error" in caught.value.detail
        assert "Restart the server" in caught.value.hint
    assert not disk.tried
    assert rows(database, table) == [(1, "a")]
    database.close()
    assert not {"sync", "write"} & set(disk.tried)
    again = Database.open(tmp_path)
    found = rows(again, table)
    assert found in ([(1, "a")], [(1, "a"), (2, "b")])
    again.close()


@pytest.mark.parametrize("operation", ["create", "allocate", "write", "rename"])
def test_a_full_disk_at_a_rotation_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    disk = Failing(number=28)
    monkeypatch.setattr(files, "disk", disk)
    written = log.Log(tmp_path, 1)
    written.append([b"a"])
    disk.fail = {operation}
    with pytest.raises(DiskFull):
        written.rotate(written.prepare())
    disk.fail = set()
    written.flush(written.append([b"b"]))
    written.rotate(written.prepare())
    written.flush(written.append([b"c"]))
    written.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [log.name(1), log.name(2)]
    assert payloads(tmp_path) == [b"a", b"b", b"c"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*(st.booleans() for _ in KINDS)), max_size=9), st.integers(0, 3))
def test_compact_batches_come_back(present: list[tuple[bool, ...]], start: int) -> None:
    columns = [
        Column.of(type, [value if row[at] else None for row in present])
        for at, (type, value) in enumerate(KINDS)
    ]
    batch = Batch(tuple(columns), len(present)).slice(start, len(present))
    data = compact.encode(batch)
    assert len(data) % 8 == 0
    again = compact.decode([type for type, _ in KINDS], memoryview(data))
    assert again.rows == batch.rows
    assert repr([c.tolist() for c in again.columns]) == repr([c.tolist() for c in batch.columns])
    for column, old in zip(again.columns, batch.columns, strict=True):
        assert (column.units is None) == (old.units is None)


def test_texts_of_any_length_come_back() -> None:
    words: list[Any] = ["", "žluť", None, "x" * 70_000, "y"]
    batch = Batch.of(Column.of(TEXT, words), Column(INT8, np.arange(5)))
    data = memoryview(compact.encode(batch))
    assert compact.decode((TEXT, INT8), data).columns[0].tolist() == words
