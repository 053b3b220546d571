"""What one statement sees: a commit number, the catalog of that commit, and the transaction's own rows.

A row is seen if it was made at or before the snapshot's commit and not deleted by then, or if an earlier
command of the same transaction made it; and not if an earlier command of it deleted it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from storage.catalog import Catalog
from storage.codes import Codes
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, KeyColumns, Table
from storage.indexes.hashindex import hashed
from storage.indexes.lookup import find
from storage.predicate import Conjunction
from storage.seams import Found, Morsel
from storage.segments.coding import codes_of
from storage.segments.rowids import system_column
from storage.segments.selector import Selector
from storage.segments.table import Part, Store
from storage.segments.tally import Tallies
from storage.segments.widerows import expect_rows, gathered_rows
from storage.segments.zones import ZONE_ROWS
from storage.transactions.changes import TableChanges
from storage.transactions.ownrows import OwnMorsel, OwnRows


class Stores(Protocol):
    """Where the tables' rows are: the database."""

    def store(self, table: int) -> Store: ...


class _Asked:
    """What the morsels of one part were last asked to select: made once for all of them."""

    __slots__ = ("_last", "_part")

    def __init__(self, part: Part) -> None:
        self._part = part
        self._last: tuple[Conjunction, Selector | None] | None = None

    def selector(self, predicate: Conjunction) -> Selector | None:
        """See storage.segments.table.Part. Threads may make it twice."""
        last = self._last
        if last is None or last[0] is not predicate:
            last = self._last = predicate, self._part.selector(predicate)
        return last[1]


class PartMorsel:
    """Rows start to stop of a part, as of a commit."""

    __slots__ = ("_asked", "_commit", "_hidden", "_part", "_start", "_stop", "rows")

    def __init__(
        self,
        part: Part,
        start: int,
        stop: int,
        commit: int,
        hidden: Positions | None,
        asked: _Asked | None = None,
    ) -> None:
        """`asked` is shared by morsels of one part."""
        self._part, self._start, self._stop = part, start, stop
        self._commit, self._hidden = commit, hidden
        self._asked = asked or _Asked(part)
        self.rows = stop - start

    def _of(self, start: int, stop: int) -> PartMorsel:
        """Rows start to stop of the part."""
        return PartMorsel(self._part, start, stop, self._commit, self._hidden, self._asked)

    def visible(self) -> Mask | None:
        """See storage.seams.Morsel."""
        gone = self._part.gone_in(self._start, self._stop)
        mask: Mask | None = None
        if gone is not None and gone.any():
            mask = (gone == 0) | (gone > self._commit)
        born = self._part.born_in(self._start, self._stop)
        if born is not None:
            mask = born <= self._commit if mask is None else mask & (born <= self._commit)
        if self._hidden is not None:
            row_ids = self.row_ids()
            at = np.minimum(np.searchsorted(self._hidden, row_ids), len(self._hidden) - 1)
            hidden = self._hidden[at] == row_ids
            if hidden.any():
                mask = ~hidden if mask is None else mask & ~hidden
        return mask

    def sees(self, rows: Positions) -> Mask:
        """See storage.seams.Morsel."""
        gone = self._part.gone_in(self._start, self._stop)
        mask: Mask
        if gone is None:
            mask = np.ones(len(rows), np.bool_)
        else:
            ended = gone[rows]
            mask = (ended == 0) | (ended > self._commit)
        born = self._part.born_in(self._start, self._stop)
        if born is not None:
            mask &= born[rows] <= self._commit
        if self._hidden is not None:
            mask &= ~np.isin(self.row_ids(rows), self._hidden)
        return mask

    def select(self, predicate: Conjunction) -> Mask | None:
        """See storage.seams.Morsel."""
        selector = self._asked.selector(predicate)
        return None if selector is None else selector.select(self._start, self._stop)

    def decides(self, predicate: Conjunction) -> bool:
        """See storage.seams.Morsel."""
        selector = self._asked.selector(predicate)
        return selector is not None and selector.exact

    def count(self, predicate: Conjunction) -> int:
        """See storage.seams.Morsel."""
        visible = self.visible()
        selector = self._asked.selector(predicate) if predicate else None
        if selector is not None:
            return selector.count(self._start, self._stop, visible)
        return self.rows if visible is None else int(np.count_nonzero(visible))

    def column(self, definition: ColumnDefinition, rows: Positions | None = None) -> Column:
        """See storage.seams.Morsel."""
        if definition.number < 0:
            return system_column(definition, self.row_ids(rows))
        return self._part.column(definition, self._start, self._stop, rows)

    def placed(self, rows: Positions) -> tuple[Part, Positions]:
        """Rows at these positions, as rows of the part."""
        return self._part, rows + self._start

    def row_ids(self, rows: Positions | None = None) -> Positions:
        """See storage.seams.Morsel."""
        return self._part.row_ids_of(self._start, self._stop, rows)

    def codes(self, definition: ColumnDefinition) -> Codes | None:
        """See storage.seams.Morsel. Raises DataCorrupted."""
        whole = self.rows == self._part.rows
        return codes_of(self._part, definition) if whole else None

    def slice(self, start: int, stop: int) -> PartMorsel:
        """See storage.seams.Morsel."""
        return self._of(self._start + start, self._start + stop)

    def pieces(
        self, predicate: Conjunction = (), asked: Collection[int] | None = None, most: int = ZONE_ROWS
    ) -> Iterator[Morsel]:
        """See storage.seams.Morsel."""
        yield from self.matching(self._part.may_match(predicate) if predicate else None, asked, most)

    def matching(
        self, blocks: Mask | None, asked: Collection[int] | None = None, most: int = ZONE_ROWS
    ) -> Iterator[Morsel]:
        """`pieces` of the part's blocks of ZONE_ROWS rows that may have a match (None: all)."""
        step = self._part.morsel_rows(asked, most)
        for start in range(self._start, self._stop, step):
            for first, end in _stretches(blocks, start, min(start + step, self._stop)):
                yield self._of(first, end)


