"""Vector files: the rows of wide columns, in files of their own to which segments refer.

    8 bytes   magic "GDBVEC01"
    buffers   the three of storage.encodings.wide: the rows from byte 4096 on, so that one of 4 KB is one page
              of the disk's, the others at multiples of 64 bytes
    n bytes   foot: JSON
    8 bytes   length of the foot, little-endian
    4 bytes   CRC32C of the foot
    8 bytes   magic "GDBSEGEN"

    foot: {"type": [oid, modifier], "head": {...}, "buffers": [[offset, length, CRC32C], ...]}

A file is written once, when its rows are sealed or loaded, and never changes. A segment's column refers to
one or several of them, so a merge moves no rows: the new segments refer to the files of the old ones. What a
column of this encoding, "vectors", has in its segment's foot:

    head: {"files": [[name, length in bytes, rows], ...]}
    buffers: none, or one: (rows,) int32, little-endian, the place of each row

Places count through the rows of the files, one file after another; without the buffer they are 0, 1, 2 and so
on. Nulls have a place like others. Files lie in the folder of the segments that refer to them.

A file that is missing or was cut is told when a segment that refers to it is opened; whoever asks for a row
of it gets DataCorrupted, and all else of the segment can be read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from storage import checksums, codec
from storage.column import Array, Column, Mask, Positions
from storage.encodings.base import Bytes, Stored, Stretched, flat
from storage.encodings.wide import StoredWide, Wide
from storage.errors import DataCorrupted
from storage.memory import memory
from storage.predicate import Comparison
from storage.segments.scattered import FEW, Scattered
from storage.segments.segmentfile import Content, SegmentFile, StoredBuffer
from storage.types import Type

MAGICS = (b"GDBVEC01",)
"""What a vector file may begin with; the first is written."""

PAGE = 4096

Places = npt.NDArray[np.int32]
"""(rows,) where each row stands, counted through all files."""


def write_vectors(path: Path, rows: Wide, type: Type) -> VectorFile:
    """A new file with these rows, whole and fsynced. Raises DiskFull or FileError."""
    content = Content(MAGICS[0])
    data, of_rows, *rest = rows.buffers()
    row_bytes = 4 * len(data) // max(len(of_rows), 1)  # of_rows has four bytes a row
    whole = checksums.joined(of_rows.view(np.uint32), row_bytes)
    buffers = [content.place(data, whole, PAGE), *(content.place(part) for part in (of_rows, *rest))]
    foot = {"type": codec.encode_type(type), "head": rows.head(), "buffers": buffers}
    nbytes = content.write(path, foot)
    return open_vectors(path, nbytes, int(rows.head()["shape"][0]))


class VectorFile:
    """A vector file, open to be read for as long as somebody holds this."""

    def __init__(self, path: Path, nbytes: int, rows: int) -> None:
        """Nothing of it is read yet, and its length compared. Raises DataCorrupted, naming the file."""
        self.path, self.nbytes, self.rows = path, nbytes, rows
        self.file = SegmentFile(path, nbytes, MAGICS)

    @cached_property
    def wide(self) -> StoredWide:
        """Its rows. Raises DataCorrupted, naming file and offset."""
        foot = self.file.foot
        buffers = [self.file.buffer(at, place) for at, place in enumerate(foot["buffers"])]
        return StoredWide(codec.decode_type(foot["type"]), foot["head"], buffers)

    @cached_property
    def data(self) -> StoredBuffer:
        """The bytes of its rows. Raises as `wide` does."""
        return self.file.buffer(0, self.file.foot["buffers"][0])

    @cached_property
    def checks(self) -> StoredBuffer:
        """The checksum of each row. Raises as `wide` does."""
        return self.file.buffer(1, self.file.foot["buffers"][1])


class LostFile:
    """What stands for a vector file that cannot be opened: whoever asks for its rows gets the error."""

    def __init__(self, path: Path, nbytes: int, rows: int, error: DataCorrupted) -> None:
        self.path, self.nbytes, self.rows = path, nbytes, rows
        self._error = error

    @property
    def wide(self) -> StoredWide:
        """Raises DataCorrupted."""
        raise self._error

    @property
    def data(self) -> StoredBuffer:
        """Raises DataCorrupted."""
        raise self._error

    @property
    def checks(self) -> StoredBuffer:
        """Raises DataCorrupted."""
        raise self._error


AnyFile = VectorFile | LostFile

_open: WeakValueDictionary[tuple[Path, int, int, int], VectorFile] = WeakValueDictionary()
_opening = threading.Lock()


def open_vectors(path: Path, nbytes: int, rows: int) -> VectorFile:
    """The file, shared by all that refer to it, so that what the buffer cache keeps of it is kept once.

    Raises DataCorrupted where it is not there, or not of that length.
    """
    try:
        stat = path.stat()
        key = path, stat.st_dev, stat.st_ino, stat.st_mtime_ns
    except OSError:
        return VectorFile(path, nbytes, rows)  # which says what is wrong
    with _opening:
        found = _open.get(key)
        if found is None or found.nbytes != nbytes or found.rows != rows:
            found = _open[key] = VectorFile(path, nbytes, rows)
        return found


class Referred(Stretched):
    """A column whose rows stand in vector files: see storage.encodings.base.Encoded."""

    tag: ClassVar[str] = "vectors"
    exact: ClassVar[bool] = False

    def __init__(
        self, type: Type, files: Sequence[AnyFile], rows: int, places: Places | Stored | None
    ) -> None:
        """`places`: an array, or where it is stored; None where row n stands at place n."""
        self.type, self.files, self.rows = type, tuple(files), rows
        self._places = places
        self._starts: Positions = np.cumsum([0, *(file.rows for file in files)])

    @classmethod
    def read(
        cls, type: Type, head: dict[str, Any], rows: int, buffers: Sequence[Stored], folder: Path
    ) -> tuple[Referred, list[DataCorrupted]]:
        """The column, and what is wrong with its files. See the module's text for `head` and `buffers`."""
        files: list[AnyFile] = []
        errors = []
        for name, nbytes, count in head["files"]:
            try:
                files.append(open_vectors(folder / name, nbytes, count))
            except DataCorrupted as error:
                files.append(LostFile(folder / name, nbytes, count, error))
                errors.append(error)
        return cls(type, files, rows, buffers[0] if buffers else None), errors

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        assert self.type.dtype is not None
        return self.type.width * self.type.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Those of its rows, and of their places."""
        return self.rows * (self.row_bytes + (0 if self._places is None else 4))

    def places(self, start: int, stop: int) -> Positions:
        """(stop - start,) int64: where these rows stand. Raises DataCorrupted."""
        if self._places is None:
            return np.arange(start, stop)
        found = self._places if isinstance(self._places, np.ndarray) else self._places.kept().view("<i4")
        return found[start:stop].astype(np.int64)

    def _places_at(self, rows: Positions) -> Positions:
        """(rows,) int64: where the rows at these positions stand. Raises DataCorrupted."""
        if self._places is None:
            return rows
        found = self._places if isinstance(self._places, np.ndarray) else self._places.kept().view("<i4")
        return found[rows].astype(np.int64)

    def expect(self, rows: Positions) -> None:
        """A hint that the rows at these positions will be asked for: the disk may begin with them."""
        expect([(self, rows)])

    def expect_by_file(self, rows: Positions) -> None:
        """The same, where they are many. Raises DataCorrupted."""
        for number, _, at in self._by_file(self._places_at(rows)):
            self.files[number].wide.expect(at)

    def located(self, rows: Positions | None) -> tuple[Positions, Positions]:
        """(number of the file that each row stands in, the row there); None: of all rows."""
        return self._located(self.places(0, self.rows) if rows is None else self._places_at(rows))

    def _located(self, places: Positions) -> tuple[Positions, Positions]:
        numbers = np.searchsorted(self._starts, places, "right") - 1
        return numbers, places - self._starts[numbers]

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded. Raises DataCorrupted."""
        stop = min(stop, self.rows)
        if rows is not None:
            values = self._gather(self._places_at(rows + start))
        elif self._places is None:
            values = self._span(start, stop)
        else:
            values = self._gather(self.places(start, stop))
        return Column(self.type, values)

    def _span(self, start: int, stop: int) -> Array:
        """The rows at places start to stop."""
        pieces = []
        first, last = np.searchsorted(self._starts, [start, stop - 1], "right") - 1
        for number in range(first, last + 1) if stop > start else ():
            at, end = int(self._starts[number]), int(self._starts[number + 1])
            wide = self.files[number].wide
            pieces.append(wide.decode(max(start, at) - at, min(stop, end) - at, None).values)
        if len(pieces) != 1:
            return np.concatenate(pieces) if pieces else self._empty(0)
        values: Array = pieces[0]
        return values

    def _gather(self, places: Positions) -> Array:
        """The rows at these places."""
        result = self._empty(len(places))
        raw = result.view(np.uint8)
        some = _scattered([(self, places)]) if len(places) > 1 else None
        if some is not None:
            some.gather(raw)
            return result
        for number, where, at in self._by_file(places):
            if isinstance(where, slice):
                self.files[number].wide.gather(at, raw[where])
            else:
                part = self._empty(len(at)).view(np.uint8)
                self.files[number].wide.gather(at, part)
                raw[where] = part
        return result

    def _by_file(self, places: Positions) -> Iterator[tuple[int, Positions | slice, Positions]]:
        """(number of the file, which of `places` are in it, rows of it)."""
        if not len(places):
            return
        numbers = np.searchsorted(self._starts, places, "right") - 1
        if (np.diff(numbers) >= 0).all():
            present, firsts = np.unique(numbers, return_index=True)
            stops = [*firsts[1:].tolist(), len(places)]
            for number, start, stop in zip(present.tolist(), firsts.tolist(), stops, strict=True):
                yield number, slice(start, stop), places[start:stop] - self._starts[number]
            return
        order = np.argsort(numbers, kind="stable")
        present, firsts = np.unique(numbers[order], return_index=True)
        for number, where in zip(present.tolist(), np.split(order, firsts[1:]), strict=True):
            yield number, where, places[where] - self._starts[number]

    def _empty(self, rows: int) -> Array:
        assert self.type.dtype is not None
        return memory(rows * self.row_bytes).view(self.type.dtype).reshape(rows, self.type.width)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """No help."""
        return None

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"files": [[file.path.name, file.nbytes, file.rows] for file in self.files]}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        if self._places is None:
            return []
        return [flat(self.places(0, self.rows).astype("<i4"))]


