"""Records of text and csv, one at a time: where each ends, and what its fields are.

The first line break decides for all (LF, CR or CRLF); another kind outside quotes is an error, as in
PostgreSQL. A backslash and a point alone on a line end the data. In text, a backslash hides what follows
it; in csv, quotes hide delimiters and line breaks, wherever in a field they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.formats.options import CopyFormat
from engine.forms.utf8 import decoded
from storage.errors import BadCopyFileFormat, DatabaseError

Row = list[str | None]

_SHOWN = 100  # bytes of a line or a value in an error's context
_NAMED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.)|$)", re.DOTALL)


@dataclass(slots=True)
class Place:
    """How far a reader has come: lines that are done, the kind of line break, whether `\\.` was there."""

    line: int = 0
    eol: bytes = b""
    ended: bool = False


class Records:
    """The rules of one COPY's records."""

    def __init__(self, format: CopyFormat) -> None:
        self._format = format
        self._csv = format.format == "csv"
        self._null = format.null.encode()
        quote, escape = re.escape(format.quote.encode()), re.escape(format.escape.encode())
        self._quote, self._escape = format.quote.encode(), format.escape.encode()
        delimiter = re.escape(format.delimiter.encode())
        self._delimiter = format.delimiter.encode()
        if self._csv:
            hidden = (
                rb"[^%s%s]|%s(?:.|\Z)" % (quote, escape, escape) if escape != quote else rb"[^%s]" % quote
            )
            self.record = re.compile(
                rb"(?:[^%s\r\n]|%s(?:%s)*+(?:%s|\Z))*+" % (quote, quote, hidden, quote), re.DOTALL
            )
        else:
            self.record = re.compile(rb"(?:[^\\\r\n]|\\[^.]|\\\Z)*+", re.DOTALL)
        self._field = re.compile(rb"(?:[^\\%s]|\\.|\\\Z)*+" % delimiter, re.DOTALL)
        self._bare = re.compile(rb"[^%s%s]*+" % (quote, delimiter), re.DOTALL)

    def split(self, block: bytes, place: Place, behind: DatabaseError | None = None) -> Iterator[bytes]:
        """The records of a block of whole lines, or of what the data ends with, or of what stands before an
        error that is met in looking further.

        `place.line` is that of the record given; the offset behind it is `self.end`.
        """
        self.end = 0
        while (self.end < len(block) or behind is not None) and not place.ended:
            place.line += 1
            record = self._next(block, place, behind)
            if record is not None:
                yield record

    def _next(self, block: bytes, place: Place, behind: DatabaseError | None) -> bytes | None:
        begin = self.end
        found = self.record.match(block, begin)
        assert found is not None
        end = found.end()
        if self._csv:
            place.line += block.count(b"\n" if place.eol == b"\n" else b"\r", begin, end)
        if behind is not None and end + self._ahead(block, end, place) >= len(block):
            raise self.located(behind, place.line)
        if self._csv:
            if block.startswith(b"\\.", begin) and self._marked(block, begin + 2, place):
                place.ended = True
                return None
        elif block.startswith(b"\\.", end):
            place.ended = self._marked(block, end + 2, place)
            return block[begin:end] or None
        self.end = end
        if end < len(block):
            self._break(block, place)
        return block[begin:end]

    def _ahead(self, block: bytes, at: int, place: Place) -> int:
        """How many bytes beyond `at` have to be seen to know what stands there."""
        if block[at : at + 1] == b"\r":
            return int(self._csv or place.eol in (b"", b"\r\n"))
        return 2 if block.startswith(b"\\.", at) else 0

    def _break(self, block: bytes, place: Place) -> None:
        """Step over the line break at `self.end`, which must be of the kind that the first one was."""
        if block[self.end] == 13:
            if place.eol in (b"", b"\r\n") and block.startswith(b"\n", self.end + 1):
                place.eol = b"\r\n"
                self.end += 2
                return
            if place.eol not in (b"", b"\r"):
                raise self.located(self._stray("carriage return", "\\r"), place.line)
            place.eol = b"\r"
        else:
            if place.eol not in (b"", b"\n"):
                raise self.located(self._stray("newline", "\\n"), place.line)
            place.eol = b"\n"
        self.end += 1

    def _stray(self, name: str, escape: str) -> DatabaseError:
        if self._csv:
            hint = f"Use quoted CSV field to represent {name}."
            return BadCopyFileFormat(f"unquoted {name} found in data", hint=hint)
        return BadCopyFileFormat(f"literal {name} found in data", hint=f'Use "{escape}" to represent {name}.')

    def _marked(self, block: bytes, at: int, place: Place) -> bool:
        """Whether the `\\.` before `at` ends the data. In csv it may be a value; in text it may not."""
        rest = block[at : at + 2]
        mixed = BadCopyFileFormat("end-of-copy marker does not match previous newline style")
        if place.eol == b"\r\n":
            if rest.startswith(b"\n") and not self._csv:
                raise self.located(mixed, place.line)
            rest = rest[1:] if rest.startswith(b"\r") else b""
        if rest[:1] not in (b"\r", b"\n"):
            if self._csv:
                return False
            raise self.located(BadCopyFileFormat("end-of-copy marker corrupt"), place.line)
        if not rest.startswith(place.eol[-1:]):
            raise self.located(mixed, place.line)
        return True

    def fields(self, record: bytes) -> Row:
        """A record's fields. Raises what cannot be a field."""
        return list(self._csv_fields(record) if self._csv else self._text_fields(record))

    def _text_fields(self, record: bytes) -> Iterator[str | None]:
        at = -1
        while at < len(record):
            found = self._field.match(record, at + 1)
            assert found is not None
            raw, at = found[0], found.end()
            if raw.endswith(b"\\") and (len(raw) - len(raw.rstrip(b"\\"))) % 2:
                raw = raw[:-1]  # nothing stands behind it
            yield None if raw == self._null else decoded(unescape(raw) if b"\\" in raw else raw)

    def _csv_fields(self, record: bytes) -> Iterator[str | None]:
        at, position = -1, 0
        while at < len(record):
            at, raw, quoted = self._csv_field(record, at + 1)
            null = raw == self._null
            if null and not quoted:
                yield None if position not in self._format.force_not_null else self._format.null
            elif null and position in self._format.force_null:
                yield None
            else:
                yield decoded(raw)
            position += 1

    def _csv_field(self, record: bytes, at: int) -> tuple[int, bytes, bool]:
        """(where the field ends, its value, whether a part of it was quoted)."""
        parts, quoted = [], False
        while True:
            found = self._bare.match(record, at)
            assert found is not None
            parts.append(found[0])
            at = found.end()
            if not record.startswith(self._quote, at):
                return at, b"".join(parts), quoted
            quoted = True
            at = self._quoted(record, at + 1, parts)

    def _quoted(self, record: bytes, at: int, parts: list[bytes]) -> int:
        """Where the quotes that opened before `at` close; their content goes to `parts`."""
        begin = at
        while at < len(record):
            byte = record[at : at + 1]
            if byte == self._escape and record[at + 1 : at + 2] in (self._escape, self._quote):
                parts.append(record[begin:at])
                begin, at = at + 1, at + 2
            elif byte == self._quote:
                parts.append(record[begin:at])
                return at + 1
            else:
                at += 1
        raise BadCopyFileFormat("unterminated CSV quoted field")

    def header(self, record: bytes, line: int) -> None:
        """Check the first line where it must name the columns."""
        names = self._format.names
        row = self.fields(record)
        wrong = None
        if len(row) != len(names):
            wrong = f"wrong number of fields in header line: got {len(row)}, expected {len(names)}"
        for number, (found, name) in enumerate(zip(row, names, strict=False), 1):
            if wrong is None and found != name:
                got = f'null value ("{self._format.null}")' if found is None else f'"{found}"'
                wrong = f'column name mismatch in header line field {number}: got {got}, expected "{name}"'
        if wrong is not None:
            raise self.located(BadCopyFileFormat(wrong), line, record)

    def miscounted(self, row: Row) -> BadCopyFileFormat | None:
        """The error of a row with too many or too few fields."""
        names = self._format.names
        if len(row) == len(names):
            return None
        if len(row) > len(names):
            return BadCopyFileFormat("extra data after last expected column")
        return BadCopyFileFormat(f'missing data for column "{names[len(row)]}"')

    def located(
        self,
        error: DatabaseError,
        line: int,
        record: bytes | None = None,
        column: tuple[int, str] | None = None,
    ) -> DatabaseError:
        """The error with PostgreSQL's context: the line, and the column's value or the record."""
        where = f"COPY {self._format.table}, line {line}"
        if column is not None:
            position, value = column
            where += f', column {self._format.names[position]}: "{clipped(value.encode())}"'
        elif record is not None:
            where += f': "{clipped(record)}"'
        error.where = where
        return error


def clipped(value: bytes) -> str:
    """A line or a value as an error's context shows it."""
    if len(value) <= _SHOWN:
        return value.decode(errors="replace")
    return value[:_SHOWN].decode(errors="ignore") + "..."


def unescape(raw: bytes) -> bytes:
    """COPY's backslash escapes; they make bytes, which only together need to be text."""

    def one(found: re.Match[bytes]) -> bytes:
        if found[1] is not None:
            return bytes((int(found[1], 8) & 255,))
        if found[2] is not None:
            return bytes((int(found[2], 16),))
        return _NAMED.get(found[3], found[3]) if found[3] is not None else b""

    return _ESCAPE.sub(one, raw)
