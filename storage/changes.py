"""What an open transaction has changed: rows of its own, and rows it marked deleted.

Rows of an open transaction live here only, under negative row ids, and get their real ones at commit.
Each change carries the command number of its statement: a statement sees the changes of earlier commands
of its transaction and none of its own. `cut` takes back everything from a savepoint on.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from storage.batch import BATCH_ROWS, Batch
from storage.blocks import BLOCK_BYTES, BLOCK_ROWS, SMALL_BYTES, SMALL_ROWS
from storage.catalog import ColumnDefinition, KeyColumns, Table
from storage.column import Column, Mask, Positions
from storage.comparable import keys_of, same_rows
from storage.hashindex import Hashed, RowIndex, hashed
from storage.missing import Numbers, defined, missing_column, numbers_of
from storage.predicate import Conjunction


class OwnRows:
    """Rows in the order they were inserted: row ids from `first` (negative) downwards.

    Inserts join the rows before them up to a block's size, and their columns are put together at last;
    or up to a small block's once somebody reads them in between, for each reading puts them together.
    """

    def __init__(self, numbers: Numbers, batch: Batch, first: int, command: int) -> None:
        """`numbers` are the attribute numbers of the batch's columns."""
        self.numbers = numbers
        self.first = first
        self.rows = batch.rows
        self._lock = threading.Lock()  # readers in other threads put the parts together
        self._parts = [batch]
        self._read = False
        self._nbytes = batch.nbytes
        self._commands = [command]  # ascending, and how many rows there were after each
        self._ends = [batch.rows]
        self._gone = np.zeros(batch.rows, np.int64)

    def has_room(self, numbers: Numbers, batch: Batch) -> bool:
        """Whether the rows of `batch` may join."""
        rows, nbytes = (SMALL_ROWS, SMALL_BYTES) if self._read else (BLOCK_ROWS, BLOCK_BYTES)
        return (
            self.rows + batch.rows <= rows
            and self._nbytes + batch.nbytes <= nbytes
            and numbers == self.numbers
            and batch.types == self._parts[0].types
        )

    def append(self, batch: Batch, command: int) -> Positions:
        """Add rows; returns their row ids."""
        self._nbytes += batch.nbytes
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
        batch = self.batch()
        with self._lock:
            self._parts = [batch.slice(0, rows)]

    def column(self, definition: ColumnDefinition, rows: Positions) -> Column:
        """A column of the rows at these positions."""
        if definition.number not in self.numbers:
            return missing_column(definition, len(rows))
        return defined(self.batch().columns[self.numbers.index(definition.number)].take(rows), definition)

    def batch(self) -> Batch:
        """The rows: at least those counted by a `rows` read before."""
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


@dataclass(frozen=True)
class Savepoint:
    """How far a table's changes had come."""

    rows: int = 0
    deleted: int = 0
    own_deleted: int = 0
    truncated: int = 0


