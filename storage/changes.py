"""What an open transaction has changed: rows of its own, rows it marked deleted, keys it is about to hold.

Rows of an open transaction live here only, under negative row ids, and get their real ones at commit.
Each change carries the command number of its statement: a statement sees the changes of earlier commands
of its transaction and none of its own. `cut` takes back everything from a savepoint on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from storage.batch import BATCH_ROWS, Batch
from storage.catalog import Table
from storage.column import Column, Mask, Positions
from storage.keys import Key


@dataclass
class OwnRows:
    """Rows inserted by one call: row ids from `first` (negative) downwards."""

    batch: Batch
    first: int
    command: int
    keys: dict[int, list[Key | None]]
    gone: Positions = field(init=False)  # (rows,) the command that deleted each row, 0 while it lives

    def __post_init__(self) -> None:
        self.gone = np.zeros(self.batch.rows, np.int64)

    @property
    def row_ids(self) -> Positions:
        """(rows,) descending from `first`."""
        return np.arange(self.first, self.first - self.batch.rows, -1, dtype=np.int64)

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those of other rows."""
        at = self.first - row_ids
        return np.where((at >= 0) & (at < self.batch.rows), at, -1)


@dataclass
class Savepoint:
    """How far a table's changes had come."""

    inserted: int
    deleted: int
    own_deleted: int
    truncated: int


class TableChanges:
    """The changes of one transaction to one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.inserted: list[OwnRows] = []
        self.deleted: dict[int, tuple[int, int]] = {}  # committed row id -> (command, successor or 0)
        self._order: list[int] = []  # of `deleted`, for cutting back
        self._own_deleted: list[tuple[OwnRows, Positions]] = []
        self.truncated = 0  # the command of the last TRUNCATE, 0 for none
        self._next = -1
        self.keys: dict[int, dict[Key, int]] = {}  # constraint -> live own keys -> row id

    def insert(self, batch: Batch, command: int, keys: dict[int, list[Key | None]]) -> Positions:
        """Add rows; returns their (negative) row ids."""
        rows = OwnRows(batch, self._next, command, keys)
        self._next -= batch.rows
        self.inserted.append(rows)
        self._enter(rows)
        return rows.row_ids

    def _enter(self, rows: OwnRows) -> None:
        if rows.command <= self.truncated:
            return
        for constraint, keys in rows.keys.items():
            live = self.keys.setdefault(constraint, {})
            for at, key in enumerate(keys):
                if key is not None and not rows.gone[at]:
                    live[key] = rows.first - at

    def delete_own(self, row_ids: Positions, command: int) -> Positions:
        """Mark own rows deleted; returns the ids that lived."""
        done = [np.zeros(0, np.int64)]
        for rows in self.inserted:
            at = rows.positions(row_ids)
            at = at[at >= 0]
            at = at[rows.gone[at] == 0]
            if len(at):
                rows.gone[at] = command
                self._own_deleted.append((rows, at))
                done.append(rows.first - at)
                for constraint, keys in rows.keys.items():
                    for position in at.tolist():
                        key = keys[position]
                        if key is not None:
                            self.keys[constraint].pop(key, None)
        return np.concatenate(done)

    def mark(self, row_id: int, command: int) -> None:
        """A committed row is deleted by this transaction."""
        self.deleted[row_id] = (command, 0)
        self._order.append(row_id)

    def succeed(self, row_ids: Positions, successors: Positions) -> None:
        """These marked rows were updated into those."""
        for row_id, successor in zip(row_ids.tolist(), successors.tolist(), strict=True):
            if row_id in self.deleted:
                self.deleted[row_id] = (self.deleted[row_id][0], successor)

    def hidden(self, command: int) -> Positions | None:
        """(n,) sorted: committed rows that commands before `command` deleted; None for none."""
        rows = [row_id for row_id, (made, _) in self.deleted.items() if made < command]
        return np.sort(np.array(rows, np.int64)) if rows else None

    def savepoint(self) -> Savepoint:
        """Where the changes stand now."""
        return Savepoint(len(self.inserted), len(self._order), len(self._own_deleted), self.truncated)

    def cut(self, savepoint: Savepoint) -> list[int]:
        """Take back what came after; returns the committed rows that are free again."""
        for rows, at in self._own_deleted[savepoint.own_deleted :]:
            rows.gone[at] = 0
        del self._own_deleted[savepoint.own_deleted :]
        freed = self._order[savepoint.deleted :]
        del self._order[savepoint.deleted :]
        for row_id in freed:
            del self.deleted[row_id]
        del self.inserted[savepoint.inserted :]
        self.truncated = savepoint.truncated
        self.keys = {}
        for rows in self.inserted:
            self._enter(rows)
        return freed

    def live(self) -> Iterator[tuple[OwnRows, Mask | None]]:
        """Own rows that are to be kept at commit, with the mask of the living (None: all)."""
        for rows in self.inserted:
            if rows.command > self.truncated:
                dead = rows.gone != 0
                yield rows, ~dead if dead.any() else None


class OwnMorsel:
    """Own rows as a statement of the same transaction scans them."""

    STEP = BATCH_ROWS

    def __init__(self, rows: OwnRows, start: int, command: int) -> None:
        self._rows = rows
        self._start = start
        self._stop = min(start + self.STEP, rows.batch.rows)
        self._command = command
        self.rows = self._stop - start

    def visible(self) -> Mask | None:
        """Rows that no earlier command deleted."""
        gone = self._rows.gone[self._start : self._stop]
        if not gone.any():
            return None
        mask: Mask = (gone == 0) | (gone >= self._command)
        return mask

    def select(self, predicate: object) -> Mask | None:
        """No help."""
        return None

    def column(self, position: int, rows: Positions | None = None) -> Column:
        """See storage.seams.Morsel."""
        column = self._rows.batch.columns[position].slice(self._start, self._stop)
        return column if rows is None else column.take(rows)

    def row_ids(self, rows: Positions | None = None) -> Positions:
        """See storage.seams.Morsel."""
        row_ids = self._rows.row_ids[self._start : self._stop]
        return row_ids if rows is None else row_ids[rows]
