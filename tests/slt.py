"""SQL tests as text: what is run, and what comes of it.

    # a comment
    include ../part/points.part
    skip restart: the cursor lives in the session

    run
    SELECT id, name FROM t ORDER BY id
    ----
    1|a
    2|NULL

    run sorted @other
    INSERT INTO t VALUES (1, 'a'); DELETE FROM nosuch
    ----
    INSERT 0 1
    42P01: relation "nosuch" does not exist

A record ends at an empty line. Rows come as text forms joined by '|', in order (`sorted`: sorted as text;
`header`: with the columns' names first); NULL is `NULL`, an empty text `(empty)`, a line break `\\n`.
What gives no rows comes as its tag, an error as SQLSTATE and message with DETAIL and HINT below, a notice
as its severity and message, before everything else (clients see them as early). `@name` runs in a
session of that name. `--complete` writes the answers. `answer @name`, of a statement that waits for other
sessions, is for tests/isolation: see tests.interleaving.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import pq

from engine import forms
from sql.outcome import CopyIn, CopyOut, Done, Empty, Outcome, Rows
from sql.session import Session
from storage.database import Database
from storage.errors import DatabaseError


@dataclass
class Record:
    """One `run` or `answer`: its place, words and text, and the answer that is expected."""

    path: Path
    line: int
    words: tuple[str, ...]
    text: str
    expected: list[str] = field(default_factory=list)

    @property
    def session(self) -> str:
        """The name of the session it runs in."""
        return next((word[1:] for word in self.words if word.startswith("@")), "")


@dataclass
class Script:
    """A file: its records in order, those it includes first where they are included."""

    path: Path
    records: list[Record]
    skips: dict[str, str]


def read(path: Path) -> Script:
    """A file's records. Raises ValueError for what cannot be read."""
    script = Script(path, [], {})
    lines = path.read_text().split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        word, _, rest = line.partition(" ")
        if not line.strip() or line.startswith("#"):
            at += 1
        elif word == "include":
            part = read(path.parent / rest.strip())
            script.records += part.records
            script.skips.update(part.skips)
            at += 1
        elif word == "skip":
            mode, colon, reason = rest.partition(":")
            if not colon or not reason.strip():
                raise ValueError(f"{path}:{at + 1}: skip needs a reason: skip MODE: REASON")
            script.skips[mode.strip()] = reason.strip()
            at += 1
        elif word in ("run", "answer"):
            at = _read_record(path, lines, at, (word, *rest.split()), script.records)
        else:
            raise ValueError(f"{path}:{at + 1}: neither run, answer, include, skip nor a comment: {line!r}")
    return script


def _read_record(path: Path, lines: list[str], at: int, words: tuple[str, ...], records: list[Record]) -> int:
    first, text, expected = at, list[str](), list[str]()
    at += 1
    while at < len(lines) and lines[at].strip() and lines[at] != "----":
        text.append(lines[at])
        at += 1
    if at < len(lines) and lines[at] == "----":
        at += 1
        while at < len(lines) and lines[at]:
            expected.append(lines[at])
            at += 1
    records.append(Record(path, first + 1, words, "\n".join(text), expected))
    return at


def write(path: Path, answers: dict[int, list[str]]) -> None:
    """Put answers, by the line of their record, into a file."""
    lines = path.read_text().split("\n")
    out: list[str] = []
    at = 0
    while at < len(lines):
        if at + 1 not in answers:
            out.append(lines[at])
            at += 1
            continue
        answer = answers[at + 1]
        while at < len(lines) and lines[at].strip() and lines[at] != "----":
            out.append(lines[at])
            at += 1
        while at < len(lines) and lines[at]:
            at += 1
        out += ["----", *answer]
    path.write_text("\n".join(out))


class Runner(Protocol):
    """A way to run texts: each gives the lines of its answer."""

    def run(self, session: str, text: str, words: tuple[str, ...]) -> list[str]: ...

    def answer(self, session: str, words: tuple[str, ...]) -> list[str]:
        """What comes of a statement of the session that waits: in tests.interleaving only."""

    def close(self) -> None: ...


def answer(runner: Runner, record: Record) -> list[str]:
    """What a record gives."""
    if record.words[0] == "answer":
        lines = runner.answer(record.session, record.words)
    else:
        lines = runner.run(record.session, record.text, record.words)
    return sorted(lines) if "sorted" in record.words else lines


# Forms of answers, the same in every mode


def row(values: Iterable[str | None]) -> str:
    """A row as a line."""
    return "|".join(_cell(value) for value in values)


def _cell(value: str | None) -> str:
    if value is None:
        return "NULL"
    return "(empty)" if value == "" else value.replace("\\", "\\\\").replace("\n", "\\n")


def failure(sqlstate: str, message: str, detail: str, hint: str) -> list[str]:
    """An error as lines."""
    lines = [f"{sqlstate}: {message}"]
    lines += [f"DETAIL: {detail}"] if detail else []
    lines += [f"HINT: {hint}"] if hint else []
    return [line.replace("\n", "\\n") for line in lines]


def notice(severity: str, message: str) -> str:
    """A notice as a line."""
    return f"{severity}: {message}"


def hidden(tag: str) -> bool:
    """Whether a tag is left out: it only counts rows that are there."""
    return tag.split(" ")[0] in ("SELECT", "SHOW", "EXPLAIN", "FETCH", "EXECUTE")


# In this process


