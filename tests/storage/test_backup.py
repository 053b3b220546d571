"""Backups are whole while others write, copy what is new, and come back; checking finds what is wrong."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from server.main import main
from storage.database import Database
from storage.durability import backup, files
from storage.durability.check import Finding, check
from storage.durability.files import Buffer, Disk
from storage.durability.manifest import Manifest
from storage.errors import (
    CannotConnectNow,
    DatabaseError,
    DataCorrupted,
    DiskFull,
    DuplicateFile,
    FeatureNotSupported,
    ObjectNotInPrerequisiteState,
    QueryCanceled,
    UndefinedFile,
)
from storage.segments.segment import Section, Segment
from tests.storage.rows import crash, create, delete, insert, put, rows, sequence, update


def damaged(folder: Path) -> list[Finding]:
    """What is wrong with a folder."""
    return [finding for finding in check(folder) if finding.level == "damaged"]


def filled(folder: Path) -> tuple[Database, int]:
    """A database with segments, deleted rows, and a tail in the log."""
    database = Database.open(folder)
    table = create(database, primary=[1])
    put(database, table, *((number, f"word {number}") for number in range(500)))
    database.checkpoint()
    transaction = database.begin()
    for number in (3, 77):
        delete(transaction, table, number)
    update(transaction, table, 5, (5, "five"))
    transaction.commit()
    return database, table


def restored(folder: Path, to: Path) -> Database:
    """What a backup holds, opened."""
    backup.restore(folder, to, lambda: None)
    assert not damaged(to)
    return Database.open(to)


def test_a_backup_holds_what_was_there_and_copies_only_what_is_new(tmp_path: Path) -> None:
    database, table = filled(tmp_path / "data")
    serial = sequence(database)
    given = database.begin().next_value(serial)[0]
    to = tmp_path / "deep" / "backup"
    first = database.back_up(to)
    assert first.copied == first.files > 0
    assert not damaged(to)
    expected = rows(database, table)
    put(database, table, *((number, "later") for number in range(1000, 1500)))
    one = restored(to, tmp_path / "one")
    assert rows(one, table) == expected
    assert one.begin().next_value(serial)[0] > given
    put(one, table, (9999, "goes on"))
    one.close()
    second = database.back_up(to)
    assert 0 < second.copied < second.files
    assert not damaged(to)
    two = restored(to, tmp_path / "two")
    assert rows(two, table) == rows(database, table)
    two.close()
    again = database.back_up(to)
    assert again.copied == 0
    # what is no longer needed goes, in the backup too
    transaction = database.begin()
    transaction.truncate(table)
    transaction.commit()
    database.back_up(to)
    assert not list((to / "segments").iterdir())
    database.close()


def test_backups_while_others_write(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "data")
    accounts = create(database, "accounts", primary=[1])
    ledger = create(database, "ledger")
    put(database, accounts, *((number, "100") for number in range(10)))
    done = threading.Event()

    def transfers(seed: int) -> None:
        choose = random.Random(seed)
        number = 0
        while not done.is_set():
            number += 1
            source = 5 * seed + choose.randrange(5)
            transaction = database.begin()
            transaction.synchronous = False
            ((_, text),) = [row for row in rows(transaction, accounts) if row[0] == source]
            update(transaction, accounts, source, (source, str(int(text) - 1)))
            insert(transaction, ledger, (source, "1"))
            transaction.commit()

    threads = [threading.Thread(target=transfers, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            database.back_up(tmp_path / "backup")
            copy = restored(tmp_path / "backup", tmp_path / f"copy{number}")
            balances = dict(rows(copy, accounts))
            noted = [row[0] for row in rows(copy, ledger)]
            assert len(balances) == 10
            for account, left in balances.items():
                assert int(left) == 100 - noted.count(account)
            copy.close()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert noted
    database.close()


def test_where_a_backup_may_not_go(tmp_path: Path) -> None:
    database, _ = filled(tmp_path / "data")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(DuplicateFile, match="letter"):
        database.back_up(tmp_path / "other")
    with pytest.raises(CannotConnectNow):
        database.back_up(tmp_path / "data")
    database.back_up(tmp_path / "backup")
    second, _ = filled(tmp_path / "second")
    with pytest.raises(ObjectNotInPrerequisiteState, match="a backup of another database"):
        second.back_up(tmp_path / "backup")
    second.close()
    Database.open(tmp_path / "backup").close()
    with pytest.raises(ObjectNotInPrerequisiteState, match="a server has written to"):
        database.back_up(tmp_path / "backup")
    database.close()
    with pytest.raises(FeatureNotSupported):
        Database.open(None).back_up(tmp_path / "x")
    with pytest.raises(UndefinedFile, match="holds no backup"):
        backup.restore(tmp_path / "other", tmp_path / "new", lambda: None)
    with pytest.raises(DuplicateFile, match="is not empty"):
        backup.restore(tmp_path / "backup", tmp_path / "other", lambda: None)


def test_a_backup_that_does_not_end_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, table = filled(tmp_path / "data")
    database.back_up(tmp_path / "backup")
    expected = rows(database, table)
    put(database, table, *((number, "x") for number in range(2000, 2100)))

    def cancelled() -> None:
        raise QueryCanceled("canceling statement due to user request")

    with pytest.raises(QueryCanceled):
        database.back_up(tmp_path / "backup", cancelled)

    class Full(Disk):
        def create(self, path: Path) -> int:
            if "backup" in path.parts:
                raise OSError(28, "No space left on device")
            return super().create(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "disk", Full())
        with pytest.raises(DiskFull):
            database.back_up(tmp_path / "backup")
    assert not damaged(tmp_path / "backup")
    copy = restored(tmp_path / "backup", tmp_path / "copy")
    assert rows(copy, table) == expected
    copy.close()
    put(database, table, (5000, "y"))
    database.back_up(tmp_path / "backup")
    copy = restored(tmp_path / "backup", tmp_path / "new copy")
    assert rows(copy, table) == rows(database, table)
    copy.close()
    database.close()


def test_files_stay_while_they_are_backed_up(tmp_path: Path) -> None:
    database, table = filled(tmp_path / "data")
    began, go_on = threading.Event(), threading.Event()

    def check() -> None:
        began.set()
        assert go_on.wait(60)

    reports: list[Any] = []
    thread = threading.Thread(target=lambda: reports.append(database.back_up(tmp_path / "backup", check)))
    thread.start()
    assert began.wait(60)
    expected = rows(database, table)
    transaction = database.begin()
    transaction.truncate(table)
    transaction.commit()
    database.checkpoint()
    database.checkpoint()
    go_on.set()
    thread.join()
    assert reports
    copy = restored(tmp_path / "backup", tmp_path / "copy")
    assert rows(copy, table) == expected
    copy.close()
    database.checkpoint()
    assert not list((tmp_path / "data" / "segments").iterdir())
    database.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a crash leaves it: with segments, marks of deleted rows, and a log."""
    path = tmp_path_factory.mktemp("checked") / "data"
    database, table = filled(path)
    database.checkpoint()
    put(database, table, (1000, "in the log"), (1001, "too"))
    put(database, table, (1002, "and this"))
    crash(database)
    return path


