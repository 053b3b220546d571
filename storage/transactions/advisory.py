"""Advisory locks: keys, a bigint or two integers, that sessions lock among themselves.

A lock is a session's, until it is given back as often as it was taken or the session ends, or a
transaction's, until that ends or rolls back to before it. Sessions hold them, so a transaction does not wait
for what an earlier one of its own session has locked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from storage.transactions.locks import LockRow, Locks, Party, Reason, Wait, Waits

Key = tuple[int, ...]
Scope = Literal["session", "transaction"]

_SHARED, _EXCLUSIVE = 0, 1
_NAMES = ("ShareLock", "ExclusiveLock")


@dataclass(eq=False)
class _Owner:
    """A session as a party: it holds, but it is its transactions that wait."""

    session: int
    number: int = 0


class AdvisoryLocks:
    """All of a database; `Waits.lock` guards them."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._locks: Locks = Locks((0b10, 0b11))
        self._owners: dict[int, _Owner] = {}
        self._counts: Counter[tuple[int, Key, int, Scope]] = Counter()
        self._in_transaction: dict[int, list[tuple[Key, int, int]]] = {}  # by session: (key, mode, level)

    def lock(self, party: Party, key: Key, *, shared: bool, scope: Scope, wait: bool) -> bool:
        """Take a lock for a session or transaction; false where it is not free and is not to be waited for.

        Raises DeadlockDetected, LockNotAvailable, QueryCanceled.
        """
        mode = _SHARED if shared else _EXCLUSIVE
        with Wait(self._waits, party) as waiting:
            try:
                while True:
                    with self._waits.lock:
                        owner = self._owners.setdefault(party.session, _Owner(party.session))
                        blockers = self._locks.holders(owner, key, mode)
                        ahead = [] if waiting.jumps else self._locks.before(owner, key, mode)
                        if not blockers and not ahead:
                            self._take(owner, key, mode, scope, party.level)
                            return True
                        if not wait:
                            return False
                        self._locks.ask(owner, key, mode)
                        reason = Reason("advisory", _NAMES[mode], key)
                        waiting.begin(blockers or ahead, reason, queued=not blockers)
                    waiting.sleep()
            finally:
                if waiting.began:
                    with self._waits.lock:
                        self._locks.leave(owner, key)
                    self._waits.wake(owner)

    def _take(self, owner: _Owner, key: Key, mode: int, scope: Scope, level: int) -> None:
        self._locks.take(owner, key, mode, 0)
        self._counts[owner.session, key, mode, scope] += 1
        if scope == "transaction":
            self._in_transaction.setdefault(owner.session, []).append((key, mode, level))

    def unlock(self, session: int, key: Key, *, shared: bool) -> bool:
        """Give back one lock of a session's; false where it holds none."""
        mode = _SHARED if shared else _EXCLUSIVE
        with self._waits.lock:
            return self._give_back(session, key, mode, "session")

    def _give_back(self, session: int, key: Key, mode: int, scope: Scope) -> bool:
        if not self._counts[session, key, mode, scope]:
            del self._counts[session, key, mode, scope]
            return False
        self._counts[session, key, mode, scope] -= 1
        if not self._counts[session, key, mode, scope]:
            del self._counts[session, key, mode, scope]
        other: Scope = "transaction" if scope == "session" else "session"
        if (session, key, mode, scope) not in self._counts and (
            session,
            key,
            mode,
            other,
        ) not in self._counts:
            owner = self._owners[session]
            self._locks.drop(owner, key, mode)
            self._waits.wake(owner)
        return True

    def end(self, session: int, level: int = -1) -> None:
        """A session's transaction has ended, or rolled back to a savepoint: what was taken since is free."""
        if session not in self._in_transaction:
            return
        with self._waits.lock:
            taken = self._in_transaction.pop(session)
            kept = [entry for entry in taken if entry[2] <= level]
            if kept:
                self._in_transaction[session] = kept
            for key, mode, made in taken:
                if made > level:
                    self._give_back(session, key, mode, "transaction")

    def release(self, session: int) -> None:
        """Give back everything that a session, not its transaction, has locked."""
        with self._waits.lock:
            for holder, key, mode, scope in list(self._counts):
                while holder == session and scope == "session" and self._give_back(session, key, mode, scope):
                    pass
            if not any(holder == session for holder, *_ in self._counts):
                self._owners.pop(session, None)

    def rows(self) -> Iterator[LockRow]:
        """What is held, as pg_locks tells it."""
        with self._waits.lock:
            held = {(session, key, mode) for session, key, mode, _ in self._counts}
        for session, key, mode in sorted(held):
            yield LockRow("advisory", key, _NAMES[mode], True, session, 0)
