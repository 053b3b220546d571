"""Who answers: servers of PostgreSQL's protocol, and DuckDB; and whether two answers are the same.

An answer holds values in the text that the wire carried. PostgreSQL's must be met letter by letter, types of
columns and SQLSTATE included, only floats may differ by 1e-12 of themselves. DuckDB has other types (its sums
are 128 bits wide, its averages floats), so what it says is compared by value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

import duckdb
import psycopg
from psycopg.pq import ExecStatus

_BOOL, _FLOATS = 16, (700, 701)
_NUMBERS = (20, 21, 23, 26, 1700, *_FLOATS)
_STAMP = 1114
_TOO_MANY_ROWS = "21000"
CLOSE = 1e-12


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, or the error that came instead of them."""

    types: tuple[int, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    error: str = ""
    message: str = ""


class Peer(Protocol):
    """Somebody who answers queries."""

    name: str

    def ask(self, query: str) -> Answer:
        """The answer to one statement."""

    def agrees(self, ours: Answer, theirs: Answer, ordered: bool) -> bool:
        """Whether an answer of ours is also this one's."""


class Wire:
    """A server that speaks PostgreSQL's protocol."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.connection = psycopg.connect(address, autocommit=True, options="-c statement_timeout=20s")

    def ask(self, query: str) -> Answer:
        """The answer to one statement, by the simple protocol."""
        result = self.connection.pgconn.exec_(query.encode())
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            fields = psycopg.pq.DiagnosticField
            state, words = result.error_field(fields.SQLSTATE), result.error_field(fields.MESSAGE_PRIMARY)
            return Answer(error=(state or b"").decode() or "08000", message=(words or b"").decode())
        columns = range(result.nfields)
        rows = [[result.get_value(row, at) for at in columns] for row in range(result.ntuples)]
        return Answer(
            tuple(result.ftype(at) for at in columns),
            tuple(tuple(None if v is None else v.decode() for v in row) for row in rows),
        )

    def agrees(self, ours: Answer, theirs: Answer, ordered: bool) -> bool:
        """The same error, or the same types and text.

        Whether a subquery with too many rows is met at all depends on the plan.
        """
        if ours.error or theirs.error:
            return ours.error == theirs.error or _TOO_MANY_ROWS in (ours.error, theirs.error)
        if ours.types != theirs.types:
            return False
        floats = [kind in _FLOATS for kind in ours.types]
        parsed = [
            [[_parsed(v, kind) if kind in _FLOATS else v for v, kind in zip(row, answer.types, strict=True)]
             for row in answer.rows]
            for answer in (ours, theirs)
        ]  # fmt: skip
        return same_rows(*parsed, floats, ordered)


class Duck:
    """DuckDB, in this process."""

    name = "DuckDB"

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        self._columns = 0

    def ask(self, query: str) -> Answer:
        """The answer to one statement; what DuckDB refuses has the error "DuckDB"."""
        try:
            rows = self._connection.execute(query).fetchall()
        except duckdb.Error as error:
            return Answer(error="DuckDB", message=str(error))
        return Answer(rows=tuple(tuple(map(_written, row)) for row in rows))

    def agrees(self, ours: Answer, theirs: Answer, ordered: bool) -> bool:
        """The same values; what DuckDB refuses shows nothing."""
        if theirs.error:
            return True
        if ours.error:
            return ours.error == _TOO_MANY_ROWS
        numbers = [kind in _NUMBERS for kind in ours.types]
        parsed = [
            [[_parsed(v, kind) for v, kind in zip(row, ours.types, strict=True)] for row in answer.rows]
            for answer in (ours, theirs)
        ]
        return same_rows(*parsed, numbers, ordered)


def _written(value: Any) -> str | None:
    """A value of DuckDB's as the wire has it, but for numbers' digits."""
    match value:
        case None:
            return None
        case bool():
            return "t" if value else "f"
        case datetime() | date():
            return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
        case int() | float() | Decimal() | str():
            return str(value)
    raise TypeError(type(value))


def _parsed(text: str | None, kind: int) -> Any:
    if text is None:
        return None
    if kind in _NUMBERS:
        return float(text)
    return datetime.fromisoformat(text) if kind == _STAMP else text


def same_rows(
    ours: Sequence[Sequence[Any]], theirs: Sequence[Sequence[Any]], close: Sequence[bool], ordered: bool
) -> bool:
    """Whether rows are the same; columns in `close` hold numbers that may differ by CLOSE of themselves."""
    if len(ours) != len(theirs):
        return False
    if not ordered:
        ours, theirs = (sorted(rows, key=lambda row: _key(row, close)) for rows in (ours, theirs))
    return all(_same_row(a, b, close) for a, b in zip(ours, theirs, strict=True))


def _key(row: Sequence[Any], close: Sequence[bool]) -> list[Any]:
    exact = [(v is not None, v) for v, near in zip(row, close, strict=True) if not near or v is None]
    numbers = [v for v, near in zip(row, close, strict=True) if near and v is not None]
    return [[v is None for v in row], [str(v) for v in exact], numbers]


def _same_row(ours: Iterable[Any], theirs: Iterable[Any], close: Iterable[bool]) -> bool:
    for a, b, near in zip(ours, theirs, close, strict=True):
        if near and a is not None and b is not None:
            # near nothing is told from nothing only by its unit, which is an eighth here
            if not (math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE) or (math.isnan(a) and math.isnan(b))):
                return False
        elif a != b:
            return False
    return True