def _stretches(blocks: Mask | None, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Rows start to stop in stretches, as long as they can be, without blocks of ZONE_ROWS that are false."""
    if blocks is None or blocks[start // ZONE_ROWS : -(-stop // ZONE_ROWS)].all():
        yield start, stop
        return
    first = start
    for begin in range(start, stop, ZONE_ROWS):
        end = min(begin + ZONE_ROWS, stop)
        if not _any(blocks, begin, end):
            if first < begin:
                yield first, begin
            first = end
    if first < stop:
        yield first, stop


def _any(blocks: Mask, start: int, stop: int) -> bool:
    """Whether rows start to stop are in a block of ZONE_ROWS that is true."""
    return bool(blocks[start // ZONE_ROWS : -(-stop // ZONE_ROWS)].any())


class TableView:
    """One table under one snapshot."""

    def __init__(
        self,
        table: Table,
        store: Store,
        parts: tuple[Part, ...],
        commit: int,
        command: int,
        changes: TableChanges | None,
    ) -> None:
        self.table = table
        self._store = store
        self._changes = changes
        self._commit = commit
        self._command = command
        truncated = changes.truncated if changes is not None else 0
        self._seen: tuple[Part, ...] = () if 0 < truncated < command else parts
        self._hidden = changes.hidden(command) if changes is not None else None
        self._floor = truncated + 1 if truncated < command else 0

    @cached_property
    def _parts(self) -> list[tuple[Part, int]]:
        """The parts with how many of their rows, from the first on, were made in time."""
        return [(part, rows) for part in self._seen if (rows := part.visible_rows(self._commit))]

    @cached_property
    def _own(self) -> list[tuple[OwnRows, int, int]]:
        """Own rows, from where to where they are seen."""
        inserted = self._changes.inserted if self._changes is not None else ()
        return [(rows, rows.before(self._floor), rows.before(self._command)) for rows in inserted]

    @property
    def tallies(self) -> Tallies:
        """See storage.seams.TableView."""
        return self._store.tallies

    @property
    def estimated_rows(self) -> int:
        """See storage.seams.TableView."""
        return sum(rows for _, rows in self._parts) + sum(stop - start for _, start, stop in self._own)

    def morsels(
        self,
        predicate: Conjunction = (),
        *,
        whole: bool = False,
        asked: Collection[int] | None = None,
        tasks: int = 1,
    ) -> Iterator[Morsel]:
        """See storage.seams.TableView."""
        most = max(self.estimated_rows // tasks, ZONE_ROWS)
        for part, rows in self._parts:
            blocks = part.may_match(predicate) if predicate else None
            if blocks is not None and not _any(blocks, 0, rows):
                continue
            morsel = PartMorsel(part, 0, rows, self._commit, self._hidden)
            if whole:
                yield morsel
            else:
                yield from morsel.matching(blocks, asked, most)
        for own, first, end in self._own:
            step = own.morsel_rows()
            for start in range(first, end, step):
                yield OwnMorsel(own, start, min(start + step, end), self._command)

    def gather(self, definition: ColumnDefinition, places: Sequence[tuple[Morsel, Positions]]) -> Column:
        """See storage.seams.TableView."""
        placed = [morsel.placed(rows) for morsel, rows in places if isinstance(morsel, PartMorsel)]
        found = gathered_rows(definition, placed) if placed and len(placed) == len(places) else None
        if found is not None:
            return found
        return Column.concat([morsel.column(definition, rows) for morsel, rows in places])

    def expect(self, definition: ColumnDefinition, places: Sequence[tuple[Morsel, Positions]]) -> None:
        """See storage.seams.TableView."""
        expect_rows(
            definition,
            [morsel.placed(rows) for morsel, rows in places if isinstance(morsel, PartMorsel)],
        )

    def lookup(self, columns: KeyColumns, values: Sequence[Column]) -> Iterator[Found]:
        """See storage.seams.TableView."""
        key = hashed(values, len(values[0]), columns.nulls)
        for part, asked, positions in find(self._store, self.table, columns, self._seen, key):
            morsel = PartMorsel(part, 0, part.rows, self._commit, self._hidden)
            kept = (positions < part.visible_rows(self._commit)) & morsel.sees(positions)
            if kept.any():
                yield morsel, positions[kept], asked[kept]
        if self._changes is None:
            return
        for rows, asked, positions in self._changes.find(self.table, columns, key):
            first, end = rows.before(self._floor), rows.before(self._command)
            gone = rows.gone[positions]
            kept = (positions >= first) & (positions < end) & ((gone == 0) | (gone >= self._command))
            if kept.any():
                yield OwnMorsel(rows, 0, rows.rows, self._command), positions[kept], asked[kept]

    def located(self, row_ids: Positions) -> Iterator[Found]:
        """See storage.seams.TableView."""
        store = self._store
        with store.lock:
            found = list(store.locate(row_ids))
        for part, positions, places in found:
            yield PartMorsel(part, 0, part.rows, self._commit, None), positions, places
        for rows in self._changes.inserted if self._changes is not None else ():
            at = rows.positions(row_ids)
            places = np.flatnonzero(at >= 0)
            if len(places):
                yield OwnMorsel(rows, 0, rows.rows, self._command), at[places], places

    def skipped(self, predicate: Conjunction = ()) -> tuple[int, int]:
        """See storage.seams.TableView."""
        total = len(self._parts)
        if not predicate:
            return 0, total
        return sum(not _any(part.may_match(predicate), 0, rows) for part, rows in self._parts), total

    def skipped_blocks(self, predicate: Conjunction = ()) -> tuple[int, int]:
        """See storage.seams.TableView."""
        skipped = total = 0
        for part, rows in self._parts:
            step = part.morsel_rows()
            starts = range(0, rows, step)
            total += len(starts)
            if predicate:
                blocks = part.may_match(predicate)
                skipped += sum(not _any(blocks, start, min(start + step, rows)) for start in starts)
        return skipped, total


class Lifetime:
    """How long a transaction's snapshots are in use: until it ends, whoever still refers to them.

    A statement that failed may live on in a circle of its error and the frames that the error came through.
    """

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


class Snapshot:
    """See storage.seams.Snapshot. Without a lifetime it is in use for as long as somebody has it."""

    def __init__(
        self,
        stores: Stores,
        catalog: Catalog,
        commit: int,
        command: int = 0,
        changes: Mapping[int, TableChanges] | None = None,
        lifetime: Lifetime | None = None,
    ) -> None:
        self.catalog = catalog
        self.commit = commit
        self.command = command
        self._stores = stores
        self._changes = changes or {}
        self._lifetime = lifetime

    @property
    def released(self) -> bool:
        """Whether its transaction has ended: nobody reads by it any more."""
        return self._lifetime is not None and self._lifetime.over

    def table(self, oid: int) -> TableView:
        """See storage.seams.Snapshot. Raises UndefinedTable."""
        table = self.catalog.table(oid)
        store = self._stores.store(oid)
        return TableView(
            table, store, store.parts_at(self.commit), self.commit, self.command, self._changes.get(oid)
        )
