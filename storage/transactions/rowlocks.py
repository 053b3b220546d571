"""Locks on rows: taking one, marking a row deleted, waiting for whoever stands in the way.

A row is held by the transaction that marked it deleted (`Store.holders`: by an UPDATE that keeps its keys in
mode NO KEY UPDATE, else UPDATE) and by those that locked it (`Store.locks`). Where neither has an entry, a
look costs nothing. A lock on a row goes over to the version that replaces it: see `carry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from storage.column import Positions
from storage.errors import LockNotAvailable, SerializationFailure
from storage.segments.table import Store
from storage.transactions.changes import TableChanges
from storage.transactions.locks import ROW_CONFLICTS, ROW_WAIT, Holder, Party, Policy, RowMode, Wait, Waits


class Locker(Party, Protocol):
    """A transaction that locks rows. `repeats`: its snapshot stays, so a row changed since is an error."""

    changes: dict[int, TableChanges]

    @property
    def repeats(self) -> bool: ...


class RowWait(Wait):
    """Waiting for rows of one store, one after the other."""

    def __init__(self, waits: Waits, party: Party, store: Store) -> None:
        super().__init__(waits, party)
        self._store = store
        self._row = 0

    def on(self, row_id: int, mode: RowMode, blockers: Sequence[Holder], *, queued: bool) -> None:
        """Wait for this row from now on: to be called under the store's lock."""
        if row_id != self._row:
            self.finish()
            self._row = row_id
            self._store.locks.ask(self.party, row_id, mode)
        self.begin(blockers, ROW_WAIT, queued=queued)

    def finish(self) -> None:
        """The row is there, or is not wanted any more."""
        if self._row:
            with self._store.lock:
                self._store.locks.leave(self.party, self._row)
            self._row = 0
        super().finish()


def in_the_way(
    store: Store, table: int, party: Party, row_id: int, mode: RowMode, *, jumps: bool = False
) -> tuple[list[Holder], bool]:
    """Who has to let go of a row first; and whether they only asked for it earlier."""
    found = store.locks.holders(party, row_id, mode)
    holder = store.holders.get(row_id)
    if holder is not None and holder is not party:
        held = RowMode.NO_KEY_UPDATE if row_id in holder.changes[table].kept_keys else RowMode.UPDATE
        if ROW_CONFLICTS[mode] >> held & 1:
            found.append(holder)
    if found or jumps or holder is party:
        return found, False
    return store.locks.before(party, row_id, mode), True


def first_blocked(
    store: Store, table: int, party: Party, row_ids: Positions, mode: RowMode, wait: RowWait
) -> int:
    """How many rows, from the first on, are free; the wait for the one behind them has then begun."""
    if not store.holders and not store.locks.held and not store.locks.queues:
        return len(row_ids)
    for at, row_id in enumerate(row_ids.tolist()):
        blockers, queued = in_the_way(store, table, party, row_id, mode, jumps=wait.jumps)
        if blockers:
            wait.on(row_id, mode, blockers, queued=queued)
            return at
    return len(row_ids)


def mark(
    waits: Waits, store: Store, table: int, party: Locker, row_ids: Positions, mode: RowMode, command: int
) -> Positions:
    """Mark committed rows deleted; returns those that were still there.

    Raises SerializationFailure where one is not and the snapshot stays.
    """
    changes = party.changes[table]
    done = [np.zeros(0, np.int64)]
    with RowWait(waits, party, store) as wait:
        while len(row_ids):
            with store.lock:
                free = first_blocked(store, table, party, row_ids, mode, wait)
                # A row whose holder has not ended may be gone by a commit that no snapshot sees yet.
                done.append(_marked(store, changes, party, row_ids[:free], mode, command))
            row_ids = row_ids[free:]
            if len(row_ids):
                wait.sleep()
    return np.concatenate(done)


def _marked(
    store: Store, changes: TableChanges, party: Locker, row_ids: Positions, mode: RowMode, command: int
) -> Positions:
    gone = store.gone_at(row_ids)
    if party.repeats and (gone > 0).any():
        raise changed_meanwhile(store, int(row_ids[np.argmax(gone > 0)]))
    marked = [row_id for row_id in row_ids[gone == 0].tolist() if row_id not in changes.deleted]
    for row_id in marked:
        store.holders[row_id] = party
        changes.mark(row_id, command)
    if mode is not RowMode.UPDATE:
        changes.kept_keys.update(marked)
    return np.array(marked, np.int64)


def changed_meanwhile(store: Store, row_id: int) -> SerializationFailure:
    """The error for a row that another transaction has changed since the snapshot."""
    what = "update" if row_id in store.successors else "delete"
    return SerializationFailure(f"could not serialize access due to concurrent {what}")


def lock(
    waits: Waits,
    store: Store,
    table: int,
    party: Locker,
    row_id: int,
    mode: RowMode,
    policy: Policy,
    refusal: str,
) -> int:
    """Lock the newest version of a row: its id; 0 where it was deleted, or where `policy` passes it over.

    Raises LockNotAvailable with the message `refusal`, SerializationFailure.
    """
    with RowWait(waits, party, store) as wait:
        while True:
            with store.lock:
                blockers, queued = in_the_way(store, table, party, row_id, mode, jumps=wait.jumps)
                if not blockers:
                    if table in party.changes and row_id in party.changes[table].deleted:
                        return 0
                    if store.gone_at(np.array([row_id]))[0] == 0:
                        store.locks.take(party, row_id, mode, party.level)
                        return row_id
                    if party.repeats:
                        raise SerializationFailure("could not serialize access due to concurrent update")
                    if row_id not in store.successors:
                        return 0
                    row_id = store.successors[row_id][1]
                    continue
                if policy == "skip":
                    return 0
                if policy == "nowait":
                    raise LockNotAvailable(refusal)
                wait.on(row_id, mode, blockers, queued=queued)
            wait.sleep()


def lock_all(
    waits: Waits,
    store: Store,
    table: int,
    party: Locker,
    row_ids: Positions,
    mode: RowMode,
    policy: Policy,
    refusal: str,
) -> Positions:
    """`lock` for each row in turn; those that the transaction made (below zero) are its own already."""
    result = row_ids.copy()
    rows = np.flatnonzero(row_ids > 0)
    step = _STEP
    while len(rows):
        some = row_ids[rows[:step]]
        free = _lock_free(store, party, some, mode)
        step = min(2 * step, _STEP)
        if free < len(some):
            row = int(rows[free])
            result[row] = lock(waits, store, table, party, int(row_ids[row]), mode, policy, refusal)
            free, step = free + 1, 1  # where one is in the way, the next may be
        rows = rows[free:]
    return result


_STEP = 4096  # rows that are looked at together


def _lock_free(store: Store, party: Locker, row_ids: Positions, mode: RowMode) -> int:
    """Lock rows up to the first that is not plainly there and free; returns how many."""
    with store.lock:
        there = store.gone_at(row_ids) == 0
        free = len(row_ids) if there.all() else int(np.argmin(there))
        holders, locks, held = store.holders, store.locks, store.locks.held
        for at, row_id in enumerate(row_ids[:free].tolist()):
            if row_id in holders or row_id in locks.queues:
                return at
            if row_id in held and locks.holders(party, row_id, mode):
                return at
            locks.take(party, row_id, mode, party.level)
        return free
