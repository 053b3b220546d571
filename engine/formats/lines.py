"""Text and CSV in: whole lines at a time through Arrow's parser, and a plain one for what is unusual.

A block of bytes ends at the last line break outside quotes. Arrow splits it into columns of text, which
the types' input functions read as columns. Blocks with escapes that hide a delimiter or a line break,
with lone carriage returns, or with a wrong number of fields go to a parser that goes character by
character, and knows the line of an error.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from engine import forms
from engine.formats.options import CopyFormat
from engine.forms.style import Style
from storage.batch import Batch
from storage.column import Column
from storage.errors import BadCopyFileFormat, CharacterNotInRepertoire, DatabaseError
from storage.types import TEXT

BLOCK_BYTES = 1 << 20
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)

Row = list[str | None]


class LineReader:
    """COPY ... FROM in text and csv."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self._style = style
        self._csv = format.format == "csv"
        self._pending = bytearray()
        self._line = 1  # of the first pending byte
        self._head = bool(format.header)
        self._ended = False  # by \.

    def feed(self, data: bytes) -> Iterator[Batch]:
        """See Reader."""
        if self._ended:
            return
        self._pending += data
        if len(self._pending) < BLOCK_BYTES:
            return
        end = self._last_break()
        if end:
            block = bytes(self._pending[:end])
            del self._pending[:end]
            yield from self._block(block)

    def finish(self) -> Iterator[Batch]:
        """See Reader."""
        block = bytes(self._pending)
        self._pending.clear()
        if block and not self._ended:
            yield from self._block(block if block.endswith((b"\n", b"\r")) else block + b"\n")

    def _last_break(self) -> int:
        """After the last line break that ends a record; 0: there is none."""
        data = np.frombuffer(self._pending, np.uint8)
        breaks = data == 10
        if self._csv:
            if self._format.escape != self._format.quote:
                return self._last_break_escaped()
            inside = np.cumsum(data == ord(self._format.quote)) % 2
            breaks &= inside == 0
        else:
            # a backslash before the break makes it data, unless it is itself escaped
            hidden = breaks.copy()
            hidden[1:] &= data[:-1] == 92
            hidden[:1] = False
            breaks &= ~hidden
        found = np.flatnonzero(breaks)
        del data
        return int(found[-1]) + 1 if len(found) else 0

    def _last_break_escaped(self) -> int:
        quote, escape = ord(self._format.quote), ord(self._format.escape)
        inside, end, at = False, 0, 0
        data = self._pending
        while at < len(data):
            byte = data[at]
            if inside and byte == escape and at + 1 < len(data) and data[at + 1] in (quote, escape):
                at += 1
            elif byte == quote:
                inside = not inside
            elif byte == 10 and not inside:
                end = at + 1
            at += 1
        return end

    def _block(self, block: bytes) -> Iterator[Batch]:
        try:
            block.decode()
        except UnicodeDecodeError as error:
            wrong = " ".join(f"0x{byte:02x}" for byte in block[error.start : error.start + 1])
            raise self._located(
                CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8": {wrong}'),
                block.count(b"\n", 0, error.start),
            ) from None
        lines = block.count(b"\n")
        columns = None if self._head else self._quick(block)
        if columns is None:
            rows, starts = self._slow(block.decode())
            if rows:
                columns = [
                    Column.of(TEXT, [row[position] for row in rows])
                    for position in range(len(self._format.columns))
                ]
                yield self._typed(columns, len(rows), starts)
        elif columns or lines:
            yield self._typed(columns, lines, None)
        self._line += lines

    def _quick(self, block: bytes) -> list[Column] | None:
        """The block's columns of text through Arrow; None where it needs the plain parser."""
        format = self._format
        if b"\r" in block or b"\0" in block or not format.columns:
            return None
        if re.search(rb"^\\\.$", block, re.MULTILINE):
            return None
        if self._csv:
            if format.escape != format.quote or format.force_null or format.force_not_null:
                return None
            if block.count(format.quote.encode()) % 2:
                return None
        elif b"\\\n" in block or b"\\" + format.delimiter.encode() in block:
            return None
        names = [str(position) for position in range(len(format.columns))]
        try:
            table = csv.read_csv(
                io.BytesIO(block),
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
        if table.num_rows != block.count(b"\n"):
            return None  # line breaks inside values: let the plain parser count lines
        columns = [Column(TEXT, column) for column in table.columns]
        return columns if self._csv else [self._unescaped(column) for column in columns]

    def _unescaped(self, column: Column) -> Column:
        escaped = pc.match_substring(column.values, "\\").fill_null(False)
        if not pc.any(escaped).as_py():
            return column
        mask = np.asarray(escaped.to_numpy(zero_copy_only=False))
        items = [unescape(item) for item in column.values.filter(escaped).to_pylist()]
        return Column(
            TEXT, pc.replace_with_mask(column.values, pa.array(mask), pa.array(items, pa.large_string()))
        )

    def _slow(self, text: str) -> tuple[list[Row], list[int]]:
        """The block's rows and the line, from 0, that each begins on."""
        split = csv_rows if self._csv else text_rows
        rows: list[Row] = []
        starts: list[int] = []
        for line, raw, row in split(text, self._format):
            if self._head:
                self._head = False
                self._check_header(row)
                continue
            if raw == "\\.":
                self._ended = True
                break
            if len(row) != len(self._format.columns):
                raise self._located(self._miscounted(row), line, raw)
            rows.append(row)
            starts.append(line)
        return rows, starts

    def _miscounted(self, row: Row) -> BadCopyFileFormat:
        names = self._format.names
        if len(row) > len(names):
            return BadCopyFileFormat("extra data after last expected column")
        return BadCopyFileFormat(f'missing data for column "{names[len(row)]}"')

    def _check_header(self, row: Row) -> None:
        if self._format.header == "match" and tuple(row) != self._format.names:
            raise self._located(
                BadCopyFileFormat("column name mismatch in header line", hint="Compare it with the table."), 0
            )

    def _typed(self, columns: list[Column], rows: int, starts: list[int] | None) -> Batch:
        format = self._format
        typed = []
        for position, column in enumerate(columns):
            type = format.columns[position]
            try:
                typed.append(forms.parse_text(type, column, self._style))
            except DatabaseError:
                self._blame(position, column, starts)
                raise
        return Batch(tuple(typed), rows)

    def _blame(self, position: int, column: Column, starts: list[int] | None) -> None:
        """Raise the error of the first value of a column that cannot be read, with its line."""
        for row, item in enumerate(column.values.to_pylist()):
            if item is None:
                continue
            try:
                forms.parse_text(self._format.columns[position], Column.of(TEXT, [item]), self._style)
            except DatabaseError as error:
                where = f'column {self._format.names[position]}: "{item[:100]}"'
                raise self._located(error, row if starts is None else starts[row], column=where) from None

    def _located(
        self, error: DatabaseError, line: int, raw: str | None = None, column: str = ""
    ) -> DatabaseError:
        rest = column or (f'"{raw[:100]}"' if raw is not None else "")
        where = f"COPY {self._format.table}, line {self._line + line}"
        error.where = f"{where}, {rest}" if column else f"{where}: {rest}" if rest else where
        return error


def unescape(text: str) -> str:
    """COPY's backslash escapes."""

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 8) & 255)
        if found[2]:
            return chr(int(found[2], 16))
        return _ESCAPES.get(found[3], found[3])

    return _ESCAPE.sub(one, text)


