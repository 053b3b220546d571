"""Sealing and merging: while others read and delete, with sort keys, dead rows, and small segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from storage import merger
from storage.column import Column, Positions
from storage.database import Database
from storage.missing import Numbers
from storage.segment import Segment
from tests.storage.rows import (
    batch,
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


def test_full_segments_without_dead_rows_stay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merger, "SMALL_ROWS", 1)
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
        build = Segment.build
        pending = [work]

        def built(numbers: Numbers, columns: Sequence[Column], row_ids: Positions) -> Segment:
            segment = build(numbers, columns, row_ids)
            if pending:
                pending.pop()()
            return segment

        monkeypatch.setattr(Segment, "build", built)


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
