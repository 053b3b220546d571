"""Text and CSV in: blocks of whole lines, split and typed by kernels on the worker pool.

While a block is read by the pool, the next bytes come in. Blocks that are not usual (see
storage.kernels.plain.lines), and blocks with an error, go record by record (see engine.formats.records) when
it is their turn: that is the meaning, and it knows the line and the column of an error.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine import forms
from engine.formats.fields import fields_of, typed
from engine.formats.options import CopyFormat
from engine.formats.records import Place, Records, Row, clipped
from engine.forms.style import Style
from engine.forms.utf8 import invalid_at, not_text
from engine.pool import Ahead
from storage import kernels
from storage.batch import Batch
from storage.column import Array, Column
from storage.errors import DatabaseError
from storage.kernels.plain.lines import BARE, EMPTIED, KEPT
from storage.types import REG_TYPES, TEXT, Type

BLOCK_BYTES = 2 << 20
BATCH_ROWS = 1 << 16
_KEPT_FIELDS = 1 << 20
_kept = threading.local()
Bytes = bytes | bytearray
_CATALOG = frozenset(type.oid for type in REG_TYPES)  # types whose input asks the statement's catalog


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that was read in one piece: what finds where its records begin; the lines before it."""

    block: Bytes
    begins: Callable[[Bytes], Array]
    eol: bytes
    lines: int

    def record(self, row: int) -> tuple[int, bytes]:
        """(the line that a record ends with, the record)."""
        begins = self.begins(self.block)
        end = int(begins[row + 1]) if row + 1 < len(begins) else len(self.block)
        whole = bytes(self.block[:end]).removesuffix(self.eol)
        return self.lines + whole.count(self.eol[:1]) + 1, whole[int(begins[row]) :]


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of a block that was read one by one, and the line that each ends with."""

    lines: list[int]
    records: list[bytes]

    def record(self, row: int) -> tuple[int, bytes]:
        """See _Block."""
        return self.lines[row], self.records[row]


class LineReader:
    """COPY ... FROM in text and csv."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self._style = style
        self._csv = format.format == "csv"
        self._quote = ord(format.quote) if self._csv else -1
        self._forced = np.zeros(len(format.columns), np.uint8)
        for positions, bit in ((format.force_not_null, KEPT), (format.force_null, EMPTIED)):
            self._forced[list(positions)] |= bit
        self._records = Records(format)
        self._place = Place()
        self._head = bool(format.header)
        self._pending = bytearray()
        self._guess = b""  # the kind of line break, as the first record has it
        self._mark = b""  # the byte that ends records, once one is there
        self._scanned = 0  # bytes of `pending` that are known to end no record that can be read now
        self._inside = False  # whether quotes are open there
        self._ahead = Ahead(inline=any((type.element or type).oid in _CATALOG for type in format.columns))
        self._blocks: deque[tuple[Bytes, bytes]] = deque()  # those begun: the block, its first record
        self._given: _Block | _Records = _Records([], [])  # where the last batch comes from
        self._passed = 0  # rows of that before the batch

    def feed(self, data: bytes) -> Iterator[Batch]:
        """See Reader."""
        view = memoryview(data)
        for at in range(0, len(data), BLOCK_BYTES):
            if self._place.ended:
                return
            self._pending += view[at : at + BLOCK_BYTES]
            if len(self._pending) < BLOCK_BYTES:
                return
            end = self._last_break()
            if end:
                block, self._pending = self._pending, self._pending[end:]
                del block[end:]
                self._scanned -= min(end, self._scanned)
                self._put(block)
            while self._ahead.full:
                yield from self._taken()

    def finish(self) -> Iterator[Batch]:
        """See Reader."""
        if self._pending:
            block, self._pending = self._pending, bytearray()
            self._put(block)
        while self._blocks:
            yield from self._taken()

    def _put(self, block: Bytes) -> None:
        """Have a block read."""
        if self._place.ended:
            return
        first = b""
        if self._head or not self._guess:
            block, first = self._begin(block)
        if block:
            self._blocks.append((block, first))
            self._ahead.begin(partial(self._quick, block))

    def _taken(self) -> Iterator[Batch]:
        """The batches of the oldest block. Raises its first error, behind the rows before it."""
        block, first = self._blocks.popleft()
        found, error = self._ahead.take(), None
        if self._place.ended:
            return
        if found is None:
            columns, error, self._given = self._slow(block)
        else:
            columns, breaks = found
            before = self._place.line - first.count(self._guess[:1])
            self._given = _Block(block, self._begins, self._guess, before)
            self._place.line = before + breaks
            self._place.eol = self._guess
        rows = len(columns[0]) if columns else 0
        for self._passed in range(0, rows, BATCH_ROWS):
            stop = min(self._passed + BATCH_ROWS, rows)
            yield Batch(tuple(c.slice(self._passed, stop) for c in columns), stop - self._passed)
        if error is not None:
            raise error

    def locate(self, row: int, shown: bool) -> str:
        """See Reader."""
        line, record = self._given.record(self._passed + row)
        where = f"COPY {self._format.table}, line {line}"
        return f'{where}: "{clipped(record)}"' if shown else where

    @property
    def where(self) -> str:
        """See Reader."""
        mark = self._mark or self._first_break() or b"\n"
        pending = self._pending.count(mark) + sum(block.count(mark) for block, _ in self._blocks)
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
        data, begin = self._pending, self._scanned
        stop = len(data) - (mark == b"\r")  # what comes next may belong to it
        quotes = self._inside + _count(data, self._quote, begin, stop)
        at, behind = stop, 0
        while (place := data.rfind(mark, begin, at)) >= 0:
            behind += _count(data, self._quote, place, at)
            if (quotes - behind) % 2 == 0:
                self._scanned, self._inside = place + 1, False
                return place + 1
            at = place
        self._scanned, self._inside = stop, bool(quotes % 2)
        return 0

    def _begin(self, block: Bytes) -> tuple[Bytes, bytes]:
        """(what stands behind the header, the first record where the kind of line break is not known)."""
        if not self._head:
            place = Place()
            try:
                first = next(self._records.split(bytes(block), place), b"")
            except DatabaseError:
                return block, b""  # the plain parser meets it again
            self._guess = place.eol
            return block, first
        record = next(self._records.split(bytes(block), self._place), None)
        self._head = False
        self._guess = self._place.eol
        if record is not None and self._format.header == "match":
            self._records.header(record, self._place.line)
        return block[self._records.end :], b""

    def _quick(self, block: Bytes) -> tuple[list[Column], int] | None:
        """The block's columns by kernels, its line breaks; None where it needs the plain parser."""
        format, eol = self._format, self._guess
        if eol not in (b"\n", b"\r\n") or not format.columns or invalid_at(block) is not None:
            return None
        if self._csv and format.escape != format.quote:
            return None
        if not block.endswith(eol):
            block = block + eol
        spans = self._spans(block)
        if spans is None:
            return None
        fields = fields_of(np.frombuffer(block, np.uint8), *spans, self._quote, block.isascii())
        try:
            columns = [
                typed(type, part, self._style) for type, part in zip(format.columns, fields, strict=True)
            ]
        except DatabaseError:
            return None
        return columns, _count(block, eol[0], 0, len(block))

    def _spans(self, block: Bytes) -> tuple[Array, Array, Array] | None:
        """(starts, lengths, kinds), each (fields, rows); None where the block is not usual."""
        format = self._format
        starts, lengths, kinds = _room(len(format.columns), _count(block, 10, 0, len(block)))
        marks = (ord(format.delimiter), self._quote, self._guess == b"\r\n")
        null = np.frombuffer(format.null.encode(), np.uint8)
        data = np.frombuffer(block, np.uint8)
        rows = kernels.split_lines(data, marks, null, self._forced, starts, lengths, kinds)
        return None if rows < 0 else (starts[:, :rows], lengths[:, :rows], kinds[:, :rows])

    def _begins(self, block: Bytes) -> Array:
        """(rows,) where the records begin in a block that is usual."""
        spans = self._spans(block if block.endswith(self._guess) else block + self._guess)
        assert spans is not None
        starts, _, kinds = spans
        begins: Array = starts[0] - ((kinds[0] != BARE) & self._csv)
        return begins

    def _slow(self, block: Bytes) -> tuple[list[Column], DatabaseError | None, _Records]:
        """The block's columns, record by record, up to its first error."""
        rows: list[Row] = []
        given = _Records([], [])
        error: DatabaseError | None = None
        try:
            self._collect(bytes(block), rows, given)
        except DatabaseError as caught:
            error = caught
        types = self._format.columns
        wrong = self._wrong(rows, given.lines, types)
        if wrong is not None:
            row, error = wrong
            del rows[row:]
        texts = (Column.of(TEXT, [row[position] for row in rows]) for position in range(len(types)))
        columns = [forms.parse_text(type, text, self._style) for type, text in zip(types, texts, strict=True)]
        return columns, error, given

    def _collect(self, block: bytes, rows: list[Row], given: _Records) -> None:
        bad = invalid_at(block)
        behind = None if bad is None else not_text(block, bad)
        for record in self._records.split(block[:bad], self._place, behind):
            line = self._place.line
            try:
                row = self._records.fields(record)
            except DatabaseError as error:
                raise self._records.located(error, line, record) from None
            miscounted = self._records.miscounted(row)
            if miscounted is not None:
                wrong = self._wrong([row], [line], self._format.columns[: len(row)])
                raise wrong[1] if wrong else self._records.located(miscounted, line, record)
            rows.append(row)
            given.lines.append(line)
            given.records.append(record)

    def _wrong(
        self, rows: list[Row], lines: list[int], types: tuple[Type, ...]
    ) -> tuple[int, DatabaseError] | None:
        """The first row that cannot be read, and the error of its first such column."""
        first: tuple[int, int] | None = None  # (row, column) of the error
        for position, type in enumerate(types):
            texts = Column.of(TEXT, [row[position] for row in rows[: None if first is None else first[0]]])
            try:
                forms.parse_text(type, texts, self._style)
            except DatabaseError:
                first = (self._first_bad(type, texts), position)
        if first is None:
            return None
        row, position = first
        value = rows[row][position]
        assert value is not None
        try:
            forms.parse_text(types[position], Column.of(TEXT, [value]), self._style)
        except DatabaseError as error:
            return row, self._records.located(error, lines[row], column=(position, value))
        raise AssertionError("a value that cannot be read among others can be read alone")

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


def _room(fields: int, rows: int) -> tuple[Array, Array, Array]:
    """(fields, rows) for starts, lengths and kinds: this thread's own, good until it asks again.

    They are megabytes for each block, and fresh memory costs as much as what is done in it.
    """
    size = fields * rows
    kept: tuple[Array, Array, Array] | None = getattr(_kept, "room", None)
    if kept is None or len(kept[0]) < size:
        kept = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.uint8)
        if size <= _KEPT_FIELDS:
            _kept.room = kept
    starts, lengths, kinds = (part[:size].reshape(fields, rows) for part in kept)
    return starts, lengths, kinds


def _count(data: Bytes, byte: int, begin: int, stop: int) -> int:
    """How often a byte stands between two places."""
    return kernels.count_byte(np.frombuffer(data, np.uint8)[begin:stop], byte) if begin < stop else 0
