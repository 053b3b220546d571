"""Vectors ten times larger than the buffer cache: thresholds read codes and few vectors, and keep no more."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sql.outcome import Done, Rows
from sql.session import Session
from storage import kernels
from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.segments.cache import cache
from storage.segments.openfiles import OpenFiles
from storage.types import INT8, vector

ROWS, DIMENSIONS = 12_000, 1024
LIMIT = ROWS * DIMENSIONS * 4 // 10


def anonymous() -> int:
    """The anonymous memory of this process, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) << 10


def asked(session: Session, text: str) -> list[Any]:
    found: list[Any] = []
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            found += [row for batch in outcome.batches for row in batch.tuples()]
        assert isinstance(outcome, Rows | Done)
        outcome.complete()
    return found


def test_a_table_ten_times_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels.warm(wait=True)
    database = Database.open(tmp_path)
    session = Session(database, "glancedb", "glancedb", {})
    asked(session, f"CREATE TABLE v (id bigint, image vector({DIMENSIONS}))")
    (table,) = (table for table in database.catalog.tables() if table.name == "v")
    rng = np.random.default_rng(5)
    values = rng.standard_normal((ROWS, DIMENSIONS), np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    near = rng.choice(ROWS, 20, replace=False)
    values[near] = 0.97 * values[near[0]] + 0.03 * values[near]
    for start in range(0, ROWS, 4000):
        transaction = database.begin()
        ids = np.arange(start, start + 4000)
        transaction.insert(
            table.oid,
            Batch.of(Column(INT8, ids), Column(vector(DIMENSIONS), values[start : start + 4000].copy())),
        )
        transaction.commit()
    asked(session, "OPTIMIZE TABLE v FULL")
    query = values[near[0]]
    expected = np.flatnonzero(values.astype(np.float64) @ query.astype(np.float64) > 0.9).tolist()
    text = f"SELECT id FROM v WHERE image <*> '[{','.join(map(str, query.tolist()))}]' > 0.9 ORDER BY id"
    limit, cache.limit = cache.limit, LIMIT
    read: list[int] = []
    reading = OpenFiles.read_spans

    def counted(self: OpenFiles, file: Any, spans: Any, into: memoryview) -> int | None:
        read.append(len(into))
        return reading(self, file, spans, into)

    reading_rows = OpenFiles.read_rows

    def counted_rows(self: OpenFiles, files: Any, which: Any, places: Any, into: Any) -> int:
        read.append(into.nbytes)
        return reading_rows(self, files, which, places, into)

    monkeypatch.setattr(OpenFiles, "read_spans", counted)
    monkeypatch.setattr(OpenFiles, "read_rows", counted_rows)
    try:
        assert [id for (id,) in asked(session, text)] == expected
        gc.collect()
        before = anonymous()
        read.clear()
        for _ in range(3):
            assert [id for (id,) in asked(session, text)] == expected
        assert 0 < sum(read) < ROWS * DIMENSIONS * 4 // 100, (
            "codes are in memory, and few vectors are asked for"
        )
        assert cache.nbytes <= LIMIT
        asked(session, "SET enable_certified_scan = off")
        assert [id for (id,) in asked(session, text)] == expected
        gc.collect()
        assert sum(read) > ROWS * DIMENSIONS * 4, "without codes every vector is read"
        assert cache.nbytes <= LIMIT
        assert anonymous() - before < LIMIT + (16 << 20), "and none is kept that the cache has no room for"
    finally:
        cache.limit = limit
        session.close()
        database.close()
