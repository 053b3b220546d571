"""Segment files: what is written is read, in any part; damage is found and named; opening reads the foot."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.column import Column
from storage.database import Database
from storage.definitions import ColumnDefinition
from storage.encodings import wide
from storage.errors import DataCorrupted
from storage.segments import segmentfile
from storage.segments.cache import Cache, cache
from storage.segments.openfiles import File, OpenFiles, open_files
from storage.segments.segment import Section, Segment
from storage.segments.segmentfile import in_use
from storage.types import BOOL, BYTEA, FLOAT8, INT4, INT8, NUMERIC, TEXT, UUID, Type, array_of, binary, vector
from tests.storage.rows import create, delete, put, rows

ROWS = 100
TYPES: dict[int, Type] = {
    1: INT8,
    2: TEXT,
    4: FLOAT8,
    5: BOOL,
    6: NUMERIC,
    7: BYTEA,
    8: UUID,
    9: array_of(INT4),
    10: vector(3),
    11: binary(512),
    12: vector(80),
}
DEFINITIONS = {number: ColumnDefinition(f"c{number}", type, number) for number, type in TYPES.items()}


def value(number: int, row: int) -> Any:
    """What column `number` holds in a row."""
    if number != 1 and row % 7 == 3:
        return None
    return {
        1: row * row,
        2: f"word {row % 13}",
        4: row / 3,
        5: row % 2 == 0,
        6: Decimal(row) / 4,
        7: bytes([row, row]),
        8: bytes([row] * 16),
        9: [row, None],
        10: [row, 0.5, -1.0],
        11: bytes([row, number] * 256),
        12: [float(row)] * 80,
    }[number]


def columns() -> dict[int, Column]:
    """A column of each type."""
    return {n: Column.of(type, [value(n, row) for row in range(ROWS)]) for n, type in TYPES.items()}


def built(row_ids: Any = None) -> Segment:
    """A segment of them."""
    ids = np.arange(ROWS) if row_ids is None else row_ids
    section = Section.of({"bits": 3}, [np.arange(9, dtype=np.uint8), np.zeros(0, np.uint8)])
    made = columns()
    return Segment.build(tuple(made), list(made.values()), ids, {"keys": section})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A segment's file."""
    path = tmp_path / "one.segment"
    assert built().write(path) == path.stat().st_size
    return path


def read(segment: Segment, number: int, start: int = 0, stop: int = ROWS, at: Any = None) -> list[Any]:
    """Values of a column."""
    return segment.column(DEFINITIONS[number], start, stop, at).tolist()


@pytest.mark.parametrize("number", TYPES)
@pytest.mark.parametrize("extent", [1, 8, 4096])
def test_any_part_of_a_column_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, extent: int
) -> None:
    monkeypatch.setattr(wide, "extent_rows", lambda row_bytes: extent)
    built().write(tmp_path / "a")
    choose = np.random.default_rng(number * extent)
    expected = [value(number, row) for row in range(ROWS)]
    for segment in (built(), Segment.open(tmp_path / "a")):
        for _ in range(30):
            start, stop = sorted(choose.integers(0, ROWS + 1, 2).tolist())
            assert read(segment, number, start, stop) == expected[start:stop]
            if stop > start:
                at = choose.integers(0, stop - start, choose.integers(0, 12))
                assert read(segment, number, start, stop, at) == [expected[start + i] for i in at.tolist()]


def test_row_ids_are_relative_and_consecutive_ones_take_no_room(tmp_path: Path) -> None:
    sizes = []
    for row_ids in (np.arange(ROWS), np.random.default_rng(1).permutation(ROWS), np.arange(ROWS) * 3):
        segment = built(row_ids)
        sizes.append(segment.write(tmp_path / "a"))
        again = Segment.open(tmp_path / "a")
        assert again.row_ids(0, ROWS).tolist() == row_ids.tolist()
        assert again.ids == (0, row_ids.max())
        assert again.ascending == (row_ids[0] <= row_ids[1] and bool((np.diff(row_ids) > 0).all()))
        assert again.consecutive == (row_ids.tolist() == list(range(ROWS)))
        ids, order = again.by_row_id()
        assert ids.tolist() == sorted(row_ids.tolist())
        assert (row_ids if order is None else row_ids[order]).tolist() == ids.tolist()
    assert sizes[0] < sizes[1]


def test_sections_are_kept(path: Path) -> None:
    section = Segment.open(path).sections["keys"]
    assert section.head == {"bits": 3}
    assert [buffer.tolist() for buffer in section.load()] == [list(range(9)), []]


def test_opening_reads_the_foot_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentfile, "_TAIL_READ", 64)
    counted = []
    pread = OpenFiles.read

    def counting(self: OpenFiles, file: File, offset: int, into: memoryview) -> int:
        counted.append(len(into))
        return pread(self, file, offset, into)

    monkeypatch.setattr(OpenFiles, "read", counting)
    gc.collect()  # what other tests have left in the cache goes now, not in between
    before = cache.nbytes
    segment = Segment.open(path, path.stat().st_size)
    assert (segment.rows, segment.consecutive, segment.columns[1].zone.high) == (ROWS, True, 99 * 99)
    assert len(counted) == 3, "magic, end, foot"
    assert cache.nbytes <= before


