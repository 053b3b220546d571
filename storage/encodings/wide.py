"""Wide: rows of a fixed width of 256 bytes or more, where they lie, each with a checksum of its own.

Three buffers: the rows one after another, the CRC32C of each row (uint32), and that of each extent. An
extent is a number of rows that is a power of two and takes up to 32 MB; morsels begin and end within one.
A scan reads and keeps whole extents, as long as the buffer cache has room for them. Where few rows of one are
asked for, or it would not be kept, only these are read, near ones together, in the order in which they lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import crc32c
import numpy as np

from storage import checksums, kernels
from storage.column import Array, Column, Mask, Positions
from storage.encodings.base import Bytes, Stored, Stretched, flat
from storage.kernels.plain.checksums import Checksums
from storage.memory import memory
from storage.predicate import Comparison
from storage.types import Form, Type

WIDE = 256
"""Bytes of a row from which on it is wide."""
EXTENT_BYTES = 32 << 20
_SPARSE = 8  # rows are read one by one where fewer than one in so many are asked for
_FEW = 16  # so many rows are read one by one: to see which are near takes longer
_GAP = 8 << 10  # bytes that are read and not used rather than that another read is begun behind them


def is_wide(type: Type) -> bool:
    """Whether values of the type are kept so."""
    return type.form is Form.ROWS and type.dtype is not None and type.width * type.dtype.itemsize >= WIDE


def extent_rows(row_bytes: int) -> int:
    """Rows of an extent: a power of two."""
    return 1 << max((EXTENT_BYTES // row_bytes).bit_length() - 1, 0)


class Wide(Stretched):
    """A column of wide rows in memory, as it was given."""

    tag: ClassVar[str] = "wide"
    weight: ClassVar[float] = 1.0

    def __init__(self, column: Column) -> None:
        self._column = column

    @property
    def nbytes(self) -> int:
        return self._column.nbytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        column = self._column.slice(start, stop)
        return column if rows is None else column.take(rows)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """No help."""
        return None

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return False

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        values = self._column.values
        rows = extent_rows(values.shape[1] * values.dtype.itemsize)
        return {"shape": list(values.shape), "extent": rows}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        values = np.ascontiguousarray(self._column.values).view(np.uint8)
        rows = extent_rows(values.shape[1])
        of_rows = kernels.checksum_rows(values)
        parts = (of_rows[at : at + rows] for at in range(0, len(values), rows))
        extents = np.array([checksums.joined(part, values.shape[1]) for part in parts], np.uint32)
        return [flat(values), flat(of_rows), flat(extents)]

    @classmethod
    def encode(cls, column: Column) -> Wide | None:
        """See Encoding."""
        return cls(column) if is_wide(column.type) and len(column) else None

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float | None:
        """See Encoding."""
        return sample.nbytes * rows / len(sample) if is_wide(sample.type) and len(sample) else None

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Wide:
        """See Encoding."""
        assert type.dtype is not None
        return cls(Column(type, buffers[0].view(type.dtype).reshape(head["shape"])))


class StoredWide(Stretched):
    """A column of wide rows in a file."""

    tag: ClassVar[str] = Wide.tag

    def __init__(self, type: Type, head: dict[str, Any], buffers: Sequence[Stored]) -> None:
        assert type.dtype is not None
        self._type, self._dtype = type, type.dtype
        (self._rows, self._width), self.extent_rows = map(int, head["shape"]), int(head["extent"])
        self.row_bytes = self._width * type.dtype.itemsize
        """The bytes of a row; `extent_rows`: the rows of an extent."""
        self._head = head
        self._data = buffers[0]
        self._of_rows, self._of_extents = buffers[1], buffers[2]

    @property
    def _checks(self) -> Checksums:
        """(rows,) the checksum of each row."""
        return self._of_rows.kept().view(np.uint32)

    @property
    def _extents(self) -> Checksums:
        """The checksum of each extent."""
        return self._of_extents.kept().view(np.uint32)

    @property
    def nbytes(self) -> int:
        return self._rows * self.row_bytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded. Raises DataCorrupted."""
        if rows is None:
            raw = self._range(start, min(stop, self._rows))
        else:
            raw = self._empty(len(rows))
            self.gather(rows + start, raw)
        return Column(self._type, raw.reshape(-1).view(self._dtype).reshape(len(raw), self._width))

    def verify(self, step: int) -> None:
        """Read so many rows at a time, and hold each against its checksum. Raises DataCorrupted."""
        for start in range(0, self._rows, step):
            self._read(start, min(start + step, self._rows))

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """No help."""
        return None

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return False

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return self._head

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [flat(self._range(0, self._rows)), flat(self._checks), flat(self._extents)]

    def _range(self, start: int, stop: int) -> Array:
        """(stop - start, row bytes) uint8."""
        pieces = []
        for number in range(start // self.extent_rows, -(-stop // self.extent_rows)):
            first = number * self.extent_rows
            low, high = max(start, first), min(stop, first + self.extent_rows)
            extent = self._kept(number, high - low)
            pieces.append(self._read(low, high) if extent is None else extent[low - first : high - first])
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.row_bytes), np.uint8)

    def _empty(self, rows: int) -> Array:
        return memory(rows * self.row_bytes).reshape(rows, self.row_bytes)

    def gather(self, positions: Positions, out: Array) -> None:
        """Put the rows at these positions into (len(positions), row bytes) uint8. Raises DataCorrupted."""
        extents = positions // self.extent_rows
        kept = {number: self._kept(number, count) for number, count in _numbered(extents)}
        if all(extent is None for extent in kept.values()):
            self._sparse(positions, out)
            return
        for number, extent in kept.items():
            places = np.flatnonzero(extents == number)
            if extent is not None:
                out[places] = extent[positions[places] - number * self.extent_rows]
                continue
            part = self._empty(len(places))
            self._sparse(positions[places], part)
            out[places] = part

    def expect(self, positions: Positions) -> None:
        """A hint that the rows at these positions will be asked for: the disk may begin with them."""
        numbers, width = (positions // self.extent_rows).tolist(), self.row_bytes
        kept = {number: self._data.peek(number) is not None for number in set(numbers)}
        wanted = zip(positions.tolist(), numbers, strict=True)
        spans = [(row * width, row * width + width) for row, number in wanted if not kept[number]]
        if spans:
            self._data.expect(spans)

    def _kept(self, number: int, wanted: int) -> Array | None:
        """An extent, read if so many rows of it are worth that."""
        first = number * self.extent_rows
        stop = min(first + self.extent_rows, self._rows)
        kept: Array | None = self._data.peek(number)
        sparse = wanted * _SPARSE < stop - first
        if kept is not None or sparse or not self._data.has_room((stop - first) * self.row_bytes):
            return kept

        def load() -> Array:
            raw = self._data.part(first * self.row_bytes, stop * self.row_bytes)
            if crc32c.crc32c(raw.data) != self._extents[number]:
                raise self._data.damage(self._damaged(raw, first), "a checksum is wrong")
            return raw.reshape(stop - first, self.row_bytes)

        return self._data.keep(number, load)

    def _damaged(self, raw: Bytes, first: int) -> int:
        """Where, in the buffer, the first row stands whose checksum is wrong too."""
        rows = raw.reshape(-1, self.row_bytes)
        wrong = np.flatnonzero(kernels.checksum_rows(rows) != self._checks[first : first + len(rows)])
        return (first + (int(wrong[0]) if len(wrong) else 0)) * self.row_bytes

    def _sparse(self, positions: Positions, out: Array) -> None:
        """Rows of extents that are not kept."""
        if (np.diff(positions) > 0).all():
            self._ascending(positions, out)
            return
        distinct, places = np.unique(positions, return_inverse=True)
        part = self._empty(len(distinct))
        self._ascending(distinct, part)
        np.take(part, places.reshape(-1), axis=0, out=out)

    def _ascending(self, positions: Positions, out: Array) -> None:
        """Rows, each once, in the order in which they lie; checked one by one."""
        if not len(positions):
            return
        width = self.row_bytes
        if len(positions) <= _FEW and out.flags.c_contiguous:
            self._data.parts(
                [(row * width, row * width + width) for row in positions.tolist()], out.reshape(-1)
            )
            self._check(positions, out)
            return
        begins = np.flatnonzero(np.diff(positions) > 1 + _GAP // width) + 1
        firsts = positions[np.concatenate([[0], begins])]
        stops = positions[np.concatenate([begins - 1, [len(positions) - 1]])] + 1
        spans = list(zip((firsts * width).tolist(), (stops * width).tolist(), strict=True))
        read = int((stops - firsts).sum())
        if read == len(positions) and out.flags.c_contiguous:
            self._data.parts(spans, out.reshape(-1))
        else:
            raw = self._empty(read)
            self._data.parts(spans, raw.reshape(-1))
            befores = np.cumsum(stops - firsts) - (stops - firsts)
            span = np.searchsorted(firsts, positions, "right") - 1
            out[...] = raw[positions - firsts[span] + befores[span]]
        self._check(positions, out)

    def _check(self, positions: Positions, out: Array) -> None:
        """Hold rows against their checksums."""
        wrong = np.flatnonzero(kernels.checksum_rows(out) != self._checks[positions])
        if len(wrong):
            raise self._data.damage(int(positions[wrong[0]]) * self.row_bytes, "a row's checksum is wrong")

    def _read(self, start: int, stop: int) -> Array:
        """Neighbouring rows, checked one by one."""
        rows = self._empty(stop - start)
        self._ascending(np.arange(start, stop), rows)
        return rows


def _numbered(extents: Positions) -> list[tuple[int, int]]:
    """Each number and how often it is there, ascending."""
    if len(extents) <= _FEW:
        return sorted(Counter(extents.tolist()).items())
    numbers, counts = np.unique(extents, return_counts=True)
    return list(zip(numbers.tolist(), counts.tolist(), strict=True))
