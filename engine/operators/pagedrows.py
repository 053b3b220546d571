"""Paged rows: rows in order in a temporary file, all pages of as many rows but for the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.counters import count
from engine.late import held_bytes
from engine.pages import Pages
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Positions
from storage.scratch import Extent
from storage.types import Type

_PAGES = 16  # as many fit into the memory that an operator may have


def page_rows(batch: Batch, run: Run) -> int:
    """How many rows a page has, where they are like those of a batch."""
    return run.memory.rows(_PAGES, held_bytes(batch.columns) // max(batch.rows, 1) + 1)


def paged(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The same rows in batches of `rows`, but for the last one."""
    held: list[Batch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.rows
        if size < rows:
            continue
        whole = Batch.concat(held)
        end = size - size % rows
        for first in range(0, end, rows):
            yield whole.slice(first, first + rows)
        held, size = ([whole.slice(end, size)], size - end) if end < size else ([], 0)
    if size:
        yield Batch.concat(held)


class PagedRows(Pages):
    """Rows, `rows` a page; `owner` is the operator that the bytes written count for."""

    def __init__(self, rows: int, run: Run, owner: object) -> None:
        super().__init__(run.memory)
        self._size = rows
        self._run = run
        self._owner = owner
        self._rest: list[Batch] = []  # not a whole page yet

    def append(self, batch: Batch) -> None:
        """Add rows behind the others."""
        self._rest.append(batch)
        if sum(each.rows for each in self._rest) < self._size:
            return
        rest, self._rest = self._rest, []
        for page in paged(rest, self._size):
            if page.rows < self._size:
                self._rest = [page]
            else:
                super().append(page)

    def end(self) -> None:
        """No more rows come."""
        for page in paged(self._rest, self._size):
            super().append(page)
        self._rest = []

    def wrote(self, nbytes: int) -> None:
        """See Pages."""
        count(self._run, self._owner, Spilled_Bytes=nbytes)

    def read(self, extent: Extent, types: tuple[Type, ...]) -> Batch:
        """See Pages."""
        self._run.check()
        return super().read(extent, types)


def column_of(rows: PagedRows, positions: Positions) -> Column:
    """The values at these positions, of rows of one column."""
    return rows.take(positions).columns[0]
