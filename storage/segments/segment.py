"""A segment: immutable rows, each column encoded on its own, in memory or in a file.

Columns are known by attribute number; row ids are relative to a base that whoever holds the segment knows.
A segment of a file holds nothing of its values: they come out of the buffer cache (storage.segments.cache)
and are read again where it let them go. See storage.segments.segmentfile for the bytes; the rows of wide
columns stand in files of their own (storage.segments.vectors).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from storage import codec, encodings, lists
from storage.column import Column, Mask, Positions, fields_of, row_column, taken
from storage.definitions import ColumnDefinition
from storage.encodings.base import Bytes, Encoded
from storage.encodings.codes import Codes
from storage.errors import DataCorrupted
from storage.predicate import Comparison, Conjunction
from storage.segments.coded import CodedColumn, decoded_bytes
from storage.segments.distincts import distinct_values
from storage.segments.missing import Numbers, defined, missing_column, missing_zone
from storage.segments.segmentfile import Content, SegmentFile, StoredBuffer
from storage.segments.selector import Loaded, Selector
from storage.segments.vectors import Referred
from storage.segments.zonemap import ZoneMap
from storage.segments.zones import (
    ZONE_ROWS,
    Zone,
    comparable,
    joined,
    read_old_zone,
    read_zone,
    stated,
    zones_of,
)
from storage.types import BOOL, INT8, Form, Type

T = TypeVar("T")
RowIdOrder = tuple[Positions, Positions | None]
_ZERO = Decimal(0)


class SegmentColumn:
    """One column of a segment: encoded values, the mask of values that are there, zones."""

    def __init__(
        self,
        type: Type,
        zones: Sequence[Zone],
        tag: str,
        raw: int,
        nbytes: int,
        load: Callable[[], Loaded],
        referred: Referred | None = None,
        distinct: int | None = None,
    ) -> None:
        """`raw` and `nbytes` are the bytes of the values decoded and encoded; `referred`: in other files.

        `distinct`: about how many values there are, where that is known.
        """
        self.type = type
        self.zones = tuple(zones)
        self.zone = joined(self.zones)
        self._map = ZoneMap(self.zones)
        self.tag = tag
        self.raw = raw
        self.nbytes = nbytes
        self.referred = referred
        self.distinct = distinct
        self.loaded = load
        """The encoded values and the mask. Raises DataCorrupted where the file is damaged."""

    @classmethod
    def build(cls, column: Column) -> SegmentColumn:
        """Encode a column."""
        encoded = encodings.encode(_filled(column))
        loaded = encoded, column.valid
        masked = 0 if column.valid is None else _encoded_mask(column.valid).nbytes
        return cls(
            column.type,
            zones_of(column),
            encoded.tag,
            decoded_bytes(column),
            encoded.nbytes + masked,
            lambda: loaded,
            distinct=distinct_values(column, encoded),
        )

    @classmethod
    def refer(cls, referred: Referred, valid: Mask | None) -> SegmentColumn:
        """A column whose rows stand in vector files, null where `valid` is not."""
        zones = []
        for start in range(0, referred.rows, ZONE_ROWS):
            stop = min(start + ZONE_ROWS, referred.rows)
            nulls = 0 if valid is None else int(np.count_nonzero(~valid[start:stop]))
            zones.append(Zone(stop - start, nulls))  # wide rows have no bounds
        loaded = referred, valid
        masked = 0 if valid is None else _encoded_mask(valid).nbytes
        raw = referred.rows * referred.row_bytes
        return cls(
            referred.type, zones, referred.tag, raw, referred.nbytes + masked, lambda: loaded, referred
        )

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """Rows start to stop, or those at the positions `rows` counted from start."""
        encoded, valid = self.loaded()
        column = encoded.decode(start, stop, rows)
        if valid is None:
            return column
        mask = valid[start:stop] if rows is None else taken(valid[start:stop], rows)
        return column.with_valid(None if mask.all() else mask)

    def item(self, row: int) -> Any:
        """The value of one row, as Column.tolist gives it."""
        encoded, valid = self.loaded()
        return encoded.item(row) if valid is None or valid[row] else None

    def may_match(self, op: Comparison, value: Any) -> Mask:
        """(zones,) which blocks of ZONE_ROWS rows may hold a match."""
        return self._map.may_match(op, comparable(self.type, op, value))


class Section:
    """Something that belongs to a segment's rows besides their columns: a head and buffers."""

    def __init__(self, head: Mapping[str, Any], buffers: Sequence[Bytes] | Sequence[StoredBuffer]) -> None:
        self.head, self._buffers = head, buffers
        self._made: Any | None = None
        self.sizes = [buffer.nbytes for buffer in buffers]
        """The bytes of each buffer."""

    @classmethod
    def of(cls, head: Mapping[str, Any], buffers: Sequence[Bytes]) -> Section:
        """A section that is in memory."""
        return cls(head, buffers)

    @property
    def nbytes(self) -> int:
        """The bytes of all buffers."""
        return sum(self.sizes)

    def read(self) -> Sequence[Bytes]:
        """The buffers, of a file read anew and not kept. Raises DataCorrupted."""
        return [buffer.read() if isinstance(buffer, StoredBuffer) else buffer for buffer in self._buffers]

    def load(self) -> Sequence[Bytes]:
        """The buffers, of a file out of the buffer cache. Raises DataCorrupted."""
        return [buffer.kept() if isinstance(buffer, StoredBuffer) else buffer for buffer in self._buffers]

    def made(self, make: Callable[[Mapping[str, Any], Sequence[Any]], T], first: int) -> T:
        """What `make`, always the same, makes of head and buffers, and keeps: in the cache, if of a file.

        The `first` buffers are given as they are. Those after them, of a file, are given as what gives them
        when they are asked for, or None where the cache has no room for them. Raises DataCorrupted.
        """
        stored = [buffer for buffer in self._buffers if isinstance(buffer, StoredBuffer)]
        if stored:
            return stored[0].along(
                "made",
                lambda: make(
                    self.head, [*(b.read() for b in stored[:first]), *(b.later for b in stored[first:])]
                ),
                sum(self.sizes[:first]),
            )
        if self._made is None:
            self._made = make(self.head, self._buffers)
        made: T = self._made
        return made


