"""Text and CSV in: a block of whole lines at a time through Arrow's parser.

Arrow splits a block into columns of text, which the types' input functions read as columns. Blocks that
Arrow might read unlike PostgreSQL, and blocks with an error, go record by record (see
engine.formats.records): that is the meaning, and it knows the line and the column of an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from engine import forms
from engine.formats.options import CopyFormat
from engine.formats.records import Place, Records, Row, unescape
from engine.forms.style import Style
from engine.forms.utf8 import invalid_at, not_text
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import TEXT, Type

BLOCK_BYTES = 1 << 20
BATCH_ROWS = 1 << 16
_MARK = "\ufeff".encode()
# an odd number of backslashes before a point, a tab, a line break: these are in the plain parser's charge
_HIDDEN = rb"(?<!\\)(?:\\\\)*+\\[.\n%s]"


class LineReader:
    """COPY ... FROM in text and csv."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self._style = style
        self._csv = format.format == "csv"
        self._records = Records(format)
        self._place = Place()
        self._head = bool(format.header)
        self._hidden = re.compile(_HIDDEN % re.escape(format.delimiter.encode()))
        self._pending = bytearray()
        self._guess = b""  # the kind of line break, as the first record has it
        self._mark = b""  # the byte that ends records, once one is there
        self._scanned = 0  # bytes of `pending` that are known to end no record that can be read now
        self._inside = False  # whether quotes are open there

    def feed(self, data: bytes) -> Iterator[Batch]:
        """See Reader."""
        for at in range(0, len(data), BLOCK_BYTES):
            if self._place.ended:
                return
            self._pending += data[at : at + BLOCK_BYTES]
            if len(self._pending) < BLOCK_BYTES:
                return
            end = self._last_break()
            if end:
                block = bytes(memoryview(self._pending)[:end])
                del self._pending[:end]
                self._scanned -= min(end, self._scanned)
                yield from self._block(block)

    def finish(self) -> Iterator[Batch]:
        """See Reader."""
        block = bytes(self._pending)
        self._pending.clear()
        if block and not self._place.ended:
            yield from self._block(block)

    @property
    def where(self) -> str:
        """See Reader."""
        pending = self._pending.count(self._mark or self._first_break() or b"\n")
        return f"COPY {self._format.table}, line {self._place.line + pending + 1}"

    def _last_break(self) -> int:
        """After the last line break that ends a record; 0: there is none yet."""
        mark = self._mark = self._mark or self._first_break()
        if not mark:
            return 0
        if not self._csv:
            return self._last_break_of_text(mark)
        if self._format.escape == self._format.quote:
            return self._last_break_of_csv(mark)
        end, record = self._scanned, self._records.record
        while (found := record.match(self._pending, end)) and found.end() + 1 < len(self._pending):
            end = found.end() + (2 if self._pending.startswith(b"\r\n", found.end()) else 1)
        self._scanned = end
        return end

    def _first_break(self) -> bytes:
        """The byte that ends records; nothing where none has ended yet."""
        found = self._records.record.match(self._pending)
        end = len(self._pending) if found is None else found.end()
        if end + 1 >= len(self._pending):
            return b""
        return b"\r" if self._pending[end] == 13 and self._pending[end + 1] != 10 else b"\n"

    def _last_break_of_text(self, mark: bytes) -> int:
        data, at = self._pending, len(self._pending)
        if mark == b"\r":
            at -= 1  # what comes next may belong to it
        while (at := data.rfind(mark, self._scanned, at)) >= 0:
            before = at
            while before > 0 and data[before - 1] == 92:
                before -= 1
            if (at - before) % 2 == 0:
                self._scanned = at + 1
                return at + 1
        self._scanned = max(len(data) - 1, 0)
        return 0

    def _last_break_of_csv(self, mark: bytes) -> int:
        new = np.frombuffer(self._pending, np.uint8, offset=self._scanned)
        quotes = np.cumsum(new == ord(self._format.quote), dtype=np.int64) + self._inside
        stop = len(new) - (mark == b"\r")
        breaks = np.flatnonzero((new[:stop] == mark[0]) & (quotes[:stop] % 2 == 0))
        end = self._scanned + int(breaks[-1]) + 1 if len(breaks) else 0
        if end:
            self._scanned, self._inside = end, False
        elif stop:
            self._scanned, self._inside = self._scanned + stop, bool(quotes[stop - 1] % 2)
        del new
        return end

    def _block(self, block: bytes) -> Iterator[Batch]:
        """The batches of a block."""
        first = b""
        if self._head or not self._place.eol:
            block, first = self._begin(block)
        if not block or self._place.ended:
            return
        columns = self._quick(block, first)
        if columns is None:
            columns = self._slow(block)
        rows = len(columns[0]) if columns else 0
        for at in range(0, rows, BATCH_ROWS):
            stop = min(at + BATCH_ROWS, rows)
            yield Batch(tuple(column.slice(at, stop) for column in columns), stop - at)

    def _begin(self, block: bytes) -> tuple[bytes, bytes]:
        """(what stands behind the header, the first record where the kind of line break is not known)."""
        if not self._head:
            place = Place()
            try:
                first = next(self._records.split(block, place), b"")
            except DatabaseError:
                return block, b""  # the plain parser meets it again
            self._guess = place.eol
            return block, first
        record = next(self._records.split(block, self._place), None)
        self._head = False
        self._guess = self._place.eol
        if record is not None and self._format.header == "match":
            self._records.header(record, self._place.line)
        return block[self._records.end :], b""

    def _quick(self, block: bytes, first: bytes) -> list[Column] | None:
        """The block's columns through Arrow; None where it needs the plain parser."""
        texts = self._split(block)
        if texts is None:
            return None
        try:
            columns = [
                forms.parse_text(type, column, self._style)
                for type, column in zip(self._format.columns, texts, strict=True)
            ]
        except DatabaseError:
            return None
        # breaks inside quotes count as lines as soon as PostgreSQL knows the kind of break
        lines = block.count(b"\n") + (not block.endswith(b"\n")) - first.count(b"\n")
        self._place.line += lines
        self._place.eol = self._guess
        return columns

    def _split(self, block: bytes) -> list[Column] | None:
        format, eol = self._format, self._guess
        if block.startswith(_MARK) or b"\0" in block or not format.columns:
            return None
        if eol == b"\r\n":
            if not block.count(eol) == block.count(b"\r") == block.count(b"\n"):
                return None
            block = block.replace(eol, b"\n")
        elif eol != b"\n" or b"\r" in block:
            return None
        if not block.endswith(b"\n"):
            block += b"\n"
        if block.startswith(b"\n") or b"\n\n" in block or not self._usual(block):
            return None
        names = [str(position) for position in range(len(format.columns))]
        try:
            table = csv.read_csv(
                pa.BufferReader(block),
                csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
                csv.ParseOptions(
                    delimiter=format.delimiter,
                    quote_char=format.quote if self._csv else False,
                    double_quote=True,
                    escape_char=False,
                    newlines_in_values=self._csv,
                    ignore_empty_lines=False,
                ),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.large_string()),
                    null_values=[format.null],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        if eol == b"\r\n" and table.num_rows != block.count(b"\n"):
            return None  # quotes around line breaks, which must stay as they were
        columns = [Column(TEXT, column) for column in table.columns]
        if self._csv or b"\\" not in block:
            return columns
        return self._unescaped(columns)

    def _usual(self, block: bytes) -> bool:
        """Whether Arrow's idea of quotes and backslashes is PostgreSQL's in this block."""
        format = self._format
        if self._csv:
            if format.force_null or format.force_not_null or block.startswith(b"\\.") or b"\n\\." in block:
                return False
            quote = format.quote.encode()
            return quote not in block or (format.escape == format.quote and self._well_quoted(block))
        delimiter = format.delimiter.encode()
        if not (b"\\." in block or b"\\\n" in block or b"\\" + delimiter in block):
            return True
        return self._hidden.search(block) is None

    def _well_quoted(self, block: bytes) -> bool:
        """Whether quotes stand around whole fields only: then Arrow and PostgreSQL agree."""
        data = np.frombuffer(b"\n" + block + b"\n", np.uint8)
        quote, delimiter = ord(self._format.quote), ord(self._format.delimiter)
        places = np.flatnonzero(data == quote)
        if len(places) % 2:
            return False
        before, after = data[places[0::2] - 1], data[places[1::2] + 1]
        opens = (before == delimiter) | (before == 10) | (before == quote)
        closes = (after == delimiter) | (after == 10) | (after == quote)
        return bool(opens.all() and closes.all())

    def _unescaped(self, columns: list[Column]) -> list[Column] | None:
        """The columns with their backslash escapes read; None where they make no text."""
        read = []
        for column in columns:
            escaped = pc.match_substring(column.values, "\\").fill_null(False)
            if pc.any(escaped).as_py():
                raw = [unescape(item.encode()) for item in column.values.filter(escaped).to_pylist()]
                if any(invalid_at(item) is not None for item in raw):
                    return None
                items = pa.array([item.decode() for item in raw], pa.large_string())
                column = Column(TEXT, pc.replace_with_mask(column.values, escaped, items))
            read.append(column)
        return read

    def _slow(self, block: bytes) -> list[Column]:
        """The block's columns, record by record. Raises the first error of the block."""
        rows: list[Row] = []
        lines: list[int] = []
        try:
            self._collect(block, rows, lines)
        except DatabaseError:
            self._typed(rows, lines, self._format.columns)  # what stands before it comes first
            raise
        return self._typed(rows, lines, self._format.columns)

    def _collect(self, block: bytes, rows: list[Row], lines: list[int]) -> None:
        wrong = invalid_at(block)
        behind = None if wrong is None else not_text(block, wrong)
        for record in self._records.split(block[:wrong], self._place, behind):
            line = self._place.line
            try:
                row = self._records.fields(record)
            except DatabaseError as error:
                raise self._records.located(error, line, record) from None
            wrong_count = self._records.miscounted(row)
            if wrong_count is not None:
                self._typed(rows, lines, self._format.columns)
                if len(row) < len(self._format.columns):
                    self._typed([row], [line], self._format.columns[: len(row)])
                raise self._records.located(wrong_count, line, record)
            rows.append(row)
            lines.append(line)

    def _typed(self, rows: list[Row], lines: list[int], types: tuple[Type, ...]) -> list[Column]:
        """The rows as columns. Raises the error of the first row that has one, of its first such column."""
        columns: list[Column] = []
        first: tuple[int, int] | None = None  # (row, column) of the error
        for position, type in enumerate(types):
            texts = Column.of(TEXT, [row[position] for row in rows])
            if first is not None:
                texts = texts.slice(0, first[0])
            try:
                columns.append(forms.parse_text(type, texts, self._style))
            except DatabaseError:
                first = (self._first_bad(type, texts), position)
        if first is not None:
            row, position = first
            value = rows[row][position]
            assert value is not None
            try:
                forms.parse_text(types[position], Column.of(TEXT, [value]), self._style)
            except DatabaseError as error:
                raise self._records.located(error, lines[row], column=(position, value)) from None
        return columns

    def _first_bad(self, type: Type, texts: Column) -> int:
        """The first row that cannot be read, by halving."""
        low, high = 0, len(texts)  # rows before `low` can be read, those before `high` cannot
        while high - low > 1:
            middle = (low + high) // 2
            try:
                forms.parse_text(type, texts.slice(low, middle), self._style)
                low = middle
            except DatabaseError:
                high = middle
        return low
