"""The power is cut at every moment of a database's life; what is left opens, and is as it must be."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from storage.database import Database
from storage.durability import files
from storage.durability.check import check
from storage.durability.checkpoint import Policy
from tests.crash.powercut import Cut, Loss, Operation, Remembering, Unsynced, cut
from tests.crash.workload import Contents, Script, contents, drawn, small, steps

LOSSES: tuple[Loss, ...] = ("nothing", "everything", "some")


class Life:
    """A run of a workload on a remembering disk: what was done, and what stood there after each step."""

    def __init__(self, folder: Path, seed: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        small(monkeypatch)
        self.disk = Remembering(folder)
        monkeypatch.setattr(files, "disk", self.disk)
        database = Database.open(folder, Policy(30_000))
        script = Script(database)
        self.states: list[Contents] = [contents(database)]
        for number, step in enumerate(steps(Random(seed), count), 1):
            self.disk.mark("begin", number)
            assert script.run(step) == [], step
            self.states.append(contents(database))
            if step.waits:  # what was told without waiting, or by a step that wrote nothing, may be lost
                drawn_to = max(script.values, default=0)
                self.disk.mark("told", number if self.states[-1] != self.states[-2] else 0, drawn_to)
        script.end()
        database.close()
        self.disk.mark("begin", number + 1)
        self.operations = self.disk.operations

    def check(self, cutting: Cut, at: int, folder: Path) -> list[str]:
        """What is wrong with what is left after `at` operations."""
        least = most = given = 0
        for operation in self.operations[:at]:
            if operation.name == "mark" and operation.target[0] == "told":
                _, number, given = operation.target
                least = max(least, number)
            elif operation.name == "mark":
                most = operation.target[1]
        cutting.write(folder)
        wrong = [f"{f.path.name}: {f.text}" for f in check(folder) if f.level == "damaged"]
        try:
            database = Database.open(folder)
        except Exception as error:
            return [f"does not open: {error!r}"]
        found = contents(database)
        allowed = self.states[least : most + 1]
        if found not in allowed:
            wrong.append(f"not what stood there after step {least} to {most}")
        if least > 3 and given and drawn(database).get("s", 0) <= given:
            wrong.append(f"sequence s gives a value up to {given} again")
        left = sorted(path.name for path in folder.rglob("*" + files.PART))
        if left:
            wrong.append(f"left over: {left}")
        database.close()
        if at % 3 == 0:
            again = Database.open(folder)
            if contents(again) != found:
                wrong.append("another content after a clean stop")
            again.close()
        return wrong


def moments(operations: list[Operation], choose: Random, count: int | None) -> list[int]:
    """Moments to cut at: all, or so many of them."""
    every = [at for at, operation in enumerate(operations, 1) if operation.name != "mark"]
    return every if count is None else sorted(choose.sample(every, min(count, len(every))))


def explore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, count: int, cuts: int | None
) -> tuple[int, list[str]]:
    """How many cuts were tried, and one line for each that went wrong."""
    life = Life(tmp_path / f"life{seed}", seed, count, monkeypatch)
    choose = Random(seed)
    bugs: list[str] = []
    tried = 0
    folder = tmp_path / "cut"
    for at in moments(life.operations, choose, cuts):
        for loss in LOSSES:
            monkeypatch.setattr(files, "disk", Unsynced())
            left = cut(life.operations[:at], choose, loss)
            tried += 1
            bugs += [
                f"seed {seed}, cut after operation {at} ({life.operations[at - 1]}), {loss} lost: {wrong}"
                for wrong in life.check(left, at, folder)
            ]
            shutil.rmtree(folder)
    return tried, bugs


def test_power_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = Random().randrange(1 << 30)
    print("seed", seed)
    tried, bugs = explore(tmp_path, monkeypatch, seed, 40, 40)
    assert not bugs, "\n".join(bugs[:20])
    assert tried == 120
