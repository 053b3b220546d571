"""Locks and waiting: who holds which modes of what, who waits for whom, and what ends a wait.

Two kinds of things are locked, each with PostgreSQL's modes and conflicts: tables (`TableMode`, by OID; and
what else has an OID, and names that are about to be taken, by schema and name) and rows (`RowMode`, by row
id, in the table's store). A lock is held until its transaction ends or rolls back to a savepoint that is
older than it. Who asks waits behind those who asked before in a mode that conflicts.

A wait is never polled: whoever releases anything wakes those who wait for him, and they look again. It also
ends on cancel, statement_timeout and lock_timeout. After deadlock_timeout the graph of who waits for whom is
searched; the transaction that finds a circle through itself is the one that fails.

Lock order: the guard of what is locked (a store's lock, `Waits.lock` for tables), then `Waits.lock`.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Literal, Protocol, Self

from storage.definitions import DATABASE_OID
from storage.errors import DeadlockDetected, LockNotAvailable
from storage.waiting import about_to_wait


class RowMode(IntEnum):
    """Modes of row locks, the weakest first: each conflicts with all that a weaker one conflicts with."""

    KEY_SHARE = 0
    SHARE = 1
    NO_KEY_UPDATE = 2
    UPDATE = 3


class TableMode(IntEnum):
    """Modes of table locks, as pg_locks names them."""

    AccessShareLock = 0
    RowShareLock = 1
    RowExclusiveLock = 2
    ShareUpdateExclusiveLock = 3
    ShareLock = 4
    ShareRowExclusiveLock = 5
    ExclusiveLock = 6
    AccessExclusiveLock = 7


Thing = int | tuple[int, str] | tuple[int, ...]
"""A row id; an OID, or (schema OID, name); an advisory key."""

Policy = Literal["wait", "nowait", "skip"]
"""What to do where a lock is not to be had at once."""


def _masks(*conflicts: str) -> tuple[int, ...]:
    """Of each mode, the bits of the modes it conflicts with: '.' for none, 'x' for one."""
    return tuple(sum(1 << at for at, mark in enumerate(row) if mark == "x") for row in conflicts)


ROW_CONFLICTS = _masks("...x", "..xx", ".xxx", "xxxx")
TABLE_CONFLICTS = _masks(
    ".......x",
    "......xx",
    "....xxxx",
    "...xxxxx",
    "..xx.xxx",
    "..xxxxxx",
    ".xxxxxxx",
    "xxxxxxxx",
)


class Holder(Protocol):
    """Who has a lock: a transaction, or a session."""

    number: int
    session: int  # the backend's pid; below zero where there is no session


class Party(Holder, Protocol):
    """A transaction, as far as locks are concerned."""

    woken: threading.Event
    check: Callable[[], None]
    lock_timeout: float  # seconds; 0: none
    deadlock_timeout: float  # seconds
    deadline: float | None  # time.monotonic() at which `check` will raise

    @property
    def level(self) -> int:
        """Grows with each savepoint: what is locked later than a savepoint has a greater one."""


class Locks:
    """Things of one kind by number, with the modes of each that are held and asked for.

    It has no lock of its own: its owner guards it. `conflicts` are masks by mode; a party's modes of one
    thing are a mask, too.
    """

    def __init__(self, conflicts: Sequence[int]) -> None:
        self._conflicts = conflicts
        self.held: dict[Thing, dict[Holder, int]] = {}
        self.queues: defaultdict[Thing, list[tuple[Holder, int]]] = defaultdict(list)
        self._taken: dict[Holder, dict[tuple[Thing, int], int]] = {}  # (thing, mode) -> level

    def holds(self, party: Holder, thing: Thing, mode: int) -> bool:
        """Whether the party has this very mode already."""
        held = self.held.get(thing)
        return held is not None and bool(held.get(party, 0) >> mode & 1)

    def modes(self, party: Holder, thing: Thing) -> int:
        """The modes that the party has, as a mask."""
        return self.held.get(thing, {}).get(party, 0)

    def is_free(self, thing: Thing, mode: int) -> bool:
        """Whether nobody at all has asked for a mode that conflicts, nor anybody waits."""
        if thing in self.queues:
            return False
        held = self.held.get(thing)
        if not held:
            return True
        mask = self._conflicts[mode]
        return not any(modes & mask for modes in held.values())

    def holders(self, party: Holder, thing: Thing, mode: int) -> list[Holder]:
        """The others whose modes conflict."""
        held = self.held.get(thing)
        if not held:
            return []
        mask = self._conflicts[mode]
        return [other for other, modes in held.items() if modes & mask and other is not party]

    def before(self, party: Holder, thing: Thing, mode: int) -> list[Holder]:
        """The others who asked earlier for a mode that conflicts; nobody, if the party holds it in part."""
        queue = self.queues.get(thing)
        if not queue or party in self.held.get(thing, ()):
            return []
        mask, found = self._conflicts[mode], []
        for other, wanted in queue:
            if other is party:
                break
            if mask >> wanted & 1:
                found.append(other)
        return found

    def take(self, party: Holder, thing: Thing, mode: int, level: int) -> None:
        """The party has the mode from now on: since this level."""
        held = self.held.setdefault(thing, {})
        known = held.get(party, 0)
        if not known >> mode & 1:
            held[party] = known | 1 << mode
            self._taken.setdefault(party, {})[thing, mode] = level

    def carry(self, old: int, new: int, but: Holder | None) -> None:
        """What others than `but` hold of `old` they hold of `new` as well, which stands in its place."""
        for party, modes in self.held.get(old, {}).items():
            if party is not but:
                taken = self._taken[party]
                for mode in range(len(self._conflicts)):
                    if modes >> mode & 1:
                        self.take(party, new, mode, taken[old, mode])

    def release(self, party: Holder, level: int = -1) -> None:
        """Give up what was taken at a greater level."""
        for (thing, mode), made in list(self._taken.get(party, {}).items()):
            if made > level:
                self.drop(party, thing, mode)

    def drop(self, party: Holder, thing: Thing, mode: int) -> None:
        """Give up one mode of one thing."""
        taken, held = self._taken[party], self.held[thing]
        del taken[thing, mode]
        if not taken:
            del self._taken[party]
        held[party] &= ~(1 << mode)
        if not held[party]:
            del held[party]
            if not held:
                del self.held[thing]

    def ask(self, party: Holder, thing: Thing, mode: int) -> None:
        """Stand in the queue, if the party does not yet."""
        queue = self.queues[thing]
        if all(other is not party for other, _ in queue):
            queue.append((party, mode))

    def leave(self, party: Holder, thing: Thing) -> None:
        """Stand in the queue no longer."""
        queue = [entry for entry in self.queues.pop(thing, ()) if entry[0] is not party]
        if queue:
            self.queues[thing] = queue


@dataclass(frozen=True)
class Reason:
    """What a party waits for: pg_locks' words. `mode` and `thing` are those of the deadlock report."""

    kind: Literal["transactionid", "relation", "advisory"]
    mode: str
    thing: tuple[int, ...] = ()  # an OID, an advisory key; a transaction's number is the blocker's

    def told(self, blocker: Holder) -> str:
        """As PostgreSQL's deadlock report writes it."""
        match self.kind:
            case "transactionid":
                what = f"transaction {blocker.number}"
            case "relation":
                what = f"relation {self.thing[0]} of database {DATABASE_OID}"
            case "advisory":
                key = list(self.thing)
                parts = [key[0] >> 32 & 0xFFFFFFFF, key[0] & 0xFFFFFFFF, 1] if len(key) == 1 else [*key, 2]
                what = f"advisory lock [{','.join(map(str, [DATABASE_OID, *parts]))}]"
        return f"{self.mode} on {what}"


