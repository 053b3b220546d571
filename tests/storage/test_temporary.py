"""Temporary tables: in no log, no manifest and no other session's catalog."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from storage.database import Database
from storage.definitions import PUBLIC, Schema, Sequence
from storage.errors import UndefinedTable
from storage.segments import bulk
from storage.transactions.temporary import Temporary
from storage.types import INT8
from tests.storage.rows import create, definition, insert, rows


def test_what_is_temporary_is_not_in_the_log_and_not_in_a_checkpoint(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    kept = create(database, "kept")
    before, own = database.log_bytes, Temporary()
    transaction = database.begin(temporary=own)
    schema = Schema(transaction.allocate_oid(), "pg_temp_1", temporary=True)
    transaction.define(schema)
    table = definition(database, "t", temporary=True)
    transaction.define(table)
    sequence = Sequence(transaction.allocate_oid(), schema.oid, "s", INT8, temporary=True)
    transaction.define(sequence)
    insert(transaction, table.oid, (1, "a"))
    assert transaction.next_value(sequence.oid) == range(1, 2)
    transaction.commit()
    assert database.log_bytes == before
    assert rows(database.begin(temporary=own), table.oid) == [(1, "a")]
    with pytest.raises(UndefinedTable):
        rows(database.begin(), table.oid)
    both = database.begin(temporary=own)
    insert(both, table.oid, (2, "b"))
    insert(both, kept, (3, "c"))
    both.commit()
    database.checkpoint()
    database.close()
    database = Database.open(tmp_path)
    assert [item.name for item in database.catalog.tables()] == ["kept"]
    assert rows(database, kept) == [(3, "c")]
    assert "pg_temp_1" not in {item.name for item in database.catalog.schemas.values()}
    database.close()


def test_rollback_and_savepoints_hold_for_temporary_tables() -> None:
    database, own = Database.open(None), Temporary()
    transaction = database.begin(temporary=own)
    table = definition(database, "t", temporary=True)
    savepoint = transaction.savepoint()
    transaction.define(table)
    insert(transaction, table.oid, (1, "a"))
    transaction.rollback_to(savepoint)
    transaction.define(table)
    transaction.commit()
    assert rows(database.begin(temporary=own), table.oid) == []
    transaction = database.begin(temporary=own)
    insert(transaction, table.oid, (1, "a"))
    transaction.drop(transaction.catalog.table(table.oid))
    transaction.rollback()
    assert rows(database.begin(temporary=own), table.oid) == []
    database.close()


def test_an_open_transaction_with_temporary_tables_keeps_nobody_from_ddl() -> None:
    database, own = Database.open(None), Temporary()
    transaction = database.begin(temporary=own)
    transaction.define(definition(database, "t", temporary=True))
    create(database, "other")
    transaction.commit()
    assert {item.name for item in own.over(database.catalog).tables()} == {"t", "other"}
    assert PUBLIC in database.catalog.schemas
    database.forget_temporary(own)
    database.close()


def test_a_large_temporary_table_is_in_files_that_go_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BUDGET", 1 << 12)
    monkeypatch.setattr(bulk, "REST", 1 << 10)
    database, own = Database.open(tmp_path), Temporary()
    transaction = database.begin(temporary=own)
    table = definition(database, "t", temporary=True)
    transaction.define(table)
    made = [(at, f"word {at}") for at in range(2000)]
    for start in range(0, 2000, 200):
        insert(transaction, table.oid, *made[start : start + 200])
    transaction.commit()
    files = list((tmp_path / "segments").glob("*.segment"))
    assert files
    database.checkpoint()
    assert sorted(rows(database.begin(temporary=own), table.oid)) == made
    database.forget_temporary(own)
    del transaction
    gc.collect()
    database.checkpoint()
    assert not list((tmp_path / "segments").glob("*.segment"))
    database.close()
