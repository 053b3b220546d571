"""Lookups by hash index against scans: random changes, sealing, truncation, old and new snapshots."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.column import Column
from storage.database import Database
from storage.definitions import KeyColumns
from storage.errors import UniqueViolation
from storage.indexes.hashindex import hashed
from storage.seams import Snapshot
from storage.segments.sealed import Sealed
from storage.segments.segment import Section
from storage.types import BPCHAR, FLOAT8, INET, INT8, JSONB, NUMERIC, TEXT, array_of
from tests.storage.rows import batch, create, delete, ids_where, insert, put, rows, rows_with_ids, update

ID, WORD, BOTH = KeyColumns((1,)), KeyColumns((2,)), KeyColumns((2, 1))
IDS = [0, 1, 2, 3, None]
WORDS = ["", "a", "b", None]


def found(
    snapshot: Snapshot, table: int, columns: KeyColumns, keys: list[tuple[Any, ...]]
) -> list[Counter[int]]:
    """The row ids that a lookup gives, for each key."""
    view = snapshot.table(table)
    types = [view.table.definition(number).type for number in columns.numbers]
    values = [
        Column.of(type, list(items)) for type, items in zip(types, zip(*keys, strict=True), strict=True)
    ]
    result: list[Counter[int]] = [Counter() for _ in keys]
    for morsel, positions, asked in view.lookup(columns, values):
        for row_id, key in zip(morsel.row_ids(positions).tolist(), asked.tolist(), strict=True):
            result[key][row_id] += 1
    return result


def scanned(
    snapshot: Snapshot, table: int, columns: KeyColumns, keys: list[tuple[Any, ...]]
) -> list[Counter[int]]:
    """The same by looking at every row."""
    result: list[Counter[int]] = [Counter() for _ in keys]
    for row_id, row in rows_with_ids(snapshot, table).items():
        key = tuple(row[number - 1] for number in columns.numbers)
        for at, asked in enumerate(keys):
            if key == asked and None not in key:
                result[at][row_id] += 1
    return result


def assert_same(snapshot: Snapshot, table: int) -> None:
    for columns, keys in (
        (ID, [(i,) for i in IDS]),
        (WORD, [(w,) for w in WORDS]),
        (BOTH, [(w, i) for w in WORDS for i in IDS]),
    ):
        assert found(snapshot, table, columns, keys) == scanned(snapshot, table, columns, keys)


row = st.tuples(st.sampled_from(IDS), st.sampled_from(WORDS))
step = st.one_of(
    st.tuples(st.just("insert"), st.lists(row, min_size=1, max_size=4)),
    st.tuples(st.just("delete"), st.sampled_from(IDS)),
    st.tuples(st.just("update"), st.sampled_from(IDS), row),
    st.tuples(st.sampled_from(["truncate", "commit", "optimize", "keep", "savepoint", "back", "look"])),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(step, max_size=25))
def test_lookups_find_what_scans_find(steps: list[tuple[Any, ...]]) -> None:
    database = Database.open(None)
    table = create(database)
    transaction, kept = database.begin(), []
    savepoint = transaction.savepoint()
    for name, *arguments in steps:
        match name:
            case "insert":
                insert(transaction, table, *arguments[0])
            case "delete":
                delete(transaction, table, arguments[0])
            case "update":
                ids = ids_where(transaction, table, arguments[0])
                transaction.update(table, ids, batch([arguments[1]] * len(ids)))
            case "truncate":
                transaction.truncate(table)
            case "savepoint":
                savepoint = transaction.savepoint()
            case "back":
                transaction.rollback_to(savepoint)
            case "commit":
                transaction.commit()
                transaction = database.begin()
                savepoint = transaction.savepoint()
            case "optimize":
                database.optimize(table)
            case "keep":
                kept.append(database.snapshot())
        assert_same(transaction.snapshot(), table)
        for snapshot in kept:
            assert_same(snapshot, table)
    transaction.rollback()
    database.close()


@pytest.mark.parametrize(
    ("type", "stored", "asked"),
    [(FLOAT8, -0.0, 0.0), (FLOAT8, float("nan"), -float("nan")), (BPCHAR, "a ", "a"), (TEXT, "é", "é")],
)
def test_equal_values_are_found(type: Any, stored: Any, asked: Any) -> None:
    database = Database.open(None)
    table = create(database, columns=[("k", type)])
    put(database, table, (stored,))
    for _ in range(2):
        assert found(database.snapshot(), table, ID, [(asked,)])[0]
        database.optimize(table)


def test_numerics_of_another_scale_are_found() -> None:
    database = Database.open(None)
    table = create(database, columns=[("k", NUMERIC)])
    put(database, table, (Decimal("1.10"),), (Decimal("NaN"),))
    for _ in range(2):
        assert found(database.snapshot(), table, ID, [(Decimal("1.1"),), (Decimal("NaN"),)]) != [{}, {}]
        database.optimize(table)


def test_a_key_that_is_updated_often_gathers_no_versions() -> None:
    database = Database.open(None)
    table = create(database, primary=[1])
    put(database, table, (1, "a"), (2, "b"))
    for turn in range(500):
        transaction = database.begin()
        update(transaction, table, 1, (1, str(turn)))
        transaction.commit()
        del transaction
    store = database.store(table)
    _, row_ids = store.indexes[ID].probe(_hash(1))
    assert len(row_ids) < 100
    assert rows(database, table) == [(1, "499"), (2, "b")]
    with pytest.raises(UniqueViolation):
        put(database, table, (1, "x"))


def _hash(key: int) -> np.ndarray:
    return hashed([Column.of(INT8, [key])], 1).hashes


def test_keys_are_checked_against_a_large_table_by_hash(tmp_path: Path) -> None:
    """Twenty batches of a load, then a doubled key in the first of them, before and after sealing."""
    database = Database.open(tmp_path / "data")
    table = create(database, primary=[1])
    keys = np.random.default_rng(1).permutation(40_000)
    transaction = database.begin()
    for start in range(0, len(keys), 2_000):
        insert(transaction, table, *((key, "x") for key in keys[start : start + 2_000].tolist()))
    for taken in (int(keys[7]), int(keys[-7])):
        savepoint = transaction.savepoint()
        with pytest.raises(UniqueViolation) as caught:
            insert(transaction, table, (-1, "y"), (taken, "y"))
        assert caught.value.detail == f"Key (id)=({taken}) already exists."
        transaction.rollback_to(savepoint)
    transaction.commit()
    for _ in range(2):
        with pytest.raises(UniqueViolation):
            put(database, table, (-1, "y"), (int(keys[7]), "y"))
        database.optimize(table)
    database.close()
    database = Database.open(tmp_path / "data")
    with pytest.raises(UniqueViolation):
        put(database, table, (int(keys[7]), "y"))
    database.close()


def test_indexes_of_keys_whose_bytes_changed_are_made_anew(tmp_path: Path) -> None:
    """Of documents, which earlier servers hashed by their text; others are read as they stand."""
    database = Database.open(tmp_path / "data")
    types = (("id", INT8), ("doc", JSONB), ("hosts", array_of(INET)))
    table = create(database, columns=types, primary=[1], unique=[[2], [3]])
    put(database, table, (1, "1", ["::1"]), (2, "[]", ["10.0.0.1"]))
    database.optimize(table)
    (part,) = database.store(table).parts
    assert isinstance(part, Sealed)
    sections = part.segment.sections
    assert [sections[f"hash:{n}"].head["version"] for n in (1, 2, 3)] == [1, 2, 2]
    for changed in (False, True):
        with pytest.raises(UniqueViolation):
            put(database, table, (3, "1.0", ["::2"]))
        with pytest.raises(UniqueViolation):
            put(database, table, (3, "2", ["10.0.0.1"]))
        assert len(part.indexes) == (2 if changed else 0)
        for name in ("hash:2", "hash:3"):
            sections[name] = Section.of({"version": 1, "rows": 2}, [])
    database.close()


def test_a_segments_file_holds_its_indexes(tmp_path: Path) -> None:
    """Made when a segment is sealed, read when it is asked for, made anew where it is of another version."""
    database = Database.open(tmp_path / "data")
    table = create(database, primary=[1], unique=[[2, 1]])
    put(database, table, *((key, str(key % 7)) for key in range(1000)))
    database.optimize(table)
    database.close()
    for changed in (False, True):
        database = Database.open(tmp_path / "data")
        (part,) = database.store(table).parts
        assert isinstance(part, Sealed)
        assert set(part.segment.sections) == {"hash:1", "hash:2,1"}
        if changed:
            part.segment.sections["hash:1"] = Section.of({"version": 0, "rows": 1}, [])
        assert [len(f) for f in found(database.snapshot(), table, ID, [(7,), (1000,)])] == [1, 0]
        assert (ID in part.indexes) == changed
        with pytest.raises(UniqueViolation):
            put(database, table, (7, "y"))
        database.close()
