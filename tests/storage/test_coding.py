"""Codes of segments: made when rows are sealed and loaded, carried over by merges, right wherever rows go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.codes import Codes, Metric, Question
from storage.database import Database
from storage.definitions import ColumnDefinition
from storage.durability.check import _check_codes, check
from storage.errors import DataCorrupted
from storage.segments import bulk, coding, widerows
from storage.segments.cache import Cache
from storage.segments.coding import codes_of, elements_of, section_of
from storage.segments.openfiles import OpenFiles
from storage.segments.sealed import Sealed
from storage.segments.segment import Section, Segment
from storage.segments.vectors import AnyFile
from storage.segments.widerows import referred
from storage.types import INT8, TEXT, UUID, Type, binary, vector
from tests.storage.rows import crashed, create, delete, insert, put, rows, update

TYPES = {"wide": vector(80), "narrow": vector(40), "binary": binary(320)}


@pytest.fixture(params=["memory", "folder"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = Database.open(None if request.param == "memory" else tmp_path / "data")
    yield database
    database.close()


def row(type: Type, number: int, salt: int = 0) -> tuple[Any, ...]:
    """A row with a vector, or without one; now and then one with elements that are no numbers."""
    if number % 7 == 3:
        return number, None
    elements = np.random.default_rng(1000 * salt + number).standard_normal(80, np.float32)
    if number % 11 == 5:
        elements[number % 40] = np.inf
    return number, elements.tobytes() if type == TYPES["binary"] else elements[: type.width].tolist()


def parts(database: Database, table: int) -> list[Sealed]:
    return [part for part in database.store(table).parts if isinstance(part, Sealed)]


def vector_files(part: Sealed, definition: ColumnDefinition) -> tuple[AnyFile, ...]:
    column = referred(part, definition)
    assert column is not None
    return column.files


def agree(database: Database, table: int) -> int:
    """Whether codes say the truth of each row that is there; how many cells there are."""
    definition = database.catalog.table(table).columns[1]
    elements = elements_of(definition.type)
    assert elements is not None
    cells = 0
    for part in parts(database, table):
        codes = codes_of(part, definition)
        column = part.column(definition, 0, part.rows, None)
        there = np.flatnonzero(column.is_valid())
        if codes is None:
            assert not len(there) or part.segment.columns[definition.number].tag == "constant"
            continue
        cells += codes.cells
        values = np.ascontiguousarray(column.values).view(elements)
        query = np.random.default_rng(1).standard_normal(values.shape[1], np.float32)
        positions, low, high = codes.bounds(Question.of(Metric.DOT, query), range(codes.cells))
        assert sorted(positions.tolist()) == there.tolist()
        scores = values[positions].astype(np.float64) @ query.astype(np.float64)
        sure = np.isfinite(scores)
        assert ((low <= scores) & (scores <= high))[sure].all()
        assert (np.isneginf(low) & np.isposinf(high))[~sure].all()
        assert np.isfinite(low[sure]).any() or not sure.any()
    return cells


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors must not be read from now on."""

    def read(*given: Any) -> Any:
        raise AssertionError("a vector is read")

    monkeypatch.setattr(widerows, "gathered_wide", read)
    monkeypatch.setattr(coding, "gathered_wide", read)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("sort_key", [(), ((1, True),)], ids=["unsorted", "sorted"])
