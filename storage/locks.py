"""Waiting for other transactions: row holders, keys about to exist, tables under DDL.

A transaction waits for the end of one other at a time, so who waits for whom is a map, and a deadlock is
a circle in it, found before the wait begins. Waiting ends early on cancel and on lock_timeout.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from storage.errors import DeadlockDetected, LockNotAvailable

_POLL = 0.02  # seconds between two looks at the cancel flag


class Party(Protocol):
    """A transaction, as far as waiting is concerned."""

    number: int
    ended: threading.Event
    check: Callable[[], None]
    lock_timeout: float  # seconds; 0: none


class Waits:
    """Who waits for whom, and the locks on tables."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, int] = {}
        self._shared: defaultdict[int, set[Party]] = defaultdict(set)
        self._exclusive: dict[int, Party] = {}

    def waiting(self) -> dict[int, int]:
        """Which transaction waits for which, by number."""
        with self._lock:
            return dict(self._waiting)

    def until_ended(self, waiter: Party, holder: Party) -> None:
        """Wait until `holder` has ended. Raises DeadlockDetected, LockNotAvailable, QueryCanceled."""
        with self._lock:
            at = holder.number
            while at in self._waiting:
                at = self._waiting[at]
                if at == waiter.number:
                    raise DeadlockDetected(
                        "deadlock detected",
                        detail=(
                            f"Transaction {waiter.number} waits for transaction {holder.number}, "
                            "which waits, perhaps by way of others, for the first."
                        ),
                        hint="See server log for query details.",
                    )
            self._waiting[waiter.number] = holder.number
        deadline = time.monotonic() + waiter.lock_timeout if waiter.lock_timeout else None
        try:
            while not holder.ended.wait(_POLL):
                waiter.check()
                if deadline is not None and time.monotonic() > deadline:
                    raise LockNotAvailable("canceling statement due to lock timeout")
        finally:
            with self._lock:
                self._waiting.pop(waiter.number, None)

    def table(self, party: Party, table: int, *, exclusive: bool) -> None:
        """Lock a table until the transaction's end: shared to write rows, exclusive to change the table."""
        while True:
            with self._lock:
                blocker = self._blocker(party, table, exclusive)
                if blocker is None:
                    if exclusive:
                        self._exclusive[table] = party
                    else:
                        self._shared[table].add(party)
                    return
            self.until_ended(party, blocker)

    def _blocker(self, party: Party, table: int, exclusive: bool) -> Party | None:
        owner = self._exclusive.get(table)
        if owner is not None and owner is not party:
            return owner
        if exclusive:
            return next((other for other in self._shared[table] if other is not party), None)
        return None

    def release(self, party: Party) -> None:
        """The transaction has ended: give up its table locks."""
        with self._lock:
            for table in [t for t, owner in self._exclusive.items() if owner is party]:
                del self._exclusive[table]
            for table in [t for t, parties in self._shared.items() if party in parties]:
                self._shared[table].discard(party)
                if not self._shared[table]:
                    del self._shared[table]
