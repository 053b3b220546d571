"""A segment: immutable rows, each column encoded on its own.

    8 bytes   magic "GDBSEG02"
    buffers   each at a multiple of 64 bytes
    n bytes   foot: JSON
    8 bytes   length of the foot, little-endian
    4 bytes   CRC32C of the foot
    8 bytes   magic "GDBSEGEN"

    foot: {"rows": n, "columns": [column, ...], "row_ids": column}
    column: {"number": attnum, "type": [oid, modifier], "encoding": tag, "head": {...},
             "zones": [[rows, nulls, low, high], ...], "buffers": [[offset, length, CRC32C], ...],
             "valid": [offset, length, CRC32C] or null}

Format 1 ("GDBSEG01") had no numbers: its columns are those with attnum 1, 2, and so on.

`valid` is a bitmap, first row in the lowest bit. The length of the file is checked against what the foot
says when it is opened; a buffer's checksum when it is first touched. A file is mapped, not read.
"""

from __future__ import annotations

import json
import mmap
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
import pyarrow as pa

from storage import codec, encodings, files
from storage.catalog import ColumnDefinition
from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes, Encoded
from storage.errors import DataCorrupted
from storage.files import Buffer
from storage.missing import Numbers, defined, missing_column, missing_zone
from storage.predicate import Compare, Comparison, Conjunction
from storage.types import INT8, Form, Type
from storage.zones import ZONE_ROWS, Zone, joined, zones_of

_MAGIC, _END = b"GDBSEG02", b"GDBSEGEN"
_MAGICS = (b"GDBSEG01", _MAGIC)
_TAIL = struct.Struct("<QI8s")
_ALIGN = 64
_ZERO = Decimal(0)


class SegmentColumn:
    """One column of a segment: encoded values, the mask of values that are there, zones."""

    def __init__(
        self, type: Type, zones: Sequence[Zone], load: Callable[[], tuple[Encoded, Mask | None]], tag: str
    ) -> None:
        self.type = type
        self.zones = tuple(zones)
        self.zone = joined(self.zones)
        self.tag = tag
        self._load = load
        self._lock = threading.Lock()
        self._loaded: tuple[Encoded, Mask | None] | None = None

    @classmethod
    def build(cls, column: Column) -> SegmentColumn:
        """Encode a column."""
        valid = column.valid
        encoded = encodings.encode(_filled(column))
        built = cls(column.type, zones_of(column), lambda: (encoded, valid), encoded.tag)
        built.loaded()
        return built

    def loaded(self) -> tuple[Encoded, Mask | None]:
        """The encoded values and the mask. Raises DataCorrupted at the first touch of a damaged file."""
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """Rows start to stop, or those at the positions `rows` counted from start."""
        encoded, valid = self.loaded()
        column = encoded.decode(start, stop, rows)
        if valid is None:
            return column
        mask = valid[start:stop] if rows is None else valid[start:stop][rows]
        return column.with_valid(None if mask.all() else mask)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Where `column op value` may hold; None: no help."""
        encoded, valid = self.loaded()
        if op is Comparison.IS_NULL:
            return None if valid is None else ~valid[start:stop]
        mask = None if op is Comparison.IS_NOT_NULL else encoded.select(op, value, start, stop)
        if valid is None:
            return mask
        return valid[start:stop] if mask is None else mask & valid[start:stop]

    def may_match(self, op: Comparison, value: Any, start: int, stop: int) -> bool:
        """Whether rows start to stop may hold a match, by the zones."""
        if not self.zone.may_match(op, value):
            return False
        zones = self.zones[start // ZONE_ROWS : -(-stop // ZONE_ROWS)]
        return any(zone.may_match(op, value) for zone in zones)

    @property
    def nbytes(self) -> int:
        """Bytes of the encoded values."""
        return self.loaded()[0].nbytes


class Segment:
    """See the module's text."""

    def __init__(self, rows: int, columns: Mapping[int, SegmentColumn], row_ids: SegmentColumn) -> None:
        """`columns` are by attribute number."""
        self.rows = rows
        self.columns = dict(columns)
        self._row_ids = row_ids
        self._row_bytes = sum(_row_bytes(column.type) for column in self.columns.values())

    @classmethod
    def build(cls, numbers: Numbers, columns: Sequence[Column], row_ids: Positions) -> Segment:
        """Encode columns of equal length, which have these attribute numbers; (rows,) int64 row ids."""
        built = {n: SegmentColumn.build(column) for n, column in zip(numbers, columns, strict=True)}
        return cls(len(row_ids), built, SegmentColumn.build(Column(INT8, row_ids)))

    @property
    def nbytes(self) -> int:
        """About how many bytes its rows take when they are decoded: for the size of morsels."""
        return self.rows * self._row_bytes

    def column(
        self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None = None
    ) -> Column:
        """A column of rows start to stop, or of those at the positions `rows` counted from start."""
        stored = self.columns.get(definition.number)
        if stored is None:
            return missing_column(definition, stop - start if rows is None else len(rows))
        return defined(stored.decode(start, stop, rows), definition)

    def row_ids(self, start: int, stop: int, rows: Positions | None = None) -> Positions:
        """The row ids, likewise."""
        values: Positions = self._row_ids.decode(start, stop, rows).values
        return values

    def select(self, predicate: Conjunction, start: int, stop: int) -> Mask | None:
        """(stop - start,) false where the encoded form rules a row out; None: no help."""
        mask: Mask | None = None
        for term in predicate:
            stored = self.columns.get(term.column.number)
            part = None if stored is None else stored.select(term.op, term.value, start, stop)
            if part is not None:
                mask = part if mask is None else mask & part
        return mask

    def may_match(self, predicate: Conjunction, start: int, stop: int) -> bool:
        """Whether rows start to stop may hold a match, by the zone maps."""
        return all(self._may_match(term, start, stop) for term in predicate)

    def _may_match(self, term: Compare, start: int, stop: int) -> bool:
        stored = self.columns.get(term.column.number)
        if stored is None:
            return missing_zone(term.column).may_match(term.op, term.value)
        return stored.may_match(term.op, term.value, start, stop)

    def write(self, path: Path) -> None:
        """Write the segment's file: whole, fsynced. Raises DiskFull or FileError."""
        files.replace(path, _content(self.rows, self.columns, self._row_ids))

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Open a file, without reading its values. Raises DataCorrupted, naming file and offset."""
        data, foot = _opened(path)
        columns = {
            described.get("number", at): _mapped(path, data, described)
            for at, described in enumerate(foot["columns"], 1)
        }
        return cls(foot["rows"], columns, _mapped(path, data, foot["row_ids"]))


def _row_bytes(type: Type) -> int:
    if type.form is Form.ROWS and type.dtype is not None:
        return max(type.width, 1) * type.dtype.itemsize
    return 8 if type.form is Form.FIXED else 32


def _filled(column: Column) -> Column:
    """The column with some value under each null."""
    if column.valid is None:
        return column
    if column.type.form is Form.TEXT:
        return Column(column.type, column.values.fill_null(""))
    if column.type.form is Form.BYTES:
        return Column(column.type, column.values.fill_null(b""))
    if column.type.form is Form.LIST:
        empty = pa.array([[]], column.values.type)
        return Column(column.type, column.values.fill_null(empty[0]))
    if column.type.form is Form.DECIMAL and column.units is None:
        values = column.values.copy()
        values[~column.valid] = _ZERO
        return Column(column.type, values)
    return column.with_valid(None)


def _content(rows: int, columns: Mapping[int, SegmentColumn], row_ids: SegmentColumn) -> Iterator[Buffer]:
    """The file's bytes, in order."""
    at = len(_MAGIC)
    yield _MAGIC
    described = []
    for number, column in (*columns.items(), (0, row_ids)):
        encoded, valid = column.loaded()
        parts = list(encoded.buffers())
        if valid is not None:
            parts.append(np.packbits(valid, bitorder="little"))
        places = []
        for part in parts:
            padding = -at % _ALIGN
            yield bytes(padding)
            yield part.data
            places.append([at + padding, len(part), crc32c.crc32c(part.data)])
            at += padding + len(part)
        described.append(
            {
                "number": number,
                "type": codec.encode_type(column.type),
                "encoding": encoded.tag,
                "head": encoded.head(),
                "zones": [[z.rows, z.nulls, _stated(z.low), _stated(z.high)] for z in column.zones],
                "valid": places.pop() if valid is not None else None,
                "buffers": places,
            }
        )
    foot = codec.json_bytes({"rows": rows, "columns": described[:-1], "row_ids": described[-1]})
    yield foot
    yield _TAIL.pack(len(foot), crc32c.crc32c(foot), _END)