class Segment:
    """See the module's text."""

    def __init__(
        self,
        rows: int,
        columns: Mapping[int, SegmentColumn],
        row_ids: SegmentColumn,
        ascending: bool | None,
        sections: Mapping[str, Section] | None = None,
        file: SegmentFile | None = None,
    ) -> None:
        """`columns` are by attribute number. Row ids of which it is not known whether they ascend: None."""
        self._file = file
        self._by_row_id: RowIdOrder | None = None
        self.damage: DataCorrupted | None = None
        self.lost: list[DataCorrupted] = []  # vector files that cannot be opened: the rest can be read
        self.rows = rows
        self.columns = columns
        self.sections = dict(sections or {})
        self._row_ids = row_ids
        self._ascending = ascending
        self.row_bytes = self.width(self.columns)
        """About how many bytes a row takes when it is decoded."""

    @classmethod
    def build(
        cls,
        numbers: Numbers,
        columns: Sequence[Column],
        row_ids: Positions,
        sections: Mapping[str, Section] | None = None,
    ) -> Segment:
        """Encode columns of equal length, which have these attribute numbers; (rows,) int64 row ids."""
        built = {n: SegmentColumn.build(column) for n, column in zip(numbers, columns, strict=True)}
        ids = SegmentColumn.build(Column(INT8, row_ids))
        return cls(len(row_ids), built, ids, bool((np.diff(row_ids) > 0).all()), sections)

    @property
    def path(self) -> Path | None:
        """Its file, if it is in one."""
        return None if self._file is None else self._file.path

    @property
    def vectors(self) -> tuple[str, ...]:
        """The names of the vector files that its columns refer to."""
        referred = [column.referred for column in self.columns.values() if column.referred is not None]
        return tuple(dict.fromkeys(file.path.name for column in referred for file in column.files))

    @property
    def ids(self) -> tuple[int, int]:
        """The smallest and the largest relative row id."""
        zone = self._row_ids.zone
        return (0, -1) if zone.low is None else (zone.low, zone.high)

    @property
    def consecutive(self) -> bool:
        """Whether the row ids count up by one, so that nobody has to look at them."""
        low, high = self.ids
        return high - low + 1 == self.rows and bool(self._ascending)

    @property
    def ascending(self) -> bool:
        """Whether the row ids grow from row to row."""
        if self._ascending is None:
            self._ascending = bool((np.diff(self.row_ids(0, self.rows)) > 0).all())
        return self._ascending

    def by_row_id(self) -> RowIdOrder:
        """((rows,) row ids ascending, (rows,) where they stand; None: in that order)."""

        def load() -> tuple[RowIdOrder, int]:
            row_ids = self.row_ids(0, self.rows)
            if self.ascending:
                return (row_ids, None), row_ids.nbytes
            order = np.argsort(row_ids, kind="stable")
            return (row_ids[order], order), 2 * row_ids.nbytes

        if self._file is not None:
            kept: RowIdOrder = self._file.kept("by row id", load)
            return kept
        if self._by_row_id is None:
            self._by_row_id, _ = load()
        return self._by_row_id

    def column(
        self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None = None
    ) -> Column:
        """A column of rows start to stop, or of those at the positions `rows` counted from start."""
        stored = self.columns.get(definition.number)
        if stored is None:
            return missing_column(definition, stop - start if rows is None else len(rows))
        return defined(stored.decode(start, stop, rows), definition)

    def item(self, definition: ColumnDefinition, row: int) -> Any:
        """A row's value in a column of a plain type (storage.rows): it is the same under any type that a
        column may be defined with.
        """
        stored = self.columns.get(definition.number)
        return definition.missing if stored is None else stored.item(row)

    def width(self, numbers: Iterable[int]) -> int:
        """About how many bytes of a decoded row the columns with these attnums take."""
        stored = (self.columns.get(number) for number in numbers)
        return sum(_row_bytes(column.type) for column in stored if column is not None)

    def row_ids(self, start: int, stop: int, rows: Positions | None = None) -> Positions:
        """The relative row ids, likewise."""
        values: Positions = self._row_ids.decode(start, stop, rows).values
        return values

    def selector(self, predicate: Conjunction) -> Selector:
        """What tries the predicate on the encoded form. Raises DataCorrupted."""
        columns = {term.column.number: self.columns.get(term.column.number) for term in predicate}
        loaded = {number: None if c is None else c.loaded() for number, c in columns.items()}
        return Selector((loaded[term.column.number], term.op, term.value) for term in predicate)

    def may_match(self, predicate: Conjunction) -> Mask:
        """(blocks,) which blocks of ZONE_ROWS rows may hold a match, by the zone maps."""
        found = np.ones(-(-self.rows // ZONE_ROWS), np.bool_)
        for term in predicate:
            stored = self.columns.get(term.column.number)
            if stored is not None:
                found &= stored.may_match(term.op, term.value)
            elif term.column.number >= 0:  # else it follows from row ids: see storage.segments.rowids
                key = comparable(term.column.type, term.op, term.value)
                found &= missing_zone(term.column).may_match(term.op, key)
        return found

    def write(self, path: Path) -> int:
        """Write the segment's file, whole and fsynced; its length. Raises DiskFull or FileError."""
        content = Content()
        columns = [_described(content, column, number) for number, column in self.columns.items()]
        row_ids = _described(content, self._row_ids, 0)
        sections = {
            name: {"head": section.head, "buffers": [content.place(part) for part in section.load()]}
            for name, section in self.sections.items()
        }
        foot = {
            "rows": self.rows,
            "columns": columns,
            "row_ids": row_ids,
            "ascending": self.ascending,
            "sections": sections,
        }
        return content.write(path, foot)

    @classmethod
    def open(cls, path: Path, nbytes: int | None = None) -> Segment:
        """A file's segment, of which only the foot is read; `nbytes` is the length that it is to have.

        Raises DataCorrupted, naming file and offset.
        """
        file = SegmentFile(path, nbytes)
        foot = file.foot
        lost: list[DataCorrupted] = []
        columns = {
            number: _stored(file, number, described, lost)
            for at, described in enumerate(foot["columns"], 1)
            for number in (described.get("number", at),)
        }
        sections = {
            name: _section(file, name, described) for name, described in foot.get("sections", {}).items()
        }
        row_ids = _stored(file, 0, foot["row_ids"], lost)
        segment = cls(foot["rows"], columns, row_ids, foot.get("ascending"), sections, file)
        segment.lost = lost
        return segment

    @classmethod
    def damaged(cls, rows: int, error: DataCorrupted) -> Segment:
        """What stands for a segment whose file cannot be opened: its rows can be counted and not read."""

        def load() -> Loaded:
            raise error

        row_ids = SegmentColumn(INT8, [Zone(rows, 0)], "", 0, 0, load)
        segment = cls(rows, _Damaged(error), row_ids, None)
        segment.damage = error
        return segment


class _Damaged(Mapping[int, SegmentColumn]):
    """The columns of a file that cannot be opened: asking for one raises what is wrong."""

    def __init__(self, error: DataCorrupted) -> None:
        self._error = error

    def __getitem__(self, number: int) -> SegmentColumn:
        raise self._error

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _row_bytes(type: Type) -> int:
    if type.form is Form.ROWS and type.dtype is not None:
        return max(type.width, 1) * type.dtype.itemsize
    return 8 if type.form is Form.FIXED else 32


def _filled(column: Column) -> Column:
    """The column with some value under each null."""
    if column.valid is None:
        return column
    if isinstance(column, CodedColumn):
        return column.with_valid(None)
    if column.type.form is Form.TEXT:
        return Column(column.type, column.values.fill_null(""))
    if column.type.form is Form.BYTES:
        return Column(column.type, column.values.fill_null(b""))
    if column.type.form is Form.LIST:
        return Column(column.type, lists.filled(column.values))
    if column.type.form is Form.ROW:
        return row_column(column.type, len(column), fields_of(column))
    if column.type.form is Form.DECIMAL and column.units is None:
        values = column.values.copy()
        values[~column.valid] = _ZERO
        return Column(column.type, values)
    return column.with_valid(None)


def _described(content: Content, column: SegmentColumn, number: int) -> dict[str, Any]:
    """A column's part of the foot, its buffers placed."""
    encoded, valid = column.loaded()
    buffers = [content.place(part) for part in encoded.buffers()]
    mask = None
    if valid is not None:
        bits = _encoded_mask(valid)
        places = [content.place(part) for part in bits.buffers()]
        mask = {"encoding": bits.tag, "head": bits.head(), "buffers": places}
    return {
        "number": number,
        "type": codec.encode_type(column.type),
        "encoding": encoded.tag,
        "head": encoded.head(),
        "raw": column.raw,
        "distinct": column.distinct,
        "bounds": [stated(zone) for zone in column.zones],
        "buffers": buffers,
        "valid": mask,
    }


def _encoded_mask(valid: Mask) -> Encoded:
    """Where values are, as a column of booleans: few nulls are few runs."""
    return encodings.encode(Column(BOOL, valid))


def _zones(type: Type, described: Mapping[str, Any]) -> list[Zone]:
    if "bounds" in described:
        return [read_zone(type, zone) for zone in described["bounds"]]
    return [read_old_zone(type, zone) for zone in described["zones"]]


def _stored(
    file: SegmentFile, number: int, described: Mapping[str, Any], lost: list[DataCorrupted]
) -> SegmentColumn:
    """A column of a file; what is wrong with vector files that it refers to joins `lost`."""
    type = codec.decode_type(described["type"])
    zones = _zones(type, described)
    rows = sum(zone.rows for zone in zones)
    tag, head = described["encoding"], described["head"]
    buffers = [file.buffer((number, at), place) for at, place in enumerate(described["buffers"])]
    referred: Referred | None = None
    if tag == Referred.tag:
        referred, errors = Referred.read(type, head, rows, buffers, file.path.parent)
        lost += errors
    in_place = referred or encodings.in_place(tag, type, head, buffers)
    mask = described["valid"]
    if isinstance(mask, list):  # a bitmap, as it was once
        mask = {"encoding": "", "buffers": [mask]}
    bits = [] if mask is None else mask["buffers"]
    nbytes = sum(length for _, length, _ in (*described["buffers"], *bits))
    if referred is not None:
        nbytes += rows * referred.row_bytes

    def load_mask() -> tuple[Mask, int]:
        read = [file.buffer((number, "valid", at), place).read() for at, place in enumerate(bits)]
        if not mask["encoding"]:
            return np.unpackbits(read[0], count=rows, bitorder="little").astype(np.bool_), rows
        encoded = encodings.read(mask["encoding"], BOOL, mask["head"], read)
        return encoded.decode(0, rows, None).values, rows

    def load() -> tuple[Encoded, int]:
        read = [buffer.read() for buffer in buffers]
        return encodings.read(tag, type, head, read), sum(len(buffer) for buffer in read)

    def kept() -> Loaded:
        # what stays where it is holds the file, so the cache, which outlives it, must not hold that
        encoded: Encoded = in_place or file.kept((number, "values"), load)
        valid: Mask | None = None if mask is None else file.kept((number, "valid"), load_mask)
        return encoded, valid

    distinct = described.get("distinct", head.get("count") if tag == Codes.tag else None)
    return SegmentColumn(type, zones, tag, described.get("raw", 0), nbytes, kept, referred, distinct)


def _section(file: SegmentFile, name: str, described: Mapping[str, Any]) -> Section:
    """A section of a file."""
    buffers = [file.buffer((name, at), place) for at, place in enumerate(described["buffers"])]
    return Section(described["head"], buffers)
