"""DDL of several transactions: what is locked, who waits, and what it all comes to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.definitions import Role, Schema
from storage.errors import (
    DuplicateSchema,
    DuplicateTable,
    SerializationFailure,
    UndefinedTable,
)
from storage.transactions.locks import TableMode
from storage.transactions.transaction import Transaction
from tests.storage.rows import create, definition, insert, rows

STARTED = 30  # seconds that a test waits for another thread before it fails
_POLL = threading.Event()


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.open(None)
    yield database
    database.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def begun(
    pool: ThreadPoolExecutor, by: Transaction, database: Database, work: Callable[[], Any]
) -> Future[Any]:
    """The future of work that waits by now."""
    future = pool.submit(work)
    for _ in range(STARTED * 1000):
        if any(each.party is by for each in database.waits.waiting()) or future.done():
            break
        _POLL.wait(0.001)
    assert not future.done(), "it did not wait"
    return future


def test_ddl_of_two_transactions_on_different_objects_goes_on_at_once(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    first, second = database.begin(), database.begin()
    first.define(definition(database, "a"))
    second.define(definition(database, "b"))
    first.define(Schema(first.allocate_oid(), "s"))
    second.define(Role(second.allocate_oid(), "r"))
    second.commit()
    first.commit()
    database.close()
    database = Database.open(tmp_path)
    assert {table.name for table in database.catalog.tables()} == {"a", "b"}
    assert database.catalog.schema("s") is not None
    assert database.catalog.role("r") is not None
    database.close()


@pytest.mark.parametrize("commits", [True, False])
def test_the_second_to_take_a_name_waits(database: Database, pool: ThreadPoolExecutor, commits: bool) -> None:
    first, second = database.begin(), database.begin()
    first.define(definition(database, "t"))
    future = begun(pool, second, database, lambda: second.define(definition(database, "t")))
    if commits:
        first.commit()
        with pytest.raises(DuplicateTable, match='relation "t" already exists'):
            future.result(STARTED)
    else:
        first.rollback()
        future.result(STARTED)
        second.commit()
        assert [table.name for table in database.catalog.tables()] == ["t"]


def test_schemas_and_roles_have_names_of_their_own(database: Database, pool: ThreadPoolExecutor) -> None:
    first, second = database.begin(), database.begin()
    first.define(Schema(first.allocate_oid(), "s"))
    future = begun(pool, second, database, lambda: second.define(Schema(second.allocate_oid(), "s")))
    first.commit()
    with pytest.raises(DuplicateSchema):
        future.result(STARTED)


def test_a_schema_stays_while_something_is_made_in_it(database: Database, pool: ThreadPoolExecutor) -> None:
    made = database.begin()
    schema = Schema(made.allocate_oid(), "s")
    made.define(schema)
    made.commit()
    first, second = database.begin(), database.begin()
    first.define(replace(definition(database, "t"), schema=schema.oid))
    future = begun(pool, second, database, lambda: second.drop(schema))
    first.rollback()
    future.result(STARTED)


def test_drop_waits_for_readers_and_they_queue_behind_it(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    table = create(database)
    reader, dropper, late = database.begin(), database.begin(), database.begin()
    reader.lock_table(table, TableMode.AccessShareLock)
    drop = begun(pool, dropper, database, lambda: dropper.drop(database.catalog.table(table)))
    queued = begun(pool, late, database, lambda: late.lock_table(table, TableMode.AccessShareLock))
    reader.lock_table(table, TableMode.RowExclusiveLock)  # who holds a lock does not queue
    reader.commit()
    drop.result(STARTED)
    dropper.rollback()
    queued.result(STARTED)


def test_a_definition_made_of_an_older_one_is_refused(database: Database) -> None:
    table = create(database)
    stale = database.catalog.table(table)
    first = database.begin()
    first.define(replace(stale, comment="first"))
    first.commit()
    second = database.begin()
    with pytest.raises(SerializationFailure):
        second.define(replace(stale, comment="second"))
    with pytest.raises(SerializationFailure):
        second.drop(stale)


def test_ddl_under_repeatable_read_meets_what_others_have_made(database: Database) -> None:
    table = create(database)
    transaction = database.begin("repeatable read")
    assert rows(transaction, table) == []
    other = database.begin()
    other.define(definition(database, "late"))
    other.drop(other.catalog.table(table))
    other.commit()
    assert rows(transaction, table) == []  # what was dropped is still in the snapshot
    with pytest.raises(DuplicateTable):
        transaction.define(definition(database, "late"))
    with pytest.raises(SerializationFailure):
        transaction.drop(transaction.catalog.table(table))


def test_an_own_definition_is_seen_over_what_others_commit(database: Database) -> None:
    first, second = database.begin(), database.begin()
    mine = definition(database, "mine")
    first.define(mine)
    insert(first, mine.oid, (1, "a"))
    second.define(definition(database, "theirs"))
    second.commit()
    assert {table.name for table in first.catalog.tables()} == {"mine", "theirs"}
    assert rows(first, mine.oid) == [(1, "a")]
    first.rollback()
    with pytest.raises(UndefinedTable):
        database.catalog.table(mine.oid)
