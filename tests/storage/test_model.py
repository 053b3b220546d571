"""Random transactions side by side, with savepoints, merges, checkpoints and crashes, against plain dicts."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.database import Database
from storage.definitions import Table
from storage.segments import blocks, bulk, merger
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.table import Store
from storage.transactions import ownrows
from storage.transactions.transaction import Transaction
from tests.storage.rows import crashed, create, delete, insert, rows, update

KEYS = 8


@dataclass
class Open:
    """A transaction, and what it has changed: the word of a key, None for a deleted one."""

    transaction: Transaction
    changed: dict[int, str | None] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    savepoints: list[tuple[int, dict[int, str | None]]] = field(default_factory=list)

    def sees(self, committed: dict[int, str]) -> dict[int, str]:
        """Committed rows with its own changes."""
        return {key: word for key, word in (committed | self.changed).items() if word is not None}


class Model:
    """A database with one table, and the dicts that tell what is in it."""

    def __init__(self, folder: Path, choose: random.Random) -> None:
        self.choose = choose
        self.folder = folder
        self.opened = 0
        self.database = Database.open(folder / "0")
        self.table = create(self.database, primary=[1], sort_key=((2, False),), segment_rows=3)
        self.committed: dict[int, str] = {}
        self.open: list[Open] = []

    def step(self) -> None:
        """Do something, and look at everything."""
        steps = [self.begin, self.change, self.change, self.change, self.end, self.savepoint]
        if self.choose.random() < 0.15:
            steps = [self.merge, self.crash]
        self.choose.choice(steps)()
        for each in self.open:
            assert rows(each.transaction, self.table) == sorted(each.sees(self.committed).items())
        assert rows(self.database, self.table) == sorted(self.committed.items())

    def begin(self) -> None:
        if len(self.open) < 3:
            self.open.append(Open(self.database.begin()))

    def change(self) -> None:
        if not self.open:
            return
        one = self.choose.choice(self.open)
        taken = set().union(*(each.touched for each in self.open if each is not one))
        free = [key for key in range(KEYS) if key not in taken]
        if not free:
            return
        key, word = self.choose.choice(free), self.choose.choice("abc")
        one.touched.add(key)
        if key not in one.sees(self.committed):
            insert(one.transaction, self.table, (key, word))
            one.changed[key] = word
        elif self.choose.random() < 0.5:
            assert len(delete(one.transaction, self.table, key)) == 1
            one.changed[key] = None
        else:
            assert (update(one.transaction, self.table, key, (key, word)) != 0).all()
            one.changed[key] = word

    def savepoint(self) -> None:
        if not self.open:
            return
        one = self.choose.choice(self.open)
        if one.savepoints and self.choose.random() < 0.6:
            at = self.choose.randrange(len(one.savepoints))
            number, kept = one.savepoints[at]
            del one.savepoints[at + 1 :]
            one.transaction.rollback_to(number)
            one.changed = dict(kept)
        else:
            one.savepoints.append((one.transaction.savepoint(), dict(one.changed)))

    def end(self) -> None:
        if not self.open:
            return
        one = self.open.pop(self.choose.randrange(len(self.open)))
        if self.choose.random() < 0.3:
            one.transaction.rollback()
            return
        one.transaction.commit()
        self.committed = one.sees(self.committed)

    def merge(self) -> None:
        if self.choose.random() < 0.5:
            self.database.optimize(self.table, self.choose.choice(["flush", "some", "full"]))
            return

        def one(store: Store, table: Table, commit: int, oldest: int, folder: SegmentFolder) -> bool:
            return merger.step(store, table, commit, oldest, folder, lambda: None)

        self.database.merge_step(one)

    def crash(self) -> None:
        """Go on from what is on disk; what is open is lost."""
        self.opened += 1
        if self.choose.random() < 0.3:
            self.database.close()
        folder = crashed(self.folder / str(self.opened - 1), self.folder / str(self.opened))
        self.database.close()
        self.open = []
        self.database = Database.open(folder)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_the_database_is_what_the_model_says(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for module in (blocks, ownrows):
            patch.setattr(module, "SMALL_ROWS", 3)
        patch.setattr(ownrows, "BLOCK_ROWS", 4)
        if seed % 2:  # every few rows of a transaction go into files at once
            patch.setattr(bulk, "BUDGET", 60)
            patch.setattr(bulk, "REST", 0)
        patch.setattr(merger, "MERGE_ROWS", 9)
        patch.setattr(merger, "SEAL_ROWS", 2)
        model = Model(Path(folder), random.Random(seed))
        for _ in range(40):
            model.step()
        model.database.close()
