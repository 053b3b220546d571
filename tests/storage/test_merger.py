"""Sealing and merging: while others read and delete, with sort keys, dead rows, and small segments."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.column import Column
from storage.database import Database
from storage.errors import DataCorrupted, DiskFull
from storage.predicate import Compare, Comparison
from storage.segments import merger
from storage.segments.sealed import Sealed
from storage.segments.segment import SegmentColumn
from tests.storage.rows import (
    batch,
    crashed,
    create,
    delete,
    ids_where,
    insert,
    put,
    rows,
    rows_with_ids,
    update,
)


@pytest.fixture(params=["memory", "folder"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = Database.open(None if request.param == "memory" else tmp_path)
    yield database
    database.close()


def segments(database: Database, table: int) -> int:
    """How many parts the table has for a new statement."""
    transaction = database.begin()
    count = transaction.snapshot().table(table).skipped()[1]
    transaction.rollback()
    return count


def test_rows_keep_their_ids(database: Database) -> None:
    table = create(database, sort_key=((2, False),), segment_rows=3)
    for start in range(0, 10, 2):
        put(database, table, (start, f"{9 - start}"), (start + 1, f"{8 - start}"))
    before = rows_with_ids(database.snapshot(), table)
    database.optimize(table)
    assert rows_with_ids(database.snapshot(), table) == before
    assert segments(database, table) == 4
    for row_id, row in before.items():
        transaction = database.begin()
        assert ids_where(transaction, table, row[0]).tolist() == [row_id]
        assert transaction.delete(table, np.array([row_id])).tolist() == [row_id]
        transaction.commit()
    assert rows(database, table) == []


def test_segments_are_sorted_by_the_sort_key(database: Database) -> None:
    table = create(database, sort_key=((2, True), (1, False)))
    put(database, table, (3, "a"), (1, "b"), (4, None), (2, "b"))
    database.optimize(table)
    assert list(rows_with_ids(database.snapshot(), table).values()) == [
        (1, "b"),
        (2, "b"),
        (3, "a"),
        (4, None),
    ]


def test_sorted_segments_are_merged_again(database: Database) -> None:
    table = create(database, sort_key=((2, False),), segment_rows=4)
    for start in range(0, 12, 4):
        put(database, table, *((start + at, "wxyz"[3 - at]) for at in range(4)))
        database.optimize(table)
    for key in (1, 6, 9):
        transaction = database.begin()
        delete(transaction, table, key)
        transaction.commit()
    before = rows_with_ids(database.snapshot(), table)
    database.optimize(table)
    assert rows_with_ids(database.snapshot(), table) == before
    for key in range(12):
        transaction = database.begin()
        assert len(delete(transaction, table, key)) == (key not in (1, 6, 9))
        transaction.commit()


def test_older_snapshots_read_on(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"))
    old = database.begin("repeatable read")
    seen = old.snapshot()
    held = list(seen.table(table).morsels())
    put(database, table, (3, "c"))
    writer = database.begin()
    delete(writer, table, 1)
    update(writer, table, 2, (2, "B"))
    writer.commit()
    database.optimize(table)
    assert rows(database, table) == [(2, "B"), (3, "c")]
    assert rows(seen, table) == rows(old, table) == [(1, "a"), (2, "b")]
    assert held[0].column(seen.catalog.table(table).columns[0]).tolist()[:2] == [1, 2]
    old.rollback()
    del old, seen
    database.optimize(table)
    assert rows(database, table) == [(2, "B"), (3, "c")]


def test_deleted_rows_go(database: Database) -> None:
    table = create(database)
    put(database, table, *((key, "a") for key in range(8)))
    database.optimize(table)
    for key in range(6):
        transaction = database.begin()
        delete(transaction, table, key)
        transaction.commit()
    store = database.store(table)
    assert sum(part.rows for part in store.parts) == 8
    database.optimize(table)
    assert sum(part.rows for part in store.parts) == 2
    transaction = database.begin()
    delete(transaction, table, 6)
    delete(transaction, table, 7)
    transaction.commit()
    database.optimize(table)
    assert store.parts == ()
    put(database, table, (9, "b"))
    assert rows(database, table) == [(9, "b")]


def test_full_segments_without_dead_rows_stay(database: Database) -> None:
    table = create(database, segment_rows=2)
    put(database, table, *((key, "a") for key in range(4)))
    database.optimize(table)
    first = database.store(table).parts
    put(database, table, (4, "a"))
    database.optimize(table)
    assert database.store(table).parts[:2] == first


class During:
    """Runs something once, between the making of a merge's segments and their taking place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
        build = SegmentColumn.build
        pending = [work]

        def built(column: Column) -> SegmentColumn:
            made = build(column)
            if pending:
                pending.pop()()
            return made

        monkeypatch.setattr(SegmentColumn, "build", built)


