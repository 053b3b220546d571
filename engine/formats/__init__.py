"""COPY's three formats: bytes to batches and back, column by column."""

from __future__ import annotations

from engine.formats.lines import LineReader
from engine.formats.linewriter import LineWriter
from engine.formats.options import CopyFormat, Reader, Writer
from engine.formats.tuples import TupleReader, TupleWriter
from engine.forms.style import Style

__all__ = ["CopyFormat", "Reader", "Writer", "reader", "writer"]


def reader(format: CopyFormat, style: Style) -> Reader:
    """What reads COPY ... FROM in this format."""
    return TupleReader(format) if format.format == "binary" else LineReader(format, style)


def writer(format: CopyFormat, style: Style) -> Writer:
    """What writes COPY ... TO in this format."""
    return TupleWriter(format) if format.format == "binary" else LineWriter(format, style)
