"""INSERT ... ON CONFLICT: rows whose keys are free are inserted, of the others it is told who has the key.

Of some unique keys, the arbiters, a taken one is no error. Rows are decided in their order: where one has to
wait for another transaction, those before it are inserted first, and those behind it are looked at anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from storage import kernels
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Positions
from storage.definitions import UniqueKey
from storage.errors import SerializationFailure
from storage.indexes.lookup import find
from storage.segments.table import Store
from storage.transactions import uniqueness
from storage.transactions.changes import TableChanges
from storage.transactions.locks import ROW_WAIT, Party, Wait, Waits
from storage.transactions.uniqueness import Entering, entering


class Inserter(Party, Protocol):
    """A transaction that inserts. `seen`: the commit of its snapshot where that stays."""

    @property
    def seen(self) -> int | None: ...


class Place(NamedTuple):
    """Where rows are to be inserted, and the command. `oldest`: see storage.transactions.uniqueness."""

    waits: Waits
    store: Store
    changes: TableChanges
    catalog: Catalog
    command: int
    oldest: Callable[[], int]


def insert_free(party: Inserter, place: Place, batch: Batch, arbiters: Collection[UniqueKey]) -> Positions:
    """Insert the rows whose arbiter keys nobody has.

    Returns, row by row, 0 where it was inserted, else the id of the row that has its key. Raises
    UniqueViolation for other keys, SerializationFailure where the snapshot stays and does not see that row.
    """
    holders = np.zeros(batch.rows, np.int64)
    start = 0
    with Wait(place.waits, party) as wait:
        while start < batch.rows:
            rest = batch if not start else batch.slice(start, batch.rows)
            with place.store.lock:
                decided = _decide(party, place, rest, arbiters)
                inserted, blocker = _insert(party, place, rest, decided)
                if inserted is not None:
                    holders[start : start + decided.stop] = inserted
                    start += decided.stop
                    blocker = decided.blocker
                if start < batch.rows and blocker is not None:
                    wait.begin([blocker], ROW_WAIT)
            if start < batch.rows and blocker is not None:
                wait.sleep()
    return holders


class _Decided(NamedTuple):
    """Of the first `stop` rows: the id of the row that has the key (0: nobody), the earlier row (-1: none).

    The row behind them has to wait for `blocker`, if there is one.
    """

    keys: list[Entering]
    stop: int
    ids: Positions
    earlier: Positions
    blocker: Any


def _decide(party: Inserter, place: Place, batch: Batch, arbiters: Collection[UniqueKey]) -> _Decided:
    keys = entering(place.changes.table, batch)
    asked = [entered for entered in keys if entered.unique in arbiters]
    ids = np.zeros(batch.rows, np.int64)
    earlier = np.full(batch.rows, -1, np.int64)
    blockers: dict[int, Any] = {}
    for entered in asked:
        _holders(party, place, entered, ids, blockers)
        for row, first in _doubled(entered):
            earlier[row] = first if earlier[row] < 0 else min(first, earlier[row])
    stop, blocker = batch.rows, None
    for row, other in sorted(blockers.items()):
        if ids[row] == 0:
            stop, blocker = row, other
            break
    if len(asked) > 1 and (earlier[:stop] >= 0).any():
        # whether the earlier row is inserted depends on its other keys: decide that first
        stop, blocker = int(np.argmax(earlier[:stop] >= 0)), None
    _check_seen(party, place, ids[:stop])
    return _Decided(keys, stop, ids[:stop], earlier[:stop], blocker)


def _doubled(entered: Entering) -> Sequence[tuple[int, int]]:
    """(row, earlier row) of the rows whose keys earlier rows have."""
    hashes, rows = entered.key.asked
    groups, firsts = kernels.group_words(hashes)
    if len(firsts) == len(hashes):
        return ()
    return list(uniqueness.doubled(entered.key.keys, groups, firsts, rows))


def _holders(
    party: Inserter, place: Place, entered: Entering, ids: Positions, blockers: dict[int, Any]
) -> None:
    """Enter the ids of the rows that have keys into `ids`, and who else may have them into `blockers`."""
    changes, store = place.changes, place.store
    columns, key = entered.unique.columns, entered.key
    for own, asked, positions in changes.find(changes.table, columns, key):
        living = (own.gone[positions] == 0) & (positions >= own.before(changes.truncated + 1))
        ids[asked[living]] = own.first - positions[living]
    if not changes.truncated:
        for part, asked, positions in find(store, changes.table, columns, store.parts, key):
            gone = part.gone_in(0, part.rows)
            living = np.ones(len(asked), np.bool_) if gone is None else gone[positions] == 0
            row_ids = part.row_ids_of(0, part.rows, positions)
            for row, row_id in zip(asked[living].tolist(), row_ids[living].tolist(), strict=True):
                holder = store.holders.get(row_id)
                if holder is None:
                    ids[row] = row_id
                elif holder is not party:
                    blockers[row] = holder
    pending = store.pending.get(columns)
    if pending is not None:
        hashes, rows = key.asked
        asked, others = pending.others(party, hashes)
        asked = asked if rows is None else rows[asked]
        blockers.update(zip(asked.tolist(), others, strict=True))


def _check_seen(party: Inserter, place: Place, ids: Positions) -> None:
    if party.seen is None:
        return
    for part, positions, _ in place.store.locate(ids[ids > 0]):
        if (positions >= part.visible_rows(party.seen)).any():
            raise SerializationFailure("could not serialize access due to concurrent update")


def _insert(party: Inserter, place: Place, batch: Batch, decided: _Decided) -> tuple[Positions | None, Any]:
    """Insert what is free of the decided rows: (ids of who has the keys, None), or who to wait for."""
    free = (decided.ids == 0) & (decided.earlier < 0)
    # an earlier row that is not inserted has the same holder, which `ids` tells
    ids = decided.ids.copy()
    if free.any():
        rows = batch.take(np.flatnonzero(free))
        keys = decided.keys if len(free) == batch.rows and free.all() else entering(place.changes.table, rows)
        changes, store = place.changes, place.store
        other = uniqueness.blocker(party, place.catalog, changes, store, keys, place.oldest)
        if other is not None:
            return None, other
        new = changes.insert(rows, place.command)
        uniqueness.enter(party, changes, store, keys, new)
        made = np.zeros(len(free), np.int64)
        made[free] = new
        doubled = (ids == 0) & ~free
        ids[doubled] = made[decided.earlier[doubled]]
    return ids, None