def test_a_delete_during_a_merge_is_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"), (3, "c"))
    open_delete = database.begin()
    delete(open_delete, table, 3)

    def work() -> None:
        transaction = database.begin()
        delete(transaction, table, 1)
        update(transaction, table, 2, (2, "B"))
        insert(transaction, table, (4, "d"))
        transaction.commit()

    During(monkeypatch, work)
    database.optimize(table)
    assert rows(database, table) == [(2, "B"), (3, "c"), (4, "d")]
    open_delete.commit()
    assert rows(database, table) == [(2, "B"), (4, "d")]
    database.optimize(table)
    assert rows(database, table) == [(2, "B"), (4, "d")]


def test_truncate_during_a_merge(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    table = create(database)
    put(database, table, (1, "a"))

    def work() -> None:
        transaction = database.begin()
        transaction.truncate(table)
        transaction.insert(table, batch([(2, "b")]))
        transaction.commit()

    During(monkeypatch, work)
    database.optimize(table)
    assert rows(database, table) == [(2, "b")]


def test_drop_during_a_merge(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    table = create(database)
    put(database, table, (1, "a"))

    def work() -> None:
        transaction = database.begin()
        transaction.drop(transaction.catalog.table(table))
        transaction.commit()

    During(monkeypatch, work)
    database.optimize(table)
    assert not list(database.catalog.tables())


def sealed(database: Database, table: int) -> list[Sealed]:
    """The sealed parts of a table, in their order."""
    return [part for part in database.store(table).parts if isinstance(part, Sealed)]


def merge(database: Database) -> int:
    """Let the merger work until it finds nothing more to do; how often it did something."""
    done = 0
    while database.merge_step(lambda *args: merger.step(*args, lambda: None)):
        done += 1
    return done


def test_runs_that_overlap_become_one(database: Database) -> None:
    table = create(database, sort_key=((1, False),), segment_rows=4)
    for start in range(4):
        put(database, table, *((key, f"{start}") for key in range(start, 32, 4)))
        database.optimize(table, "flush")
    assert len(sealed(database, table)) == 8
    before = rows_with_ids(database.snapshot(), table)
    assert merge(database) == 1
    assert rows_with_ids(database.snapshot(), table) == before
    parts = sealed(database, table)
    assert len(parts) == 8
    assert len({part.run for part in parts}) == 1
    zones = [part.segment.columns[1].zone for part in parts]
    assert [(zone.low, zone.high) for zone in zones] == [(low, low + 3) for low in range(0, 32, 4)]
    key = database.catalog.table(table).columns[0]
    predicate = (Compare(key, Comparison.EQ, 17),)
    assert database.snapshot().table(table).skipped(predicate) == (7, 8)
    for row_id, (key_value, _) in before.items():
        transaction = database.begin()
        assert ids_where(transaction, table, key_value).tolist() == [row_id]
        assert transaction.delete(table, np.array([row_id])).tolist() == [row_id]
        transaction.commit()
    assert rows(database, table) == []
    assert merge(database) == 8
    assert sealed(database, table) == []


def test_runs_that_follow_one_another_are_not_written_again(database: Database) -> None:
    table = create(database, sort_key=((1, False),), segment_rows=4)
    for start in range(0, 32, 8):
        put(database, table, *((key, "a") for key in range(start, start + 8)))
        database.optimize(table, "flush")
    before = sealed(database, table)
    assert merge(database) == 0
    assert sealed(database, table) == before
    assert len({part.run for part in before}) == 1


def test_small_segments_are_merged_where_there_is_no_sort_key(database: Database) -> None:
    table = create(database, segment_rows=64)
    for key in range(64):
        put(database, table, (key, "a"))
        database.optimize(table, "flush")
        merge(database)
    assert len(sealed(database, table)) < 10
    assert rows(database, table) == sorted(((key, "a") for key in range(64)), key=repr)
    database.optimize(table, "full")
    assert [part.rows for part in sealed(database, table)] == [64]


def test_a_sorted_segment_hides_what_is_newer_than_a_snapshot(database: Database) -> None:
    table = create(database, sort_key=((1, False),))
    put(database, table, (5, "old"), (1, "old"))
    old = database.begin("repeatable read")
    expected = rows(old, table)
    put(database, table, (3, "new"), (0, "new"), (9, "new"))
    database.optimize(table, "full")
    assert rows(old, table) == expected
    assert rows(database, table) == [(0, "new"), (1, "old"), (3, "new"), (5, "old"), (9, "new")]
    (part,) = sealed(database, table)
    assert part.born is not None
    assert [row[0] for row in rows_with_ids(database.snapshot(), table).values()] == [0, 1, 3, 5, 9]
    old.rollback()
    del old
    database.tidy()
    assert part.born is None


def test_a_column_stays_for_the_snapshots_that_have_it(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    old = database.begin("repeatable read")
    expected = rows(old, table)
    transaction = database.begin()
    definition = transaction.catalog.table(table)
    transaction.define(replace(definition, columns=definition.columns[:1]))
    transaction.commit()
    database.optimize(table, "full")
    assert rows(old, table) == expected == [(1, "a")]
    assert rows(database, table) == [(1,)]
    assert sealed(database, table)[0].segment.columns.keys() == {1, 2}
    old.rollback()
    del old
    database.optimize(table, "full")
    assert sealed(database, table)[0].segment.columns.keys() == {1}


def test_blocks_are_sealed_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merger, "SEAL_ROWS", 100)
    database = Database.open(tmp_path)
    table = create(database, segment_rows=40)
    for start in range(0, 1000, 50):
        put(database, table, *((key, "a") for key in range(start, start + 50)))
    deadline, pause = time.monotonic() + 30, threading.Event()
    while database.store(table).unsealed_rows >= 100 and time.monotonic() < deadline:
        pause.wait(0.01)
    assert sum(part.rows for part in sealed(database, table)) > 900
    assert rows(database, table) == sorted(((key, "a") for key in range(1000)), key=repr)
    assert all((tmp_path / "segments" / part.file).exists() for part in sealed(database, table))
    again = Database.open(crashed(tmp_path, tmp_path.with_name("crashed")))
    assert len(rows(again, table)) == 1000
    again.close()
    database.close()


def test_a_failed_merge_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(merger, "SEAL_ROWS", 2)
    monkeypatch.setattr(merger, "_LOOK", 0.01)
    monkeypatch.setattr(merger, "_RETRY", 0.05)
    failing, failed = [True], threading.Event()
    save = Sealed.save

    def maybe(self: Sealed, folder: Path, file: str) -> None:
        if failing[0]:
            failed.set()
            raise DiskFull("could not write: no room")
        save(self, folder, file)

    monkeypatch.setattr(Sealed, "save", maybe)
    database = Database.open(tmp_path)
    table = create(database)
    put(database, table, (1, "a"), (2, "b"), (3, "c"))
    assert failed.wait(30)
    assert rows(database, table) == [(1, "a"), (2, "b"), (3, "c")]
    failing[0] = False
    deadline, pause = time.monotonic() + 30, threading.Event()
    while not sealed(database, table) and time.monotonic() < deadline:
        pause.wait(0.01)
    assert rows(database, table) == [(1, "a"), (2, "b"), (3, "c")]
    assert sealed(database, table)
    assert 'merging table "t" failed, and is tried again: could not write: no room' in caplog.text
    database.close()


def test_a_table_that_cannot_be_merged_leaves_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path)
    assert database._merger is not None
    database._merger.close()
    broken, whole = create(database, "broken"), create(database, "whole")
    for table in (broken, whole):
        for key in range(4):
            put(database, table, (key, f"word {key}"))
            database.optimize(table, "flush")
    build = SegmentColumn.build

    def failing(column: Column) -> SegmentColumn:
        if store.rewriting is not None:
            raise DataCorrupted("a checksum is wrong")
        return build(column)

    store = database.store(broken)
    monkeypatch.setattr(SegmentColumn, "build", failing)
    tried = merger.Merger(database)
    assert tried._once()
    assert not tried._once()
    assert [len(sealed(database, table)) for table in (broken, whole)] == [4, 1]
    monkeypatch.undo()
    tried._not_before.clear()
    assert tried._once()
    assert [len(sealed(database, table)) for table in (broken, whole)] == [1, 1]
    database.close()


def test_a_merger_does_not_keep_its_database(tmp_path: Path) -> None:
    database = Database.open(None)
    assert database._merger is not None
    database._merger.start()
    kept = weakref.ref(database)
    del database
    gc.collect()
    assert kept() is None
