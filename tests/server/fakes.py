"""A session that does what its text says, in a language of its own: for tests of the wire without SQL.

    rows N [B]      N rows (number, 'text N') in batches of B
    wide N          N rows of 100,000 bytes of text, a batch each
    do TAG          a statement without a result
    begin, commit, rollback
    fail            division by zero
    bug             an exception that is no DatabaseError
    set NAME VALUE  a reported setting
    notice TEXT
    echo            one row: the parameters, as text
    copy in|out FORMAT
    wait            until it is cancelled
Statements of a Query are separated by ';'.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from engine import forms
from engine.formats import CopyFormat
from engine.forms.style import PLAIN, Style
from sql.outcome import (
    CopyIn,
    CopyOut,
    Done,
    Empty,
    Field,
    Notice,
    Notification,
    Outcome,
    Pending,
    Prepared,
    Rows,
)
from storage.batch import Batch
from storage.column import Column
from storage.errors import (
    DatabaseError,
    DivisionByZero,
    InFailedSqlTransaction,
    InvalidCursorName,
    InvalidSqlStatementName,
    QueryCanceled,
    UndefinedObject,
)
from storage.types import BY_OID, INT8, TEXT, Type
from storage.waiting import about_to_wait

_PIDS = itertools.count(1000)
FIELDS = (Field("n", INT8), Field("t", TEXT))
BASE = {
    "server_version": "15.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}


def numbered(rows: int, size: int) -> Iterator[Batch]:
    """`rows` rows of FIELDS in batches of `size`."""
    for start in range(0, rows, size):
        numbers = range(start, min(start + size, rows))
        yield Batch.of(Column.of(INT8, numbers), Column.of(TEXT, [f"text {n}" for n in numbers]))


def _wide(rows: int) -> Iterator[Batch]:
    for _ in range(rows):
        yield Batch.of(Column.of(TEXT, ["x" * 100_000]))


class FakePortal:
    """A bound text."""

    binary = False

    def __init__(self, name: str, text: str, parameters: Sequence[Column]) -> None:
        self.name = name
        self.text = text
        self.parameters = parameters
        self.fields = fields_of(text, [c.type for c in parameters])
        self.outcome: Outcome | None = None
        self.left: Batch | None = None

    def take(self, batches: Iterator[Batch], limit: int) -> Iterator[Batch]:
        """Up to `limit` rows, the rest of the last batch kept."""
        while True:
            batch = self.left or next(batches, None)
            self.left = None
            if batch is None:
                return
            if 0 < limit < batch.rows:
                self.left, batch = batch.slice(limit, batch.rows), batch.slice(0, limit)
            yield batch
            if limit == batch.rows:
                return
            limit -= batch.rows


def fields_of(text: str, types: Sequence[Type]) -> tuple[Field, ...] | None:
    """The result columns of a text."""
    word = text.split()[0] if text.split() else ""
    if word == "rows":
        return FIELDS
    if word in ("wide", "wait"):
        return FIELDS[1:]
    if word == "echo":
        return tuple(Field(f"p{n}", type) for n, type in enumerate(types))
    return None


class FakeSession:
    """See the module's text. `calls` is what was asked of it."""

    def __init__(
        self, user: str = "u", database: str = "d", settings: Mapping[str, str] | None = None
    ) -> None:
        if settings and "nonsense" in settings:
            raise UndefinedObject('unrecognized configuration parameter "nonsense"')
        self.user, self.database = user, database
        self.settings = {**BASE, **(settings or {})}
        self.backend_pid = next(_PIDS)
        self.on_terminate: Callable[[], None] | None = None
        self.on_notify: Callable[[], None] | None = None
        self.status: Literal["I", "T", "E"] = "I"
        self.calls: list[str] = []
        self.defers_commits = False
        self.pending: Pending | None = None
        self.taken: list[Batch] = []  # by COPY
        self.closed = False
        self._changed = dict(self.settings)
        self._notices: list[Notice] = []
        self._statements: dict[str, Prepared] = {}
        self._portals: dict[str, FakePortal] = {}
        self._cancel = threading.Event()

    @property
    def style(self) -> Style:
        return PLAIN

    def rest(self) -> None:
        """Nobody asks whether it works."""

    def setting(self, name: str) -> str | None:
        return self.settings.get(name, "0" if name.endswith("timeout") else None)

    def simple(self, text: str) -> Iterator[Outcome]:
        texts = [part.strip() for part in text.split(";") if part.strip()]
        if not texts:
            yield Empty()
        for part in texts:
            yield self._run(part, ())

    def _run(self, text: str, parameters: Sequence[Column]) -> Outcome:
        self._cancel.clear()
        word, *rest = text.split()
        if self.status == "E" and word not in ("rollback", "commit"):
            raise InFailedSqlTransaction(
                "current transaction is aborted, commands ignored until end of transaction block"
            )
        try:
            return self._outcome(word, rest, parameters)
        except DatabaseError:
            self.fail()
            raise

    def _outcome(self, word: str, rest: list[str], parameters: Sequence[Column]) -> Outcome:
        if word in ("copy", "rows", "wait", "wide"):
            about_to_wait()
        match word:
            case "rows":
                rows = int(rest[0])
                size = int(rest[1]) if len(rest) > 1 else 1000
                return Rows(FIELDS, self._checked(numbered(rows, size)), lambda: f"SELECT {rows}")
            case "wide":
                rows = int(rest[0])
                return Rows(FIELDS[1:], self._checked(_wide(rows)), lambda: f"SELECT {rows}")
            case "echo":
                fields = tuple(Field(f"p{n}", c.type) for n, c in enumerate(parameters))
                batch = Batch(tuple(c.spread(1) for c in parameters), 1)
                return Rows(fields, iter([batch]), lambda: "SELECT 1")
            case "do":
                return Done(lambda: " ".join(rest))
            case "begin":
                self.status = "T"
                return Done(lambda: "BEGIN")
            case "commit" | "rollback":
                tag = "COMMIT" if word == "commit" and self.status == "T" else "ROLLBACK"
                self.status = "I"
                self._portals.clear()
                return Done(lambda: tag)
            case "fail":
                raise DivisionByZero("division by zero")
            case "bug":
                raise KeyError("nobody thought of this")
            case "set":
                self.settings[rest[0]] = self._changed[rest[0]] = rest[1]
                return Done(lambda: "SET")
            case "notice":
                self._notices.append(Notice("NOTICE", "00000", " ".join(rest)))
                return Done(lambda: "DO")
            case "copy":
                return self._copy(rest)
            case "wait":
                return Rows(FIELDS[1:], self._waiting(), lambda: "SELECT 0")
        raise AssertionError(f"the fake does not know {word!r}")

    def _checked(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        try:
            for batch in batches:
                if self._cancel.is_set():
                    self.fail()
                    raise QueryCanceled("canceling statement due to user request")
                yield batch
        finally:
            self.calls.append("left")

    def _waiting(self) -> Iterator[Batch]:
        assert self._cancel.wait(30), "nobody cancelled"
        self.fail()
        raise QueryCanceled("canceling statement due to user request")
        yield  # a generator

    def _copy(self, rest: list[str]) -> Outcome:
        formats: dict[str, Literal["text", "csv", "binary"]] = {
            "text": "text",
            "csv": "csv",
            "binary": "binary",
        }
        null, delimiter = ("", ",") if rest[1] == "csv" else ("\\N", "\t")
        format = CopyFormat(
            formats[rest[1]], (INT8, TEXT), ("n", "t"), null=null, delimiter=delimiter, table="t"
        )
        if rest[0] == "in":
            return CopyIn(format, self.taken.append, lambda: f"COPY {sum(b.rows for b in self.taken)}")
        rows = int(rest[2]) if len(rest) > 2 else 3
        return CopyOut(format, numbered(rows, 1000), lambda: f"COPY {rows}")

    def prepare(self, name: str, text: str, parameter_oids: Sequence[int]) -> None:
        if text.startswith("fail to parse"):
            raise UndefinedObject("no such thing")
        types = tuple(BY_OID[oid] for oid in parameter_oids)
        self._statements[name] = Prepared(name, text, types, fields_of(text, types))

    def describe(self, name: str) -> Prepared:
        if name not in self._statements:
            raise InvalidSqlStatementName(f'prepared statement "{name}" does not exist')
        return self._statements[name]

    def bind(self, portal: str, statement: str, parameters: Sequence[Column]) -> FakePortal:
        self._portals[portal] = FakePortal(portal, self.describe(statement).text, parameters)
        return self._portals[portal]

    def portal(self, name: str) -> FakePortal:
        if name not in self._portals:
            raise InvalidCursorName(f'portal "{name}" does not exist')
        return self._portals[name]

    def execute(self, portal: str, limit: int = 0) -> Outcome:
        found = self.portal(portal)
        if not found.text:
            return Empty()
        if found.outcome is None:
            found.outcome = self._run(found.text, found.parameters)
        if isinstance(found.outcome, Rows):
            outcome = found.outcome
            return Rows(outcome.fields, found.take(outcome.batches, limit), outcome.complete)
        return found.outcome

    def close_statement(self, name: str) -> None:
        self._statements.pop(name, None)

    def close_portal(self, name: str) -> None:
        self._portals.pop(name, None)

    def short(self, statement: str) -> None:
        return None

    def short_query(self, text: str) -> None:
        return None

    def once(self, short: object, parameters: object) -> None:
        return None

    def settle(self) -> None:
        self.calls.append("settle")

    def sync(self) -> None:
        self.calls.append("sync")
        if self.status == "I":
            self._portals.clear()

    def fail(self) -> None:
        self.calls.append("fail")
        if self.status == "T":
            self.status = "E"

    def cancel(self) -> None:
        self._cancel.set()

    def forget_cancel(self) -> None:
        self._cancel.clear()

    def close(self) -> None:
        self.closed = True

    def notifications(self) -> list[Notification]:
        return []

    @property
    def quiet(self) -> bool:
        return not self._notices and not self._changed

    def notices(self) -> list[Notice]:
        notices, self._notices = self._notices, []
        return notices

    def parameter_changes(self) -> dict[str, str]:
        changed, self._changed = self._changed, {}
        return changed


def text(column: Column) -> list[str | None]:
    """A column as text."""
    items: list[str | None] = forms.text_of(column).tolist()
    return items