def copied(folder: Path, to: Path) -> Path:
    """A copy to be damaged."""
    to.mkdir()
    for path in folder.rglob("*"):
        target = to / path.relative_to(folder)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes().rstrip(b"\0") or b"\0")
    return to


def test_checking_a_folder_that_is_as_it_should_be(folder: Path) -> None:
    found = list(check(folder))
    assert not [finding for finding in found if finding.level == "damaged"]
    texts = {finding.path.name.split("-")[0]: finding.text for finding in found if finding.level == "ok"}
    assert "commit" in texts["manifest"]
    assert texts["log"] == "2 records, 2 commits"
    assert any(finding.text.endswith("rows deleted") for finding in found)


def test_every_kind_of_file_cut_or_flipped_by_a_bit_is_found(folder: Path, tmp_path: Path) -> None:
    seed = random.Random().randrange(1 << 30)
    print("seed", seed)
    choose = random.Random(seed)
    names = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"
    )
    assert {Path(name).suffix for name in names} >= {"", ".segment", ".gone"}
    for number, name in enumerate(names * 8):
        broken = copied(folder, tmp_path / str(number))
        path = broken / name
        data = bytearray(path.read_bytes())
        what = choose.choice(("flipped", "cut", "gone"))
        if what == "flipped":
            bit = choose.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
        elif what == "cut":
            path.write_bytes(data[: choose.randrange(len(data))])
        else:
            path.unlink()
        wrong = damaged(broken)
        # the end of the log may have been written and not acknowledged, and without a manifest all is new
        if name.startswith("log") or (name == "manifest" and what == "gone"):
            continue
        assert wrong, (name, what)
        if name != "manifest":
            assert {finding.path for finding in wrong} == {path}


