"""Decoding: GB/s of decoded data by encoding, whole and by predicate, beside the rate of reading memory.

Each column is decoded by morsels on a thread a core. A predicate scan looks for about a hundredth of the rows
(of booleans, a third) and decodes those; its rate counts all rows as decoded. Texts of a dictionary are
counted as they are when written out: "codes" stay coded, as GROUP BY and LIKE use them, "written out" makes
the texts. Sums are what the aggregate makes of the column. The numpy twins show what a server does before
its kernels are compiled.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.process import ready
from bench.table import Table
from bench.timing import median_seconds, memory_read
from engine.aggregates import registry
from storage import encodings, kernels
from storage.column import Array, Column
from storage.encodings.base import Encoded
from storage.encodings.packedcolumn import PackedColumn
from storage.kernels import choice
from storage.predicate import Comparison
from storage.segments.coded import CodedColumn
from storage.types import BOOL, DATE, FLOAT8, INT4, INT8, NUMERIC, TEXT, Form, numeric

ROWS = 1 << 22
MORSEL = 65_536
_SUMS = {name: f"sum({name})" for name in ("int4", "int8", "numeric", "float8")}
Case = tuple[str, Column, str, Comparison, Any]
"""(name, column, tag of its encoding, a predicate that a hundredth of the rows meet)."""


def _cases() -> Iterator[Case]:
    random = np.random.default_rng(1)

    def whole(bits: int) -> Array:
        return random.integers(0, 1 << bits, ROWS)

    yield "constant int4", Column(INT4, np.full(ROWS, 7, np.int32)), "constant", Comparison.GT, 7
    yield "sequence int8", Column(INT8, np.arange(ROWS)), "sequence", Comparison.LT, ROWS // 100
    runs = np.repeat(whole(20)[: ROWS // 64], 64)
    yield "runs of 64, int8", Column(INT8, runs), "rle", Comparison.LT, (1 << 20) // 100
    yield "7 bits, int4", Column(INT4, whole(7).astype(np.int32)), "for", Comparison.LT, 1
    yield "12 bits, date", Column(DATE, whole(12).astype(np.int32)), "for", Comparison.LT, 41
    yield "18 bits, int8", Column(INT8, whole(18)), "for", Comparison.LT, (1 << 18) // 100
    yield (
        "24 bits, numeric",
        Column.scaled(numeric(15, 2), whole(24), 2),
        "decimal-for",
        Comparison.LT,
        Decimal(1678),
    )
    flags = random.random(ROWS) < 0.3
    yield "booleans", Column(BOOL, flags), "for", Comparison.EQ, True
    stamps = np.cumsum(whole(12)) + 10**15
    yield "rising stamps", Column(INT8, stamps), "delta", Comparison.LT, int(stamps[ROWS // 100])
    far = random.choice(random.integers(0, 1 << 60, 100), ROWS)
    yield "100 values far apart, int8", Column(INT8, far), "dict", Comparison.EQ, int(far[0])
    prices = np.round(random.lognormal(4, 1, ROWS), 2)
    yield "prices, float8", Column(FLOAT8, prices), "alp", Comparison.LT, float(np.quantile(prices, 0.01))
    yield "all digits, float8", Column(FLOAT8, random.random(ROWS)), "plain", Comparison.LT, 0.01
    words = pa.array([f"Clerk#{number:09d}" for number in range(100)], pa.large_string())
    texts = Column(TEXT, words.take(pa.array(random.integers(0, 100, ROWS))))
    yield "clerks, codes", texts, "dict", Comparison.EQ, "Clerk#000000007"
    yield "clerks, written out", texts, "dict", Comparison.EQ, "Clerk#000000007"
    yield from _comments(random)


def _comments(random: np.random.Generator) -> Iterator[Case]:
    """Texts of a small vocabulary, each with a number."""
    some = ["carefully", "final", "deposits", "sleep", "quickly", "ironic", "requests", "of", "the", "bold"]
    vocabulary = pa.array(some, pa.large_string())
    parts = [vocabulary.take(pa.array(random.integers(0, len(some), ROWS // 4))) for _ in range(5)]
    numbers = pa.array(random.integers(0, 10**6, ROWS // 4)).cast(pa.large_string())
    texts = pc.binary_join_element_wise(*parts, numbers, pa.scalar(" ", pa.large_string()))
    yield "comments", Column(TEXT, texts), "blocks", Comparison.EQ, "carefully final"


def _scan(encoded: Encoded, rows: int, pool: ThreadPoolExecutor, written: bool) -> None:
    def morsel(start: int) -> None:
        column = encoded.decode(start, min(start + MORSEL, rows), None)
        if isinstance(column, PackedColumn):
            _ = column.values if column.type.form is not Form.DECIMAL else column.units
        elif written and isinstance(column, CodedColumn):
            _ = column.values

    list(pool.map(morsel, range(0, rows, MORSEL)))


def _total(encoded: Encoded, rows: int, pool: ThreadPoolExecutor) -> None:
    """Sums of whole numbers, as the aggregate takes them."""

    def morsel(start: int) -> None:
        column = encoded.decode(start, min(start + MORSEL, rows), None)
        state = registry.start(_SUMS[column.type.name], [column.type], NUMERIC, None)  # type: ignore[arg-type]
        state.update(np.zeros(len(column), np.int64), [column], 1)

    list(pool.map(morsel, range(0, rows, MORSEL)))


def _search(encoded: Encoded, rows: int, pool: ThreadPoolExecutor, op: Comparison, value: Any) -> None:
    def morsel(start: int) -> None:
        stop = min(start + MORSEL, rows)
        mask = encoded.select(op, value, start, stop)
        assert mask is not None
        found = np.flatnonzero(mask)
        if len(found):
            encoded.decode(start, stop, found)

    list(pool.map(morsel, range(0, rows, MORSEL)))


@contextmanager
def _plain() -> Iterator[None]:
    """With numpy kernels."""
    patches = [mock.patch.object(kernels, name, kernel) for name, kernel in choice.plain_kernels().items()]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _rate(work: Callable[[], None], nbytes: int, times: int) -> float:
    return nbytes / median_seconds(work, times) / 1e9


def main() -> None:
    """Print the table."""
    ready()
    cores = os.cpu_count() or 1
    read = memory_read()
    table = Table(
        f"GB/s of decoded data, {cores} threads; memory is read at {read:.3g} GB/s",
        (
            "column",
            "bits a value",
            "scan",
            "of memory read",
            "predicate scan",
            "sum",
            "numpy scan",
            "numpy predicate",
        ),
    )
    with ThreadPoolExecutor(cores) as pool:
        for name, column, tag, op, value in _cases():
            encoded = encodings.encode(column)
            assert encoded.tag == tag, (name, encoded.tag)
            rows, nbytes = len(column), column.nbytes
            written = not name.endswith("codes")

            def scan(e: Encoded = encoded, n: int = rows, w: bool = written) -> None:
                _scan(e, n, pool, w)

            def search(e: Encoded = encoded, n: int = rows, o: Comparison = op, v: Any = value) -> None:
                _search(e, n, pool, o, v)

            rates = [_rate(scan, nbytes, 5), _rate(search, nbytes, 5)]
            sums = math.nan
            if column.type.name in _SUMS:
                sums = _rate(lambda e=encoded, n=rows: _total(e, n, pool), nbytes, 5)  # type: ignore[misc]
            with _plain():
                slow = [_rate(scan, nbytes, 1), _rate(search, nbytes, 1)]
            table.row(
                f"{name} ({tag})", 8 * encoded.nbytes / rows, rates[0], rates[0] / read, rates[1], sums, *slow
            )
    table.print()
