"""Modes and their conflicts, queues, savepoints, locks that go over to a row's next version."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from storage.database import Database
from storage.errors import DeadlockDetected, LockNotAvailable, SerializationFailure
from storage.transactions.locks import ROW_CONFLICTS, TABLE_CONFLICTS, Locks, RowMode, TableMode
from storage.transactions.transaction import Transaction
from tests.storage.rows import batch, create, delete, ids_where, put, rows, update
from tests.storage.test_isolation import STARTED, Other


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.open(None)
    yield database
    database.close()


@pytest.fixture
def other(database: Database) -> Iterator[Other]:
    other = Other(database)
    yield other
    other.pool.shutdown()


@pytest.mark.parametrize("conflicts", [ROW_CONFLICTS, TABLE_CONFLICTS])
def test_conflicts_are_mutual(conflicts: tuple[int, ...]) -> None:
    for one, mask in enumerate(conflicts):
        for two in range(len(conflicts)):
            assert bool(mask >> two & 1) == bool(conflicts[two] >> one & 1)


def test_a_stronger_row_mode_conflicts_with_more() -> None:
    for weaker, stronger in pairwise(ROW_CONFLICTS):
        assert weaker & stronger == weaker < stronger


def test_release_takes_back_what_was_taken_later(database: Database) -> None:
    party, locks = database.begin(), Locks(ROW_CONFLICTS)
    locks.take(party, 1, RowMode.SHARE, party.level)
    level = party.savepoint()
    locks.take(party, 1, RowMode.UPDATE, party.level)
    locks.take(party, 2, RowMode.UPDATE, party.level)
    locks.release(party, level)
    assert locks.held == {1: {party: 1 << RowMode.SHARE}}
    locks.release(party)
    assert not locks.held


def lock(transaction: Transaction, table: int, key: int, mode: RowMode) -> list[int]:
    found = ids_where(transaction, table, key)
    return transaction.lock(table, found, mode, "nowait").tolist()


@pytest.mark.parametrize("one", RowMode)
@pytest.mark.parametrize("two", RowMode)
def test_row_modes(database: Database, one: RowMode, two: RowMode) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    lock(first, table, 1, one)
    if ROW_CONFLICTS[one] >> two & 1:
        with pytest.raises(LockNotAvailable):
            lock(second, table, 1, two)
        found = ids_where(second, table, 1)
        assert second.lock(table, found, two, "skip").tolist() == [0]
        first.rollback()
    assert lock(second, table, 1, two) == ids_where(second, table, 1).tolist()


@pytest.mark.parametrize("one", TableMode)
@pytest.mark.parametrize("two", TableMode)
def test_table_modes(database: Database, one: TableMode, two: TableMode) -> None:
    table = create(database)
    first, second = database.begin(), database.begin()
    first.lock_table(table, one)
    if TABLE_CONFLICTS[one] >> two & 1:
        with pytest.raises(LockNotAvailable, match="refused"):
            second.lock_table(table, two, "refused")
        first.rollback()
    second.lock_table(table, two, "refused")


def test_whoever_asks_waits_behind_those_who_asked_before(database: Database, other: Other) -> None:
    table = create(database)
    reader, writer, late = database.begin(), database.begin(), database.begin()
    reader.lock_table(table, TableMode.ShareLock)
    future = other.start(lambda: writer.lock_table(table, TableMode.ExclusiveLock))
    with pytest.raises(LockNotAvailable):
        late.lock_table(table, TableMode.ShareLock, "behind")
    reader.lock_table(table, TableMode.RowShareLock)  # it has a lock: it does not wait for who waits for it
    reader.commit()
    future.result(STARTED)
    writer.commit()
    late.lock_table(table, TableMode.ShareLock, "free")


def test_an_update_that_keeps_its_keys_lets_key_shares_be(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    holder, writer, remover = database.begin(), database.begin(), database.begin()
    lock(holder, table, 1, RowMode.KEY_SHARE)
    assert (writer.update(table, ids_where(writer, table, 1), batch([(1, "b")]), RowMode.NO_KEY_UPDATE)).all()
    writer.commit()
    # the lock has gone over to the new version
    found = ids_where(remover, table, 1)
    future = other.start(lambda: remover.delete(table, found))
    holder.commit()
    assert len(future.result(STARTED)) == 1


def test_lock_follows_to_the_newest_version(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"), (2, "b"))
    reader = database.begin()
    old, gone = ids_where(reader, table, 1), ids_where(reader, table, 2)
    writer = database.begin()
    update(writer, table, 1, (1, "c"))
    delete(writer, table, 2)
    writer.commit()
    locked = reader.lock(table, np.concatenate([old, gone]), RowMode.UPDATE)
    assert locked.tolist() == [*ids_where(reader, table, 1).tolist(), 0]
    assert locked[0] != old[0]


def test_repeatable_read_does_not_follow(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    reader = database.begin("repeatable read")
    old = ids_where(reader, table, 1)
    writer = database.begin()
    update(writer, table, 1, (1, "c"))
    writer.commit()
    with pytest.raises(SerializationFailure, match="could not serialize access due to concurrent update"):
        reader.lock(table, old, RowMode.SHARE)


def test_rollback_to_a_savepoint_wakes_who_waits(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    savepoint = first.savepoint()
    lock(first, table, 1, RowMode.UPDATE)
    found = ids_where(second, table, 1)
    future = other.start(lambda: second.delete(table, found))
    first.rollback_to(savepoint)
    assert len(future.result(STARTED)) == 1


def test_two_who_share_a_row_and_both_want_to_change_it(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    first.deadlock_timeout, second.deadlock_timeout = 0.001, STARTED
    for transaction in (first, second):
        lock(transaction, table, 1, RowMode.SHARE)
    theirs, mine = ids_where(second, table, 1), ids_where(first, table, 1)
    future = other.start(lambda: second.delete(table, theirs))
    with pytest.raises(DeadlockDetected):
        first.delete(table, mine)
    first.rollback()
    assert len(future.result(STARTED)) == 1


def test_a_circle_through_a_queue_is_cut_by_jumping_it(database: Database, other: Other) -> None:
    one, two = create(database, "one"), create(database, "two")
    holder, waiter, asker = database.begin(), database.begin(), database.begin()
    third = Other(database)
    for transaction in (holder, waiter, asker):
        transaction.deadlock_timeout = 0.001
    asker.lock_table(two, TableMode.ExclusiveLock)
    holder.lock_table(one, TableMode.ShareLock)
    waiter.deadlock_timeout = STARTED
    waiting = other.start(lambda: waiter.lock_table(one, TableMode.ExclusiveLock))
    # holder waits for asker, asker would wait behind waiter, waiter waits for holder
    holder.deadlock_timeout = STARTED
    held = third.start(lambda: holder.lock_table(two, TableMode.ShareLock))
    asker.lock_table(one, TableMode.ShareLock)
    asker.commit()
    held.result(STARTED)
    holder.commit()
    waiting.result(STARTED)
    third.pool.shutdown()


def test_locks_are_told(database: Database, other: Other) -> None:
    table = create(database)
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    delete(first, table, 1)
    found = ids_where(second, table, 1)
    assert rows(second, table) == [(1, "a")]
    future = other.start(lambda: second.delete(table, found))
    told = {(row.kind, row.mode, row.granted, row.session) for row in database.locks()}
    assert ("relation", "RowExclusiveLock", True, first.session) in told
    assert ("transactionid", "ExclusiveLock", True, first.session) in told
    assert ("transactionid", "ShareLock", False, second.session) in told
    assert database.waits.blockers(second.session) == [first.session]
    first.rollback()
    future.result(STARTED)
    second.rollback()
    assert not database.locks()
