"""COPY's binary format.

11 bytes  "PGCOPY\\n\\377\\r\\n\\0"
 4 bytes  flags: bit 16 says that OIDs come along, which nobody does any more
 4 bytes  length of the header's extension, which is skipped
tuples    (see storage.kernels.plain.frames), the last with a count of -1
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import as_strided

from engine import forms
from engine.formats.options import CopyFormat
from engine.forms.binary import fixed_rows, read_rows
from engine.forms.style import Style
from storage import kernels
from storage.batch import Batch
from storage.column import Array, Column
from storage.errors import BadCopyFileFormat, DatabaseError
from storage.kernels.plain.frames import MISCOUNTED, NEGATIVE, OK, TRAILER
from storage.segments.coded import CodedColumn
from storage.types import BYTEA, Type

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEAD = struct.Struct(">II")
_ROWS = 65_536
_BLOCK = 4 << 20


class TupleReader:
    """COPY ... FROM in binary."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self._style = style
        self._pending = bytearray()
        self._enough = _BLOCK
        self._begun = False
        self._ended = False
        self._row = 1

    def feed(self, data: bytes) -> Iterator[Batch]:
        """See Reader."""
        self._pending += data
        if not self._begun and not self._begin():
            return
        if len(self._pending) >= self._enough:
            yield from self._tuples()
            # a tuple longer than a block is looked for again when there is twice as much of it
            self._enough = max(_BLOCK, 2 * len(self._pending))

    def finish(self) -> Iterator[Batch]:
        """See Reader. Raises BadCopyFileFormat where the data ends inside a tuple."""
        if not self._begun and not self._begin():
            raise BadCopyFileFormat("COPY file signature not recognized")
        yield from self._tuples()
        if self._pending and not self._ended:
            raise self._located(BadCopyFileFormat("unexpected EOF in COPY data"))

    @property
    def where(self) -> str:
        """See Reader."""
        if self._begun:
            for _ in self._tuples():
                pass
        return f"COPY {self._format.table}, line {self._row}"

    def locate(self, row: int, shown: bool) -> str:
        """See Reader."""
        return f"COPY {self._format.table}, line {self._row + row}"

    def _begin(self) -> bool:
        size = len(SIGNATURE) + _HEAD.size
        head = bytes(self._pending[:size])
        if not head.startswith(SIGNATURE[: len(head)]):
            raise BadCopyFileFormat("COPY file signature not recognized")
        if len(head) < size:
            return False
        flags, extension = _HEAD.unpack_from(head, len(SIGNATURE))
        if flags & (1 << 16):
            raise BadCopyFileFormat("invalid COPY file header (WITH OIDS)")
        if flags >> 16:
            raise BadCopyFileFormat("unrecognized critical flags in COPY file header")
        if len(self._pending) < size + extension:
            return False
        del self._pending[: size + extension]
        self._begun = True
        return True

    def _tuples(self) -> Iterator[Batch]:
        data, self._pending = np.frombuffer(self._pending, np.uint8), bytearray()
        fields = len(self._format.columns)
        at = 0
        while not self._ended:
            room = min(_ROWS, (len(data) - at) // (2 + 4 * fields) + 1)
            starts = np.empty((room, fields), np.int64)
            lengths = np.empty((room, fields), np.int64)
            rows, at, why = kernels.find_tuples(data, at, starts, lengths)
            if rows:
                yield self._batch(data, starts[:rows], lengths[:rows])
                self._row += rows
            if why == TRAILER:
                self._ended = True
                if len(data) - at > 2:
                    raise self._located(BadCopyFileFormat("received copy data after EOF marker"))
            elif why == MISCOUNTED:
                count = int.from_bytes(data[at : at + 2].tobytes(), "big", signed=True)
                raise self._located(BadCopyFileFormat(f"row field count is {count}, expected {fields}"))
            elif why == NEGATIVE:
                raise self._located(BadCopyFileFormat("invalid field size"))
            elif why != OK:
                break
        self._pending = bytearray() if self._ended else bytearray(data[at:].tobytes())

    def _batch(self, data: Array, starts: Array, lengths: Array) -> Batch:
        stride = _stride(starts, lengths)
        columns = []
        for position, type in enumerate(self._format.columns):
            column = None
            if stride and lengths[0, position] >= 0:
                column = read_rows(type, _strided(data, starts[:, position], lengths[0, position], stride))
            if column is None:
                begin, size = (np.ascontiguousarray(spans[:, position]) for spans in (starts, lengths))
                column = self._parsed(position, type, _column(data, begin, size))
            columns.append(column)
        return Batch(tuple(columns), len(starts))

    def _parsed(self, position: int, type: Type, raw: Column) -> Column:
        """A column of wire forms. Raises the error of the first row that has one."""
        try:
            return forms.parse_binary(type, raw, how=self._style)
        except DatabaseError as error:
            first = error
        low, high = 0, len(raw)  # rows before `low` can be read, those before `high` cannot
        while high - low > 1:
            middle = (low + high) // 2
            try:
                forms.parse_binary(type, raw.slice(low, middle), how=self._style)
                low = middle
            except DatabaseError as error:
                high, first = middle, error
        self._row += low
        raise self._located(first, self._format.names[position]) from None

    def _located(self, error: DatabaseError, column: str = "") -> DatabaseError:
        where = f"COPY {self._format.table}, line {self._row}"
        error.where = f"{where}, column {column}" if column else where
        return error


def _stride(starts: Array, lengths: Array) -> int:
    """The bytes of a tuple, where all tuples lie alike; 0 where they do not."""
    if len(starts) == 1:
        return 0
    stride = int(starts[1, 0] - starts[0, 0])
    alike = (lengths == lengths[0]).all() and (np.diff(starts[:, 0]) == stride).all()
    return stride if alike else 0


def _strided(data: Array, starts: Array, width: int, stride: int) -> Array:
    """(rows, width) the fields that stand `stride` bytes apart, where they lie."""
    return as_strided(data[starts[0] :], (len(starts), width), (stride, 1), writeable=False)


def _column(data: Array, starts: Array, lengths: Array) -> Column:
    """The fields as bytea."""
    there = lengths >= 0
    sizes = np.where(there, lengths, 0)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    content = kernels.gather_bytes(data, starts, sizes)
    bits = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    buffers = [bits, pa.py_buffer(offsets), pa.py_buffer(content)]
    return Column(BYTEA, pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers))


