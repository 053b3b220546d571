"""Rows to the wire: DataRow messages of four columns, encoded column by column, beside plain Python."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa

from bench.process import ready
from bench.table import Table
from bench.timing import median_seconds
from engine import formats, forms
from engine.formats import CopyFormat
from server import rows
from storage.batch import Batch
from storage.column import Column
from storage.types import FLOAT8, INT8, TEXT, TIMESTAMP

ROWS = 200_000


def _batch() -> Batch:
    random = np.random.default_rng(1)
    names = pa.array([f"picture {i % 5000}" for i in range(ROWS)], pa.large_string())
    return Batch.of(
        Column(INT8, random.integers(0, 10**9, ROWS)),
        Column(FLOAT8, np.round(random.random(ROWS), 6)),
        Column(TEXT, names),
        Column(TIMESTAMP, random.integers(0, 8 * 10**14, ROWS)),
    )


def _python(texts: list[list[str]]) -> bytes:
    """What a driver-like loop does: a message a row."""
    out = bytearray()
    for row in zip(*texts, strict=True):
        body = bytearray(struct.pack(">h", len(row)))
        for item in row:
            raw = item.encode()
            body += struct.pack(">i", len(raw)) + raw
        out += b"D" + struct.pack(">i", len(body) + 4) + body
    return bytes(out)


def main() -> None:
    """Print the table."""
    ready()
    batch = _batch()
    pieces = [batch.slice(at, at + 65_536) for at in range(0, ROWS, 65_536)]
    texts = [forms.text_of(column).tolist() for column in batch.columns]
    style = forms.PLAIN
    works = {
        "DataRow, text": lambda: [b"".join(rows.frames(piece, (0,) * 4, style)) for piece in pieces],
        "DataRow, binary": lambda: [b"".join(rows.frames(piece, (1,) * 4, style)) for piece in pieces],
        "DataRow, plain Python, values already text": lambda: _python(texts),
    }
    for name in ("text", "csv", "binary"):
        csv = name == "csv"
        format = CopyFormat(
            name, tuple(c.type for c in batch.columns), tuple("abcd"),  # type: ignore[arg-type]
            delimiter="," if csv else "\t", null="" if csv else "\\N", table="t",
        )  # fmt: skip
        writer = formats.writer(format, style)
        data = writer.header() + b"".join(writer.write(piece) for piece in pieces) + writer.trailer()
        works[f"COPY FROM, {name}"] = lambda f=format, d=data: _read(f, d)  # type: ignore[misc]
    table = Table(
        f"{ROWS:,} rows of int8, float8, text, timestamp", ("what", "million rows/s", "of plain Python")
    )
    seconds = {name: median_seconds(work, 5) for name, work in works.items()}
    plain = seconds["DataRow, plain Python, values already text"]
    for name, time in seconds.items():
        table.row(name, ROWS / time / 1e6, plain / time)
    table.print()


def _read(format: CopyFormat, data: bytes) -> int:
    reader = formats.reader(format, forms.PLAIN)
    parts = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    found = sum(batch.rows for part in parts for batch in reader.feed(part))
    found += sum(batch.rows for batch in reader.finish())
    assert found == ROWS
    return found
