"""Paged rows: rows in order in a temporary file, read by their positions.

Every page has the same number of rows, but for the last one; so a position says which page to read. The pages
read last are kept, for positions that are asked together mostly lie together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from engine.counters import count
from engine.late import fetched, held_bytes
from engine.run import Run
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Positions
from storage.scratch import Extent
from storage.types import Type

_PAGES = 16  # as many fit into the memory that an operator may have
_KEPT = 4
_LEAST = 1 << 20
"""Bytes that pages are made for, even if other statements leave less at the moment."""


def page_rows(batch: Batch, run: Run) -> int:
    """How many rows a page has, where they are like those of a batch."""
    size = held_bytes(batch.columns) // max(batch.rows, 1) + 1
    memory = min(run.memory.limit, max(run.memory.left, _LEAST))
    return min(max(memory // (_PAGES * size), 1), BATCH_ROWS)


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


class PagedRows:
    """Rows of `types`, `rows` a page; `owner` is the operator that the bytes written count for.

    Raises DiskFull, FileError, ConfigurationLimitExceeded.
    """

    def __init__(self, types: Sequence[Type], rows: int, run: Run, owner: object) -> None:
        self._types = tuple(types)
        self._size = rows
        self._run = run
        self._owner = owner
        self._file = run.memory.file()
        self._extents: list[Extent] = []
        self._kept: OrderedDict[int, Batch] = OrderedDict()
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
                self._write(page)

    def end(self) -> None:
        """No more rows come."""
        for page in paged(self._rest, self._size):
            self._write(page)
        self._rest = []

    def _write(self, page: Batch) -> None:
        extent = self._file.write(fetched(page))
        self._extents.append(extent)
        self._run.memory.wrote(extent[1])
        count(self._run, self._owner, Spilled_Bytes=extent[1])

    def page(self, number: int) -> Batch:
        """The rows of a page."""
        found = self._kept.get(number)
        if found is None:
            self._run.check()
            found = self._file.read(self._types, self._extents[number])
            if len(self._kept) == _KEPT:
                self._kept.popitem(last=False)
            self._kept[number] = found
        else:
            self._kept.move_to_end(number)
        return found

    def between(self, first: int, stop: int) -> Batch:
        """The rows at positions `first` to `stop`."""
        parts = []
        for number in range(first // self._size, -(-stop // self._size)):
            page, at = self.page(number), number * self._size
            parts.append(page.slice(max(first - at, 0), min(stop - at, page.rows)))
        return Batch.concat(parts) if parts else Batch.empty(self._types)

    def take(self, positions: Positions) -> Batch:
        """The rows at these positions, in any order."""
        pages = positions // self._size
        if not len(pages):
            return Batch.empty(self._types)
        if pages[0] == pages[-1] and (pages == pages[0]).all():
            return self.page(int(pages[0])).take(positions - pages[0] * self._size)
        order = np.argsort(pages, kind="stable")
        ordered = pages[order]
        borders = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
        parts = []
        for first, stop in pairwise(borders):
            number = int(ordered[first])
            parts.append(self.page(number).take(positions[order[first:stop]] - number * self._size))
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return Batch.concat(parts).take(places)

    def close(self) -> None:
        """Forget all rows."""
        self._run.memory.wrote(-self._file.nbytes)
        self._file.close()


def column_of(rows: PagedRows, positions: Positions) -> Column:
    """The values at these positions, of rows of one column."""
    return rows.take(positions).columns[0]
