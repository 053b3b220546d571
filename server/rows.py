"""A batch as DataRow messages, in pieces small enough for the queue to the socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.formats.rows import framed, row_frames
from engine.forms.single import plain_field
from engine.forms.style import Style
from storage.batch import Batch
from storage.column import Column
from storage.rows import Row
from storage.types import Type

PIECE_BYTES = 1 << 20


def frames(batch: Batch, formats: Sequence[int], style: Style) -> Iterator[bytes]:
    """DataRow messages of all rows; `formats` has one code a column: 0 text, 1 binary."""
    for piece in pieces(batch):
        yield row_frames(piece.columns, formats, piece.rows, style)


def plain_frame(row: Row, types: Sequence[Type], formats: Sequence[int], style: Style) -> bytes:
    """The DataRow message of a row of plain values of these types."""
    fields = [plain_field(*each) for each in zip(types, row, formats, strict=True)]
    if None in fields:
        columns = [Column.of(type, [value]) for type, value in zip(types, row, strict=True)]
        return row_frames(columns, formats, 1, style)
    return framed(fields)  # type: ignore[arg-type]  # none is None


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
