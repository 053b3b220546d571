"""A sealed segment in a table: immutable rows, and the marks of those deleted since.

A delete file `<segment>.<commit>.gone` holds

    8 bytes   magic "GDBGONE1"
    8 bytes   count, little-endian
    n * 8     positions in the segment, int64, ascending
    4 bytes   CRC32C of all before
"""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crc32c
import numpy as np

from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, KeyColumns
from storage.durability import files
from storage.errors import DataCorrupted
from storage.indexes.hashindex import HashIndex
from storage.predicate import Conjunction
from storage.rows import Row
from storage.segments import rowids
from storage.segments.cache import portion
from storage.segments.segment import Segment
from storage.segments.segmentfile import damage
from storage.segments.segmentfolder import stem
from storage.segments.selector import Selector
from storage.segments.zones import ZONE_ROWS

_log = logging.getLogger("glancedb.segments")

_MAGIC = b"GDBGONE1"
_HEAD = struct.Struct("<8sQ")
MORSEL_BYTES, MORSEL_PART = 32 << 20, 32  # or, of a small buffer cache, one of so many parts
MOST_ROWS = 1 << 19  # of a morsel: what it costs however few its rows are, next to nothing beside them


@dataclass(frozen=True)
class SegmentEntry:
    """How the manifest names a segment: its file, and the file of its deleted rows, if any.

    `nbytes` is the file's length, 0 where an older manifest did not say; `base` is what row ids count from;
    `run` says to which sorted run it belongs, 0 for one of its own; `vectors` are the vector files that it
    refers to.
    """

    file: str
    rows: int
    deleted: str | None
    base: int = 0
    nbytes: int = 0
    run: int = 0
    vectors: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> SegmentEntry:
        """What `asdict` was given, back from JSON."""
        return cls(**{**fields, "vectors": tuple(fields.get("vectors", ()))})

    @property
    def files(self) -> tuple[str, ...]:
        """The files that its rows stand in."""
        return self.file, *self.vectors


