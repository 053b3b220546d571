"""Certified scans where codes cannot pay, against the plain scan of the same rows in the same run.

A plan that asks codes is to do no worse than the one that reads every vector by more than a tenth. So rows
are made that nothing can be said of (noise around the threshold, rows that are equal), rows that look
well at first (the first segments, the first half of each segment), and thresholds that every row or no row
passes. Queries are asked in turn with `enable_certified_scan` on and off; the answers have to be the same.
The second ratio is that of the fastest runs, the third that of the least that the server computed for one:
on a machine that others use they say more.

WORST_ROWS (131072) rows of 1024 float32, in segments of an eighth of them.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from bench import server
from bench.memory import cpu_seconds
from bench.peers import THREADS
from bench.table import Table
from bench.vectors import DIMENSIONS, Vectors, unit
from engine.formats.tuples import SIGNATURE

ROWS = int(os.environ.get("WORST_ROWS", "131072"))
_SEGMENT = max(ROWS // 8, 1)
_TIMES, _SECONDS = 21, 1.0  # at least
_ABOVE = "SELECT count(*) FROM v WHERE DOT_PRODUCT(image, %b) > {}"
_BELOW = "SELECT count(*) FROM v WHERE image <-> %b < {}"
_ANGLE = "SELECT count(*) FROM v WHERE image <=> %b < {}"
_BEST = "SELECT id FROM v ORDER BY DOT_PRODUCT(image, %b) DESC LIMIT 10"
_LAYOUT = np.dtype(
    [("n", ">i2"), ("l", ">i4"), ("id", ">i8"), ("m", ">i4"), ("h", ">u2", 2), ("image", ">f4", DIMENSIONS)]
)


@dataclass(frozen=True)
class Case:
    """Rows, a query, and what is asked."""

    name: str
    rows: Callable[[int, np.random.Generator], Vectors]
    query: Callable[[Vectors], Vectors]
    texts: tuple[str, ...]


def _noise(count: int, rng: np.random.Generator) -> Vectors:
    return unit(rng.standard_normal((count, DIMENSIONS), np.float32))


def _equal(count: int, rng: np.random.Generator) -> Vectors:
    return np.repeat(_noise(1, np.random.default_rng(0)), count, axis=0)


def _alike(count: int, rng: np.random.Generator) -> Vectors:
    """Equal ones, but for a few: those are not kept as one value."""
    rows = _equal(count, rng)
    rows[::4096] = _noise(len(rows[::4096]), rng)
    return rows


def _far(count: int, rng: np.random.Generator) -> Vectors:
    """Rows whose products with the query of `_axis` are far below all thresholds."""
    rows = 0.3 * _noise(count, rng)
    rows[:, 0] = -0.9
    return unit(rows)


def _near(count: int, rng: np.random.Generator) -> Vectors:
    """Rows whose products with it are .5, nearly."""
    rows = _noise(count, rng)
    rows[:, 0] = 0
    rows = np.float32(np.sqrt(0.75)) * unit(rows)
    rows[:, 0] = 0.5 + 1e-5 * rng.standard_normal(count)
    return rows


def _later(count: int, rng: np.random.Generator) -> Vectors:
    rows = _near(count, rng)
    rows[: 2 * _SEGMENT] = _far(min(2 * _SEGMENT, count), rng)
    return rows


def _half(count: int, rng: np.random.Generator) -> Vectors:
    rows = _near(count, rng)
    first = np.arange(count) % _SEGMENT < _SEGMENT // 2
    rows[first] = _far(int(first.sum()), rng)
    return rows


def _lengths(count: int, rng: np.random.Generator) -> Vectors:
    return (_noise(count, rng) * np.exp(4 * rng.standard_normal((count, 1)))).astype(np.float32)


def _axis(rows: Vectors) -> Vectors:
    query = np.zeros(DIMENSIONS, np.float32)
    query[0] = 1
    return query


def _other(rows: Vectors) -> Vectors:
    return _noise(1, np.random.default_rng(77))[0]


def _first(rows: Vectors) -> Vectors:
    return rows[0]


CASES = (
    Case(
        "noise",
        _noise,
        _other,
        (
            _ABOVE.format(0),
            _ABOVE.format(0.03),
            _ABOVE.format(0.1),
            _BELOW.format(1.414),
            _ANGLE.format(1.0),
            _BEST,
        ),
    ),
    Case("noise, all or none pass", _noise, _other, (_ABOVE.format(-2), _ABOVE.format(2), _BELOW.format(3))),
    Case(
        "all rows equal", _equal, _first, (_ABOVE.format(1), _ABOVE.format(0.999), _BELOW.format(1e-9), _BEST)
    ),
    Case(
        "nearly all rows equal",
        _alike,
        lambda rows: rows[1],
        (_ABOVE.format(1), _ABOVE.format(0.999), _BELOW.format(1e-9), _BEST),
    ),
    Case("all rows at the threshold", _near, _axis, (_ABOVE.format(0.5), _BELOW.format(1.0), _BEST)),
    Case("all but the first segments", _later, _axis, (_ABOVE.format(0.5),)),
    Case("the second half of each segment", _half, _axis, (_ABOVE.format(0.5), _BEST)),
    Case("lengths of all sizes", _lengths, _other, (_ABOVE.format(0), _BELOW.format(10.0), _BEST)),
)


def main() -> None:
    """Print the table."""
    table = Table(
        f"{ROWS} rows of {DIMENSIONS} float32, {THREADS} threads: codes where they cannot pay",
        (
            "",
            "ms",
            "ms without codes",
            "ratio",
            "of the fastest",
            "of least CPU",
            "% answers",
            "% read in full",
        ),
    )
    with server.process() as (url, pid), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set columnstore_segment_rows = " + str(_SEGMENT))
        for case in CASES:
            rows = case.rows(ROWS, np.random.default_rng(5))
            _load(connection, rows)
            for text in case.texts:
                _compare(connection, pid, case, text, case.query(rows), table)
    table.print()


def _load(connection: psycopg.Connection[Any], rows: Vectors) -> None:
    connection.execute("drop table if exists v")
    connection.execute(f"create table v (id bigint, image vector({DIMENSIONS}))")
    with connection.cursor().copy("copy v from stdin (format binary)") as copy:
        copy.write(SIGNATURE + bytes(8))
        for start in range(0, len(rows), 8192):
            block = rows[start : start + 8192]
            wire = np.zeros(len(block), _LAYOUT)
            wire["n"], wire["l"], wire["m"] = 2, 8, 4 + 4 * DIMENSIONS
            wire["h"] = DIMENSIONS, 0
            wire["id"], wire["image"] = start + np.arange(len(block)), block
            copy.write(wire.tobytes())
        copy.write(b"\xff\xff")
    connection.execute("optimize table v full")


def _compare(
    connection: psycopg.Connection[Any], pid: int, case: Case, text: str, query: Vectors, table: Table
) -> None:
    sent = "[" + ",".join(map(repr, query.tolist())) + "]"
    cursor = connection.cursor(binary=True)
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    computed: dict[str, list[float]] = {"on": [], "off": []}
    answers: dict[str, list[Any]] = {}
    while len(seconds["off"]) <= _TIMES or sum(map(sum, seconds.values())) < _SECONDS:
        for mode, times in seconds.items():
            connection.execute(f"set enable_certified_scan = {mode}")
            began, before = time.perf_counter(), cpu_seconds(pid)
            answers[mode] = cursor.execute(text.replace("%b", "%t::vector"), (sent,), prepare=True).fetchall()
            times.append(time.perf_counter() - began)
            computed[mode].append(cpu_seconds(pid) - before)
    assert answers["on"] == answers["off"], (case.name, text)
    ours, plain = (statistics.median(times[1:]) for times in seconds.values())
    fastest = min(seconds["on"]) / min(seconds["off"])
    cpu = min(computed["on"]) / min(computed["off"])
    connection.execute("set enable_certified_scan = on")
    full = _read_in_full(connection, text, sent)
    passed = answers["on"][0][0] if text.startswith("SELECT count") else len(answers["on"])
    what = text.partition("ORDER" if text == _BEST else "WHERE")[2].replace("%b", "q")
    table.row(
        f"{case.name}:{what}", ours * 1e3, plain * 1e3, ours / plain, fastest, cpu, 100 * passed / ROWS, full
    )


def _read_in_full(connection: psycopg.Connection[Any], text: str, sent: str) -> float:
    """The share of rows whose vectors were read, by the certificate."""
    lines = connection.execute("explain (analyze) " + text.replace("%b", f"'{sent}'::vector")).fetchall()
    found = dict(line.strip().split(": ", 1) for (line,) in lines if ": " in line)
    if "Rows Read in Full" not in found:
        return 100.0
    return 100 * (int(found["Rows Read in Full"]) + int(found["Rows Without Codes"])) / ROWS