def text_rows(text: str, format: CopyFormat) -> Iterator[tuple[int, str, Row]]:
    """(line from 0, raw text, fields) of each line of the text format."""
    delimiter = re.escape(format.delimiter)
    field = re.compile(rf"(?:[^\\\n\r{delimiter}]|\\.)*", re.DOTALL)
    at, line = 0, 0
    while at < len(text):
        start, first = at, line
        row: Row = []
        while True:
            found = field.match(text, at)
            assert found is not None
            raw = found[0]
            at = found.end()
            line += raw.count("\n")
            row.append(None if raw == format.null else unescape(raw) if "\\" in raw else raw)
            if at < len(text) and text[at] == format.delimiter:
                at += 1
                continue
            break
        end = at
        if text.startswith("\r\n", at):
            at += 1
        at += 1
        line += 1
        yield first, text[start:end], row


def csv_rows(text: str, format: CopyFormat) -> Iterator[tuple[int, str, Row]]:
    """(line from 0, raw text, fields) of each record of the csv format."""
    at, line = 0, 0
    while at < len(text):
        start, first = at, line
        row: Row = []
        more = True
        while more:
            at, value, quoted = _csv_field(text, at, format)
            position = len(row)
            null = value == format.null and (not quoted or position in format.force_null)
            row.append(None if null and position not in format.force_not_null else value)
            more = at < len(text) and text[at] == format.delimiter
            at += more
        end = at
        line += text.count("\n", start, end) + 1
        if text.startswith("\r\n", at):
            at += 1
        at += 1
        yield first, text[start:end], row


