"""Blocks: rows in commit order, appended to and scanned at once.

The write segment of a table is a list of blocks. A block holds columns, row ids (ascending), the commit
number that made each row (`born`, ascending) and the one that deleted it (`gone`, 0 while it lives). Rows
never move inside a block, so a position found under a snapshot stays true. Small appends are kept as
parts, single rows as plain values (storage.rows), and joined when somebody reads them.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

import numpy as np

from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, KeyColumns
from storage.indexes.hashindex import HashIndex
from storage.predicate import Conjunction
from storage.rows import Row, batch_of
from storage.segments import rowids
from storage.segments.missing import Numbers, defined, missing_column
from storage.segments.zones import ZONE_ROWS
from storage.types import Type

BLOCK_ROWS = 65_536
BLOCK_BYTES = 64 << 20
SMALL_ROWS = 4_096
SMALL_BYTES = 4 << 20
MORSEL_BYTES = 32 << 20


class Block:
    """Neighbouring rows of a write segment."""

    def __init__(self, numbers: Numbers, batch: Batch, row_ids: Positions, born: int) -> None:
        """`numbers` are the attribute numbers of the batch's columns."""
        self.numbers = numbers
        self.types = batch.types
        self._parts = [batch]
        self._plain: list[Row] = []  # the rows behind those of the parts, which are so many:
        self._gathered = batch.rows
        self._lock = threading.Lock()
        self._row_ids = row_ids
        self._born = np.full(batch.rows, born, np.int64)
        self._gone = np.zeros(batch.rows, np.int64)
        self.nbytes = batch.nbytes
        self.rows = batch.rows
        self.indexes: dict[KeyColumns, HashIndex] = {}
        self.left = False  # whether the table's store has let go of it

    def has_room(self, numbers: Numbers, batch: Batch) -> bool:
        """Whether a batch may join: blocks grow by small appends only, of the same columns."""
        return (
            self.rows + batch.rows <= SMALL_ROWS
            and self.nbytes < SMALL_BYTES
            and numbers == self.numbers
            and batch.types == self.types
        )

    def append(self, batch: Batch, row_ids: Positions, born: int) -> None:
        """Add rows at the end. `rows` grows last, so a reader never sees half of it."""
        needed = self.rows + batch.rows
        self._make_room(needed)
        span = slice(self.rows, needed)
        self._row_ids[span], self._born[span], self._gone[span] = row_ids, born, 0
        with self._lock:
            self._gather()
            self._parts.append(batch)
            self._gathered += batch.rows
        self.nbytes += batch.nbytes
        self.rows = needed

    def has_room_for(self, numbers: Numbers, types: Sequence[Type]) -> bool:
        """`has_room` for a row of such columns."""
        small = self.rows < SMALL_ROWS and self.nbytes < SMALL_BYTES
        return small and numbers == self.numbers and types == self.types

    def append_row(self, row: Row, row_id: int, born: int, nbytes: int) -> None:
        """Add a row of plain values at the end."""
        at = self.rows
        self._make_room(at + 1)
        self._row_ids[at], self._born[at], self._gone[at] = row_id, born, 0
        with self._lock:
            self._plain.append(row)
        self.nbytes += nbytes
        self.rows = at + 1

    def _make_room(self, needed: int) -> None:
        if needed > len(self._row_ids):
            room = max(2 * needed, 64)
            self._row_ids, self._born, self._gone = (
                np.concatenate([old[: self.rows], np.zeros(room - self.rows, np.int64)])
                for old in (self._row_ids, self._born, self._gone)
            )

    def _gather(self) -> None:
        """Make a part of the plain rows, under `_lock`."""
        if self._plain:
            self._parts.append(batch_of(self.types, self._plain))
            self._gathered += len(self._plain)
            self._plain = []

    def batch(self) -> Batch:
        """All rows so far: at least those counted by a `rows` read before."""
        with self._lock:
            self._gather()
            if len(self._parts) > 1:
                self._parts = [Batch.concat(self._parts)]
            return self._parts[0]

    def visible_rows(self, commit: int) -> int:
        """How many rows, from the first on, were made at or before `commit`."""
        rows = self.rows
        if self._born[rows - 1] <= commit:
            return rows
        return int(np.searchsorted(self._born[:rows], commit, "right"))

    @property
    def row_ids(self) -> Positions:
        """(rows,) ascending."""
        return self._row_ids[: self.rows]

    @property
    def first_row_id(self) -> int:
        return int(self._row_ids[0])

    @property
    def gone(self) -> Positions:
        """(rows,) the commit that deleted each row, 0 for none. Writable: the table's lock guards it."""
        return self._gone[: self.rows]

    def born_in(self, start: int, stop: int) -> Positions | None:
        """See storage.segments.table.Part: rows that were made later stand behind all others."""
        return None

    def gone_in(self, start: int, stop: int) -> Positions | None:
        """See storage.segments.table.Part."""
        return self._gone[start:stop]

    @property
    def born(self) -> Positions:
        """(rows,) the commit that made each row."""
        return self._born[: self.rows]

    def rest(self, start: int) -> Block:
        """The rows from `start` on as a block of their own."""
        rows = self.rows
        block = Block(self.numbers, self.batch().slice(start, rows), self._row_ids[start:rows].copy(), 0)
        block._born = self._born[start:rows].copy()
        block._gone = self._gone[start:rows].copy()
        return block

    def position(self, row_id: int) -> int:
        """Where a row id stands; -1 where it does not."""
        at = row_id - int(self._row_ids[0])  # unless rows between were left behind by a merge
        if not (0 <= at < self.rows and self._row_ids[at] == row_id):
            at = int(self.positions(np.array((row_id,), np.int64))[0])
        return at

    def sees(self, commit: int, at: int) -> bool:
        """See storage.segments.table.Part."""
        return bool(self._born[at] <= commit) and not 0 < self._gone[at] <= commit

    def values(self, definitions: Sequence[ColumnDefinition], at: int) -> Row:
        """See storage.segments.table.Part."""
        places = [
            self.numbers.index(definition.number) if definition.number in self.numbers else -1
            for definition in definitions
        ]
        with self._lock:
            plain = at - self._gathered
            row = self._plain[plain] if plain >= 0 else None
        if row is None:
            columns = self.batch().columns
            values = [columns[place].item(at) if place >= 0 else None for place in places]
        else:
            values = [row[place] if place >= 0 else None for place in places]
        return tuple(
            [
                value if place >= 0 else definition.missing
                for value, place, definition in zip(values, places, definitions, strict=True)
            ]
        )

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those that do not."""
        own = self.row_ids
        found = np.minimum(np.searchsorted(own, row_ids), len(own) - 1)
        return np.where(own[found] == row_ids, found, -1)

    def column(self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None) -> Column:
        """A column of rows start to stop, or of the positions `rows` counted from start."""
        if definition.number not in self.numbers:
            return missing_column(definition, stop - start if rows is None else len(rows))
        stored = self.batch().columns[self.numbers.index(definition.number)].slice(start, stop)
        return defined(stored if rows is None else stored.take(rows), definition)

    def row_ids_of(self, start: int, stop: int, rows: Positions | None) -> Positions:
        """The row ids of rows start to stop, or of the positions `rows` counted from start."""
        row_ids = self._row_ids[start:stop]
        return row_ids if rows is None else row_ids[rows]

    def selector(self, predicate: Conjunction) -> None:
        """Plain arrays know no more than the engine's own evaluation."""

    def may_match(self, predicate: Conjunction) -> Mask:
        """Blocks have no zone maps, but row ids that ascend."""
        rows = self.rows  # it may grow meanwhile
        found = rowids.may_match(predicate, int(self._row_ids[0]), int(self._row_ids[rows - 1]))
        return np.full(-(-rows // ZONE_ROWS), found)

    def morsel_rows(self, asked: Collection[int] | None = None, most: int = BATCH_ROWS) -> int:
        """See storage.segments.table.Part: those of a block have about as many rows each."""
        fitting = max(MORSEL_BYTES // max(self.nbytes // max(self.rows, 1), 1), 64)
        pieces = max(round(self.rows / fitting), 1)
        return max(min(BATCH_ROWS, -(-self.rows // pieces)), 1)


def cut(batch: Batch) -> list[Batch]:
    """A batch in pieces of a block's size."""
    width = max(batch.nbytes // max(batch.rows, 1), 1)
    step = max(min(BLOCK_ROWS, BLOCK_BYTES // width), 1)
    return [batch.slice(start, start + step) for start in range(0, batch.rows, step)]
