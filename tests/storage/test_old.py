"""Data folders that earlier servers wrote still open: tests/storage/old holds one of each format.

`contents` says what stands in each of them; running this file as a script writes a folder of today's
format with those contents, to be kept when the format is about to change:

    python -m tests.storage.test_old tests/storage/old/format<n>
"""

from __future__ import annotations

import random
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.types import (
    BOOL,
    BYTEA,
    DATE,
    FLOAT8,
    INT4,
    INT8,
    INTERVAL,
    JSONB,
    NUMERIC,
    TEXT,
    UUID,
    array_of,
    binary,
    numeric,
    varchar,
    vector,
)
from tests.storage.rows import batch, crashed, create, delete, put, rows, update

OLD = Path(__file__).parent / "old"
TYPES = {
    "id": INT8,
    "word": TEXT,
    "few": varchar(8),
    "same": INT4,
    "steps": INT8,
    "ratio": FLOAT8,
    "flag": BOOL,
    "day": DATE,
    "price": numeric(10, 2),
    "wide": NUMERIC,
    "raw": BYTEA,
    "code": binary(6),
    "place": vector(3),
    "key": UUID,
    "span": INTERVAL,
    "tags": array_of(TEXT),
    "note": JSONB,
}
PICTURES = {"id": INT8, "image": binary(512)}


def _row(number: int) -> tuple[Any, ...]:
    null = number % 5 == 4
    return (
        number,
        None if null else f"word {number * 7919 % 101}",
        ("red", "green", None)[number % 3],
        42,
        number // 10,
        None if null else number / 8,
        number % 2 == 0,
        number * 31,
        Decimal(f"{number}.{number % 90 + 10}"),
        None if null else Decimal(number) / 8,
        None if null else bytes([number % 256, 0]),
        bytes([number % 256] * 6),
        None if null else [number / 2, -1.0, 0.5],
        bytes([number % 256] * 16),
        (number, -number, number * 1_000_000),
        None if null else [f"a{number}", "b", None],
        None if null else f'{{"n": {number}}}',
    )


def _picture(number: int) -> tuple[Any, ...]:
    return number, None if number % 7 == 3 else random.Random(number).randbytes(512)


def pictures() -> list[tuple[Any, ...]]:
    """The rows of the table of pictures, which folders have from format 2 on."""
    return sorted((_picture(number) for number in range(40) if number not in (4, 25)), key=repr)


def contents() -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of the wide table and of the keyed one."""
    wide = {number: _row(number) for number in range(60)}
    for number in (3, 11, 55):
        del wide[number]
    wide[7] = (*_row(7)[:1], "updated", *_row(7)[2:])
    keyed = [(number, f"k{number}") for number in range(6) if number != 2] + [(2, "again")]
    return sorted(wide.values(), key=repr), sorted(keyed, key=repr)


def write(folder: Path) -> None:
    """A folder with these contents: segments, marks of deleted rows, and a tail of the log."""
    with_log = folder.with_name(folder.name + ".open")
    database = Database.open(with_log)
    wide = create(database, "wide", columns=tuple(TYPES.items()), segment_rows=40)
    keyed = create(database, "keyed", primary=[1], sort_key=((2, True),))
    put(database, wide, *map(_row, range(30)))
    put(database, wide, *map(_row, range(30, 50)))
    put(database, keyed, *((number, f"k{number}") for number in range(6)))
    shown = create(database, "pictures", columns=tuple(PICTURES.items()), sort_key=((1, True),))
    put(database, shown, *map(_picture, range(30)))
    for table in (wide, keyed, shown):
        database.optimize(table)
    for number in (3, 11):
        _delete(database, wide, number)
    _delete(database, keyed, 2)
    _delete(database, shown, 4)
    database.optimize(keyed)
    put(database, wide, *map(_row, range(50, 60)))
    _delete(database, wide, 55)
    put(database, shown, *map(_picture, range(30, 40)))
    _delete(database, shown, 25)
    transaction = database.begin()
    update(transaction, wide, 7, (*_row(7)[:1], "updated", *_row(7)[2:]))
    transaction.commit()
    put(database, keyed, (2, "again"))
    crashed(with_log, folder)
    database.close()
    shutil.rmtree(with_log)
    (folder / "lock").unlink()
    for path in folder.glob("log-*"):
        path.write_bytes(path.read_bytes().rstrip(b"\0") + bytes(16))


def _delete(database: Database, table: int, key: int) -> None:
    transaction = database.begin()
    assert len(delete(transaction, table, key)) == 1
    transaction.commit()


@pytest.fixture(params=sorted(path.name for path in OLD.iterdir()))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return crashed(OLD / request.param, tmp_path / "data")


def test_an_old_folder_opens_and_goes_on(folder: Path) -> None:
    expected_wide, expected_keyed = contents()
    for _ in range(3):  # as it was, after a checkpoint, after everything was made anew
        database = Database.open(folder)
        tables = {table.name: table.oid for table in database.catalog.tables()}
        wide, keyed, shown = tables["wide"], tables["keyed"], tables.get("pictures")
        assert shown is None or rows(database, shown) == pictures()
        assert rows(database, wide) == expected_wide
        assert rows(database, keyed) == expected_keyed
        transaction = database.begin()
        with pytest.raises(Exception, match="duplicate key"):
            transaction.insert(keyed, batch([(4, "x")]))
        transaction.rollback()
        database.close()
        database = Database.open(folder)
        for table in filter(None, (wide, shown)):
            database.optimize(table)
        database.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