def _csv_field(text: str, at: int, format: CopyFormat) -> tuple[int, str, bool]:
    """(where the field ends, its value, whether a part of it was quoted)."""
    quote, escape = format.quote, format.escape
    parts: list[str] = []
    quoted = inside = False
    while at < len(text):
        char = text[at]
        if inside:
            if char == escape and text[at + 1 : at + 2] in (quote, escape) and text[at + 1 : at + 2]:
                parts.append(text[at + 1])
                at += 1
            elif char == quote:
                inside = False
            else:
                parts.append(char)
        elif char == quote:
            inside = quoted = True
        elif char == format.delimiter or char in "\r\n":
            break
        else:
            parts.append(char)
        at += 1
    if inside:
        raise BadCopyFileFormat("unterminated CSV quoted field")
    return at, "".join(parts), quoted


class LineWriter:
    """COPY ... TO in text and csv."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self._style = style
        self._csv = format.format == "csv"

    def header(self) -> bytes:
        """The names, if the options ask for them."""
        if not self._format.header:
            return b""
        names = [Column.of(TEXT, [name]) for name in self._format.names]
        return _joined(self._lines(names, 1))

    def write(self, batch: Batch) -> bytes:
        """A line a row."""
        return _joined(self.lines(batch))

    def lines(self, batch: Batch) -> pa.Array:
        """The line of each row, its break included."""
        return self._lines([forms.text_of(column, self._style) for column in batch.columns], batch.rows)

    def trailer(self) -> bytes:
        """Nothing."""
        return b""

    def _lines(self, texts: list[Column], rows: int) -> pa.Array:
        if not texts:
            return pa.array(["\n"] * rows, pa.large_string())
        escape = self._quoted if self._csv else self._escaped
        fields = [escape(position, column.values) for position, column in enumerate(texts)]
        fields[-1] = pc.binary_join_element_wise(fields[-1], _large("\n"), _large(""))
        return pc.binary_join_element_wise(*fields, _large(self._format.delimiter))

    def _escaped(self, position: int, values: pa.Array) -> pa.Array:
        values = pc.replace_substring(values, "\\", "\\\\")
        for char, letter in (("\b", "b"), ("\f", "f"), ("\n", "n"), ("\r", "r"), ("\t", "t"), ("\v", "v")):
            values = pc.replace_substring(values, char, "\\" + letter)
        if self._format.delimiter not in "\b\f\n\r\t\v":
            values = pc.replace_substring(values, self._format.delimiter, "\\" + self._format.delimiter)
        return values.fill_null(self._format.null)

    def _quoted(self, position: int, values: pa.Array) -> pa.Array:
        format = self._format
        if position in format.force_quote:
            needs = values.is_valid()
        else:
            special = "[" + re.escape(format.delimiter + format.quote) + "\\n\\r]"
            needs = pc.or_(
                pc.match_substring_regex(values, special),
                pc.equal(values, pa.scalar(format.null, pa.large_string())),
            )
            if len(format.columns) == 1:
                needs = pc.or_(needs, pc.equal(values, pa.scalar("\\.", pa.large_string())))
        doubled = values
        if format.escape != format.quote:
            doubled = pc.replace_substring(doubled, format.escape, format.escape * 2)
        doubled = pc.replace_substring(doubled, format.quote, format.escape + format.quote)
        mark = pa.scalar(format.quote, pa.large_string())
        quoted = pc.binary_join_element_wise(mark, doubled, mark, pa.scalar("", pa.large_string()))
        return pc.if_else(needs.fill_null(False), quoted, values).fill_null(format.null)


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _joined(lines: pa.Array) -> bytes:
    """The lines one after another: the array's own bytes."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int64)[[lines.offset, lines.offset + len(lines)]]
    return data[int(ends[0]) : int(ends[1])].to_pybytes() if data is not None else b""
