"""A sealed segment in a table: immutable rows, and the marks of those deleted since.

A delete file `<segment>.<commit>.gone` holds

    8 bytes   magic "GDBGONE1"
    8 bytes   count, little-endian
    n * 8     positions in the segment, int64, ascending
    4 bytes   CRC32C of all before
"""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import crc32c
import numpy as np

from storage import files
from storage.catalog import ColumnDefinition
from storage.column import Column, Mask, Positions
from storage.errors import DataCorrupted
from storage.predicate import Conjunction
from storage.segment import Segment

_MAGIC = b"GDBGONE1"
_HEAD = struct.Struct("<8sQ")
MORSEL_BYTES = 32 << 20
MORSEL_ROWS = 65_536


class Sealed:
    """See the module's text. `born` is kept while a snapshot may be older than some of the rows."""

    def __init__(self, segment: Segment, row_ids: Positions, gone: Positions | None, born: Positions | None):
        self.segment = segment
        self.rows = segment.rows
        self._born = born
        self._gone = gone
        self._lock = threading.Lock()
        self._ends = (int(row_ids.min()), int(row_ids.max())) if len(row_ids) else (0, -1)
        ascending = bool((np.diff(row_ids) > 0).all())
        self._order = None if ascending else np.argsort(row_ids, kind="stable")
        self._sorted = row_ids if self._order is None else row_ids[self._order]
        self.file = ""  # its name on disk, once it is there

    @classmethod
    def open(cls, folder: Path, file: str, deleted: str | None) -> Sealed:
        """A segment of the manifest's. Raises DataCorrupted."""
        segment = Segment.open(folder / file)
        gone = None
        if deleted is not None:
            gone = np.zeros(segment.rows, np.int64)
            gone[_read_gone(folder / deleted, segment.rows)] = 1
        sealed = cls(segment, segment.row_ids(0, segment.rows, None), gone, None)
        sealed.file = file
        return sealed

    @property
    def first_row_id(self) -> int:
        """The smallest row id."""
        return self._ends[0]

    @property
    def gone(self) -> Positions:
        """(rows,) the commit that deleted each row, 0 for none; made at the first delete."""
        with self._lock:
            if self._gone is None:
                self._gone = np.zeros(self.rows, np.int64)
            return self._gone

    @property
    def by_row_id(self) -> Positions | None:
        """(rows,) positions in ascending order of row id; None where rows lie so already."""
        return self._order

    def gone_in(self, start: int, stop: int) -> Positions | None:
        """See storage.table.Part."""
        return None if self._gone is None else self._gone[start:stop]

    @property
    def born(self) -> Positions | None:
        """(rows,) the commit that made each row; None: one that every snapshot sees."""
        return self._born

    def visible_rows(self, commit: int) -> int:
        """How many rows, from the first on, were made at or before `commit`."""
        return self.rows if self._born is None else int(np.searchsorted(self._born, commit, "right"))

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those that do not."""
        found = np.minimum(np.searchsorted(self._sorted, row_ids), self.rows - 1)
        places = found if self._order is None else self._order[found]
        return np.where(self._sorted[found] == row_ids, places, -1)

    def column(self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None) -> Column:
        """See storage.table.Part."""
        return self.segment.column(definition, start, stop, rows)

    def row_ids_of(self, start: int, stop: int, rows: Positions | None) -> Positions:
        """See storage.table.Part."""
        return self.segment.row_ids(start, stop, rows)

    def select(self, predicate: Conjunction, start: int, stop: int) -> Mask | None:
        """See storage.table.Part."""
        return self.segment.select(predicate, start, stop)

    def may_match(self, predicate: Conjunction, start: int, stop: int) -> bool:
        """See storage.table.Part."""
        return self.segment.may_match(predicate, start, stop)

    def morsel_rows(self) -> int:
        """How many rows make a morsel: wide rows fewer."""
        width = self.segment.nbytes // max(self.rows, 1)
        return max(min(MORSEL_ROWS, MORSEL_BYTES // max(width, 1)), 64)

    def write_gone(self, folder: Path, commit: int) -> str | None:
        """Write the rows deleted by `commit` to a file of their own; its name, None where there are none."""
        if self._gone is None:
            return None
        positions = np.flatnonzero((self._gone > 0) & (self._gone <= commit))
        if not len(positions):
            return None
        name = f"{self.file}.{commit}.gone"
        body = _HEAD.pack(_MAGIC, len(positions)) + positions.astype("<i8").tobytes()
        files.replace(folder / name, [body, struct.pack("<I", crc32c.crc32c(body))])
        return name


def _read_gone(path: Path, rows: int) -> Positions:
    data = path.read_bytes()
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
