"""Small tables for tests of the database: made, filled and read back in a line each."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from storage.batch import Batch
from storage.column import Column, Positions
from storage.database import Database
from storage.definitions import PUBLIC, ColumnDefinition, Constraint, Table
from storage.definitions import Sequence as SequenceDefinition
from storage.durability import files
from storage.durability.files import Disk
from storage.seams import Snapshot
from storage.transactions.transaction import Transaction
from storage.types import INT8, TEXT, Type

KEY_AND_WORD: tuple[tuple[str, Type], ...] = (("id", INT8), ("word", TEXT))


def definition(
    database: Database,
    name: str = "t",
    columns: Sequence[tuple[str, Type]] = KEY_AND_WORD,
    primary: Sequence[int] = (),
    unique: Sequence[Sequence[int]] = (),
    **more: Any,
) -> Table:
    """A table's definition, with OIDs of the database's. Keys are given by attnums."""
    with_oids = database.begin()
    keys = [("p", f"{name}_pkey", tuple(primary))] if primary else []
    keys += [("u", f"{name}_{'_'.join(map(str, key))}_key", tuple(key)) for key in unique]
    constraints = tuple(
        Constraint(with_oids.allocate_oid(), key, kind, numbers, index=with_oids.allocate_oid())
        for kind, key, numbers in keys
    )
    defined = tuple(ColumnDefinition(column, type, at + 1) for at, (column, type) in enumerate(columns))
    table = Table(with_oids.allocate_oid(), PUBLIC, name, defined, constraints, **more)
    with_oids.rollback()
    return table


def create(database: Database, name: str = "t", **options: Any) -> int:
    """CREATE TABLE, committed; its OID."""
    table = definition(database, name, **options)
    transaction = database.begin()
    transaction.define(table)
    transaction.commit()
    return table.oid


def sequence(database: Database, name: str = "s", **options: Any) -> int:
    """CREATE SEQUENCE, committed; its OID."""
    transaction = database.begin()
    item = SequenceDefinition(transaction.allocate_oid(), PUBLIC, name, INT8, **options)
    transaction.define(item)
    transaction.commit()
    return item.oid


def batch(rows: Sequence[tuple[Any, ...]], types: Sequence[Type] = (INT8, TEXT)) -> Batch:
    """Rows of Python values as a batch."""
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in types]
    return Batch.of(*(Column.of(type, list(items)) for type, items in zip(types, columns, strict=True)))


def insert(transaction: Transaction, table: int, *rows: tuple[Any, ...]) -> Positions:
    """INSERT as a statement of its own."""
    types = [column.type for column in transaction.snapshot().catalog.table(table).columns]
    return transaction.insert(table, batch(rows, types))


def put(database: Database, table: int, *rows: tuple[Any, ...]) -> None:
    """INSERT and commit."""
    transaction = database.begin()
    insert(transaction, table, *rows)
    transaction.commit()


def rows_with_ids(snapshot: Snapshot, table: int) -> dict[int, tuple[Any, ...]]:
    """Row id to row with its hidden columns, of what the snapshot sees."""
    view = snapshot.table(table)
    found: dict[int, tuple[Any, ...]] = {}
    for morsel in view.morsels():
        visible = morsel.visible()
        at = np.arange(morsel.rows) if visible is None else np.flatnonzero(visible)
        columns = [morsel.column(column, at).tolist() for column in view.table.stored]
        tuples = zip(*columns, strict=True)
        found |= dict(zip(morsel.row_ids(at).tolist(), tuples, strict=True))
    return found


def rows(source: Database | Transaction | Snapshot, table: int) -> list[tuple[Any, ...]]:
    """The rows that a new statement (or this snapshot) sees, sorted."""
    if isinstance(source, Database):
        transaction = source.begin()
        try:
            return rows(transaction, table)
        finally:
            transaction.rollback()
    snapshot = source.snapshot() if isinstance(source, Transaction) else source
    return sorted(rows_with_ids(snapshot, table).values(), key=repr)


def ids_where(transaction: Transaction, table: int, key: Any) -> Positions:
    """Row ids of the rows whose first column is `key`, as a new statement sees them."""
    found = rows_with_ids(transaction.snapshot(), table)
    return np.array([row_id for row_id, row in found.items() if row[0] == key], np.int64)


def delete(transaction: Transaction, table: int, key: Any) -> Positions:
    """DELETE ... WHERE first column = key."""
    return transaction.delete(table, ids_where(transaction, table, key))


def update(transaction: Transaction, table: int, key: Any, row: tuple[Any, ...]) -> Positions:
    """UPDATE ... WHERE first column = key, to this row."""
    types = [column.type for column in transaction.catalog.table(table).columns]
    return transaction.update(table, ids_where(transaction, table, key), batch([row], types))


class Pausing(Disk):
    """A disk on which nothing changes while somebody holds `still`."""

    def __init__(self) -> None:
        self.still = threading.RLock()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in vars(Disk):
            return found

        def call(*given: Any) -> Any:
            with self.still:
                return found(*given)

        return call


files.disk = _pausing = Pausing()


def crash(database: Database) -> None:
    """End a database as a crash does, without a checkpoint: its threads stop, its folder can be opened."""
    assert database._merger is not None
    assert database._checkpoints is not None
    assert database._log is not None
    assert database._folder_lock is not None
    database._merger.close()
    database.bulk.close()
    database._checkpoints.close(last=False)
    database._log.close()
    database._folder_lock.release()


def crashed(folder: Path, to: Path) -> Path:
    """What a crash would leave on disk now: a copy, while the database is open."""
    with _pausing.still:
        shutil.copytree(folder, to)
    return to