def _scattered(columns: Sequence[tuple[Referred, Positions]]) -> Scattered | None:
    """The rows at some places of each column, where they are few of each file."""
    located = [(column.files, *column._located(places)) for column, places in columns if len(places)]
    most = FEW * sum(len(files) for files, _, _ in located)
    if not located or sum(len(rows) for _, _, rows in located) > most:
        return None
    some = Scattered.of(located)
    return some if some.few else None


def gather(columns: Sequence[tuple[Referred, Positions]]) -> Array:
    """(rows, width) the rows at some positions of each column, all of one type, one after another.

    Few rows of many files are read in one go. Raises DataCorrupted.
    """
    some = _scattered([(column, column._places_at(rows)) for column, rows in columns])
    if some is None:
        return np.concatenate([column.decode(0, column.rows, rows).values for column, rows in columns])
    result = columns[0][0]._empty(len(some.rows))
    some.gather(result.view(np.uint8))
    return result


def expect(columns: Sequence[tuple[Referred, Positions]]) -> None:
    """A hint that the rows at these positions of each column will be asked for: the disk may begin."""
    with suppress(DataCorrupted):  # whoever asks for them is told
        some = _scattered([(column, column._places_at(rows)) for column, rows in columns])
        if some is not None:
            some.expect()
            return
        for column, rows in columns:
            column.expect_by_file(rows)
