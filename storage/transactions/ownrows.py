"""Rows of an open transaction: in the order they were inserted, under negative row ids.

They lie in memory, or, when a transaction has many, in segment files that nothing names yet
(storage.segments.bulk). A position is a row's place in the order of insertion, wherever it stands in a file.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from storage.batch import BATCH_ROWS, Batch
from storage.codes import Codes
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, Table
from storage.predicate import Conjunction
from storage.segments.blocks import BLOCK_BYTES, BLOCK_ROWS, SMALL_BYTES, SMALL_ROWS
from storage.segments.missing import Numbers, defined, missing_column
from storage.segments.rowids import system_column
from storage.segments.sealed import Sealed
from storage.types import Type

_FEW_BYTES = 256 << 10  # batches of fewer are joined when their rows are complete


class OwnRows:
    """Rows in the order they were inserted: row ids from `first` (negative) downwards.

    Inserts join the rows before them up to a block's size, and their columns are put together at last;
    or up to a small block's once somebody reads them in between, for each reading puts them together.
    """

    def __init__(self, table: Table, batch: Batch, first: int, command: int) -> None:
        """`batch` has all columns of the table as it is defined now."""
        self.table = table
        self.numbers: Numbers = table.numbers
        self.first = first
        self.rows = batch.rows
        self.sealed: tuple[Sealed, ...] = ()  # the files that hold the rows, each by row ids from 0
        self._lock = threading.Lock()  # readers in other threads put the parts together
        self._parts = [batch]
        self._read = False
        self.adopted = False  # whether a commit has named the files
        self.sealing = False  # whether it is on its way into files: it takes no more rows
        self.nbytes = batch.nbytes
        self._commands = [command]  # ascending, and how many rows there were after each
        self._ends = [batch.rows]
        self._gone = np.zeros(batch.rows, np.int64)

    def has_room(self, numbers: Numbers, batch: Batch) -> bool:
        """Whether the rows of `batch` may join."""
        rows, nbytes = (SMALL_ROWS, SMALL_BYTES) if self._read else (BLOCK_ROWS, BLOCK_BYTES)
        return (
            not (self.sealing or self.sealed)
            and self.rows + batch.rows <= rows
            and self.nbytes + batch.nbytes <= nbytes
            and numbers == self.numbers
            and batch.types == self.types
        )

    def append(self, batch: Batch, command: int) -> Positions:
        """Add rows; returns their row ids."""
        self.nbytes += batch.nbytes
        start, self.rows = self.rows, self.rows + batch.rows
        if self.rows > len(self._gone):
            gone = np.zeros(max(2 * self.rows, 64), np.int64)
            gone[:start] = self._gone[:start]
            self._gone = gone
        self._gone[start : self.rows] = 0
        with self._lock:
            self._parts.append(batch)
        self._commands.append(command)
        self._ends.append(self.rows)
        return np.arange(self.first - start, self.first - self.rows, -1, dtype=np.int64)

    def cut(self, rows: int) -> None:
        """Forget all but the first `rows`."""
        kept = bisect_left(self._ends, rows) + 1
        del self._commands[kept:], self._ends[kept:]
        self._ends[-1] = self.rows = rows
        if not self.sealed:
            batch = self.batch()
            with self._lock:
                self._parts = [batch.slice(0, rows)]

    def column(self, definition: ColumnDefinition, rows: Positions) -> Column:
        """A column of the rows at these positions."""
        if definition.number not in self.numbers:
            return missing_column(definition, len(rows))
        if self.sealed:
            return self._stored(definition, rows)
        return defined(self.batch().columns[self.numbers.index(definition.number)].take(rows), definition)

    def span(self, definition: ColumnDefinition, start: int, stop: int) -> Column:
        """A column of rows start to stop."""
        if definition.number not in self.numbers:
            return missing_column(definition, stop - start)
        if self.sealed:
            return self._stored(definition, np.arange(start, stop))
        stored = self.batch().columns[self.numbers.index(definition.number)].slice(start, stop)
        return defined(stored, definition)

    def _stored(self, definition: ColumnDefinition, rows: Positions) -> Column:
        """A column of these rows, out of the files."""
        pieces, places = [], []
        for part in self.sealed:
            at = part.positions(rows)
            here = np.flatnonzero(at >= 0)
            if not len(here):
                continue
            places.append(here)
            at = at[here]
            if at[-1] - at[0] + 1 == len(at) and (np.diff(at) == 1).all():
                pieces.append(part.column(definition, int(at[0]), int(at[-1]) + 1, None))
            else:
                pieces.append(part.column(definition, 0, part.rows, at))
        if not pieces:
            return Column.of(definition.type, [])
        column, order = Column.concat(pieces), np.concatenate(places)
        return column if (np.diff(order) == 1).all() else column.take(np.argsort(order))

    def morsel_rows(self) -> int:
        """How many rows make a morsel."""
        return min([BATCH_ROWS, *(part.morsel_rows() for part in self.sealed)])

    @classmethod
    def joined(cls, group: Sequence[OwnRows], sealed: Sequence[Sealed]) -> OwnRows:
        """Neighbours in one, their rows in these files."""
        first = group[0]
        rows = cls(first.table, Batch.empty(first.types), first.first, 0)
        rows.nbytes = 0
        rows._commands, rows._ends = [], []
        for part in group:
            rows._commands += part._commands
            rows._ends += [rows.rows + end for end in part._ends]
            rows.rows += part.rows
        rows._gone = np.concatenate([part.gone for part in group])
        rows.sealed = tuple(sealed)
        return rows

    def drop(self) -> None:
        """Remove the files, unless a commit has named them."""
        if not self.adopted:
            for part in self.sealed:
                part.remove()

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of the columns."""
        return self._parts[0].types

    def parts(self) -> list[Batch]:
        """The rows that are in memory, as they came."""
        with self._lock:
            return list(self._parts)

    def settle(self) -> None:
        """No more rows will come: many small batches become one, so that what they were cut from can go."""
        if len(self._parts) * _FEW_BYTES > self.nbytes:
            self.batch()

    def batch(self) -> Batch:
        """The rows that are in memory: at least those counted by a `rows` read before."""
        with self._lock:
            self._read = True
            if len(self._parts) > 1:
                self._parts = [Batch.concat(self._parts)]
            return self._parts[0]

    def before(self, command: int) -> int:
        """How many rows, from the first on, commands before `command` inserted."""
        at = bisect_left(self._commands, command)
        return self._ends[at - 1] if at else 0

    @property
    def gone(self) -> Positions:
        """(rows,) the command that deleted each row, 0 while it lives."""
        return self._gone[: self.rows]

    @property
    def row_ids(self) -> Positions:
        """(rows,) descending from `first`."""
        return np.arange(self.first, self.first - self.rows, -1, dtype=np.int64)

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those of other rows."""
        at = self.first - row_ids
        return np.where((at >= 0) & (at < self.rows), at, -1)


class OwnMorsel:
    """Own rows as a statement of the same transaction scans them."""

    def __init__(self, rows: OwnRows, start: int, stop: int, command: int) -> None:
        self._rows = rows
        self._start, self._stop = start, stop
        self._command = command
        self.rows = stop - start

    def visible(self) -> Mask | None:
        """Rows that no earlier command deleted."""
        gone = self._rows.gone[self._start : self._stop]
        if not gone.any():
            return None
        mask: Mask = (gone == 0) | (gone >= self._command)
        return mask

    def sees(self, rows: Positions) -> Mask:
        """See storage.seams.Morsel."""
        gone = self._rows.gone[rows + self._start]
        mask: Mask = (gone == 0) | (gone >= self._command)
        return mask

    def select(self, predicate: Conjunction) -> Mask | None:
        """No help."""
        return None

    def decides(self, predicate: Conjunction) -> bool:
        """Never."""
        return False

    def count(self, predicate: Conjunction) -> int:
        """See storage.seams.Morsel."""
        visible = self.visible()
        return self.rows if visible is None else int(np.count_nonzero(visible))

    def column(self, definition: ColumnDefinition, rows: Positions | None = None) -> Column:
        """See storage.seams.Morsel."""
        if definition.number < 0:
            return system_column(definition, self.row_ids(rows))
        if rows is None:
            return self._rows.span(definition, self._start, self._stop)
        return self._rows.column(definition, rows + self._start)

    def row_ids(self, rows: Positions | None = None) -> Positions:
        """See storage.seams.Morsel."""
        row_ids = self._rows.row_ids[self._start : self._stop]
        return row_ids if rows is None else row_ids[rows]

    def codes(self, definition: ColumnDefinition) -> Codes | None:
        """None: own rows have no codes."""
        return None

    def slice(self, start: int, stop: int) -> OwnMorsel:
        """See storage.seams.Morsel."""
        return OwnMorsel(self._rows, self._start + start, self._start + stop, self._command)

    def pieces(
        self, predicate: Conjunction = (), asked: Collection[int] | None = None
    ) -> Iterator[OwnMorsel]:
        """See storage.seams.Morsel: it is of the usual size."""
        yield self