class TableChanges:
    """The changes of one transaction to one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.inserted: list[OwnRows] = []
        self.deleted: dict[int, tuple[int, int]] = {}  # committed row id -> (command, successor or 0)
        self.kept_keys: set[int] = set()  # those of `deleted` whose successors have the same keys
        self._order: list[int] = []  # of `deleted`, for cutting back
        self._own_deleted: list[tuple[OwnRows, Positions]] = []
        self._own_successors: dict[int, int] = {}
        self.truncated = 0  # the command of the last TRUNCATE, 0 for none
        self._rows = 0
        self._indexes: dict[KeyColumns, tuple[RowIndex, int]] = {}  # with how many rows they know

    @property
    def any(self) -> bool:
        """Whether there is a change at all."""
        return bool(self._rows or self.deleted or self.truncated)

    def insert(self, batch: Batch, command: int) -> Positions:
        """Add rows; returns their (negative) row ids."""
        last = self.inserted[-1] if self.inserted else None
        numbers = numbers_of(self.table)
        if last is not None and last.has_room(numbers, batch):
            row_ids = last.append(batch, command)
        else:
            if last is not None:
                last.batch()  # what it was made of can go
            last = OwnRows(numbers, batch, -1 - self._rows, command)
            self.inserted.append(last)
            row_ids = last.row_ids
        self._rows += batch.rows
        return row_ids

    def index(self, table: Table, columns: KeyColumns) -> RowIndex:
        """The index of all own rows, dead ones too: made when it is first asked for, then kept up."""
        index, seen = self._indexes.get(columns) or (RowIndex(), 0)
        for rows in self.inserted if seen < self._rows else ():
            first = max(seen + 1 + rows.first, 0)
            if first < rows.rows:
                at = np.arange(first, rows.rows)
                values = [rows.column(table.definition(number), at) for number in columns.numbers]
                hashes, kept = hashed(values, len(at), columns.nulls).asked
                index.add(hashes, rows.first - (at if kept is None else at[kept]))
        self._indexes[columns] = index, self._rows
        return index

    def enter(self, columns: KeyColumns, key: Hashed, row_ids: Positions) -> None:
        """Take up the keys of rows that were just inserted, if the index is there and knows those before."""
        index, seen = self._indexes.get(columns) or (None, 0)
        if index is not None and seen == self._rows - len(row_ids):
            hashes, kept = key.asked
            index.add(hashes, row_ids if kept is None else row_ids[kept])
            self._indexes[columns] = index, self._rows

    def find(
        self, table: Table, columns: KeyColumns, key: Hashed
    ) -> Iterator[tuple[OwnRows, Positions, Positions]]:
        """Own rows, dead ones too, that hold one of the keys: (rows, which key, position in the rows)."""
        if not self._rows:
            return
        hashes, kept = key.asked
        asked, row_ids = self.index(table, columns).probe(hashes)
        asked = asked if kept is None else kept[asked]
        for rows in self.inserted if len(asked) else ():
            at = rows.positions(row_ids)
            here = np.flatnonzero(at >= 0)
            values = [rows.column(table.definition(number), at[here]) for number in columns.numbers]
            same = same_rows(key.keys, asked[here], keys_of(values, len(here)), np.arange(len(here)))
            if same.any():
                yield rows, asked[here][same], at[here][same]

    def truncate(self, command: int) -> None:
        """Nothing of what is there now is kept."""
        self.truncated = command

    def delete_own(self, row_ids: Positions, command: int) -> Positions:
        """Mark own rows deleted; returns the ids that lived."""
        done = [np.zeros(0, np.int64)]
        for rows in self.inserted if len(row_ids) else ():
            at = rows.positions(row_ids)
            at = np.unique(at[at >= 0])
            at = at[rows.gone[at] == 0]
            if len(at):
                rows.gone[at] = command
                self._own_deleted.append((rows, at))
                done.append(rows.first - at)
        return np.concatenate(done)

    def mark(self, row_id: int, command: int) -> None:
        """A committed row is deleted by this transaction."""
        self.deleted[row_id] = (command, 0)
        self._order.append(row_id)

    def succeed(self, row_ids: Positions, successors: Positions) -> None:
        """These deleted rows were updated into those."""
        for row_id, successor in zip(row_ids.tolist(), successors.tolist(), strict=True):
            if row_id < 0:
                self._own_successors[row_id] = successor
            elif row_id in self.deleted:
                self.deleted[row_id] = (self.deleted[row_id][0], successor)

    def successors(self) -> Iterator[tuple[int, int]]:
        """(committed row id, own row id of its newest version), of the rows updated."""
        for row_id, (_, successor) in self.deleted.items():
            while successor in self._own_successors:
                successor = self._own_successors[successor]
            if successor:
                yield row_id, successor

    def hidden(self, command: int) -> Positions | None:
        """(n,) sorted: committed rows that commands before `command` deleted; None for none."""
        rows = [row_id for row_id, (made, _) in self.deleted.items() if made < command]
        return np.sort(np.array(rows, np.int64)) if rows else None

    def savepoint(self) -> Savepoint:
        """Where the changes stand now."""
        return Savepoint(self._rows, len(self._order), len(self._own_deleted), self.truncated)

    def cut(self, savepoint: Savepoint) -> list[int]:
        """Take back what came after; returns the committed rows that are free again."""
        for rows, at in self._own_deleted[savepoint.own_deleted :]:
            rows.gone[at[at < rows.rows]] = 0
            for row_id in (rows.first - at).tolist():
                self._own_successors.pop(row_id, None)
        del self._own_deleted[savepoint.own_deleted :]
        freed = self._order[savepoint.deleted :]
        del self._order[savepoint.deleted :]
        for row_id in freed:
            del self.deleted[row_id]
        self.kept_keys.difference_update(freed)
        self._indexes = {}
        while self._rows > savepoint.rows:
            last = self.inserted[-1]
            kept = max(savepoint.rows - (-1 - last.first), 0)
            self._rows -= last.rows - kept
            if kept:
                last.cut(kept)
            else:
                self.inserted.pop()
        self.truncated = savepoint.truncated
        return freed

    def live(self) -> Iterator[tuple[OwnRows, int, Mask | None]]:
        """Own rows that are to be kept at commit: from a position on, where a mask (None: all) is true."""
        for rows in self.inserted:
            start = rows.before(self.truncated + 1)
            if start < rows.rows:
                dead = rows.gone[start:] != 0
                yield rows, start, ~dead if dead.any() else None


class OwnMorsel:
    """Own rows as a statement of the same transaction scans them."""

    STEP = BATCH_ROWS

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

    def select(self, predicate: Conjunction) -> Mask | None:
        """No help."""
        return None

    def column(self, definition: ColumnDefinition, rows: Positions | None = None) -> Column:
        """See storage.seams.Morsel."""
        own = self._rows
        if definition.number not in own.numbers:
            return missing_column(definition, self.rows if rows is None else len(rows))
        stored = own.batch().columns[own.numbers.index(definition.number)].slice(self._start, self._stop)
        return defined(stored if rows is None else stored.take(rows), definition)

    def row_ids(self, rows: Positions | None = None) -> Positions:
        """See storage.seams.Morsel."""
        row_ids = self._rows.row_ids[self._start : self._stop]
        return row_ids if rows is None else row_ids[rows]