def test_the_rest_stays_readable(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    broken, whole = create(database, "broken"), create(database, "whole")
    for table in (broken, whole):
        put(database, table, *((number, f"word {number}") for number in range(100)))
    database.close()
    (path,) = (tmp_path / "segments").glob(f"{broken}-*.segment")
    with path.open("r+b") as file:
        file.seek(70)
        byte = file.read(1)
        file.seek(70)
        file.write(bytes([byte[0] ^ 1]))
    database = Database.open(tmp_path)
    assert len(rows(database, whole)) == 100
    with pytest.raises(DataCorrupted, match="at offset 64"):
        rows(database, broken)
    put(database, broken, (1, "x"))
    put(database, whole, (1, "x"))
    database.close()
    assert [finding.path for finding in damaged(tmp_path)] == [path]


def test_an_index_that_does_not_find_its_rows(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "broken")
    entry = next(e for state in Manifest.read(broken).tables.values() for e in state.segments if e.rows > 100)
    path = broken / "segments" / entry.file
    segment = Segment.open(path)
    ((name, section),) = segment.sections.items()
    heads, entries = section.load()
    segment.sections[name] = Section.of(section.head, [np.roll(heads, 8), entries])
    path.unlink()
    assert segment.write(path) == entry.nbytes
    ((wrong,)) = damaged(broken)
    assert wrong.path == path
    assert f"its index {name} finds " in wrong.text


def test_leftovers_are_notes(folder: Path, tmp_path: Path) -> None:
    left = copied(folder, tmp_path / "left")
    for name in ("log-00000001", "manifest.part", "segments/99-1.segment", "segments/1-1.segment.part"):
        (left / name).write_bytes(b"x")
    found = list(check(left))
    notes = {str(finding.path.relative_to(left)) for finding in found if finding.level == "note"}
    assert notes >= {"log-00000001", "manifest.part", "segments/99-1.segment", "segments/1-1.segment.part"}
    Database.open(left).close()
    assert not [finding for finding in check(left) if finding.level == "note"]
    assert not damaged(left)


def test_the_command_line(folder: Path, tmp_path: Path) -> None:
    run = CliRunner()
    good = copied(folder, tmp_path / "good")
    answer = run.invoke(main, ["check", str(good)])
    assert answer.exit_code == 0
    assert answer.output.splitlines()[-1].endswith("files, 0 damaged")
    (path,) = (good / "segments").glob("*.gone")
    os.truncate(path, 3)
    answer = run.invoke(main, ["check", "--quiet", str(good)])
    assert answer.exit_code == 1
    assert answer.output.startswith(f"damaged  {path}: ")
    database, table = filled(tmp_path / "data")
    answer = run.invoke(main, ["check", str(tmp_path / "data")])
    assert answer.exit_code == 1
    assert f"is in use by another server (pid {os.getpid()})" in answer.output
    database.back_up(tmp_path / "backup")
    expected = rows(database, table)
    database.close()
    answer = run.invoke(main, ["restore", str(tmp_path / "backup"), str(tmp_path / "again")])
    assert answer.exit_code == 0, answer.output
    answer = run.invoke(main, ["restore", str(tmp_path / "backup"), str(tmp_path / "again")])
    assert answer.exit_code == 1
    assert "is not empty" in answer.output
    again = Database.open(tmp_path / "again")
    assert rows(again, table) == expected
    again.close()
    assert Manifest.read(tmp_path / "again").id != Manifest.read(tmp_path / "backup").id


def test_a_restore_that_does_not_end_leaves_no_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = filled(tmp_path / "data")
    database.back_up(tmp_path / "backup")
    database.close()

    class Failing(Disk):
        def write(self, descriptor: int, data: Buffer) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "disk", Failing())
    with pytest.raises(DatabaseError, match="Input/output error"):
        backup.restore(tmp_path / "backup", tmp_path / "new", lambda: None)
    assert not (tmp_path / "new" / "manifest").exists()
