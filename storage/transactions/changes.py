"""What an open transaction has changed of a table: rows of its own, and rows it marked deleted.

Rows of an open transaction live here only, under negative row ids, and get their real ones at commit.
Each change carries the command number of its statement: a statement sees the changes of earlier commands
of its transaction and none of its own. `cut` takes back everything from a savepoint on.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from storage.batch import Batch
from storage.column import Mask, Positions
from storage.definitions import KeyColumns, Table
from storage.indexes.comparable import keys_of, same_rows
from storage.indexes.hashindex import Hashed, RowIndex, hashed
from storage.segments.sealed import Sealed
from storage.transactions.ownrows import OwnRows


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
        self.sealing: list[tuple[list[OwnRows], Future[list[Sealed]]]] = []  # see storage.segments.bulk
        self.given_up = False  # whether those who make files of its rows are to stop
        self.deleted: dict[int, tuple[int, int]] = {}  # committed row id -> (command, successor or 0)
        self.kept_keys: set[int] = set()  # those of `deleted` whose successors have the same keys
        self._order: list[int] = []  # of `deleted`, for cutting back
        self._own_deleted: list[Positions] = []  # own row ids
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
        if last is not None and last.has_room(self.table.numbers, batch):
            row_ids = last.append(batch, command)
        else:
            if last is not None:
                last.settle()
            last = OwnRows(self.table, batch, -1 - self._rows, command)
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
                self._own_deleted.append(rows.first - at)
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
        for row_ids in self._own_deleted[savepoint.own_deleted :]:
            for rows in self.inserted:
                at = rows.positions(row_ids)
                rows.gone[at[at >= 0]] = 0
            for row_id in row_ids.tolist():
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
                self.inserted.pop().drop()
        self.truncated = savepoint.truncated
        return freed

    def live(self) -> Iterator[tuple[OwnRows, int, Mask | None]]:
        """Own rows that are to be kept at commit: from a position on, where a mask (None: all) is true."""
        for rows in self.inserted:
            start = rows.before(self.truncated + 1)
            if start < rows.rows:
                dead = rows.gone[start:] != 0
                yield rows, start, ~dead if dead.any() else None
