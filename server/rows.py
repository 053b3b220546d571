"""A batch as DataRow messages, in pieces small enough for the queue to the socket."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from engine import forms
from engine.forms.style import Style
from storage.batch import Batch

PIECE_BYTES = 1 << 20


def frames(batch: Batch, formats: Sequence[int], style: Style) -> Iterator[bytes]:
    """DataRow messages of all rows; `formats` has one code a column: 0 text, 1 binary."""
    for piece in pieces(batch):
        yield _interim(piece, formats, style)


def pieces(batch: Batch) -> Iterator[Batch]:
    """The batch in slices of about PIECE_BYTES."""
    size = sum(column.nbytes for column in batch.columns)
    if size <= PIECE_BYTES:
        if batch.rows:
            yield batch
        return
    rows = max(1, batch.rows * PIECE_BYTES // size)
    for start in range(0, batch.rows, rows):
        yield batch.slice(start, start + rows)


def _interim(piece: Batch, formats: Sequence[int], style: Style) -> bytes:
    columns = [
        (forms.binary_of(c) if f else forms.text_of(c, style)).values.to_pylist()
        for c, f in zip(piece.columns, formats, strict=True)
    ]
    out = []
    for row in zip(*columns, strict=True) if columns else [()] * piece.rows:
        fields = []
        for value in row:
            raw = value.encode() if isinstance(value, str) else value
            fields.append(b"\xff\xff\xff\xff" if raw is None else struct.pack(">i", len(raw)) + raw)
        body = struct.pack(">H", len(row)) + b"".join(fields)
        out.append(b"D" + struct.pack(">I", len(body) + 4) + body)
    return b"".join(out)