class TupleWriter:
    """COPY ... TO in binary."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self.style = style

    def header(self) -> bytes:
        """Signature, no flags, no extension."""
        return SIGNATURE + _HEAD.pack(0, 0)

    def write(self, batch: Batch) -> bytes:
        """The batch's tuples."""
        head = np.frombuffer(struct.pack(">h", len(batch.columns)), np.uint8)
        out, _, _ = frame_rows(
            [fields_of(column) for column in forms.wired(batch.columns, self.style)], batch.rows, head, 0
        )
        return out.tobytes()

    def trailer(self) -> bytes:
        """A tuple of -1 fields."""
        return b"\xff\xff"


Fields = tuple[Array, Array, Array]
"""(content, starts, lengths) of a column's fields; a length of -1 is a null."""


def fields_by_value(column: Column, of: Callable[[Column], Fields]) -> Fields:
    """What `of` makes of the column; of a coded one, what it makes of its distinct values, row by row."""
    if not isinstance(column, CodedColumn) or len(column.dictionary) > len(column):
        return of(column)
    content, starts, lengths = of(column.dictionary.column)
    starts, lengths = starts[column.codes], lengths[column.codes]
    return content, starts, lengths if column.valid is None else np.where(column.valid, lengths, -1)


def fields_of(column: Column) -> Fields:
    """The binary forms of a column."""
    return fields_by_value(column, _fields)


def _fields(column: Column) -> Fields:
    rows = fixed_rows(column)
    if rows is not None:
        rows = np.ascontiguousarray(rows)
        width = rows.shape[1]
        lengths = np.full(len(rows), width, np.int64)
        if column.valid is not None:
            lengths[~column.valid] = -1
        return rows.reshape(-1), np.arange(len(rows), dtype=np.int64) * width, lengths
    return arrow_fields(forms.binary_of(column).values)


def arrow_fields(values: pa.Array) -> Fields:
    """The strings or bytes of an Arrow array."""
    _, offsets, data = values.buffers()
    spans = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    lengths = np.diff(spans)
    if values.null_count:
        lengths = np.where(values.is_valid().to_numpy(zero_copy_only=False), lengths, -1)
    return content, np.ascontiguousarray(spans[:-1]), lengths


def frame_rows(columns: list[Fields], rows: int, head: Array, prefix: int) -> tuple[Array, Array, Array]:
    """Rows of fields behind lengths, column by column: (bytes, where each row begins, how long it is).

    A row is `prefix` bytes left to the caller, the bytes of `head`, then for each field its length (int32,
    big-endian) and its bytes.
    """
    sizes = np.full(rows, prefix + len(head) + 4 * len(columns), np.int64)
    for _, _, lengths in columns:
        sizes += np.maximum(lengths, 0)
    begins = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), np.uint8)
    for at, byte in enumerate(head.tolist()):
        out[begins + (prefix + at)] = byte
    places = begins + (prefix + len(head))
    for content, starts, lengths in columns:
        kernels.put_fields(out, places, content, starts, lengths)
        places = places + (4 + np.maximum(lengths, 0))
    return out, begins, sizes
