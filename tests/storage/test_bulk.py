"""Transactions with many rows: in files before the commit, none in the log, no trace of a rollback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.database import Database
from storage.definitions import ColumnDefinition
from storage.durability import checkpoint
from storage.durability.check import check
from storage.errors import DiskFull, UniqueViolation
from storage.segments import bulk
from storage.segments.sealed import Sealed
from storage.transactions.transaction import Transaction
from tests.storage.rows import (
    crash,
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


@pytest.fixture(autouse=True)
def small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rows go into a file."""
    monkeypatch.setattr(bulk, "BUDGET", 20 * 20)
    monkeypatch.setattr(bulk, "REST", 100)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "data")
    yield database
    database.close()


@pytest.fixture(params=[False, True], ids=["unsorted", "sorted"])
def table(request: pytest.FixtureRequest, database: Database) -> int:
    """A table, with a sort key and small segments or without."""
    if request.param:
        return create(database, primary=[1], sort_key=((2, True),), segment_rows=8)
    return create(database, primary=[1])


def row(number: int) -> tuple[int, str]:
    return number, f"word {number * 7919 % 101}"


def fill(transaction: Transaction, table: int, start: int, stop: int, step: int = 5) -> None:
    """INSERTs of a few rows each."""
    for first in range(start, stop, step):
        insert(transaction, table, *map(row, range(first, min(first + step, stop))))


def expected(*numbers: int) -> list[tuple[Any, ...]]:
    return sorted(map(row, numbers), key=repr)


def files(database: Database) -> set[str]:
    """The segment files in the folder."""
    assert database.segments.folder is not None
    return {path.name for path in database.segments.folder.iterdir()}


def reopened(tmp_path: Path, to: str) -> Database:
    """The database as a crash would leave it."""
    return Database.open(crashed(tmp_path / "data", tmp_path / to))