def test_codes_go_where_rows_go(
    database: Database, kind: str, sort_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    type = TYPES[kind]
    table = create(database, columns=(("id", INT8), ("v", type)), sort_key=sort_key)
    for start in (0, 60, 120):
        put(database, table, *(row(type, number) for number in range(start, start + 60)))
        database.optimize(table, "flush")
    assert agree(database, table) >= 3
    transaction = database.begin()
    for number in (5, 77, 140):
        delete(transaction, table, number)
    transaction.commit()
    monkeypatch.setattr(Codes, "worn", False)
    if database.folder is not None and kind != "narrow":
        unread(monkeypatch)
    database.optimize(table, "full")
    assert [part.rows for part in parts(database, table)] == [177]
    assert agree(database, table) >= 3
    expected = [row(type, number) for number in range(180) if number not in (5, 77, 140)]
    assert len(rows(database, table)) == len(expected)


def test_cells_that_became_small_are_made_anew(database: Database) -> None:
    type = TYPES["wide"]
    table = create(database, columns=(("id", INT8), ("v", type)))
    for start in range(0, 100, 10):
        put(database, table, *(row(type, number) for number in range(start, start + 10)))
        database.optimize(table, "flush")
    assert agree(database, table) == 10
    database.optimize(table, "full")
    assert agree(database, table) == 1


def test_centroids_go_with_their_table(database: Database) -> None:
    tables = []
    for name in ("kept", "dropped"):
        tables.append(create(database, name, columns=(("id", INT8), ("v", TYPES["wide"]))))
        put(database, tables[-1], *(row(TYPES["wide"], number) for number in range(40)))
        database.optimize(tables[-1], "flush")
    assert set(database.segments.centroids) == {(table, 2) for table in tables}
    transaction = database.begin()
    transaction.drop(transaction.catalog.table(tables[1]))
    transaction.commit()
    del transaction
    database.tidy()
    assert set(database.segments.centroids) == {(tables[0], 2)}


def test_segments_without_codes_get_them(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are older than codes, or whose codes are of another layout."""
    type = TYPES["wide"]
    table = create(database, columns=(("id", INT8), ("v", type)))
    with monkeypatch.context() as patched:
        patched.setattr(coding.Coding, "section", lambda self: None)
        put(database, table, *(row(type, number) for number in range(40)))
        database.optimize(table, "flush")
    with monkeypatch.context() as patched:
        patched.setattr(coding, "LAYOUT", 0)
        put(database, table, *(row(type, number) for number in range(40, 80)))
        database.optimize(table, "flush")
    put(database, table, *(row(type, number) for number in range(80, 120)))
    database.optimize(table, "flush")
    definition = database.catalog.table(table).columns[1]
    assert [codes_of(part, definition) is None for part in parts(database, table)] == [True, True, False]
    database.optimize(table, "full")
    assert agree(database, table) >= 1


@pytest.mark.parametrize("type", [TEXT, UUID, vector(20), binary(64), binary(130), binary(131)], ids=str)
def test_other_columns_have_none(database: Database, type: Type) -> None:
    table = create(database, columns=(("id", INT8), ("v", type)))
    put(database, table, (1, None), (2, None))
    database.optimize(table, "flush")
    (part,) = parts(database, table)
    assert codes_of(part, ColumnDefinition("v", type, 2)) is None
    assert elements_of(type) is None


def test_loads_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BUDGET", 20 * 330)
    monkeypatch.setattr(bulk, "REST", 100)
    type = TYPES["wide"]
    database = Database.open(tmp_path / "data")
    table = create(database, columns=(("id", INT8), ("v", type)), primary=[1])
    transaction = database.begin()
    for start in range(0, 200, 10):
        insert(transaction, table, *(row(type, number) for number in range(start, start + 10)))
    transaction.commit()
    assert agree(database, table) >= 5
    left = crashed(tmp_path / "data", tmp_path / "left")
    assert [finding for finding in check(left) if finding.level == "damaged"] == []
    database.close()
    again = Database.open(left)
    assert agree(again, table) >= 5
    again.close()


def test_a_start_reads_codes_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the first query reads no file for them; with no room nothing is pushed out for them."""
    type = TYPES["wide"]
    database = Database.open(tmp_path)
    table = create(database, columns=(("id", INT8), ("v", type)))
    put(database, table, *(row(type, number) for number in range(100)))
    database.close()

    def counted() -> int:
        database = Database.open(tmp_path)
        assert database.warming is not None
        database.warming.wait()
        definition = database.catalog.table(table).columns[1]
        (part,) = parts(database, table)
        reads = []
        with monkeypatch.context() as patched:
            read = OpenFiles.read
            patched.setattr(OpenFiles, "read", lambda *given: reads.append(1) or read(*given))  # type: ignore
            codes = codes_of(part, definition)
            assert codes is not None
            codes.finer[0].load()
            (file,) = vector_files(part, definition)
            file.checks.kept()
        database.close()
        return len(reads)

    assert counted() == 0
    monkeypatch.setattr(Cache, "has_room", lambda self, *_: False)
    assert counted() > 0


def test_codes_that_are_not_of_their_rows_are_found(tmp_path: Path) -> None:
    type = TYPES["wide"]
    database = Database.open(tmp_path)
    table = create(database, columns=(("id", INT8), ("v", type)))
    put(database, table, *(row(type, number) for number in range(100)))
    database.close()
    (path,) = (tmp_path / "segments").glob("*.segment")
    definition = ColumnDefinition("v", type, 2)
    for spoil, told in (("others", "not those of its vectors"), ("fewer", "not of the rows")):
        segment = Segment.open(path)
        assert _check_codes(segment, definition, path)
        values = np.random.default_rng(2).standard_normal((100, 80)).astype(np.float32)
        valid = np.array([number % 7 != 3 for number in range(100)])
        valid[0] &= spoil == "others"
        codes = Codes.build(values, valid)
        assert codes is not None
        name = section_of(2)
        head = {**segment.sections[name].head, **codes.head()}
        segment.sections[name] = Section.of(head, codes.buffers())
        with pytest.raises(DataCorrupted, match=f"codes of column 2 are {told}"):
            _check_codes(segment, definition, path)


def test_whatever_happens_to_a_table(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.Random().randrange(1 << 30)
    print("seed", seed)
    choose = random.Random(seed)
    monkeypatch.setattr(widerows, "LOT_BYTES", 320 * 16)
    type = TYPES[choose.choice(list(TYPES))]
    sort_key = choose.choice([(), ((1, True),), ((1, False),)])
    table = create(
        database,
        columns=(("id", INT8), ("v", type)),
        sort_key=sort_key,
        segment_rows=choose.choice([16, 64, 1000]),
    )
    living: set[int] = set()
    for turn in range(40):
        keys = choose.sample(range(300), choose.choice([1, 5, 40]))
        transaction = database.begin()
        match choose.choice(("put", "put", "delete", "update", "merge")):
            case "put":
                insert(transaction, table, *(row(type, key, turn) for key in keys if key not in living))
                living |= set(keys)
            case "delete":
                for key in living & set(keys):
                    delete(transaction, table, key)
                living -= set(keys)
            case "update":
                for key in living & set(keys[:5]):
                    update(transaction, table, key, row(type, key, turn))
            case "merge":
                transaction.commit()
                database.optimize(table, choose.choice(("flush", "some", "full")))
                agree(database, table)
                continue
        transaction.commit()
    database.optimize(table, "full")
    agree(database, table)
    assert len(rows(database, table)) == len(living)


@pytest.mark.parametrize("kind", ["<f8", "i1", "<i2", "<i4", "<i8", "random", "letters"])
def test_bytes_that_are_no_float32_have_no_codes(kind: str) -> None:
    random, shape = np.random.default_rng(3), (600, 512)
    match kind:
        case "random" | "letters":
            low, high = (0, 256) if kind == "random" else (97, 123)
            values = random.integers(low, high, shape, np.uint8)
        case _:
            values = (random.standard_normal(shape) * (1 if kind == "<f8" else 40)).astype(kind)
    codes = Codes.build(np.ascontiguousarray(values).view("<f4"))
    assert codes is not None
    assert (codes.rows, len(codes.unsure)) == (0, len(values))
    assert sum(buffer.nbytes for buffer in codes.buffers()) == 4 * len(values)