class Sealed:
    """See the module's text."""

    def __init__(self, segment: Segment, base: int, gone: Positions | None, born: Positions | None) -> None:
        """`base` is what the segment's row ids count from.

        `born`, the commit that made each row, is given where a snapshot may be older than some of them.
        """
        self.segment = segment
        self.base = base
        self.rows = segment.rows
        self._born = born
        self._gone = gone
        self._lock = threading.Lock()
        self._damage: DataCorrupted | None = None
        self._saved_gone: str | None = None  # the newest file of deleted rows
        self.deleted = 0  # rows that a commit deleted
        self.run = 0  # the sorted run that it belongs to, 0: one of its own
        self.file = ""  # its name on disk, once it is there
        self.nbytes = 0  # the length of that file
        self.indexes: dict[KeyColumns, HashIndex] = {}

    @classmethod
    def open(cls, folder: Path, entry: SegmentEntry) -> Sealed:
        """A segment of the manifest's.

        One whose file is damaged is told to standard error and stays in its place: whoever asks for what is
        damaged gets DataCorrupted, and everything else can be read.
        """
        sealed = cls(_segment(folder, entry), entry.base, None, None)
        sealed.file, sealed.nbytes, sealed.run = entry.file, entry.nbytes, entry.run
        sealed._saved_gone = entry.deleted
        if entry.deleted is not None:
            try:
                positions = read_gone(folder / entry.deleted, sealed.rows)
            except DataCorrupted as error:
                _log.error("%s", error)
                sealed._damage = error
                return sealed
            sealed._gone = np.zeros(sealed.rows, np.int64)
            sealed._gone[positions] = 1
            sealed.deleted = len(positions)
        return sealed

    @property
    def damaged(self) -> bool:
        """Whether a file of it could not be opened: it stays as it is then."""
        return self._damage is not None or self.segment.damage is not None

    @property
    def first_row_id(self) -> int:
        """The smallest row id."""
        return self.base + self.segment.ids[0]

    @property
    def last_row_id(self) -> int:
        """The largest row id."""
        return self.base + self.segment.ids[1]

    @property
    def gone(self) -> Positions:
        """(rows,) the commit that deleted each row, 0 for none; made at the first delete."""
        with self._lock:
            if self._damage is not None:
                raise self._damage
            if self._gone is None:
                self._gone = np.zeros(self.rows, np.int64)
            return self._gone

    def gone_in(self, start: int, stop: int) -> Positions | None:
        """See storage.segments.table.Part."""
        if self._damage is not None:
            raise self._damage
        return None if self._gone is None else self._gone[start:stop]

    @property
    def born(self) -> Positions | None:
        """(rows,) the commit that made each row; None: one that every snapshot sees."""
        return self._born

    def born_in(self, start: int, stop: int) -> Positions | None:
        """See storage.segments.table.Part."""
        born = self._born  # may be forgotten at any time: see `settle`
        return None if born is None else born[start:stop]

    def mark(self, gone: Positions | None, born: Positions | None) -> None:
        """Set both, before the segment is part of a table."""
        self._gone, self._born = gone, born
        self.deleted = 0 if gone is None else int(np.count_nonzero(gone))

    def settle(self, oldest: int) -> None:
        """No snapshot is of a commit before `oldest`: who made the rows may be forgotten."""
        born = self._born
        if born is not None and int(born.max()) <= oldest:
            self._born = None

    def visible_rows(self, commit: int) -> int:
        """See storage.segments.table.Part: all rows (`born_in` says which were made later), or none."""
        born = self._born
        return 0 if born is not None and int(born.min()) > commit else self.rows

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those that do not."""
        relative = row_ids - self.base
        low, high = self.segment.ids
        inside = (relative >= low) & (relative <= high)
        if not inside.any():
            return np.full(len(row_ids), -1, np.int64)
        if self.segment.consecutive:
            return np.where(inside, relative - low, -1)
        ids, order = self.segment.by_row_id()
        found = np.minimum(np.searchsorted(ids, relative), self.rows - 1)
        places = found if order is None else order[found]
        return np.where(ids[found] == relative, places, -1)

    def column(self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None) -> Column:
        """See storage.segments.table.Part."""
        return self.segment.column(definition, start, stop, rows)

    def sees(self, commit: int, at: int) -> bool:
        """See storage.segments.table.Part."""
        if self._damage is not None:
            raise self._damage
        gone, born = self._gone, self._born
        return (born is None or bool(born[at] <= commit)) and (gone is None or not 0 < gone[at] <= commit)

    def values(self, definitions: Sequence[ColumnDefinition], at: int) -> Row:
        """See storage.segments.table.Part."""
        item = self.segment.item
        return tuple([item(definition, at) for definition in definitions])

    def row_ids_of(self, start: int, stop: int, rows: Positions | None) -> Positions:
        """See storage.segments.table.Part."""
        return self.segment.row_ids(start, stop, rows) + self.base

    def selector(self, predicate: Conjunction) -> Selector:
        """See storage.segments.table.Part."""
        return self.segment.selector(predicate)

    def may_match(self, predicate: Conjunction) -> Mask:
        """See storage.segments.table.Part."""
        found = self.segment.may_match(predicate)
        if not rowids.may_match(predicate, self.first_row_id, self.last_row_id):
            found[:] = False
        return found

    def morsel_rows(self, asked: Collection[int] | None = None, most: int = ZONE_ROWS) -> int:
        """How many rows make a morsel, a power of two: see storage.segments.table.Part."""
        width = self.segment.row_bytes if asked is None else self.segment.width(asked)
        fitting = min(most, MOST_ROWS, portion(MORSEL_BYTES, MORSEL_PART) // width) if width else most
        return 1 << (max(fitting, 64).bit_length() - 1)  # which lies within one extent of wide rows

    def save(self, folder: Path, file: str) -> None:
        """Write the segment's file, and read from it from now on. Raises DiskFull or FileError."""
        self.nbytes = self.segment.write(folder / file)
        self.segment = Segment.open(folder / file, self.nbytes)
        self.file = file

    def entry(self, deleted: str | None = None) -> SegmentEntry:
        """How a manifest names it."""
        return SegmentEntry(
            self.file, self.rows, deleted, self.base, self.nbytes, self.run, self.segment.vectors
        )

    def remove(self) -> None:
        """Remove the segment's files, if it has any: nothing names them. Those of others stay."""
        path = self.segment.path
        if path is None:
            return
        for name in self.segment.vectors:
            if stem(name) == stem(path.name):
                files.remove(path.with_name(name))
        files.remove(path)

    def write_gone(self, folder: Path, commit: int) -> str | None:
        """Write the rows deleted by `commit` to a file of their own; its name, None where there are none."""
        if self._gone is None:
            return self._saved_gone
        positions = np.flatnonzero((self._gone > 0) & (self._gone <= commit))
        if not len(positions):
            return None
        name = self._saved_gone = f"{self.file}.{commit}.gone"
        body = _HEAD.pack(_MAGIC, len(positions)) + positions.astype("<i8").tobytes()
        files.replace(folder / name, [body, struct.pack("<I", crc32c.crc32c(body))])
        return name


def _segment(folder: Path, entry: SegmentEntry) -> Segment:
    try:
        segment = Segment.open(folder / entry.file, entry.nbytes or None)
        if segment.rows != entry.rows:
            raise damage(folder / entry.file, 0, f"it has {segment.rows} rows, not {entry.rows}")
        for lost in segment.lost:
            _log.error("%s", lost)
    except DataCorrupted as error:
        _log.error("%s", error)
        return Segment.damaged(entry.rows, error)
    return segment


def read_gone(path: Path, rows: int) -> Positions:
    """The positions in a file of deleted rows of a segment of `rows` rows. Raises DataCorrupted."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise damage(path, 0, error.strerror or str(error)) from error
    if len(data) >= _HEAD.size + 4:
        magic, count = _HEAD.unpack_from(data)
        body, (stated,) = data[:-4], struct.unpack("<I", data[-4:])
        if magic == _MAGIC and len(body) == _HEAD.size + 8 * count and crc32c.crc32c(body) == stated:
            positions = np.frombuffer(body, "<i8", offset=_HEAD.size)
            if not count or 0 <= positions[0] <= positions[-1] < rows:
                return positions
    raise DataCorrupted(
        f'file of deleted rows "{path}" is damaged', hint="Restore the data folder from a backup."
    )
