"""A few rows each of many vector files, read in one go.

What is done around a read (finding the file, its descriptor, the row's checksum) costs several times what the
read does, and rows that codes leave open stand one to a file. So all that can be done for all rows at once
is: one kernel reads them, one call checks them, and only the buffer cache is asked row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from storage import kernels
from storage.column import Array, Positions
from storage.encodings.wide import StoredWide
from storage.segments.segmentfile import StoredBuffer, expect_rows, kept_all, peek_all, read_rows

FEW = 16
"""Rows of a file, on average, up to which they are read one by one."""
_AT_ONCE = 256
"""Rows that are read at once: so many files are open for it at most."""


class File(Protocol):
    """A vector file: asking for what is in one that is damaged raises DataCorrupted."""

    @property
    def wide(self) -> StoredWide:
        """Its rows."""

    @property
    def data(self) -> StoredBuffer:
        """The bytes of its rows, one after another."""

    @property
    def checks(self) -> StoredBuffer:
        """The checksum of each row."""


Located = tuple[Sequence[File], Positions, Positions]
"""Files, and for each row that is meant the number of its file and which row of it it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Scattered:
    """Row i is row rows[i] of the file number which[i]; of each file there is one."""

    files: Sequence[File]
    which: Positions
    rows: Positions

    @classmethod
    def of(cls, located: Sequence[Located]) -> Scattered:
        """All these rows, one after another."""
        files: list[File] = []
        numbers = []
        for some, which, _ in located:
            numbers.append(which + len(files))
            files += some
        present, which = np.unique(np.concatenate(numbers), return_inverse=True)
        rows = np.concatenate([rows for _, _, rows in located])
        return cls([files[number] for number in present.tolist()], which, rows)

    @property
    def few(self) -> bool:
        """Whether there are few enough rows of each file."""
        return len(self.rows) <= FEW * len(self.files)

    def expect(self) -> None:
        """A hint that these rows will be asked for: the disk may begin with them. Raises DataCorrupted."""
        for piece, _ in self._pieces():
            loose = np.flatnonzero([row is None for row in piece._kept()])
            if len(loose):
                data, row_bytes = [file.data for file in piece.files], piece.files[0].wide.row_bytes
                expect_rows(data, piece.which[loose], piece.rows[loose] * row_bytes, row_bytes)

    def gather(self, out: Array) -> None:
        """Put the rows into (rows, row bytes) uint8, contiguous. Raises DataCorrupted."""
        for piece, first in self._pieces():
            piece._gather(out[first : first + len(piece.rows)])

    def _pieces(self) -> Iterator[tuple[Scattered, int]]:
        """So many rows at a time, and the number of the first."""
        if len(self.rows) <= _AT_ONCE:
            yield self, 0
            return
        for first in range(0, len(self.rows), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            yield Scattered.of([(self.files, self.which[some], self.rows[some])]), first

    def _kept(self) -> list[Array | None]:
        """Each row, if the buffer cache has its extent."""
        sizes = np.array([file.wide.extent_rows for file in self.files], np.int64)[self.which]
        data = [file.data for file in self.files]
        extents = peek_all([data[n] for n in self.which.tolist()], (self.rows // sizes).tolist())
        within = (self.rows % sizes).tolist()
        return [None if extent is None else extent[n] for extent, n in zip(extents, within, strict=True)]

    def _gather(self, out: Array) -> None:
        kept = self._kept()
        loose = np.array([i for i, row in enumerate(kept) if row is None], np.int64)
        for i, row in enumerate(kept):
            if row is not None:
                out[i] = row
        if len(loose) == len(out):
            self._read(self.which, self.rows, out)
        elif len(loose):
            part = np.empty((len(loose), out.shape[1]), np.uint8)
            self._read(self.which[loose], self.rows[loose], part)
            out[loose] = part

    def _read(self, which: Positions, rows: Positions, out: Array) -> None:
        """Rows that the buffer cache does not have, each held against its checksum."""
        read_rows([file.data for file in self.files], which, rows * out.shape[1], out)
        checks = [checks.view(np.uint32) for checks in kept_all([file.checks for file in self.files])]
        places = zip(which.tolist(), rows.tolist(), strict=True)
        stated = np.array([checks[number][row] for number, row in places], np.uint32)
        wrong = np.flatnonzero(kernels.checksum_rows(out) != stated)
        if len(wrong):
            file, row = self.files[int(which[wrong[0]])], int(rows[wrong[0]])
            raise file.data.damage(row * out.shape[1], "a row's checksum is wrong")