@dataclass(frozen=True)
class Waiting:
    """A wait since `since` (time.time()). `queued`: for those who only asked first."""

    party: Party
    reason: Reason
    blockers: tuple[Holder, ...]
    queued: bool
    since: float


@dataclass(frozen=True)
class LockRow:
    """A lock that is held or waited for, as pg_locks tells it."""

    kind: Literal["transactionid", "virtualxid", "relation", "advisory"]
    thing: tuple[int, ...]  # a transaction's number, an OID, an advisory key
    mode: str
    granted: bool
    session: int
    transaction: int  # the number of the transaction that holds it or waits
    since: float = 0.0  # time.time() at which the wait began


class Waits:
    """Who waits for whom, and the locks on tables."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tables = Locks(TABLE_CONFLICTS)
        self._waiting: dict[int, Waiting] = {}  # by session

    def waiting(self) -> list[Waiting]:
        """Every wait that goes on. Whoever was woken does not wait, even if he has not noticed yet."""
        with self.lock:
            return [each for each in self._waiting.values() if not each.party.woken.is_set()]

    def blockers(self, session: int) -> list[int]:
        """The sessions that a session waits for: pg_blocking_pids."""
        waits = [each for each in self.waiting() if each.party.session == session]
        return [other.session for each in waits for other in each.blockers]

    def rows(self) -> list[LockRow]:
        """The locks on tables, and every wait."""
        found = []
        with self.lock:
            for table, held in self.tables.held.items():
                for party, modes in held.items():
                    for mode in TableMode:
                        if modes >> mode & 1 and isinstance(table, int):
                            row = LockRow("relation", (table,), mode.name, True, party.session, party.number)
                            found.append(row)
            for waiting in self.waiting():
                party, reason = waiting.party, waiting.reason
                thing = reason.thing or (waiting.blockers[0].number,)
                found.append(
                    LockRow(
                        reason.kind, thing, reason.mode, False, party.session, party.number, waiting.since
                    )
                )
        return found

    def wake(self, party: Holder) -> None:
        """The party has let go of something: those who wait for it look again."""
        if not self._waiting:
            return
        with self.lock:
            for waiting in self._waiting.values():
                if party in waiting.blockers:
                    waiting.party.woken.set()

    def is_free(self, table: Thing, mode: TableMode) -> bool:
        """Whether a lock on a table would be had at once, by anybody."""
        with self.lock:
            return self.tables.is_free(table, mode)

    def take_free(self, party: Holder, table: Thing, mode: TableMode, level: int = 0) -> bool:
        """Lock a table until `release`, if that is to be had at once; whether it is locked."""
        if self.tables.holds(party, table, mode):
            return True
        with self.lock:
            free = self.tables.is_free(table, mode)
            if free:
                self.tables.take(party, table, mode, level)
        return free

    def table(self, party: Party, table: Thing, mode: TableMode, refusal: str = "") -> None:
        """Lock a table until the transaction's end.

        With a `refusal` it does not wait, but raises LockNotAvailable with these words.
        """
        if self.take_free(party, table, mode, party.level):
            return
        with Wait(self, party) as wait:
            try:
                while True:
                    with self.lock:
                        blockers = self.tables.holders(party, table, mode)
                        ahead = [] if wait.jumps else self.tables.before(party, table, mode)
                        if not blockers and not ahead:
                            self.tables.take(party, table, mode, party.level)
                            return
                        if refusal:
                            raise LockNotAvailable(refusal)
                        self.tables.ask(party, table, mode)
                        reason = (
                            Reason("relation", mode.name, (table,)) if isinstance(table, int) else ROW_WAIT
                        )
                        wait.begin(blockers or ahead, reason, queued=not blockers)
                    wait.sleep()
            finally:
                if wait.began:
                    with self.lock:
                        self.tables.leave(party, table)

    def release(self, party: Holder, level: int = -1) -> None:
        """Give up the locks on tables taken at a greater level, and wake who waits for the party."""
        with self.lock:
            self.tables.release(party, level)
        self.wake(party)

    def enter(self, waiting: Waiting) -> None:
        """A party waits."""
        with self.lock:
            self._waiting[waiting.party.session] = waiting

    def exit(self, party: Party) -> None:
        """It waits no longer."""
        with self.lock:
            self._waiting.pop(party.session, None)

    def circle(self, start: Waiting, *, queued: bool) -> list[tuple[Waiting, Holder]]:
        """The waits of a circle through `start`, each with the blocker next in it; empty where there is none.

        `queued`: whether a wait for those who only asked first counts.
        """
        with self.lock:
            return self._search(start, start.party.session, set(), queued)

    def _search(
        self, waiting: Waiting, goal: int, seen: set[int], queued: bool
    ) -> list[tuple[Waiting, Holder]]:
        if waiting.queued and not queued:
            return []
        for blocker in waiting.blockers:
            if blocker.session == goal:
                return [(waiting, blocker)]
            following = self._waiting.get(blocker.session)
            if following is None or following.party.woken.is_set() or blocker.session in seen:
                continue
            seen.add(blocker.session)
            rest = self._search(following, goal, seen, queued)
            if rest:
                return [(waiting, blocker), *rest]
        return []


ROW_WAIT = Reason("transactionid", TableMode.ShareLock.name)
"""A row is waited for by waiting for the transaction that holds it."""


class Wait:
    """One party's waiting for one lock, perhaps several times: lock_timeout counts it as one.

    `begin`, under the guard of what is locked, says for whom; `sleep`, without it, returns when one of them
    has let go of something. Whoever releases does so under the same guard and wakes afterwards, so nothing
    is missed in between.
    """

    def __init__(self, waits: Waits, party: Party) -> None:
        self._waits = waits
        self.party = party
        self._since = 0.0
        self._deadline: float | None = None
        self._waiting: Waiting | None = None
        self.began = False
        self.jumps = False  # those who only asked first are not waited for: that would be a circle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """The lock is there, or is not wanted any more: others who wait for the party look again."""
        if self.began:
            self.began = self.jumps = False
            self._waits.exit(self.party)
            self._waits.wake(self.party)

    def begin(self, blockers: Iterable[Holder], reason: Reason, *, queued: bool = False) -> None:
        """Wait for these from now on."""
        party = self.party
        party.woken.clear()
        if not self.began:
            self.began, self._since = True, time.time()
            self._deadline = time.monotonic() + party.lock_timeout if party.lock_timeout else None
        self._waiting = Waiting(party, reason, tuple(blockers), queued, self._since)
        self._waits.enter(self._waiting)

    def sleep(self) -> None:
        """Until a blocker lets go. Raises DeadlockDetected, LockNotAvailable, QueryCanceled."""
        party, waiting = self.party, self._waiting
        assert waiting is not None
        about_to_wait()
        party.check()
        search = time.monotonic() + party.deadlock_timeout
        while True:
            ends = [search, *(end for end in (self._deadline, party.deadline) if end is not None)]
            if party.woken.wait(max(min(ends) - time.monotonic(), 0)):
                party.check()
                return
            party.check()
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                raise LockNotAvailable("canceling statement due to lock timeout")
            if now >= search:
                search = now + max(party.deadlock_timeout, 0.01)
                self._look_for_circle(waiting)
                if self.jumps:
                    return

    def _look_for_circle(self, waiting: Waiting) -> None:
        found = self._waits.circle(waiting, queued=False)
        if found:
            lines = [
                f"Process {each.party.session} waits for {each.reason.told(blocker)}; "
                f"blocked by process {blocker.session}."
                for each, blocker in found
            ]
            raise DeadlockDetected(
                "deadlock detected", detail="\n".join(lines), hint="See server log for query details."
            )
        if waiting.queued and self._waits.circle(waiting, queued=True):
            self.jumps = True
