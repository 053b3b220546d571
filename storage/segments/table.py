"""A table's rows: sealed segments, then blocks in the order of commits, who deleted what, and its keys.

Parts are kept as one tuple that is replaced, never changed, so a reader that took it keeps its rows
whatever sealing, merging and truncation do. TRUNCATE replaces it for later commits only: `parts_at`
gives what a snapshot of an earlier commit still sees.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, KeyColumns, Table
from storage.indexes.hashindex import HashIndex, PendingKeys, RowIndex, hashed
from storage.predicate import Conjunction
from storage.rows import Row, batch_of, nbytes
from storage.segments.blocks import Block, cut
from storage.segments.sealed import Sealed
from storage.segments.selector import Selector
from storage.segments.tally import Tallies
from storage.segments.zones import ZONE_ROWS
from storage.transactions.locks import ROW_CONFLICTS, Locks

_NONE = np.zeros(0, np.int64)
_LAST = 2**63 - 1


class Part(Protocol):
    """Rows that lie together, in ascending order of row id or with an index to find one.

    Row ids of parts may lie between those of others: segments that were sorted together share a range.
    """

    rows: int
    indexes: dict[KeyColumns, HashIndex]  # those that were asked for

    @property
    def first_row_id(self) -> int: ...

    @property
    def gone(self) -> Positions:
        """(rows,) the commit that deleted each row, 0 for none."""

    def gone_in(self, start: int, stop: int) -> Positions | None:
        """`gone` of rows start to stop; None where no row was ever deleted."""

    @property
    def born(self) -> Positions | None:
        """(rows,) the commit that made each row; None: one that every snapshot sees."""

    def born_in(self, start: int, stop: int) -> Positions | None:
        """`born` of rows start to stop, where it has to be asked beyond `visible_rows`."""

    def visible_rows(self, commit: int) -> int:
        """How many rows, from the first on, hold all that were made at or before `commit`."""

    def positions(self, row_ids: Positions) -> Positions:
        """Where these row ids stand; -1 for those that do not."""

    def column(self, definition: ColumnDefinition, start: int, stop: int, rows: Positions | None) -> Column:
        """A column of rows start to stop, or of the positions `rows` counted from start.

        Rows older than the column have its `missing` value.
        """

    def sees(self, commit: int, at: int) -> bool:
        """Whether a snapshot of `commit` sees the row at a position."""

    def values(self, definitions: Sequence[ColumnDefinition], at: int) -> Row:
        """The values of the row at a position in columns of plain types (storage.rows)."""

    def row_ids_of(self, start: int, stop: int, rows: Positions | None) -> Positions: ...

    def selector(self, predicate: Conjunction) -> Selector | None:
        """What tries the predicate on the encoded form; None: no help. Raises DataCorrupted."""

    def may_match(self, predicate: Conjunction) -> Mask:
        """Which blocks of ZONE_ROWS rows may hold a row that meets the predicate."""

    def morsel_rows(self, asked: Collection[int] | None = None, most: int = ZONE_ROWS) -> int:
        """How many rows make a morsel: `most`, or fewer where columns `asked` (None: all) are wide."""


@dataclass
class Rewriting:
    """What is being rewritten of a table: by whom, so many segments of each sorted run, so many rows."""

    merger: str
    plan: tuple[int, ...]
    total: int
    rows: int = 0  # those that are written

    @property
    def state(self) -> str:
        """What it is called."""
        return "Merging Segments" if self.plan else "Flushing"

    @property
    def percent(self) -> int:
        """How far it has come."""
        return 100 * self.rows // max(self.total, 1)


class Store:
    """The rows of one table. `lock` guards everything that changes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.next_row_id = 1
        self.parts: tuple[Part, ...] = ()
        self._history: list[tuple[int, tuple[Part, ...]]] = []  # (commit that ended it, parts until then)
        self.holders: dict[int, Any] = {}  # row id -> open transaction that marked it deleted
        self._spans: tuple[tuple[Part, ...], Positions, Positions] = ((), _NONE, _NONE)
        self._sealed: tuple[tuple[Part, ...], tuple[Sealed, ...]] = (), ()  # of which parts they are
        self.unsealed_rows = self.unsealed_bytes = 0  # of blocks, about
        self.rewriting: Rewriting | None = None
        self.sealed_at = time.monotonic()
        self.locks = Locks(ROW_CONFLICTS)  # on rows, by row id
        self.successors: dict[int, tuple[int, int]] = {}  # row id -> (commit, row id that replaced it)
        self.indexes: dict[KeyColumns, RowIndex] = {}  # of the blocks: see storage.indexes.lookup
        self.pending: dict[KeyColumns, PendingKeys] = {}  # what open transactions are about to hold
        self.tallies = Tallies()  # what scans by certified codes have done
        self.statistics: Any = None  # what is known for planning: see storage.segments.statistics

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
        self.unsealed_rows += batch.rows
        self.unsealed_bytes += batch.nbytes
        last = self.parts[-1] if self.parts else None
        numbers = table.numbers
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

    def append_row(
        self, table: Table, row: Row, hashes: Mapping[KeyColumns, int | None], commit: int
    ) -> None:
        """`append` of one row of plain values, with the hashes of its keys (None: it has none)."""
        row_id, size = self.next_row_id, nbytes(row)
        self.next_row_id += 1
        self.unsealed_rows += 1
        self.unsealed_bytes += size
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Block) and last.has_room_for(table.numbers, table.types):
            last.append_row(row, row_id, commit, size)
        else:
            batch = batch_of(table.types, [row])
            self.parts = (*self.parts, Block(table.numbers, batch, np.array((row_id,), np.int64), commit))
        for columns, index in list(self.indexes.items()):
            if columns not in hashes:
                del self.indexes[columns]  # one of its columns was dropped, or it was
                continue
            hash = hashes[columns]
            if hash is not None:
                index.add_one(hash, row_id)

    @property
    def sealed(self) -> tuple[Sealed, ...]:
        """The sealed ones of the parts."""
        if self._sealed[0] is not self.parts:
            self._sealed = self.parts, tuple(part for part in self.parts if isinstance(part, Sealed))
        return self._sealed[1]

    def adopt(self, parts: Sequence[Sealed]) -> None:
        """Add segments that a commit brings; their row ids are the next ones."""
        blocks = [part for part in self.parts if isinstance(part, Block)]
        self.parts = (*(part for part in self.parts if not isinstance(part, Block)), *parts, *blocks)

    def locate(self, row_ids: Positions) -> Iterator[tuple[Part, Positions, Positions]]:
        """(part, positions in it, places in `row_ids`) for the row ids that exist."""
        if not len(row_ids):
            return
        parts, firsts, lasts = self._row_id_spans()
        if len(row_ids) == 1:
            within = (firsts <= row_ids) & (row_ids <= lasts)
        else:
            ascending = np.sort(row_ids)
            within = ascending.searchsorted(firsts) < ascending.searchsorted(lasts, "right")
        for index in np.flatnonzero(within).tolist():
            positions = parts[index].positions(row_ids)
            places = np.flatnonzero(positions >= 0)
            if len(places):
                yield parts[index], positions[places], places

    def _row_id_spans(self) -> tuple[tuple[Part, ...], Positions, Positions]:
        """The parts, and bounds of the row ids of each: a block grows until the next begins."""
        if self._spans[0] is not self.parts:
            parts = self.parts
            firsts = [part.first_row_id for part in parts]
            lasts, end = [], _LAST
            for part, first in zip(reversed(parts), reversed(firsts), strict=True):
                lasts.append(part.last_row_id if isinstance(part, Sealed) else end)
                end = end if isinstance(part, Sealed) else first - 1
            self._spans = parts, np.array(firsts, np.int64), np.array(lasts[::-1], np.int64)
        return self._spans

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
            if isinstance(part, Sealed):
                part.deleted += len(positions)

    def truncate(self, commit: int) -> None:
        """No rows from `commit` on; earlier snapshots keep theirs."""
        self._history.append((commit, self.parts))
        self._leave(self.parts)
        self.parts = ()
        self.unsealed_rows = self.unsealed_bytes = 0
        self.successors = {}

    def replace_parts(self, old: tuple[Part, ...], new: tuple[Part, ...]) -> None:
        """Put `new` in the place of the parts `old`, which hold the same rows. Blocks stay behind."""
        gone = set(map(id, old))
        kept = [part for part in self.parts if id(part) not in gone]
        parts = sorted([*kept, *new], key=lambda part: isinstance(part, Block))
        self.parts = tuple(parts)
        blocks = [part for part in parts if isinstance(part, Block)]
        self.unsealed_rows = sum(block.rows for block in blocks)
        self.unsealed_bytes = sum(block.nbytes for block in blocks)
        self.sealed_at = time.monotonic()
        self._leave(old)

    def _leave(self, parts: tuple[Part, ...]) -> None:
        """The table's indexes are of its blocks: made anew, when asked for, without those that leave."""
        self._spans, self._sealed = ((), _NONE, _NONE), ((), ())  # which would keep their files
        for part in parts:
            if isinstance(part, Block):
                part.left = True
                self.indexes = {}

    def forget(self, oldest: int) -> None:
        """Let go of what no snapshot at or after `oldest` can ask for."""
        with self.lock:
            self._history = [(ended, parts) for ended, parts in self._history if ended > oldest]
            self.successors = {k: v for k, v in self.successors.items() if v[0] > oldest}
            for part in self.parts:
                if isinstance(part, Sealed):
                    part.settle(oldest)