def test_files_of_a_commit_beside_a_checkpoint_are_named_once(
    database: Database, table: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit comes when the checkpoint has its number, and has not yet looked at the parts."""
    put(database, table, *map(row, range(5)))
    sealing = checkpoint.seal

    def sealed(*given: Any) -> None:
        monkeypatch.setattr(checkpoint, "seal", sealing)
        transaction = database.begin()
        fill(transaction, table, 10, 300)
        transaction.commit()
        sealing(*given)

    monkeypatch.setattr(checkpoint, "seal", sealed)
    database.checkpoint()
    again = reopened(tmp_path, "again")
    assert rows(again, table) == expected(*range(5), *range(10, 300))
    again.close()
    assert not [found for found in check(tmp_path / "again") if found.level == "damaged"]


def test_rows_are_in_files_before_the_commit_and_not_in_the_log(
    database: Database, table: int, tmp_path: Path
) -> None:
    before = database.log_bytes
    transaction = database.begin()
    fill(transaction, table, 0, 300)
    assert database.log_bytes == before
    assert len(files(database)) >= 10
    assert sum(len(own._parts[0].columns[0]) for own in transaction.changes[table].inserted) < 200
    assert rows(transaction, table) == expected(*range(300))
    bulk.settle(transaction.changes[table])  # no file is copied while it is being written
    assert rows(database, table) == []
    unfinished = reopened(tmp_path, "before")
    assert rows(unfinished, table) == []
    assert files(unfinished) == set()
    unfinished.close()
    transaction.commit()
    assert rows(database, table) == expected(*range(300))
    for to in ("after", "again"):
        again = reopened(tmp_path, to)
        assert rows(again, table) == expected(*range(300))
        assert rows_with_ids(again.snapshot(), table) == rows_with_ids(database.snapshot(), table)
        put(again, table, row(300))
        again.optimize(table)
        assert rows(again, table) == expected(*range(301))
        again.close()


def test_row_ids_are_unique_and_lead_to_rows(database: Database, table: int) -> None:
    put(database, table, row(-1))
    transaction = database.begin()
    fill(transaction, table, 0, 103)
    transaction.commit()
    put(database, table, row(200))
    found = rows_with_ids(database.snapshot(), table)
    assert len(found) == 105
    for row_id, values in found.items():
        writer = database.begin()
        assert ids_where(writer, table, values[0]).tolist() == [row_id]
        assert writer.delete(table, np.array([row_id])).tolist() == [row_id]
        writer.commit()
    assert rows(database, table) == []


def test_rollback_removes_the_files(database: Database, table: int) -> None:
    transaction = database.begin()
    fill(transaction, table, 0, 100)
    assert files(database)
    transaction.rollback()
    database.bulk.close()  # what was just being made is made, or given up
    assert files(database) == set()
    fill(again := database.begin(), table, 0, 10)
    again.commit()
    assert rows(database, table) == expected(*range(10))


def test_rollback_to_a_savepoint_keeps_what_was_before(
    database: Database, table: int, tmp_path: Path
) -> None:
    transaction = database.begin()
    fill(transaction, table, 0, 33)
    savepoint = transaction.savepoint()
    delete(transaction, table, 5)
    fill(transaction, table, 33, 150)
    assert rows(transaction, table) == expected(*(set(range(150)) - {5}))
    transaction.rollback_to(savepoint)
    assert rows(transaction, table) == expected(*range(33))
    fill(transaction, table, 40, 80)
    transaction.commit()
    remaining = expected(*range(33), *range(40, 80))
    assert rows(database, table) == remaining
    again = reopened(tmp_path, "after")
    assert rows(again, table) == remaining
    again.optimize(table, "full")
    assert rows(again, table) == remaining
    again.close()


def test_own_rows_are_changed_in_files(database: Database, table: int, tmp_path: Path) -> None:
    put(database, table, row(500))
    transaction = database.begin()
    assert (update(transaction, table, 500, (500, "first")) != 0).all()
    fill(transaction, table, 0, 100)
    delete(transaction, table, 7)
    update(transaction, table, 500, (500, "second"))
    update(transaction, table, 8, (8, "eight"))
    fill(transaction, table, 100, 150)
    update(transaction, table, 8, (8, "again"))
    remaining = sorted([*map(row, set(range(150)) - {7, 8}), (8, "again"), (500, "second")], key=repr)
    assert rows(transaction, table) == remaining
    reader = database.begin()
    (old,) = ids_where(reader, table, 500)
    transaction.commit()
    reader.snapshot()
    (new,) = ids_where(reader, table, 500)
    assert database.store(table).successors[old][1] == new
    reader.rollback()
    assert rows(database, table) == remaining
    again = reopened(tmp_path, "after")
    assert rows(again, table) == remaining
    again.close()


def test_keys_are_checked(database: Database, table: int) -> None:
    transaction = database.begin()
    fill(transaction, table, 0, 100)
    with pytest.raises(UniqueViolation):
        insert(transaction, table, row(3))
    with pytest.raises(UniqueViolation):
        insert(transaction, table, row(97))
    delete(transaction, table, 3)
    insert(transaction, table, (3, "anew"))
    transaction.commit()
    other = database.begin()
    for number in (3, 50):
        with pytest.raises(UniqueViolation):
            insert(other, table, row(number))
    other.rollback()


def test_truncate_and_ddl_in_the_transaction(database: Database, table: int, tmp_path: Path) -> None:
    put(database, table, *map(row, range(500, 510)))
    transaction = database.begin()
    fill(transaction, table, 0, 50)
    transaction.truncate(table)
    fill(transaction, table, 10, 60)
    definition = transaction.catalog.table(table)
    more = ColumnDefinition("more", definition.columns[0].type, 3, missing=9)
    transaction.define(replace(definition, columns=(*definition.columns, more)))
    insert(transaction, table, *((*row(number), number) for number in range(100, 150)))
    remaining = [(*row(n), 9) for n in range(10, 60)] + [(*row(n), n) for n in range(100, 150)]
    assert rows(transaction, table) == sorted(remaining, key=repr)
    transaction.commit()
    assert rows(database, table) == sorted(remaining, key=repr)
    again = reopened(tmp_path, "after")
    assert rows(again, table) == sorted(remaining, key=repr)
    again.close()
    database.optimize(table)
    assert rows(database, table) == sorted(remaining, key=repr)


def test_a_checkpoint_meanwhile_takes_nothing_away(database: Database, table: int, tmp_path: Path) -> None:
    other = create(database, "other")
    transaction = database.begin()
    fill(transaction, table, 0, 60)
    put(database, other, (1, "x"))
    database.optimize(other)
    assert rows(transaction, table) == expected(*range(60))
    fill(transaction, table, 60, 90)
    transaction.commit()
    again = reopened(tmp_path, "after")
    assert rows(again, table) == expected(*range(90))
    again.close()


def test_files_that_the_log_names_stay_until_a_checkpoint(
    database: Database, table: int, tmp_path: Path
) -> None:
    transaction = database.begin()
    fill(transaction, table, 0, 60)
    transaction.commit()
    truncating = database.begin()
    truncating.truncate(table)
    truncating.commit()
    named = files(database)
    for to in ("first", "second"):
        again = reopened(tmp_path, to)
        assert rows(again, table) == []
        assert files(again) >= named
        crash(again)  # before any checkpoint
    database.optimize(table)
    database.optimize(table)
    assert files(database) == set()


def test_a_full_disk_fails_the_statement_and_leaves_nothing(
    database: Database, table: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Sealed.save
    left = [2]

    def sometimes(self: Sealed, folder: Path, file: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise DiskFull("could not write: No space left on device")
        save(self, folder, file)

    monkeypatch.setattr(Sealed, "save", sometimes)
    transaction = database.begin()
    savepoint = transaction.savepoint()
    with pytest.raises(DiskFull):
        fill(transaction, table, 0, 1000)
        transaction.commit()
    monkeypatch.setattr(Sealed, "save", save)
    if not transaction.ended:
        transaction.rollback_to(savepoint)
        fill(transaction, table, 0, 30)
        transaction.commit()
        assert rows(database, table) == expected(*range(30))
    else:
        assert rows(database, table) == []


def test_in_memory_rows_stay_in_memory() -> None:
    database = Database.open(None)
    table = create(database)
    transaction = database.begin()
    fill(transaction, table, 0, 100)
    transaction.commit()
    assert rows(database, table) == expected(*range(100))
    database.close()


def test_readers_of_the_same_transaction_read_on(database: Database, table: int) -> None:
    transaction = database.begin()
    fill(transaction, table, 0, 19)
    held = transaction.snapshot().table(table)
    fill(transaction, table, 19, 200)
    key = held.table.columns[0]
    seen = [value for morsel in held.morsels() for value in morsel.column(key).tolist()]
    assert sorted(seen) == list(range(19))
    unique = held.table.unique_keys[0].columns if held.table.unique_keys else None
    assert unique is not None
    found = list(held.lookup(unique, [morsel.column(key) for morsel in held.morsels()][:1]))
    assert sum(len(positions) for _, positions, _ in found) >= 5
    transaction.rollback()