class Direct:
    """Sessions of a database in this process, without a wire.

    `restart`: the database is closed and opened again before each text that no transaction is open for,
    unless a session holds prepared statements or cursors.
    `seal` is called with the database before such a text; sessions begin with `settings`.
    """

    def __init__(
        self,
        open: Callable[[], Database],
        restart: bool = False,
        seal: Callable[[Database], None] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._open = open
        self._restart = restart
        self._seal = seal
        self._settings = settings or {}
        self.database = open()
        self._sessions: dict[str, Session] = {}

    def _session(self, name: str) -> Session:
        idle = all(session.status == "I" for session in self._sessions.values())
        held = any(session.prepared or session.portals for session in self._sessions.values())
        if self._restart and idle and not held:
            self.close()
            self.database = self._open()
            self._sessions = {}
        if self._seal is not None and idle:
            self._seal(self.database)
        if name not in self._sessions:
            self._sessions[name] = Session(self.database, "glancedb", "glancedb", self._settings)
        return self._sessions[name]

    def run(self, session: str, text: str, words: tuple[str, ...]) -> list[str]:
        """See Runner."""
        chosen = self._session(session)
        lines: list[str] = []
        try:
            for outcome in chosen.simple(text):
                lines += self._lines(chosen, outcome, "header" in words)
        except DatabaseError as error:
            lines += failure(error.sqlstate, error.message, error.detail, error.hint)
        return [notice(n.severity, n.message) for n in chosen.notices()] + lines

    def answer(self, session: str, words: tuple[str, ...]) -> list[str]:
        """See Runner."""
        raise AssertionError("nothing waits in one thread: put the file under tests/isolation")

    def _lines(self, session: Session, outcome: Outcome, header: bool) -> Iterator[str]:
        match outcome:
            case Empty():
                return
            case Rows():
                if header:
                    yield row(f.name for f in outcome.fields)
                for batch in outcome.batches:
                    texts = [forms.text_of(c, session.style).tolist() for c in batch.columns]
                    cells = zip(*texts, strict=True) if texts else iter([()] * batch.rows)
                    for values in cells:
                        yield row(values)
                tag = outcome.complete()
                if not hidden(tag):
                    yield tag
            case Done():
                yield outcome.complete()
            case CopyIn() | CopyOut():
                raise AssertionError("COPY needs a wire: see tests/server")

    def close(self) -> None:
        """See Runner."""
        for session in self._sessions.values():
            session.close()
        self._sessions = {}
        self.database.close()


# Over a wire


class Wire:
    """Connections to a server: ours or PostgreSQL. `extended`: by the extended protocol where it can."""

    def __init__(self, conninfo: str, extended: bool = False) -> None:
        self._conninfo = conninfo
        self._extended = extended
        self._connections: dict[str, psycopg.Connection] = {}
        self._notices: list[str] = []

    def connection(self, name: str) -> pq.abc.PGconn:
        """The connection of a session."""
        if name not in self._connections:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            connection.pgconn.notice_handler = self._on_notice
            self._connections[name] = connection
        return self._connections[name].pgconn

    def connections(self) -> Iterator[tuple[str, pq.abc.PGconn]]:
        """Every session's name and connection."""
        for name, connection in self._connections.items():
            yield name, connection.pgconn

    def _on_notice(self, result: pq.abc.PGresult) -> None:
        severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        self._notices.append(notice(severity, _field(result, pq.DiagnosticField.MESSAGE_PRIMARY)))

    def run(self, session: str, text: str, words: tuple[str, ...]) -> list[str]:
        """See Runner."""
        self.send(session, text)
        connection = self.connection(session)
        lines: list[str] = []
        while (result := _next_result(connection)) is not None:
            lines += result_lines(result, "header" in words)
        return self.take_notices() + lines

    def send(self, session: str, text: str) -> None:
        """Send a text, whose results are then to be taken from the connection."""
        connection = self.connection(session)
        if self._extended and ";" not in text.rstrip().rstrip(";"):
            connection.send_query_params(text.encode(), [], result_format=pq.Format.TEXT)
        else:
            connection.send_query(text.encode())

    def take_notices(self) -> list[str]:
        """The notices that have come since."""
        notices, self._notices = self._notices, []
        return notices

    def answer(self, session: str, words: tuple[str, ...]) -> list[str]:
        """See Runner."""
        raise AssertionError("statements that wait: put the file under tests/isolation")

    def close(self) -> None:
        """See Runner."""
        for connection in self._connections.values():
            connection.close()
        self._connections = {}


def _next_result(connection: pq.abc.PGconn) -> pq.abc.PGresult | None:
    """The next result. Waiting inside libpq would keep a server in this process from running."""
    while connection.is_busy():
        select.select([connection.socket], [], [], 60)
        connection.consume_input()
    return connection.get_result()


def _field(result: pq.abc.PGresult, which: pq.DiagnosticField) -> str:
    value = result.error_field(which)
    return "" if value is None else value.decode()


def result_lines(result: pq.abc.PGresult, header: bool) -> Iterator[str]:
    match result.status:
        case pq.ExecStatus.TUPLES_OK:
            if header:
                yield row((result.fname(i) or b"").decode() for i in range(result.nfields))
            for at in range(result.ntuples):
                values = (result.get_value(at, i) for i in range(result.nfields))
                yield row(None if value is None else value.decode() for value in values)
            tag = (result.command_status or b"").decode()
            if not hidden(tag):
                yield tag
        case pq.ExecStatus.COMMAND_OK:
            yield (result.command_status or b"").decode()
        case pq.ExecStatus.EMPTY_QUERY:
            return
        case pq.ExecStatus.FATAL_ERROR:
            diagnostics = pq.DiagnosticField
            yield from failure(
                _field(result, diagnostics.SQLSTATE),
                _field(result, diagnostics.MESSAGE_PRIMARY),
                _field(result, diagnostics.MESSAGE_DETAIL),
                _field(result, diagnostics.MESSAGE_HINT),
            )
        case _:
            raise AssertionError(f"a result of status {result.status}: COPY is tested in tests/server")
