"""A batch as DataRow messages, in pieces small enough for the queue to the socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.formats.rows import row_frames
from engine.forms.style import Style
from storage.batch import Batch

PIECE_BYTES = 1 << 20


def frames(batch: Batch, formats: Sequence[int], style: Style) -> Iterator[bytes]:
    """DataRow messages of all rows; `formats` has one code a column: 0 text, 1 binary."""
    for piece in pieces(batch):
        yield row_frames(piece.columns, formats, piece.rows, style)


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
