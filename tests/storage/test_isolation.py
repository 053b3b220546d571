"""Two transactions interleaved, an anomaly each; waiting, deadlock, cancel, savepoints, own rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from storage.database import Database
from storage.errors import (
    DeadlockDetected,
    DuplicateTable,
    LockNotAvailable,
    QueryCanceled,
    ReadOnlySqlTransaction,
    SerializationFailure,
    UndefinedTable,
)
from storage.transactions.locks import RowMode
from tests.storage.rows import batch, create, definition, delete, ids_where, insert, put, rows, update

STARTED = 30  # seconds that a test waits for another thread before it fails


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.open(None)
    yield database
    database.close()


class Other:
    """A thread for what has to wait."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.pool = ThreadPoolExecutor(1)

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Begin `work`, and return once it waits for a transaction."""
        waiting = len(self.database.waits.waiting())
        future = self.pool.submit(work)
        poll = threading.Event()
        for _ in range(STARTED * 1000):
            if len(self.database.waits.waiting()) > waiting or future.done():
                break
            poll.wait(0.001)
        assert not future.done(), "it did not wait"
        return future


@pytest.fixture
def other(database: Database) -> Iterator[Other]:
    other = Other(database)
    yield other
    other.pool.shutdown()


def test_rows_are_seen_after_commit_only(database: Database) -> None:
    table = create(database)
    writer, reader = database.begin(), database.begin()
    insert(writer, table, (1, "a"))
    assert rows(reader, table) == []
    assert rows(writer, table) == [(1, "a")]
    writer.commit()
    assert rows(reader, table) == [(1, "a")]


def test_a_statement_does_not_see_its_own_rows(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"))
    transaction = database.begin()
    snapshot = transaction.snapshot()
    for row in rows(snapshot, table):
        transaction.insert(table, batch([(row[0] + 10, row[1])]))
    assert rows(snapshot, table) == [(1, "a"), (2, "b")]
    assert len(rows(transaction, table)) == 4


def test_rollback_leaves_nothing(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    transaction = database.begin()
    insert(transaction, table, (2, "b"))
    delete(transaction, table, 1)
    assert rows(transaction, table) == [(2, "b")]
    transaction.rollback()
    assert rows(database, table) == [(1, "a")]


def test_read_committed_sees_later_commits_and_repeatable_read_does_not(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    committed, repeatable = database.begin(), database.begin("repeatable read")
    assert rows(committed, table) == rows(repeatable, table) == [(1, "a")]
    writer = database.begin()
    update(writer, table, 1, (1, "b"))
    insert(writer, table, (2, "c"))
    writer.commit()
    assert rows(committed, table) == [(1, "b"), (2, "c")]
    assert rows(repeatable, table) == [(1, "a")]


def test_repeatable_read_takes_its_snapshot_at_the_first_statement(database: Database) -> None:
    table = create(database)
    transaction = database.begin("repeatable read")
    put(database, table, (1, "a"))
    assert rows(transaction, table) == [(1, "a")]


def test_a_second_updater_waits_and_follows_the_successor(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    update(first, table, 1, (1, "b"))
    target = ids_where(second, table, 1)
    future = other.start(lambda: second.delete(table, target))
    first.commit()
    assert future.result(STARTED).tolist() == []
    newest = second.lock(table, target, RowMode.UPDATE)
    assert newest.tolist() == ids_where(second, table, 1).tolist()
    second.update(table, newest, batch([(1, "c")]))
    second.commit()
    assert rows(database, table) == [(1, "c")]


def test_a_successor_is_followed_over_several_versions(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    late = database.begin()
    target = ids_where(late, table, 1)
    for word in "bcd":
        writer = database.begin()
        update(writer, table, 1, (1, word))
        writer.commit()
    assert late.delete(table, target).tolist() == []
    assert late.lock(table, target, RowMode.UPDATE).tolist() == ids_where(late, table, 1).tolist()


def test_a_deleted_row_has_no_successor(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    delete(first, table, 1)
    target = ids_where(second, table, 1)
    future = other.start(lambda: second.delete(table, target))
    first.commit()
    assert future.result(STARTED).tolist() == []
    assert second.lock(table, target, RowMode.UPDATE).tolist() == [0]


def test_a_waiter_gets_the_row_when_the_holder_rolls_back(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    delete(first, table, 1)
    target = ids_where(second, table, 1)
    future = other.start(lambda: second.delete(table, target))
    first.rollback()
    assert future.result(STARTED).tolist() == target.tolist()
    second.commit()
    assert rows(database, table) == []


def test_update_tells_which_rows_were_lost(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"))
    late = database.begin()
    late.snapshot()
    targets = np.concatenate([ids_where(late, table, 1), ids_where(late, table, 2)])
    writer = database.begin()
    delete(writer, table, 1)
    writer.commit()
    done = late.update(table, targets, batch([(1, "x"), (2, "y")]))
    assert (done != 0).tolist() == [False, True]
    assert rows(late, table) == [(2, "y")]


def test_repeatable_read_fails_on_a_row_changed_since(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    transaction = database.begin("repeatable read")
    target = ids_where(transaction, table, 1)
    writer = database.begin()
    update(writer, table, 1, (1, "b"))
    writer.commit()
    with pytest.raises(SerializationFailure, match="could not serialize access due to concurrent update"):
        transaction.delete(table, target)


def test_lost_update_is_impossible_under_repeatable_read(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "10"))
    first, second = database.begin("repeatable read"), database.begin("repeatable read")
    mine, theirs = ids_where(first, table, 1), ids_where(second, table, 1)
    first.update(table, mine, batch([(1, "11")]))
    future = other.start(lambda: second.update(table, theirs, batch([(1, "12")])))
    first.commit()
    with pytest.raises(SerializationFailure):
        future.result(STARTED)
    assert rows(database, table) == [(1, "11")]


def test_deadlock_is_told_to_one(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"))
    first, second = database.begin(), database.begin()
    first.deadlock_timeout, second.deadlock_timeout = 0.001, STARTED
    delete(first, table, 1)
    delete(second, table, 2)
    theirs, mine = ids_where(second, table, 1), ids_where(first, table, 2)
    future = other.start(lambda: second.delete(table, theirs))
    with pytest.raises(DeadlockDetected, match="deadlock detected"):
        first.delete(table, mine)
    first.rollback()
    assert len(future.result(STARTED)) == 1


def test_waiting_ends_on_cancel(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    canceled = threading.Event()

    def check() -> None:
        if canceled.is_set():
            raise QueryCanceled("canceling statement due to user request")

    first, second = database.begin(), database.begin("read committed", False, check)
    delete(first, table, 1)
    target = ids_where(second, table, 1)
    future = other.start(lambda: second.delete(table, target))
    canceled.set()
    second.interrupt()
    with pytest.raises(QueryCanceled):
        future.result(STARTED)


def test_waiting_ends_at_lock_timeout(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    second.lock_timeout = 0.001
    delete(first, table, 1)
    with pytest.raises(LockNotAvailable, match="canceling statement due to lock timeout"):
        delete(second, table, 1)


def test_rollback_to_a_savepoint_cuts_back(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"))
    transaction = database.begin()
    insert(transaction, table, (3, "c"))
    delete(transaction, table, 1)
    savepoint = transaction.savepoint()
    insert(transaction, table, (4, "d"))
    delete(transaction, table, 3)
    delete(transaction, table, 2)
    assert rows(transaction, table) == [(4, "d")]
    transaction.rollback_to(savepoint)
    assert rows(transaction, table) == [(2, "b"), (3, "c")]
    transaction.rollback_to(savepoint)
    insert(transaction, table, (5, "e"))
    transaction.commit()
    assert rows(database, table) == [(2, "b"), (3, "c"), (5, "e")]


def test_rollback_to_a_savepoint_frees_the_rows_marked_since(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    savepoint = first.savepoint()
    delete(first, table, 1)
    first.rollback_to(savepoint)
    assert len(delete(second, table, 1)) == 1


def test_own_rows_are_updated_and_deleted(database: Database) -> None:
    table = create(database)
    transaction = database.begin()
    insert(transaction, table, (1, "a"), (2, "b"), (3, "c"))
    done = update(transaction, table, 2, (2, "B"))
    assert (done != 0).all()
    delete(transaction, table, 1)
    assert rows(transaction, table) == [(2, "B"), (3, "c")]
    transaction.commit()
    assert rows(database, table) == [(2, "B"), (3, "c")]


def test_truncate_rolls_back_and_older_snapshots_keep_their_rows(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    reader = database.begin("repeatable read")
    assert rows(reader, table) == [(1, "a")]
    transaction = database.begin()
    insert(transaction, table, (2, "b"))
    savepoint = transaction.savepoint()
    transaction.truncate(table)
    assert rows(transaction, table) == []
    transaction.rollback_to(savepoint)
    assert rows(transaction, table) == [(1, "a"), (2, "b")]
    transaction.truncate(table)
    transaction.insert(table, batch([(3, "c")]))
    assert rows(transaction, table) == [(3, "c")]
    transaction.commit()
    assert rows(database, table) == [(3, "c")]
    assert rows(reader, table) == [(1, "a")]


def test_a_writer_waits_for_truncate(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    first.truncate(table)
    future = other.start(lambda: insert(second, table, (2, "b")))
    first.commit()
    future.result(STARTED)
    second.commit()
    assert rows(database, table) == [(2, "b")]


def test_read_only_writes_nothing(database: Database) -> None:
    table = create(database)
    transaction = database.begin(read_only=True)
    with pytest.raises(ReadOnlySqlTransaction):
        insert(transaction, table, (1, "a"))


def test_definitions_are_seen_by_others_after_commit(database: Database) -> None:
    transaction, reader = database.begin(), database.begin()
    item = definition(database, "late")
    transaction.define(item)
    insert(transaction, item.oid, (1, "a"))
    assert rows(transaction, item.oid) == [(1, "a")]
    with pytest.raises(UndefinedTable):
        rows(reader, item.oid)
    with pytest.raises(DuplicateTable, match='relation "late" already exists'):
        transaction.define(definition(database, "late"))
    transaction.commit()
    assert rows(reader, item.oid) == [(1, "a")]


def test_definitions_roll_back(database: Database) -> None:
    table = create(database)
    transaction = database.begin()
    transaction.drop(transaction.catalog.table(table))
    savepoint = transaction.savepoint()
    transaction.define(definition(database, "another"))
    transaction.rollback_to(savepoint)
    assert not list(transaction.catalog.tables())
    transaction.rollback()
    assert [item.name for item in database.catalog.tables()] == ["t"]


def test_a_version_of_a_definition_is_never_used_twice(database: Database) -> None:
    table = create(database)
    versions = {database.catalog.table(table).version}
    for commit in (False, True, False, True):
        transaction = database.begin()
        for _ in range(2):
            transaction.define(transaction.catalog.table(table))
            version = transaction.catalog.table(table).version
            assert version not in versions
            versions.add(version)
        if commit:
            transaction.commit()
            assert database.catalog.table(table).version == version
        else:
            transaction.rollback()


def test_a_dropped_table_takes_no_more_rows(database: Database, other: Other) -> None:
    table = create(database)
    first, second = database.begin(), database.begin()
    first.drop(first.catalog.table(table))
    second.snapshot()
    future = other.start(lambda: second.insert(table, batch([(1, "a")])))
    first.commit()
    with pytest.raises(UndefinedTable):
        future.result(STARTED)
