"""A table's rows: sealed segments and blocks in row order, who deleted what, and its keys.

Parts are kept as one tuple that is replaced, never changed, so a reader that took it keeps its rows
whatever sealing, merging and truncation do. TRUNCATE replaces it for later commits only: `parts_at`
gives what a snapshot of an earlier commit still sees.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from storage.batch import Batch
from storage.blocks import Block, cut
from storage.catalog import ColumnDefinition, KeyColumns, Table
from storage.column import Column, Mask, Positions
from storage.hashindex import HashIndex, PendingKeys, RowIndex, hashed
from storage.locks import ROW_CONFLICTS, Locks
from storage.missing import numbers_of
from storage.predicate import Conjunction


class Part(Protocol):
    """Rows that lie together, in ascending order of row id or with an index to find one."""

    rows: int
    indexes: dict[KeyColumns, HashIndex]  # those that were asked for

    @property
    def first_row_id(self) -> int: ...

    @property
    def gone(self) -> Positions:
        """(rows,) the commit that deleted each row, 0 for none."""

    def gone_in(self, start: int, stop: int) -> Positions | None:
        """`gone` of rows start to stop; None where no row was ever deleted."""

    def visible_rows(self, commit: int) -> int: ...

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those that do not."""

    def column(self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None) -> Column:
        """A column of rows start to stop, or of the positions `rows` counted from start.

        Rows older than the column have its `missing` value.
        """

    def row_ids_of(self, start: int, stop: int, rows: Positions | None) -> Positions: ...

    def select(self, predicate: Conjunction, start: int, stop: int) -> Mask | None: ...

    def may_match(self, predicate: Conjunction, start: int, stop: int) -> bool: ...

    def morsel_rows(self) -> int:
        """How many rows make a morsel here."""


class Store:
    """The rows of one table. `lock` guards everything that changes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.next_row_id = 1
        self.parts: tuple[Part, ...] = ()
        self._history: list[tuple[int, tuple[Part, ...]]] = []  # (commit that ended it, parts until then)
        self.holders: dict[int, Any] = {}  # row id -> open transaction that marked it deleted
        self.locks = Locks(ROW_CONFLICTS)  # on rows, by row id
        self.successors: dict[int, tuple[int, int]] = {}  # row id -> (commit, row id that replaced it)
        self.indexes: dict[KeyColumns, RowIndex] = {}  # of the blocks: see storage.lookup
        self.pending: dict[KeyColumns, PendingKeys] = {}  # what open transactions are about to hold

    def parts_at(self, commit: int) -> tuple[Part, ...]:
        """The parts that a snapshot of `commit` reads."""
        with self.lock:
            for ended, parts in self._history:
                if commit < ended:
                    return parts
            return self.parts

    def append(self, table: Table, batch: Batch, commit: int) -> int:
        """Add committed rows; returns the first row id."""
        first = self.next_row_id
        row_ids = np.arange(first, first + batch.rows, dtype=np.int64)
        self.next_row_id += batch.rows
        last = self.parts[-1] if self.parts else None
        numbers = numbers_of(table)
        if isinstance(last, Block) and last.has_room(numbers, batch):
            last.append(batch, row_ids, commit)
        else:
            pieces = cut(batch)
            starts = np.cumsum([0, *(piece.rows for piece in pieces)])
            blocks = tuple(
                Block(numbers, piece, row_ids[start : start + piece.rows], commit)
                for piece, start in zip(pieces, starts.tolist(), strict=False)
            )
            self.parts = (*self.parts, *blocks)
        for columns, index in list(self.indexes.items()):
            if not set(columns.numbers) <= set(numbers):
                del self.indexes[columns]  # one of its columns was dropped
                continue
            values = [batch.columns[table.position(number)] for number in columns.numbers]
            hashes, rows = hashed(values, batch.rows, columns.nulls).asked
            index.add(hashes, row_ids if rows is None else row_ids[rows])
        return first

    def locate(self, row_ids: Positions) -> Iterator[tuple[Part, Positions, Positions]]:
        """(part, positions in it, places in `row_ids`) for the row ids that exist."""
        if not len(row_ids):
            return
        firsts = [part.first_row_id for part in self.parts]
        if len(row_ids) == 1:
            candidates = [bisect_right(firsts, int(row_ids[0])) - 1]
        else:
            candidates = np.unique(np.searchsorted(firsts, row_ids, "right") - 1).tolist()
        for index in candidates:
            if index >= 0:
                positions = self.parts[index].positions(row_ids)
                places = np.flatnonzero(positions >= 0)
                if len(places):
                    yield self.parts[index], positions[places], places

    def gone_at(self, row_ids: Positions) -> Positions:
        """The commit that deleted each row id: 0 while it lives, -1 where there is no such row."""
        result = np.full(len(row_ids), -1, np.int64)
        for part, positions, places in self.locate(row_ids):
            result[places] = part.gone[positions]
        return result

    def mark_gone(self, row_ids: Positions, commit: int) -> None:
        """These rows were deleted by `commit`."""
        for part, positions, _ in self.locate(row_ids):
            part.gone[positions] = commit

    def truncate(self, commit: int) -> None:
        """No rows from `commit` on; earlier snapshots keep theirs."""
        self._history.append((commit, self.parts))
        self._leave(self.parts)
        self.parts = ()
        self.successors = {}

    def replace_parts(self, old: tuple[Part, ...], new: tuple[Part, ...]) -> None:
        """Put `new` in the place of the neighbouring parts `old`, which hold the same rows."""
        at = self.parts.index(old[0])
        assert self.parts[at : at + len(old)] == old
        self.parts = (*self.parts[:at], *new, *self.parts[at + len(old) :])
        self._leave(old)

    def _leave(self, parts: tuple[Part, ...]) -> None:
        """The table's indexes are of its blocks: made anew, when asked for, without those that leave."""
        for part in parts:
            if isinstance(part, Block):
                part.left = True
                self.indexes = {}

    def forget(self, oldest: int) -> None:
        """Let go of what no snapshot at or after `oldest` can ask for."""
        with self.lock:
            self._history = [(ended, parts) for ended, parts in self._history if ended > oldest]
            self.successors = {k: v for k, v in self.successors.items() if v[0] > oldest}
