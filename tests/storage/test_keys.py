"""PRIMARY KEY and UNIQUE: PostgreSQL's words, nulls, open transactions, savepoints, restarts, sealing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.errors import DatabaseError, UniqueViolation
from storage.types import BPCHAR, BYTEA, DATE, FLOAT8, INT4, INT8, NUMERIC, TEXT, TIMESTAMP, UUID, Type
from tests.storage.rows import create, delete, insert, put, rows, update


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.open(None)
    yield database
    database.close()


def test_a_doubled_key_is_told_in_postgresqls_words(database: Database) -> None:
    table = create(database, primary=[1])
    put(database, table, (1, "a"))
    transaction = database.begin()
    with pytest.raises(UniqueViolation) as caught:
        insert(transaction, table, (1, "b"))
    assert caught.value.sqlstate == "23505"
    assert caught.value.message == 'duplicate key value violates unique constraint "t_pkey"'
    assert caught.value.detail == "Key (id)=(1) already exists."
    assert (caught.value.schema, caught.value.table, caught.value.constraint) == ("public", "t", "t_pkey")


def test_a_key_of_several_columns_is_told_with_all(database: Database) -> None:
    table = create(database, primary=[1, 2])
    put(database, table, (1, "a"), (1, "b"))
    with pytest.raises(UniqueViolation) as caught:
        put(database, table, (1, "b"))
    assert caught.value.detail == "Key (id, word)=(1, b) already exists."


@pytest.mark.parametrize(
    ("type", "value", "shown"),
    [
        (INT4, 7, "7"),
        (FLOAT8, 1.0, "1"),
        (FLOAT8, 1.5, "1.5"),
        (FLOAT8, float("nan"), "NaN"),
        (FLOAT8, float("-inf"), "-Infinity"),
        (NUMERIC, Decimal("1.10"), "1.10"),
        (TEXT, "x y", "x y"),
        (BYTEA, b"\x01\xff", "\\x01ff"),
        (DATE, 7305, "2020-01-01"),
        (TIMESTAMP, 631152000000000, "2020-01-01 00:00:00"),
        (TIMESTAMP, 631152000120000, "2020-01-01 00:00:00.12"),
        (UUID, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    ],
)
def test_a_key_is_shown_as_text(database: Database, type: Type, value: Any, shown: str) -> None:
    table = create(database, columns=[("k", type)], primary=[1])
    put(database, table, (value,))
    with pytest.raises(UniqueViolation) as caught:
        put(database, table, (value,))
    assert caught.value.detail == f"Key (k)=({shown}) already exists."


@pytest.mark.parametrize(
    ("type", "first", "second"),
    [(NUMERIC, Decimal("1.10"), Decimal("1.1")), (FLOAT8, 0.0, -0.0), (BPCHAR, "a", "a  ")],
)
def test_equal_values_that_differ_in_bytes_are_one_key(
    database: Database, type: Type, first: Any, second: Any
) -> None:
    table = create(database, columns=[("k", type)], unique=[[1]])
    put(database, table, (first,))
    with pytest.raises(UniqueViolation):
        put(database, table, (second,))


def test_nulls_are_distinct(database: Database) -> None:
    table = create(database, unique=[[1], [1, 2]])
    put(database, table, (None, "a"), (None, "a"))
    put(database, table, (None, "a"))
    assert len(rows(database, table)) == 3


def test_a_key_twice_in_one_statement(database: Database) -> None:
    table = create(database, primary=[1])
    with pytest.raises(UniqueViolation):
        put(database, table, (1, "a"), (1, "b"))


def test_a_deleted_key_is_free(database: Database) -> None:
    table = create(database, primary=[1])
    put(database, table, (1, "a"))
    transaction = database.begin()
    delete(transaction, table, 1)
    insert(transaction, table, (1, "b"))
    delete(transaction, table, 1)
    insert(transaction, table, (1, "c"))
    transaction.commit()
    assert rows(database, table) == [(1, "c")]
    with pytest.raises(UniqueViolation):
        put(database, table, (1, "d"))


def test_an_update_keeps_its_key(database: Database) -> None:
    table = create(database, primary=[1])
    put(database, table, (1, "a"), (2, "b"))
    transaction = database.begin()
    update(transaction, table, 1, (1, "c"))
    with pytest.raises(UniqueViolation):
        update(transaction, table, 1, (2, "c"))


def test_a_committed_key_that_the_snapshot_does_not_see_counts(database: Database) -> None:
    table = create(database, primary=[1])
    transaction = database.begin("repeatable read")
    transaction.snapshot()
    put(database, table, (1, "a"))
    assert rows(transaction, table) == []
    with pytest.raises(UniqueViolation):
        insert(transaction, table, (1, "b"))


def test_a_key_is_free_after_truncate(database: Database) -> None:
    table = create(database, primary=[1])
    put(database, table, (1, "a"))
    transaction = database.begin()
    savepoint = transaction.savepoint()
    transaction.truncate(table)
    insert(transaction, table, (1, "b"))
    transaction.rollback_to(savepoint)
    with pytest.raises(UniqueViolation):
        insert(transaction, table, (1, "c"))
    transaction.rollback_to(savepoint)
    transaction.truncate(table)
    insert(transaction, table, (1, "d"))
    transaction.commit()
    assert rows(database, table) == [(1, "d")]


def test_savepoints_give_keys_back(database: Database) -> None:
    table = create(database, primary=[1])
    put(database, table, (1, "a"))
    transaction = database.begin()
    insert(transaction, table, (2, "b"))
    savepoint = transaction.savepoint()
    insert(transaction, table, (3, "c"))
    delete(transaction, table, 2)
    delete(transaction, table, 1)
    insert(transaction, table, (1, "x"), (2, "x"))
    transaction.rollback_to(savepoint)
    for taken in (1, 2):
        with pytest.raises(UniqueViolation):
            insert(transaction, table, (taken, "y"))
        transaction.rollback_to(savepoint)
    insert(transaction, table, (3, "z"))
    put(database, table, (4, "other"))
    transaction.commit()
    assert rows(database, table) == [(1, "a"), (2, "b"), (3, "z"), (4, "other")]


def _waiting(database: Database, work: Callable[[], Any], finish: Callable[[], None]) -> Any:
    """What `work` gives, which has to wait until `finish` has run."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        poll = threading.Event()
        while not database.waits.waiting() and not future.done():
            poll.wait(0.001)
        assert not future.done(), "it did not wait"
        finish()
        return future.result(30)


