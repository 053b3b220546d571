"""Long readers: what a snapshot needs is kept for as long as it is used, and given back after."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage import kernels
from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.segments import bulk, merger
from storage.segments.cache import cache
from storage.segments.sealed import Sealed
from storage.types import INT8, binary
from tests.storage.rows import create, delete, put, rows, update

WIDTH = 4096
ROWS = 2_000


def resident() -> int:
    """Bytes of memory that this process takes now, without what it could give back.

    Tests before this one leave freed memory with the allocators, which would be taken from there first.
    """
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.fixture
def loaded() -> None:
    """What is loaded once a process is there already: it is no part of what is measured."""
    kernels.warm(wait=True)
    gc.collect()


def wide(first: int, count: int = ROWS) -> Batch:
    """Rows of 4 KB."""
    values = np.random.default_rng(first).integers(0, 255, (count, WIDTH), np.uint8)
    return Batch((Column(INT8, np.arange(first, first + count)), Column(binary(WIDTH), values)), count)


def test_versions_successors_and_files_are_given_back(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    table = create(database)
    put(database, table, *((key, "old") for key in range(20)))
    database.optimize(table)
    (old_file,) = (path.name for path in (tmp_path / "segments").glob("*.segment"))
    reader = database.begin("repeatable read")
    expected = rows(reader, table)
    for key in range(10):
        writer = database.begin()
        update(writer, table, key, (key, "new"))
        writer.commit()
    for key in range(10, 15):
        writer = database.begin()
        delete(writer, table, key)
        writer.commit()
    truncating = database.begin()
    truncating.truncate(table)
    truncating.commit()
    put(database, table, (1, "after"))
    database.optimize(table, "full")
    store = database.store(table)
    assert rows(reader, table) == expected
    assert (tmp_path / "segments" / old_file).exists()
    assert len(store._history) == 1
    reader.rollback()
    del reader, writer, truncating
    gc.collect()
    database.optimize(table)
    assert store._history == []
    assert store.successors == {}
    assert not (tmp_path / "segments" / old_file).exists()
    assert rows(database, table) == [(1, "after")]
    database.close()


def test_rows_that_a_reader_holds_are_dropped_by_the_first_merge_after_it(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    table = create(database)
    put(database, table, *((key, "a") for key in range(100)))
    reader = database.begin("repeatable read")
    assert len(rows(reader, table)) == 100
    writer = database.begin()
    writer.delete(table, np.arange(1, 51))
    writer.commit()
    database.optimize(table, "full")
    assert [part.rows for part in database.store(table).parts] == [100]
    assert len(rows(reader, table)) == 100
    reader.rollback()
    del reader
    assert database.merge_step(lambda *args: merger.step(*args, lambda: None))
    assert [part.rows for part in database.store(table).parts] == [50]
    database.close()


@pytest.mark.usefixtures("loaded")
def test_memory_of_sealed_rows_is_given_back(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    table = create(database, columns=(("id", INT8), ("image", binary(WIDTH))))
    limit = cache.limit
    try:
        gc.collect()
        before = resident()
        for first in range(0, 10 * ROWS, ROWS):
            transaction = database.begin()
            transaction.insert(table, wide(first))
            transaction.commit()
        assert resident() - before > 8 * ROWS * WIDTH, "blocks are in memory"
        cache.limit = 1 << 20
        database.optimize(table, "flush")
        gc.collect()
        assert all(isinstance(part, Sealed) for part in database.store(table).parts)
        assert resident() - before < 4 * ROWS * WIDTH, "segments are not"
        image = database.catalog.table(table).columns[1]
        total = 0
        for morsel in database.snapshot().table(table).morsels():
            total += len(morsel.column(image).values)
        assert total == 10 * ROWS
        gc.collect()
        assert resident() - before < 6 * ROWS * WIDTH, "and a scan leaves nothing over the cache's limit"
    finally:
        cache.limit = limit
        database.close()


@pytest.mark.usefixtures("loaded")
def test_a_large_transaction_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BUDGET", ROWS * WIDTH)
    monkeypatch.setattr(bulk, "THREADS", 2)
    database = Database.open(tmp_path)
    table = create(database, columns=(("id", INT8), ("image", binary(WIDTH))))
    gc.collect()
    before, most = resident(), 0
    transaction = database.begin()
    for first in range(0, 30 * ROWS, ROWS):
        transaction.insert(table, wide(first))
        most = max(most, resident() - before)
    transaction.commit()
    assert most < 18 * ROWS * WIDTH, "of 30 lots, a few are in memory at a time, and what is made of them"
    assert database.log_bytes < ROWS * WIDTH
    view = database.snapshot().table(table)
    assert view.estimated_rows == 30 * ROWS
    database.close()
