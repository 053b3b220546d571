"""COPY on the wire: CopyData in to batches, batches to CopyData out, one message a row."""

from __future__ import annotations

from collections.abc import Iterator

from engine import formats
from engine.formats import CopyFormat
from engine.formats.rows import copy_frames
from engine.forms.style import Style
from server import responses
from server.rows import pieces
from sql.outcome import CopyIn
from storage.batch import Batch


class Incoming:
    """COPY FROM STDIN: bytes cut anywhere go to the statement as batches."""

    def __init__(self, outcome: CopyIn, style: Style) -> None:
        self._outcome = outcome
        self._reader = formats.reader(outcome.format, style)

    def data(self, data: bytes) -> None:
        """Some of the data."""
        formats.deliver(self._reader, self._reader.feed(data), self._outcome.sink)

    @property
    def where(self) -> str:
        """How far the data has come, as the context of an error."""
        return self._reader.where

    def done(self) -> str:
        """The end of the data: the command tag."""
        formats.deliver(self._reader, self._reader.finish(), self._outcome.sink)
        return self._outcome.complete()


class CopyRows:
    """COPY TO STDOUT: a CopyData message a row. A header line is one too; the binary format's header
    comes in the first row's message, where clients look for it."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._writer = formats.writer(format, style)
        self._binary = format.format == "binary"
        self._header = self._writer.header()

    def write(self, batch: Batch) -> Iterator[bytes]:
        """The rows of a batch."""
        if self._header and batch.rows:
            yield self._first(batch.slice(0, 1))
            batch = batch.slice(1, batch.rows)
        for piece in pieces(batch):
            yield copy_frames(self._writer, piece)

    def _first(self, row: Batch) -> bytes:
        """The first row, with the header before it."""
        header, self._header = self._header, b""
        data = self._writer.write(row)
        if self._binary:
            return responses.copy_data(header + data)
        return responses.copy_data(header) + responses.copy_data(data)

    def end(self) -> bytes:
        """What follows the last row."""
        rest = self._header + self._writer.trailer()
        return (responses.copy_data(rest) if rest else b"") + responses.COPY_DONE