def test_a_conflict_with_an_open_transaction_waits_and_fails_if_it_commits(database: Database) -> None:
    table = create(database, primary=[1])
    first, second = database.begin(), database.begin()
    insert(first, table, (1, "a"))
    with pytest.raises(UniqueViolation):
        _waiting(database, lambda: insert(second, table, (1, "b")), first.commit)


def test_a_conflict_with_an_open_transaction_waits_and_goes_on_if_it_rolls_back(database: Database) -> None:
    table = create(database, primary=[1])
    first, second = database.begin(), database.begin()
    insert(first, table, (1, "a"))
    _waiting(database, lambda: insert(second, table, (1, "b")), first.rollback)
    second.commit()
    assert rows(database, table) == [(1, "b")]


def test_an_open_delete_of_the_key_is_waited_for(database: Database) -> None:
    table = create(database, primary=[1])
    put(database, table, (1, "a"))
    first, second = database.begin(), database.begin()
    delete(first, table, 1)
    _waiting(database, lambda: insert(second, table, (1, "b")), first.commit)
    second.commit()
    assert rows(database, table) == [(1, "b")]


def test_keys_hold_after_a_restart_and_after_sealing(tmp_path: Path) -> None:
    for checkpoint in (False, True):
        folder = tmp_path / str(checkpoint)
        database = Database.open(folder)
        table = create(database, primary=[1], columns=[("id", INT8), ("word", TEXT)])
        put(database, table, (1, "a"), (2, "b"))
        if checkpoint:
            database.optimize(table)
        transaction = database.begin()
        update(transaction, table, 2, (3, "b"))
        transaction.commit()
        for _ in range(2):
            for taken in (1, 3):
                with pytest.raises(UniqueViolation):
                    put(database, table, (taken, "x"))
            database.close()
            database = Database.open(folder)
        put(database, table, (2, "c"))
        assert rows(database, table) == [(1, "a"), (2, "c"), (3, "b")]
        database.close()


def test_defining_a_key_over_doubled_rows_fails(database: Database) -> None:
    table = create(database)
    put(database, table, (1, "a"), (1, "b"))
    keyed = create(database, "keyed", primary=[1])
    constraint = replace(database.catalog.table(keyed).constraints[0], name="t_pkey")
    transaction = database.begin()
    with pytest.raises(DatabaseError) as caught:
        transaction.define(replace(transaction.catalog.table(table), constraints=(constraint,)))
    assert caught.value.message == 'could not create unique index "t_pkey"'
    assert caught.value.detail == "Key (id)=(1) is duplicated."
