"""Options, and the collection of .slt files: each is a test in some of the modes.

session    in this process, without a wire (always)
wire       a server on loopback, simple protocol (always)
extended   the same by the extended protocol
restart    the database on disk is closed and opened before each statement
batch1     batches of one row
plain      kernels in numpy only
unruled    the planner's rules are off, and so are hash joins and indexes
spill      batches of sixteen rows, and operators hold next to nothing: they put rows aside in temporary files
encoded    all rows are sealed before each statement, each time in another encoding where it fits
pg         a real PostgreSQL, for tests/slt/pg and tests/isolation, where PG_URI names one; for
           tests/slt/vectors/pgvector, where PGVECTOR_URI names one that has pgvector

Sessions of tests/isolation wait for each other: see tests.interleaving. They need a wire.

Of the modes that are not run always, each takes a tenth of the files: file and mode have a fixed place in a
round of ten, and --slt-seed says whose turn it is. It is the day's number unless it is given, so ten days
in a row run everything; --all-modes does so at once.
"""

from __future__ import annotations

import os
import sys
import uuid
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from engine.memory import Memory
from engine.operators import aggregate, loopparts
from sql.planning import SWITCHES
from sql.session import Session
from storage import encodings, kernels
from storage.database import Database
from storage.definitions import Table
from storage.kernels import choice
from tests import slt
from tests.interleaving import Interleaved

ALWAYS = ("session", "wire")
MODES = (*ALWAYS, "extended", "restart", "batch1", "plain", "unruled", "spill", "encoded")
ROUND = 10
FOLDER = Path(__file__).parent / "slt"
ISOLATION = Path(__file__).parent / "isolation"
PGVECTOR = FOLDER / "vectors" / "pgvector"
WIRES = ("wire", "extended")
UNRULED = ("hashjoin", "indexscan", *SWITCHES)


# how long one example takes says more of the machine than of the code
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this suite."""
    parser.addoption("--all-modes", action="store_true", help="run tests/slt in every mode")
    parser.addoption("--slt-seed", type=int, help="whose turn it is in modes that are not run always")
    parser.addoption("--slow", action="store_true", help="run the tests that are marked slow")
    parser.addoption("--complete", action="store_true", help="write the answers of tests/slt")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed here, so that xdist hands the same one to all of its workers."""
    if config.option.slt_seed is None:
        config.option.slt_seed = date.today().toordinal()


def pytest_report_header(config: pytest.Config) -> str:
    """Which files run in which modes follows from this."""
    return f"tests/slt: --slt-seed={config.option.slt_seed}"


def turn(path: Path, mode: str, seed: int) -> bool:
    """Whether it is this file's turn in this mode."""
    name = f"{os.path.relpath(path, FOLDER)} {mode}"
    return (zlib.crc32(name.encode()) + seed) % ROUND == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is slow, unless asked."""
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Every .slt file is a collection of one test a mode."""
    if file_path.suffix == ".slt":
        collected: pytest.Collector = SltFile.from_parent(parent, path=file_path)
        return collected
    return None


class SltFile(pytest.File):
    """A .slt file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item a mode."""
        script = slt.read(self.path)
        every, seed = self.config.getoption("--all-modes"), self.config.getoption("--slt-seed")
        parents = self.path.parents
        possible = WIRES if ISOLATION in parents else MODES
        modes = [mode for mode in possible if every or mode in ALWAYS or turn(self.path, mode, seed)]
        postgres = bool(_postgres_uri(parents))
        if self.config.getoption("--complete"):
            modes = ["pg" if postgres else modes[0]]
        elif postgres:
            modes.insert(0, "pg")
        for mode in modes:
            item = SltItem.from_parent(self, name=mode, script=script)
            if mode in script.skips:
                item.add_marker(pytest.mark.skip(reason=script.skips[mode]))
            yield item


def _postgres_uri(parents: Sequence[Path]) -> str:
    """The PostgreSQL that answers a file of these folders, '' where none does."""
    if PGVECTOR in parents:
        return os.environ.get("PGVECTOR_URI", "")
    return os.environ.get("PG_URI", "") if {FOLDER / "pg", ISOLATION} & set(parents) else ""


class WrongAnswer(Exception):
    """A record whose answer is not the expected one."""


