"""Sorted runs: a sort that takes more memory than it may, by way of temporary files.

Rows that there is memory for are sorted and written as a run, in blocks; then runs are merged. The first row
of every block is kept in memory, and blocks are read in the order of these fences, some together: of what has
been read, all rows before the next fence are known to be the next ones. So each row is read once and sorted
about twice, whatever the keys are. Equal rows come in the order of the runs, which is that of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.counters import count
from engine.late import fetched, held_bytes
from engine.operators.rows import Rows
from engine.operators.sortkeys import Keyed, SortKey, keyed_bytes, sort_words
from engine.orders import sorted_rows
from engine.run import Run
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Positions
from storage.scratch import Extent, ScratchFile
from storage.types import Type

FAN_IN = 64
"""The most runs that are merged at once."""
_BLOCKS = 4 * FAN_IN  # as many blocks fit into the memory that there is


@dataclass
class _SortedRun:
    """Rows in order, in blocks of a temporary file, and the keys of each block's first row."""

    file: ScratchFile
    extents: list[Extent] = field(default_factory=list)
    fences: list[Batch] = field(default_factory=list)


class SortedRuns:
    """Runs of rows of `types` sorted by `keys`; `owner` is the operator that the bytes written count for."""

    def __init__(self, types: Sequence[Type], keys: Sequence[SortKey], run: Run, owner: object) -> None:
        self._keys = tuple(keys)
        self._types = (*types, *(key.expression.type for key in keys))
        self._width = len(types)
        self._run = run
        self._owner = owner
        self._runs: list[_SortedRun] = []

    @property
    def any(self) -> bool:
        """Whether there are runs."""
        return bool(self._runs)

    def add(self, parts: Sequence[Keyed]) -> None:
        """Sort rows and write them as a run. Raises DiskFull, FileError, ConfigurationLimitExceeded."""
        if not parts:
            return
        held = sum(map(keyed_bytes, parts))
        self._write(ordered_rows(parts, self._keys, self._types, self._run), held)
        if len(self._runs) == FAN_IN:
            runs, self._runs = self._runs, []
            try:
                self._write(self._merged(runs))
            finally:
                for each in runs:
                    self._close(each)

    def fill(self, parts: Iterable[Keyed]) -> None:
        """Take all these rows, as many at once as an operator may hold. Raises as `add`."""
        grant = self._run.memory.grant()
        held: list[Keyed] = []
        try:
            for part in parts:
                held.append(part)
                if not grant.room(keyed_bytes(part)):
                    self.add(held)
                    held = []
                    grant.release()
            self.add(held)
        finally:
            grant.release()

    def merged(self) -> Iterator[Batch]:
        """All rows in order."""
        for batch in self.merged_with_keys():
            yield Batch(batch.columns[: self._width], batch.rows)

    def merged_with_keys(self) -> Iterator[Batch]:
        """All rows in order, each with its keys behind its columns."""
        yield from self._merged(self._runs)

    def close(self) -> None:
        """Forget all rows."""
        for each in self._runs:
            self._close(each)
        self._runs = []

    def _close(self, each: _SortedRun) -> None:
        self._run.memory.wrote(-each.file.nbytes)
        each.file.close()

    def _write(self, batches: Iterable[Batch], held: int = 0) -> None:
        """Rows in order, keys behind, as a run; `held` bytes of them are in memory by now."""
        made = _SortedRun(self._run.memory.file())
        self._runs.append(made)
        for batch in batches:
            size = held_bytes(batch.columns) // max(batch.rows, 1) + 1
            step = self._run.memory.rows(_BLOCKS, size, held)
            for start in range(0, batch.rows, step):
                self._run.check()
                block = fetched(batch.slice(start, start + step))
                made.extents.append(made.file.write(block))
                made.fences.append(
                    Batch(block.columns[self._width :], block.rows).take(np.zeros(1, np.int64))
                )
                self._run.memory.wrote(made.extents[-1][1])
                count(self._run, self._owner, Spilled_Bytes=made.extents[-1][1])

    def _merged(self, runs: Sequence[_SortedRun]) -> Iterator[Batch]:
        """The rows of several runs in order, keys behind."""
        blocks = [(number, at) for number, each in enumerate(runs) for at in range(len(each.extents))]
        if not blocks:
            return
        fences = Batch.concat([fence for each in runs for fence in each.fences])
        turns = self._order(fences.columns).tolist()
        left = [Batch.empty(self._types) for _ in runs]
        for first in range(0, len(turns), 2 * len(runs)):
            self._run.check()
            for turn in turns[first : first + 2 * len(runs)]:
                number, at = blocks[turn]
                block = runs[number].file.read(self._types, runs[number].extents[at])
                left[number] = Batch.concat([left[number], block]) if left[number].rows else block
            following = turns[first + 2 * len(runs) : first + 2 * len(runs) + 1]
            fence = fences.slice(following[0], following[0] + 1) if following else None
            yield from self._before(left, fence, blocks[following[0]][0] if following else 0)

    def _before(self, left: list[Batch], fence: Batch | None, owner: int) -> Iterator[Batch]:
        """The rows before the next row of run `owner`, which is `fence`; `left` keeps the others."""
        rows = Batch.concat([batch for batch in left if batch.rows] or left[:1])
        keys = rows.columns[self._width :]
        ends = np.cumsum([batch.rows for batch in left])
        known = rows.rows
        order = self._order(keys)
        if fence is not None:
            # behind the rows of its run, before those of the runs behind it
            place = int(ends[owner])
            keys = tuple(
                Column.concat([key.slice(0, place), one, key.slice(place, rows.rows)])
                for key, one in zip(keys, fence.columns, strict=True)
            )
            order = self._order(keys)
            known = int(np.flatnonzero(order == place)[0])
            order = order[order != place]
            order -= order > place
        going = order[:known]
        for start in range(0, known, BATCH_ROWS):
            yield rows.take(going[start : start + BATCH_ROWS])
        gone = np.bincount(np.searchsorted(ends, going, side="right"), minlength=len(left)).tolist()
        left[:] = [batch.slice(count, batch.rows) for batch, count in zip(left, gone, strict=True)]

    def _order(self, keys: Sequence[Column]) -> Positions:
        return sorted_rows(sort_words(self._keys, keys), self._run)


def ordered_rows(
    parts: Sequence[Keyed], keys: Sequence[SortKey], types: Sequence[Type], run: Run
) -> Iterator[Batch]:
    """The rows of `parts` in the order of their keys, with the keys behind where `types` have them."""
    columns = [Column.concat(columns) for columns in zip(*(mine for _, mine in parts), strict=True)]
    run.check()
    order = sorted_rows(sort_words(keys, columns), run)
    width = len(parts[0][0].columns)
    wide = len(types) > width
    batches = [Batch((*batch.columns, *(mine if wide else ())), batch.rows) for batch, mine in parts]
    yield from Rows(batches, types).given(order, run)
