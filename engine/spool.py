"""Spool: rows that are read once from where they come, and may be read again from here.

What a cursor has passed, if it may go back, or what a held one has yet to give. Rows are kept in memory as
far as an operator may hold them, those after that in a temporary file. Rows are counted from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.late import fetched, held_bytes
from engine.memory import Memory
from storage.batch import BATCH_ROWS, Batch
from storage.scratch import Extent, ScratchFile
from storage.types import Type


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows `first` and after, in memory or where they stand in the file."""

    first: int
    rows: int
    kept: Batch | Extent
    types: tuple[Type, ...]


class Spool:
    """Rows of `source`. One thread at a time."""

    def __init__(self, source: Iterator[Batch], memory: Memory) -> None:
        self._source = source
        self._memory = memory
        self._grant = memory.grant()
        self._file: ScratchFile | None = None
        self._pieces: list[_Piece] = []
        self.rows = 0
        """How many have been read."""
        self.ended = False
        """Whether there are no more."""

    def reach(self, row: int | None) -> bool:
        """Read up to that row, or (None) to the end; whether it is there.

        Raises what the source raises, DiskFull, FileError, ConfigurationLimitExceeded.
        """
        while not self.ended and (row is None or self.rows < row):
            batch = next(self._source, None)
            if batch is None:
                self.ended = True
            elif batch.rows:
                self._add(batch)
        return row is not None and row <= self.rows

    def forward(self, first: int, last: int) -> Iterator[Batch]:
        """Rows `first` to `last`, of those that have been read. Raises FileError."""
        for piece, begin, end in _within(self._pieces, first, last):
            yield self._batch(piece).slice(begin, end)

    def backward(self, last: int, first: int) -> Iterator[Batch]:
        """The same from `last` on, down to `first`. Raises FileError."""
        for piece, begin, end in _within(reversed(self._pieces), first, last):
            yield self._batch(piece).take(np.arange(end - 1, begin - 1, -1))

    @property
    def nbytes(self) -> int:
        """Bytes in its temporary file."""
        return 0 if self._file is None else self._file.nbytes

    def close(self) -> None:
        """Forget all rows."""
        self._pieces, self.ended = [], True
        self._grant.release()
        if self._file is not None:
            self._memory.wrote(-self._file.nbytes)
            self._file.close()

    def _add(self, batch: Batch) -> None:
        types = tuple(column.type for column in batch.columns)
        for start in range(0, batch.rows, BATCH_ROWS):
            some = fetched(batch.slice(start, min(start + BATCH_ROWS, batch.rows)))
            kept: Batch | Extent = some
            if self._file is not None or not self._grant.room(held_bytes(some.columns)):
                kept = self._put_aside(some)
            self._pieces.append(_Piece(self.rows + 1, some.rows, kept, types))
            self.rows += some.rows

    def _put_aside(self, batch: Batch) -> Extent:
        if self._file is None:
            self._file = self._memory.file()
        extent = self._file.write(batch)
        self._memory.wrote(extent[1])
        return extent

    def _batch(self, piece: _Piece) -> Batch:
        if isinstance(piece.kept, Batch):
            return piece.kept
        assert self._file is not None
        return self._file.read(piece.types, piece.kept)


def _within(pieces: Iterable[_Piece], first: int, last: int) -> Iterator[tuple[_Piece, int, int]]:
    """Those with rows `first` to `last`, and from where to where these stand in each."""
    for piece in pieces:
        begin, end = max(first - piece.first, 0), min(last - piece.first + 1, piece.rows)
        if begin < end:
            yield piece, begin, end
