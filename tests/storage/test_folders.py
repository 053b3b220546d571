"""Data folders that cannot be used as they are: what is said, and that nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crc32c
import pytest

from storage import codec, encodings
from storage.database import Database
from storage.durability import log
from storage.durability.replay import replay
from storage.errors import DataCorrupted
from storage.types import INT4
from tests.storage.rows import crashed, create, put, rows

ROOT = Path(__file__).parents[2]
NOBODY = 65534


OPENING = """
import os, sys
from pathlib import Path
from storage.database import Database
from storage.errors import DatabaseError
if os.geteuid() == 0:
    os.seteuid(int(sys.argv[1]))  # whom permissions mean something to
for folder in sys.argv[2:]:
    try:
        Database.open(Path(folder)).close()
        print("opened")
    except DatabaseError as error:
        print(error.sqlstate, error.message)
"""


def opened(folders: list[Path]) -> list[str]:
    """What opening each says, to somebody who is not root and owns them."""
    for path in (path for folder in folders for path in (folder, *folder.rglob("*"))):
        os.chown(path, NOBODY, NOBODY) if os.geteuid() == 0 else None
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GLANCEDB_KERNELS": "plain"}
    command = [sys.executable, "-c", OPENING, str(NOBODY), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that others can reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_what_may_not_be_read_or_written(reachable: Path) -> None:
    tmp_path = reachable
    database = Database.open(tmp_path / "data")
    put(database, create(database), (1, "a"))
    database.close()
    denied = "input/output failed: [Errno 13] Permission denied: '{folder}"
    cases = (
        (".", 0o700, "opened"),
        (".", 0o000, '58030 data folder "{folder}" cannot be used: Permission denied'),
        ("lock", 0o000, '58030 data folder "{folder}" cannot be used: Permission denied'),
        ("manifest", 0o000, f"58030 {denied}/manifest'"),
        ("segments", 0o000, f"58030 {denied}/segments'"),
        (".", 0o500, f"58030 {denied}/log-00000003.part'"),
    )
    folders = [crashed(tmp_path / "data", tmp_path / f"data{number}") for number in range(len(cases))]
    letter = tmp_path / "letter"
    letter.write_text("dear")
    for folder, (name, mode, _) in zip(folders, cases, strict=True):
        (folder / name).chmod(mode)
    *answers, last = opened([*folders, letter])
    for folder, (_, _, expected), answer in zip(folders, cases, answers, strict=True):
        assert answer == expected.format(folder=folder)
    assert last.startswith("58030 ")
    assert letter.read_text() == "dear"
    for folder, (name, _, _) in zip(folders, cases, strict=True):
        (folder / name).chmod(0o700)
    assert set(opened(folders)) == {"opened"}


def test_a_manifest_of_a_newer_format(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    path = tmp_path / "manifest"
    body = json.loads(path.read_bytes())
    del body["crc32c"]
    body["format"] = 99
    body["crc32c"] = crc32c.crc32c(codec.json_bytes(body))
    path.write_bytes(codec.json_bytes(body))
    with pytest.raises(DataCorrupted, match="has format 99, this server reads") as caught:
        Database.open(tmp_path)
    assert caught.value.hint == "Use the version of the server that wrote it."


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "hologram", "oid": 99_999, "name": "h"},
        {"kind": "role", "oid": 99_999, "name": "r", "superuser": False, "aura": 7},
        {"kind": "view", "oid": 99_999, "name": "v"},
    ],
)
def test_definitions_of_a_newer_version(tmp_path: Path, change: dict[str, Any]) -> None:
    """Of a format that is known: a server without this kind of thing cannot guess what it is."""
    Database.open(tmp_path).close()
    path = tmp_path / "manifest"
    body = json.loads(path.read_bytes())
    del body["crc32c"]
    body["catalog"]["items"].append(change)
    body["crc32c"] = crc32c.crc32c(codec.json_bytes(body))
    path.write_bytes(codec.json_bytes(body))
    with pytest.raises(DataCorrupted, match="database files are incompatible with server") as caught:
        Database.open(tmp_path)
    assert f'kind "{change["kind"]}"' in caught.value.detail
    assert caught.value.hint == "Use the version of the server that wrote it."
    assert path.read_bytes() == codec.json_bytes(body)


def test_an_encoding_of_a_newer_version() -> None:
    with pytest.raises(DataCorrupted, match="database files are incompatible with server") as caught:
        encodings.read("entangled", INT4, {}, [])
    assert 'the encoding "entangled"' in caught.value.detail


def test_a_log_of_a_newer_format(tmp_path: Path) -> None:
    head = b"GDBLOG77" + log.header(1, b"salt")[8:20]
    head += crc32c.crc32c(head).to_bytes(4, "little")
    (tmp_path / log.name(1)).write_bytes(head + bytes(100))
    with pytest.raises(DataCorrupted, match="has format 77, this server reads up to 2") as caught:
        Database.open(tmp_path)
    assert caught.value.hint == "Use the version of the server that wrote it."
    assert (tmp_path / log.name(1)).exists()


def test_a_clock_that_goes_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 2_000_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    database = Database.open(tmp_path)
    table = create(database, primary=[1])
    for number in range(6):
        put(database, table, (number, "a"))
        now -= 86_400.0 * 365
        if number % 2:
            database.checkpoint()
    expected = [(number, "a") for number in range(6)]
    assert rows(database, table) == expected
    database.close()
    database = Database.open(tmp_path)
    put(database, table, (6, "a"))
    assert rows(database, table) == [*expected, (6, "a")]
    database.close()


def test_replay_holds_one_record_at_a_time(tmp_path: Path) -> None:
    written = log.Log(tmp_path, 1)
    for _ in range(40):
        written.append([bytes(1 << 20)])
    written.close()
    tracemalloc.start()
    try:
        assert sum(len(payload) for payload in replay(tmp_path, 1)) == 40 << 20
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()