def _opened(path: Path) -> tuple[memoryview, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise _damage(path, 0, str(error)) from error
    if len(data) < len(_MAGIC) + _TAIL.size or bytes(data[: len(_MAGIC)]) not in _MAGICS:
        raise _damage(path, 0, "it does not begin as a segment")
    length, stated, end = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    at = len(data) - _TAIL.size - length
    if end != _END or at < len(_MAGIC) or crc32c.crc32c(data[at : at + length]) != stated:
        raise _damage(path, len(data) - _TAIL.size, "its end is missing or wrong")
    foot: dict[str, Any] = json.loads(bytes(data[at : at + length]))
    return data[:at], foot


def _stated(bound: Any) -> Any:
    return str(bound) if isinstance(bound, Decimal) else bound


def _zone(type: Type, rows: int, nulls: int, low: Any, high: Any) -> Zone:
    if type.form is Form.DECIMAL:
        low, high = (None if bound is None else Decimal(bound) for bound in (low, high))
    return Zone(rows, nulls, low, high)


def _mapped(path: Path, data: memoryview, described: dict[str, Any]) -> SegmentColumn:
    type = codec.decode_type(described["type"])
    zones = [_zone(type, *zone) for zone in described["zones"]]
    rows = sum(zone.rows for zone in zones)

    def load() -> tuple[Encoded, Mask | None]:
        buffers = [_checked(path, data, *place) for place in described["buffers"]]
        encoded = encodings.read(described["encoding"], type, described["head"], buffers)
        if described["valid"] is None:
            return encoded, None
        bits = np.unpackbits(_checked(path, data, *described["valid"]), count=rows, bitorder="little")
        return encoded, bits.astype(np.bool_)

    return SegmentColumn(type, zones, load, described["encoding"])


def _checked(path: Path, data: memoryview, offset: int, length: int, stated: int) -> Bytes:
    part = data[offset : offset + length]
    if len(part) != length or crc32c.crc32c(part) != stated:
        raise _damage(path, offset, "a checksum is wrong")
    return np.frombuffer(part, np.uint8)


def _damage(path: Path, offset: int, why: str) -> DataCorrupted:
    return DataCorrupted(
        f'segment file "{path}" is damaged at offset {offset}: {why}',
        hint="Restore the data folder from a backup.",
    )
