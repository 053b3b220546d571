"""Vector files: merges refer to them, they live as long as they are needed, damage is found and named."""

from __future__ import annotations

import gc
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.column import Positions
from storage.database import Database
from storage.definitions import ColumnDefinition
from storage.durability import backup, files
from storage.durability.check import check
from storage.errors import DataCorrupted, DiskFull
from storage.seams import Morsel, TableView
from storage.segments import bulk, merger, rewrite, widerows
from storage.segments.cache import cache
from storage.segments.sealed import Sealed
from storage.types import INT8, Type, binary
from tests.storage.rows import crashed, create, delete, ids_where, insert, put, rows, update

COLUMNS: tuple[tuple[str, Type], ...] = (("id", INT8), ("image", binary(512)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "data")
    yield database
    database.close()


def row(number: int, salt: int = 0) -> tuple[Any, ...]:
    """A row whose image no encoding makes smaller, or null."""
    return number, None if number % 7 == 3 else random.Random(1000 * salt + number).randbytes(512)


def expected(*numbers: int) -> list[tuple[Any, ...]]:
    return sorted(map(row, numbers), key=repr)


def vector_files(database: Database) -> dict[str, int]:
    """The vector files in the folder, and what tells them from others of the same name."""
    assert database.segments.folder is not None
    return {path.name: path.stat().st_ino for path in database.segments.folder.glob("*.vectors")}


def parts(database: Database, table: int) -> list[Sealed]:
    return [part for part in database.store(table).parts if isinstance(part, Sealed)]


def remove(database: Database, table: int, *keys: int) -> None:
    transaction = database.begin()
    for key in keys:
        delete(transaction, table, key)
    transaction.commit()


def faults(folder: Path) -> list[tuple[str, str]]:
    return [(finding.path.name, finding.text) for finding in check(folder) if finding.level == "damaged"]


@pytest.mark.parametrize("sort_key", [(), ((1, True),)], ids=["unsorted", "sorted"])
def test_a_merge_refers_and_does_not_copy(database: Database, sort_key: Any) -> None:
    table = create(database, columns=COLUMNS, sort_key=sort_key)
    for start in range(0, 100, 10):
        put(database, table, *map(row, range(start, start + 10)))
        database.optimize(table, "flush")
    before = vector_files(database)
    assert len(before) == 10
    remove(database, table, 5, 50)
    database.optimize(table, "full")
    (part,) = parts(database, table)
    assert (part.rows, set(part.segment.vectors)) == (98, set(before))
    assert vector_files(database) == before
    assert rows(database, table) == expected(*set(range(100)) - {5, 50})
    column = part.segment.columns[2]
    assert (column.tag, column.zone.nulls) == ("vectors", sum(n % 7 == 3 for n in range(100)))


def test_rows_that_are_in_turn_need_no_places(database: Database) -> None:
    table = create(database, columns=(("id", INT8), ("image", binary(300))))
    for start in (0, 50, 75):
        put(database, table, *((n, random.Random(n).randbytes(300)) for n in range(start, start + 25)))
        database.optimize(table, "flush")
    database.optimize(table, "full")
    (part,) = parts(database, table)
    assert part.segment.columns[2].loaded()[0].buffers() == []
    assert len(rows(database, table)) == 75


def test_many_rows_make_one_segment_and_several_files(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widerows, "LOT_BYTES", 512 * 16)
    monkeypatch.setattr(rewrite, "SEGMENT_BYTES", 512 * 40)
    table = create(database, columns=COLUMNS, sort_key=((1, True),), segment_rows=200)
    put(database, table, *map(row, range(300)))
    database.optimize(table)
    assert sorted(part.rows for part in parts(database, table)) == [100, 200]
    assert len(vector_files(database)) >= 300 // 16
    assert rows(database, table) == expected(*range(300))


def test_a_file_of_which_much_is_dead_is_copied_and_goes(database: Database) -> None:
    table = create(database, columns=COLUMNS)
    for start in (0, 20):
        put(database, table, *map(row, range(start, start + 20)))
        database.optimize(table, "flush")
    first, second = sorted(vector_files(database))
    remove(database, table, *range(12), 20)
    database.optimize(table, "full")
    kept = vector_files(database)
    assert first not in kept
    assert second in kept
    assert len(kept) == 2
    assert rows(database, table) == expected(*range(12, 20), *range(21, 40))
    assert not faults(crashed(database.folder, database.folder.with_name("copy")))  # type: ignore


def test_others_that_refer_to_a_file_count(database: Database) -> None:
    """A file whose rows are spread over segments is not copied because one of them has few."""
    table = create(database, columns=COLUMNS, segment_rows=10, sort_key=((1, True),))
    for start in (0, 1):
        put(database, table, *((n, random.Random(n).randbytes(512)) for n in range(start, 20, 2)))
        database.optimize(table, "flush")
    before = vector_files(database)
    assert len(before) == 2
    database.optimize(table, "full")
    assert [set(part.segment.vectors) for part in parts(database, table)] == [set(before)] * 2
    remove(database, table, 0, 1, 2, 3)
    database.optimize(table)
    assert sorted(part.rows for part in parts(database, table)) == [6, 10]
    assert vector_files(database) == before
    remove(database, table, *range(4, 14))
    database.optimize(table)
    assert len(rows(database, table)) == 6
    assert not vector_files(database).keys() & before.keys()


def test_snapshots_keep_the_files_that_they_read(database: Database) -> None:
    table = create(database, columns=COLUMNS)
    put(database, table, *map(row, range(40)))
    database.optimize(table, "flush")
    (file,) = vector_files(database)
    old = database.snapshot()
    remove(database, table, *range(30))
    for number in range(3):
        put(database, table, row(100 + number))
        database.optimize(table, "full")
        assert file in vector_files(database)
        assert rows(old, table) == expected(*range(40))
    del old
    gc.collect()
    put(database, table, row(200))
    database.optimize(table, "full")
    database.checkpoint()
    assert file not in vector_files(database)
    assert rows(database, table) == expected(*range(30, 40), 100, 101, 102, 200)


def test_nulls_and_columns_that_are_younger_than_rows(database: Database) -> None:
    table = create(database, columns=COLUMNS)
    put(database, table, *((number, None) for number in range(20)))
    database.optimize(table, "flush")
    assert vector_files(database) == {}
    with_column = database.begin()
    before = with_column.catalog.table(table)
    added = ColumnDefinition("more", binary(256), 3, missing=bytes(range(256)))
    with_column.define(replace(before, columns=(*before.columns, added)))
    with_column.commit()
    put(database, table, (20, random.Random(1).randbytes(512), random.Random(2).randbytes(256)))
    for mode in ("flush", "full"):
        database.optimize(table, mode)
        found = sorted(rows(database, table))
        assert found[:20] == [(number, None, bytes(range(256))) for number in range(20)]
        assert found[20] == (20, random.Random(1).randbytes(512), random.Random(2).randbytes(256))


@pytest.fixture
def small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rows go into files."""
    monkeypatch.setattr(bulk, "BUDGET", 20 * 520)
    monkeypatch.setattr(bulk, "REST", 2000)


def test_a_load_writes_them_and_a_rollback_removes_them(
    database: Database, small_budget: None, tmp_path: Path
) -> None:
    table = create(database, columns=COLUMNS)
    transaction = database.begin()
    for start in range(0, 200, 10):
        insert(transaction, table, *map(row, range(start, start + 10)))
    bulk.settle(transaction.changes[table])
    assert len(vector_files(database)) >= 5
    left = crashed(tmp_path / "data", tmp_path / "left")
    transaction.rollback()
    assert vector_files(database) == {}
    with_leftovers = Database.open(left)
    assert vector_files(with_leftovers) == {}
    with_leftovers.close()

    transaction = database.begin()
    for start in range(0, 200, 10):
        insert(transaction, table, *map(row, range(start, start + 10)))
    delete(transaction, table, 7)
    transaction.commit()
    whole = crashed(tmp_path / "data", tmp_path / "whole")
    assert not faults(whole)
    again = Database.open(whole)
    assert rows(again, table) == expected(*set(range(200)) - {7})
    again.optimize(table, "full")
    again.close()
    assert not faults(whole)
    again = Database.open(whole)
    assert rows(again, table) == expected(*set(range(200)) - {7})
    again.close()


def test_a_merge_that_the_log_knows_nothing_of(
    database: Database, small_budget: None, tmp_path: Path
) -> None:
    """What the log names stays until a manifest took its place; the merged segment is forgotten."""
    table = create(database, columns=COLUMNS)
    transaction = database.begin()
    for start in range(0, 100, 10):
        insert(transaction, table, *map(row, range(start, start + 10)))
    transaction.commit()
    with database.merging:
        merger.optimize(
            database.store(table),
            database.catalog.table(table),
            database.snapshot().commit,
            database.oldest(),
            database.segments,
            "full",
        )
    assert len(parts(database, table)) == 1
    left = crashed(tmp_path / "data", tmp_path / "left")
    again = Database.open(left)
    assert len(parts(again, table)) > 1
    assert rows(again, table) == expected(*range(100))
    again.close()
    assert not faults(left)


@pytest.mark.parametrize("what", ["flipped", "cut", "gone", "foot"])
def test_damage_is_named_and_the_rest_can_be_read(tmp_path: Path, what: str) -> None:
    database = Database.open(tmp_path)
    table = create(database, columns=COLUMNS)
    for start in (0, 20):
        put(database, table, *map(row, range(start, start + 20)))
        database.optimize(table, "flush")
    database.optimize(table, "full")
    first, _ = sorted(vector_files(database), key=lambda name: int(name.split("-")[1].split(".")[0]))
    database.close()
    path = tmp_path / "segments" / first
    data = bytearray(path.read_bytes())
    match what:
        case "flipped":
            data[4096 + 3 * 512 + 9] ^= 4  # of the fourth row that is not null
            path.write_bytes(data)
        case "foot":
            data[-30] ^= 4
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[:-10])
        case _:
            path.unlink()
    assert [name for name, _ in faults(tmp_path)] == [first]
    database = Database.open(tmp_path)
    (part,) = parts(database, table)
    definitions = database.catalog.table(table).columns
    assert sorted(part.column(definitions[0], 0, 40, None).tolist()) == list(range(40))
    with pytest.raises(DataCorrupted, match=f'vector file "{path}" is damaged at offset'):
        part.column(definitions[1], 0, 40, None)
    healthy = [at for at in range(20, 40) if at % 7 != 3]
    assert part.column(definitions[1], 0, 40, np.array(healthy)).tolist() == [row(at)[1] for at in healthy]
    if what == "flipped":
        assert part.column(definitions[1], 0, 40, np.array([0, 1])).tolist() == [row(n)[1] for n in range(2)]
    put(database, table, row(50))
    database.optimize(table, "full")  # refers to it, and loses nothing
    with pytest.raises(DataCorrupted, match="vector file"):
        rows(database, table)
    database.close()


def test_a_backup_copies_only_new_vectors(database: Database, tmp_path: Path) -> None:
    table = create(database, columns=COLUMNS)
    for start in (0, 20):
        put(database, table, *map(row, range(start, start + 20)))
        database.optimize(table, "flush")
    database.back_up(tmp_path / "backup")
    kept = {path.name: path.stat().st_ino for path in (tmp_path / "backup/segments").glob("*.vectors")}
    assert len(kept) == 2
    put(database, table, *map(row, range(40, 60)))
    database.optimize(table, "full")
    report = database.back_up(tmp_path / "backup")
    now = {path.name: path.stat().st_ino for path in (tmp_path / "backup/segments").glob("*.vectors")}
    assert kept.items() <= now.items()
    assert len(now) == 3
    assert report.copied == 2
    assert not faults(tmp_path / "backup")
    backup.restore(tmp_path / "backup", tmp_path / "restored", lambda: None)
    shutil.rmtree(tmp_path / "backup")
    restored = Database.open(tmp_path / "restored")
    assert rows(restored, table) == expected(*range(60))
    restored.close()


def test_a_full_disk_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    table = create(database, columns=COLUMNS)
    put(database, table, *map(row, range(20)))
    before = {path.name for path in database.segments.folder.iterdir()}  # type: ignore

    class Full(type(files.disk)):  # type: ignore
        left = 0

        def write(self, descriptor: int, data: files.Buffer) -> int:
            if self.left <= 0:
                raise OSError(28, "No space left on device")
            self.left -= 1
            return int(super().write(descriptor, data))

    for room in range(2):  # a file of vectors, and the segment's
        full = Full()
        full.left = room
        with monkeypatch.context() as patched:
            patched.setattr(files, "disk", full)
            with pytest.raises(DiskFull):
                database.optimize(table, "flush")
        assert {path.name for path in database.segments.folder.iterdir()} == before  # type: ignore
    database.optimize(table, "flush")
    assert rows(database, table) == expected(*range(20))


def test_whatever_happens_to_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random changes, merges, restarts and crashes against a dictionary."""
    seed = random.Random().randrange(1 << 30)
    print("seed", seed)
    choose = random.Random(seed)
    monkeypatch.setattr(bulk, "BUDGET", 30 * 520)
    monkeypatch.setattr(widerows, "LOT_BYTES", 512 * 16)
    folder = tmp_path / "0"
    database = Database.open(folder)
    sort_key = choose.choice([(), ((1, True),), ((1, False),)])
    table = create(database, columns=COLUMNS, sort_key=sort_key, segment_rows=choose.choice([16, 64, 1000]))
    model: dict[int, tuple[Any, ...]] = {}
    for turn in range(60):
        keys = choose.sample(range(400), choose.choice([1, 5, 40]))
        match choose.choice(("put", "put", "delete", "update", "merge", "merge", "check", "restart")):
            case "put":
                added = {key: row(key, turn) for key in keys if key not in model}
                put(database, table, *added.values())
                model |= added
            case "delete":
                keys = keys if choose.random() < 0.7 else list(model)[: len(model) * 2 // 3]
                remove(database, table, *(key for key in keys if key in model))
                model = {key: value for key, value in model.items() if key not in keys}
            case "update":
                transaction = database.begin()
                for key in keys[:5]:
                    if key in model:
                        model[key] = row(key, turn)
                        update(transaction, table, key, model[key])
                transaction.commit()
            case "merge":
                database.optimize(table, choose.choice(("flush", "some", "full")))
            case "check":
                left = crashed(folder, tmp_path / f"check{turn}")
                assert not faults(left)
                shutil.rmtree(left)
            case "restart":
                left = crashed(folder, tmp_path / f"open{turn}")
                database.close()
                folder = left if choose.random() < 0.5 else folder
                database = Database.open(folder)
        assert rows(database, table) == sorted(model.values(), key=repr), turn
    database.close()
    assert not faults(folder)


def test_own_rows_in_files_are_found_and_changed(database: Database, small_budget: None) -> None:
    table = create(database, columns=COLUMNS)
    transaction = database.begin()
    for start in range(0, 100, 10):
        insert(transaction, table, *map(row, range(start, start + 10)))
    bulk.settle(transaction.changes[table])
    assert len(ids_where(transaction, table, 42)) == 1
    update(transaction, table, 42, row(142))
    transaction.commit()
    assert rows(database, table) == expected(*set(range(100)) - {42}, 142)


@pytest.fixture
def scattered(database: Database) -> tuple[Database, int]:
    """Segments of ten files each, some rows null."""
    table = create(database, columns=COLUMNS, segment_rows=100)
    for start in range(0, 200, 10):
        put(database, table, *map(row, range(start, start + 10)))
        database.optimize(table, "flush")
    database.optimize(table, "full")
    return database, table


def asked_of(
    database: Database, table: int, *numbers: Sequence[int]
) -> tuple[TableView, ColumnDefinition, list[tuple[Morsel, Positions]]]:
    """Rows of each segment."""
    view = database.begin().snapshot().table(table)
    morsels = list(view.morsels(whole=True))
    assert [morsel.rows for morsel in morsels] == [100, 100]
    places = [(morsel, np.array(some, np.int64)) for morsel, some in zip(morsels, numbers, strict=False)]
    return view, view.table.definition(2), places


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 99), max_size=40), min_size=1, max_size=2), st.booleans())
def test_rows_of_many_files_are_those_of_each(
    scattered: tuple[Database, int], numbers: list[list[int]], kept: bool
) -> None:
    database, table = scattered
    view, definition, places = asked_of(database, table, *numbers)
    limit, cache.limit = cache.limit, cache.limit if kept else 0
    try:
        if kept:
            rows(database, table)  # the buffer cache has the extents then
        view.expect(definition, places)
        found = view.gather(definition, places).tolist()
        assert found == [v for morsel, some in places for v in morsel.column(definition, some).tolist()]
    finally:
        cache.limit = limit