def test_few_rows_of_a_wide_column_are_read_alone(path: Path) -> None:
    segment = Segment.open(path)
    gc.collect()  # as above
    before = cache.nbytes
    assert read(segment, 11, at=np.array([70, 5, 5])) == [value(11, row) for row in (70, 5, 5)]
    assert cache.nbytes - before < ROWS * 512 / 8
    assert read(segment, 11) == [value(11, row) for row in range(ROWS)]
    assert cache.nbytes - before >= ROWS * 512
    del segment
    gc.collect()
    assert cache.nbytes <= before


def places(path: Path) -> Iterator[tuple[str, int, int, int]]:
    """(what, number of the column, offset, length) of each buffer."""
    foot = segmentfile.SegmentFile(path).foot
    for column in foot["columns"]:
        mask = column["valid"] or {"buffers": []}
        for what, buffers in (("values", column["buffers"]), ("mask", mask["buffers"])):
            for offset, length, _ in buffers:
                if length:
                    yield what, column["number"], offset, length


def flip(path: Path, at: int) -> None:
    """Turn one bit."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 16]))


def test_a_flipped_bit_is_found_where_it_matters_and_nowhere_else(path: Path) -> None:
    for what, number, offset, length in places(path):
        for at in {offset, offset + length // 2, offset + length - 1}:
            flip(path, at)
            segment = Segment.open(path)
            with pytest.raises(DataCorrupted) as caught:
                read(segment, number, at=np.array([0, 49, 50, ROWS - 1]))
                read(segment, number)
            assert f'"{path}" is damaged at offset ' in caught.value.message, (what, number)
            stated = int(caught.value.message.split("offset ")[1].split(":")[0])
            assert offset <= stated <= at
            for other in TYPES.keys() - {number}:
                assert read(segment, other, 0, 3) == [value(other, row) for row in range(3)]
            flip(path, at)
    assert read(Segment.open(path), 2) == [value(2, row) for row in range(ROWS)]


def test_a_flipped_bit_in_a_wide_row_leaves_the_other_rows(path: Path) -> None:
    offset = next(offset for what, number, offset, _ in places(path) if (what, number) == ("values", 11))
    flip(path, offset + 50 * 512 + 7)
    segment = Segment.open(path)
    assert read(segment, 11, at=np.array([49, 51])) == [value(11, 49), value(11, 51)]
    with pytest.raises(DataCorrupted, match=f"at offset {offset + 50 * 512}:"):
        read(segment, 11, at=np.array([50]))
    with pytest.raises(DataCorrupted, match=f"at offset {offset + 50 * 512}:"):
        read(segment, 11)


def test_damage_outside_of_buffers_is_found_when_the_file_is_opened(path: Path) -> None:
    data = path.read_bytes()
    foot = int.from_bytes(data[-20:-12], "little")
    for at in (0, 7, len(data) - 20 - foot, len(data) - 30, len(data) - 20, len(data) - 10, len(data) - 1):
        flip(path, at)
        with pytest.raises(DataCorrupted, match="is damaged at offset"):
            Segment.open(path)
        flip(path, at)
    for length in (0, 5, 8, 40, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(
            DataCorrupted, match=f"at offset {length}: it has {length} bytes, not {len(data)}"
        ):
            Segment.open(path, len(data))
        with pytest.raises(DataCorrupted):
            Segment.open(path)
    path.unlink()
    with pytest.raises(DataCorrupted, match="No such file"):
        Segment.open(path)


def test_a_file_cut_while_it_is_read_is_an_error(path: Path) -> None:
    segment = Segment.open(path)
    assert read(segment, 2, 0, 1) == [value(2, 0)]
    with path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataCorrupted, match="it ends there"):
        read(segment, 11)
    assert read(segment, 2, 0, 1) == [value(2, 0)]


def damaged(tmp_path: Path, what: str) -> tuple[Database, int, int]:
    """A database opened after one of two segments of a table, or its file of deleted rows, was cut."""
    database = Database.open(tmp_path)
    table, other = create(database, segment_rows=8), create(database, "other")
    put(database, table, *((key, "a") for key in range(16)))
    put(database, other, (1, "fine"))
    database.optimize(table)
    transaction = database.begin()
    delete(transaction, table, 0)
    transaction.commit()
    database.close()
    path = sorted((tmp_path / "segments").glob(f"{table}-*{what}"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    return Database.open(tmp_path), table, other


@pytest.mark.parametrize("what", [".segment", ".gone"])
def test_a_cut_file_is_named_and_the_rest_can_be_read(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    database, table, other = damaged(tmp_path, what)
    assert what in caplog.text
    with pytest.raises(DataCorrupted, match=what):
        rows(database, table)
    assert rows(database, other) == [(1, "fine")]
    view = database.snapshot().table(table)
    assert view.estimated_rows == 16
    whole = list(view.morsels())[1]
    assert whole.column(view.table.columns[0]).tolist() == list(range(8, 16))
    put(database, other, (2, "goes on"))
    database.close()
    again = Database.open(tmp_path)
    assert rows(again, other) == [(1, "fine"), (2, "goes on")]
    with pytest.raises(DataCorrupted, match=what):
        rows(again, table)
    again.close()


def test_a_file_in_use_stays(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    table = create(database)
    put(database, table, (1, "a"))
    database.optimize(table)
    (old,) = (tmp_path / "segments").iterdir()
    reader = database.begin("repeatable read")
    held = list(reader.snapshot().table(table).morsels())
    cache.limit, limit = 0, cache.limit
    try:
        put(database, table, (2, "b"))
        database.optimize(table)
        assert old in in_use()
        assert old.exists()
        assert held[0].column(database.catalog.table(table).columns[1]).tolist() == ["a"]
    finally:
        cache.limit = limit
    reader.rollback()
    del held, reader
    gc.collect()
    database.optimize(table)
    assert not old.exists()
    database.close()


def test_the_cache_keeps_what_was_used_last_within_its_limit() -> None:
    kept = Cache(100)
    owner = kept.owner()
    loads: list[int] = []

    def get(name: int, modest: bool = False) -> int:
        def load() -> tuple[int, int]:
            loads.append(name)
            return name, 40

        return kept.get((owner, name), load, modest=modest)

    for name in (1, 2, 1, 3, 1, 2):
        assert get(name) == name
    assert loads == [1, 2, 3, 2]
    assert kept.nbytes == 80
    assert get(4, modest=True) == 4
    assert kept.peek((owner, 4)) is None, "no room, and nothing is cold"
    kept.forget(owner)
    assert kept.nbytes == 0
    assert get(5, modest=True) == 5
    assert kept.peek((owner, 5)) == 5
    kept.limit = 0
    assert kept.nbytes == 0


def test_two_that_ask_at_once_load_once() -> None:
    kept = Cache(1000)
    begun, go = threading.Barrier(5), threading.Event()
    loads: list[int] = []

    def load() -> tuple[str, int]:
        loads.append(1)
        go.wait(10)
        return "value", 10

    def ask() -> None:
        begun.wait(10)
        assert kept.get((1, "name"), load) == "value"

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert loads == [1]


def test_a_load_that_fails_is_tried_again() -> None:
    kept = Cache(1000)

    def fail() -> tuple[str, int]:
        raise DataCorrupted("no")

    with pytest.raises(DataCorrupted):
        kept.get((1, "name"), fail)
    assert kept.get((1, "name"), lambda: ("yes", 1)) == "yes"


def test_few_descriptors_are_open(tmp_path: Path) -> None:
    few = OpenFiles(3)
    paths = [tmp_path / str(number) for number in range(10)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number] * 9))
    into = bytearray(4)
    for _ in range(3):
        for number, path in enumerate(paths):
            assert few.read((number, path), 1, memoryview(into)) == 4
            assert into == bytes([number] * 4)
            assert len(few) <= 3
    assert few.read((0, paths[0]), 7, memoryview(into)) == 2
    few.forget((0, paths[0]))
    few.forget((9, paths[9]))
    assert few.read_spans((1, paths[1]), [(0, 2), (5, 7)], memoryview(into)) is None
    assert few.read_spans((1, paths[1]), [(0, 2), (8, 10)], memoryview(into)) == 9
    assert len(few) <= 2


def test_rows_of_several_files_are_read_in_one_go(tmp_path: Path) -> None:
    few = OpenFiles(2)
    paths = [tmp_path / str(number) for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes(range(10 * number, 10 * number + 10)))
    opened = list(enumerate(paths))
    which, places = np.array([4, 0, 3, 4, 1]), np.array([1, 2, 3, 7, 0])
    into = np.zeros((5, 3), np.uint8)
    few.expect_rows(opened, which, places, 3)
    assert few.read_rows(opened, which, places, into) == 5
    assert into[:, 0].tolist() == (10 * which + places).tolist()
    assert (into[:, 2] - into[:, 0]).tolist() == [2] * 5
    assert len(few) <= 2
    assert few.read_rows(opened, which, places + 1, into) == 3, "the fourth ends beyond its file"
    paths[2].unlink()
    with pytest.raises(FileNotFoundError):
        few.read_rows(opened, which, places, into)
    assert len(few) <= 2
    assert few.read_rows(opened[4:], np.array([0]), np.array([0]), into[:1]) == 1


def test_threads_share_descriptors(tmp_path: Path) -> None:
    few = OpenFiles(2)
    paths = [tmp_path / str(number) for number in range(6)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number] * 4096))
    wrong: list[object] = []

    def work(seed: int) -> None:
        choose = np.random.default_rng(seed)
        into = bytearray(4096)
        for number in choose.integers(0, 6, 400).tolist():
            read = few.read((number, paths[number]), 0, memoryview(into))
            wrong.extend([number] if read != 4096 or into != bytes([number] * 4096) else [])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(few) <= 2
    assert len(open_files) <= 257
