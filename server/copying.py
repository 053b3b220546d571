"""COPY on the wire: CopyData in to batches, batches to CopyData out, one message a row."""

from __future__ import annotations

from collections.abc import Iterator

from engine import formats
from engine.formats import CopyFormat
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
        for batch in self._reader.feed(data):
            self._outcome.sink(batch)

    def done(self) -> str:
        """The end of the data: the command tag."""
        for batch in self._reader.finish():
            self._outcome.sink(batch)
        return self._outcome.complete()


class CopyRows:
    """COPY TO STDOUT: a CopyData message a row. A header line is one too; the binary format's header
    comes in the first row's message, where clients look for it."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._writer = formats.writer(format, style)
        self._header = self._writer.header()

    def write(self, batch: Batch) -> Iterator[bytes]:
        """The rows of a batch."""
        for piece in pieces(batch):
            rows = [self._writer.write(piece.slice(row, row + 1)) for row in range(piece.rows)]
            rows[0] = self._take_header() + rows[0]
            yield b"".join(map(responses.copy_data, rows))

    def end(self) -> bytes:
        """What follows the last row."""
        rest = self._take_header() + self._writer.trailer()
        return (responses.copy_data(rest) if rest else b"") + responses.COPY_DONE

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header