@pytest.mark.parametrize("mischief", ["flip", "cut", "remove"])
def test_damage_is_found_among_many_files(scattered: tuple[Database, int], mischief: str) -> None:
    database, table = scattered
    database.close()
    assert database.segments.folder is not None
    path = sorted(database.segments.folder.glob("*.vectors"))[5]
    content = bytearray(path.read_bytes())
    content[4096 + 3 * 512] ^= 1
    if mischief == "flip":
        path.write_bytes(content)
    elif mischief == "cut":
        path.write_bytes(content[:-100])
    else:
        path.unlink()
    again = Database.open(database.segments.folder.parent)
    try:
        view, definition, places = asked_of(again, table, range(100), range(100))
        view.expect(definition, places)
        with pytest.raises(DataCorrupted, match=path.name):
            view.gather(definition, places)
    finally:
        again.close()


def test_a_file_that_is_cut_while_it_is_open_is_told(scattered: tuple[Database, int]) -> None:
    database, table = scattered
    view, definition, places = asked_of(database, table, range(100), range(100))
    assert len(view.gather(definition, places)) == 200
    assert database.segments.folder is not None
    path = sorted(database.segments.folder.glob("*.vectors"))[3]
    with path.open("r+b") as file:
        file.truncate(4096)
    with pytest.raises(DataCorrupted, match=path.name):
        view.gather(definition, places)
