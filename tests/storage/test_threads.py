"""Several threads move money about while another merges: no snapshot sees the sum change."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from storage.database import Database
from storage.durability.checkpoint import Policy
from storage.errors import DeadlockDetected, SerializationFailure
from storage.segments import bulk, merger
from storage.transactions.locks import RowMode
from storage.transactions.transaction import Transaction
from storage.types import INT8
from tests.storage.rows import batch, create, put, rows, rows_with_ids

ACCOUNTS = 6
TRANSFERS = 40


def add(transaction: Transaction, table: int, account: int, amount: int) -> None:
    """UPDATE ... SET balance = balance + amount WHERE id = account, as the engine does it."""
    wanted: set[int] | None = None
    snapshot = transaction.snapshot()
    while True:
        found = rows_with_ids(snapshot, table)
        targets = {
            k: row for k, row in found.items() if row[0] == account and (wanted is None or k in wanted)
        }
        if not targets:
            return
        ((row_id, row),) = targets.items()
        ids = np.array([row_id], np.int64)
        if transaction.update(table, ids, batch([(account, row[1] + amount)], (INT8, INT8)))[0]:
            return
        wanted = set(transaction.lock(table, ids, RowMode.NO_KEY_UPDATE).tolist())
        snapshot = transaction.snapshot()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_transfers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stored: bool,
    ordered: bool,
    isolation: Literal["read committed", "repeatable read"],
) -> None:
    monkeypatch.setattr(merger, "SEAL_ROWS", 4)
    monkeypatch.setattr(merger, "FAN_IN", 2)
    monkeypatch.setattr(bulk, "BUDGET", 16)  # of one row; most transactions have two
    monkeypatch.setattr(bulk, "REST", 0)
    database = Database.open(tmp_path if stored else None, Policy(30_000))
    shape: dict[str, Any] = {"sort_key": ((2, False),), "segment_rows": 3} if ordered else {}
    table = create(database, columns=[("id", INT8), ("balance", INT8)], primary=[1], **shape)
    put(database, table, *((account, 100) for account in range(ACCOUNTS)))
    done = threading.Event()

    def transfers(seed: int) -> int:
        choose = random.Random(seed)
        committed = 0
        while committed < TRANSFERS:
            transaction = database.begin(isolation)
            transaction.synchronous = choose.random() < 0.1
            try:
                source, target = choose.sample(range(ACCOUNTS), 2)
                add(transaction, table, source, -1)
                add(transaction, table, target, 1)
                transaction.commit()
                committed += 1
            except (SerializationFailure, DeadlockDetected):
                transaction.rollback()
        return committed

    def until_done(work: Callable[[], None]) -> int:
        count = 0
        while not count or not done.wait(0.001):  # the others need the interpreter, too
            work()
            count += 1
        return count

    def look() -> None:
        assert sum(row[1] for row in rows(database, table)) == 100 * ACCOUNTS

    def optimize() -> None:
        database.optimize(table, random.choice(["flush", "some", "full"]))  # type: ignore[arg-type]
        database.merge_step(lambda *args: merger.step(*args, lambda: None))

    with ThreadPoolExecutor(5) as pool:
        workers = [pool.submit(transfers, seed) for seed in range(3)]
        others = [
            pool.submit(until_done, look),
            pool.submit(until_done, optimize),
        ]
        try:
            assert [worker.result(60) for worker in workers] == [TRANSFERS] * 3
        finally:
            done.set()
        assert all(other.result(60) for other in others)
    look()
    database.close()
    if stored:
        database = Database.open(tmp_path)
        look()
        database.close()