class SltItem(pytest.Item):
    """A .slt file in one mode."""

    def __init__(self, *, script: slt.Script, **more: Any) -> None:
        super().__init__(**more)
        self.script = script

    def runtest(self) -> None:
        """Run every record; with --complete write what came."""
        folder = self.config._tmp_path_factory.mktemp(f"slt-{self.name}")  # type: ignore[attr-defined]
        answers: dict[int, list[str]] = {}
        with runner(self.name, folder, self.path.parents) as running:
            for record in self.script.records:
                got = slt.answer(running, record)
                if self.config.getoption("--complete") and record.path == self.path:
                    answers[record.line] = got
                elif got != record.expected:
                    raise WrongAnswer(_difference(record, got))
        if answers:
            slt.write(self.path, answers)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A wrong answer as itself, everything else with its traceback."""
        if isinstance(excinfo.value, WrongAnswer):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """What pytest prints of it."""
        return self.path, 0, f"{self.path.name} [{self.name}]"


def _difference(record: slt.Record, got: list[str]) -> str:
    return "\n".join(
        [
            f"{record.path}:{record.line}: another answer",
            record.text,
            "---- expected",
            *record.expected,
            "---- came",
            *got,
        ]
    )


@contextmanager
def runner(mode: str, folder: Path, parents: Sequence[Path] = ()) -> Iterator[slt.Runner]:
    """What runs records of a file in this mode."""
    connect = Interleaved if ISOLATION in parents else slt.Wire
    if mode == "pg":
        with postgres_database(_postgres_uri(parents)) as address:
            wire = connect(address)
            try:
                yield wire
            finally:
                wire.close()
        return
    if mode in WIRES:
        from server.listener import Config, Server

        with closing_database(folder) as database:
            config = Config(port=0)
            sessions = lambda user, name, given: Session(database, user, name, given)  # noqa: E731
            with Server(database, config, sessions=sessions) as server:
                address = f"host=127.0.0.1 port={server.port} user=glancedb dbname=glancedb"
                wire = connect(address, extended=mode == "extended")
                try:
                    yield wire
                finally:
                    wire.close()
        return
    if mode == "restart":
        running: slt.Runner = slt.Direct(lambda: Database.open(folder / "data"), restart=True)
    else:
        seal = Sealing() if mode == "encoded" else None
        settings = {f"enable_{name}": "off" for name in UNRULED} if mode == "unruled" else {}
        running = slt.Direct(lambda: Database.open(None), seal=seal, settings=settings)
    with _patched(mode):
        try:
            yield running
        finally:
            running.close()


class Sealing:
    """Seals all rows of a database, each time trying another encoding first."""

    def __init__(self) -> None:
        self._tags = deque(encodings.BY_TAG)

    def __call__(self, database: Database) -> None:
        """Seal; what is sealed already stays as it is."""
        self._tags.rotate()
        os.environ[encodings.FORCED] = " ".join(self._tags)
        for relation in database.catalog.relations.values():
            if isinstance(relation, Table):
                database.optimize(relation.oid, "flush")


@contextmanager
def postgres_database(uri: str) -> Iterator[str]:
    """The address of a new database of a PostgreSQL server, which is dropped at the end."""
    name = f"slt_{uuid.uuid4().hex}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8'")
        try:
            yield make_conninfo(uri, dbname=name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def closing_database(folder: Path) -> Iterator[Database]:
    """A database in a folder, closed at the end."""
    database = Database.open(folder / "data")
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _patched(mode: str) -> Iterator[None]:
    """What a mode changes in the whole process."""
    with mock.patch.dict(os.environ):
        patches: list[Any]
        if mode in ("batch1", "spill"):
            modules = [m for m in list(sys.modules.values()) if getattr(m, "BATCH_ROWS", None) is not None]
            rows = 1 if mode == "batch1" else 16
            patches = [mock.patch.object(module, "BATCH_ROWS", rows) for module in modules]
        elif mode == "plain":
            patches = [mock.patch.object(kernels, name, kernel) for name, kernel in plain_kernels()]
        else:
            patches = []
        if mode == "spill":
            patches += [mock.patch.object(Memory, "limit", 1000), mock.patch.object(aggregate, "FEW", 0)]
            patches += [mock.patch.object(loopparts, "FEWEST_ROWS", 3)]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in reversed(patches):
                patch.stop()


def plain_kernels() -> list[tuple[str, Any]]:
    """Every kernel's numpy twin, by its name."""
    return list(choice.plain_kernels().items())
