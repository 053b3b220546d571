"""COPY's three formats: bytes to batches and back, column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.formats.lines import LineReader
from engine.formats.linewriter import LineWriter
from engine.formats.options import CopyFormat, Reader, Source, Writer
from engine.formats.tuples import TupleReader, TupleWriter
from engine.forms.style import Style
from storage.batch import Batch
from storage.errors import DatabaseError, UniqueViolation

__all__ = ["CopyFormat", "Reader", "Writer", "deliver", "reader", "writer"]


def reader(format: CopyFormat, style: Style) -> Reader:
    """What reads COPY ... FROM in this format."""
    return TupleReader(format, style) if format.format == "binary" else LineReader(format, style)


def deliver(source: Source, batches: Iterable[Batch], sink: Callable[[Batch], None]) -> None:
    """Hand batches of the source's to the sink. An error about a row comes with where that row stands."""
    for batch in batches:
        try:
            sink(batch)
        except DatabaseError as error:
            if error.row is not None and not error.where:
                error.where = source.locate(error.row, not isinstance(error, UniqueViolation))
            raise


def writer(format: CopyFormat, style: Style) -> Writer:
    """What writes COPY ... TO in this format."""
    return TupleWriter(format, style) if format.format == "binary" else LineWriter(format, style)
