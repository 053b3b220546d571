"""Pages: rows by their positions, in memory as far as they may be, behind that in a temporary file.

A page is a batch as it was appended, so a position says by a search which page to read. Those that have been
read last are kept, for positions that are asked together mostly lie together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from engine.late import fetched, held_bytes
from engine.memory import Grant, Memory
from storage.batch import Batch
from storage.column import Positions
from storage.scratch import Extent, ScratchFile
from storage.types import Type

_KEPT = 4


class Pages:
    """Rows, one behind another from position 0 on. One thread at a time.

    `grant`: what pages in memory are counted by; None: none is in memory. Raises DiskFull, FileError,
    ConfigurationLimitExceeded.
    """

    def __init__(self, memory: Memory, grant: Grant | None = None) -> None:
        self._memory = memory
        self._grant = grant
        self._file: ScratchFile | None = None
        self._types: list[tuple[Type, ...]] = []  # of each page
        self._pages: list[Batch | Extent] = []
        self._starts = [0]  # of each page, and behind the last one
        self._kept: OrderedDict[int, Batch] = OrderedDict()

    @property
    def rows(self) -> int:
        """How many there are."""
        return self._starts[-1]

    @property
    def nbytes(self) -> int:
        """Bytes in the temporary file."""
        return 0 if self._file is None else self._file.nbytes

    def append(self, batch: Batch) -> None:
        """Add rows behind the others, as a page."""
        batch = fetched(batch)
        page: Batch | Extent = batch
        if self._grant is None or self._file is not None or not self._grant.room(held_bytes(batch.columns)):
            page = self._put_aside(batch)
        self._pages.append(page)
        self._types.append(tuple(column.type for column in batch.columns))
        self._starts.append(self.rows + batch.rows)

    def _put_aside(self, batch: Batch) -> Extent:
        if self._file is None:
            self._file = self._memory.file()
        extent = self._file.write(batch)
        self._memory.wrote(extent[1])
        self.wrote(extent[1])
        return extent

    def wrote(self, nbytes: int) -> None:
        """So many bytes have gone to the file."""

    def page(self, number: int) -> Batch:
        """The rows of a page."""
        page = self._pages[number]
        if isinstance(page, Batch):
            return page
        found = self._kept.get(number)
        if found is None:
            found = self.read(page, self._types[number])
            if len(self._kept) == _KEPT:
                self._kept.popitem(last=False)
            self._kept[number] = found
        else:
            self._kept.move_to_end(number)
        return found

    def read(self, extent: Extent, types: tuple[Type, ...]) -> Batch:
        """The rows of a page in the file."""
        assert self._file is not None
        return self._file.read(types, extent)

    def within(self, first: int, stop: int, *, backward: bool = False) -> Iterator[Batch]:
        """The rows at positions `first` to `stop`, page by page; `backward`: the last one first."""
        stop = min(stop, self.rows)
        if first >= stop:
            return
        pages = range(self._number(first), self._number(stop - 1) + 1)
        for number in reversed(pages) if backward else pages:
            page, at = self.page(number), self._starts[number]
            begin, end = max(first - at, 0), min(stop - at, page.rows)
            yield page.take(np.arange(end - 1, begin - 1, -1)) if backward else page.slice(begin, end)

    def between(self, first: int, stop: int) -> Batch:
        """The rows at positions `first` to `stop`, together; there are rows."""
        parts = list(self.within(first, stop))
        return Batch.concat(parts) if parts else Batch.empty(self._types[0])

    def take(self, positions: Positions) -> Batch:
        """The rows at these positions, in any order; there are rows."""
        if not len(positions):
            return Batch.empty(self._types[0])
        pages = np.searchsorted(self._starts, positions, side="right") - 1
        if (pages == pages[0]).all():
            return self.page(int(pages[0])).take(positions - self._starts[int(pages[0])])
        order = np.argsort(pages, kind="stable")
        ordered = pages[order]
        borders = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
        parts = []
        for first, stop in pairwise(borders):
            number = int(ordered[first])
            parts.append(self.page(number).take(positions[order[first:stop]] - self._starts[number]))
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return Batch.concat(parts).take(places)

    def close(self) -> None:
        """Forget all rows."""
        self._pages, self._starts = [], [0]
        self._kept.clear()
        if self._grant is not None:
            self._grant.release()
        if self._file is not None:
            self._memory.wrote(-self._file.nbytes)
            self._file.close()

    def _number(self, position: int) -> int:
        """The page that a position is in."""
        return int(np.searchsorted(self._starts, position, side="right")) - 1
