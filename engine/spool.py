"""Spool: rows that are read once from where they come, and may be read again from here.

What a cursor has passed, if it may go back, or what a held one has yet to give. Rows are kept in memory as
far as an operator may hold them, those after that in a temporary file (engine.pages). Here they are counted
from 1.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.memory import Memory
from engine.pages import Pages
from storage.batch import BATCH_ROWS, Batch


class Spool:
    """Rows of `source`. One thread at a time."""

    def __init__(self, source: Iterator[Batch], memory: Memory) -> None:
        self._source = source
        self._pages = Pages(memory, memory.grant())
        self.ended = False
        """Whether there are no more."""

    @property
    def rows(self) -> int:
        """How many have been read."""
        return self._pages.rows

    def reach(self, row: int | None) -> bool:
        """Read up to that row, or (None) to the end; whether it is there.

        Raises what the source raises, DiskFull, FileError, ConfigurationLimitExceeded.
        """
        while not self.ended and (row is None or self.rows < row):
            batch = next(self._source, None)
            if batch is None:
                self.ended = True
                break
            for start in range(0, batch.rows, BATCH_ROWS):
                self._pages.append(batch.slice(start, min(start + BATCH_ROWS, batch.rows)))
        return row is not None and row <= self.rows

    def forward(self, first: int, last: int) -> Iterator[Batch]:
        """Rows `first` to `last`, of those that have been read. Raises FileError."""
        return self._pages.within(first - 1, last)

    def backward(self, last: int, first: int) -> Iterator[Batch]:
        """The same from `last` on, down to `first`. Raises FileError."""
        return self._pages.within(first - 1, last, backward=True)

    @property
    def nbytes(self) -> int:
        """Bytes in its temporary file."""
        return self._pages.nbytes

    def close(self) -> None:
        """Forget all rows."""
        self.ended = True
        self._pages.close()
