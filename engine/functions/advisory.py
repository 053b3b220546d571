"""Advisory locks: names that sessions lock among themselves, until they unlock them or end.

A key is a bigint or two integers. Locks are counted: as many unlocks as locks free one. Waiting ends
with the statement's cancel request or timeout. `release` drops all of a session: its end must call it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.run import Run
from storage.column import Column
from storage.types import BOOL, INT4, INT8, VOID

Key = tuple[int, ...]

_GUARD = threading.Condition()
_EXCLUSIVE: dict[Key, Counter[int]] = {}
_SHARED: dict[Key, Counter[int]] = {}
_POLL = 0.1  # seconds between looks at the cancel flag while waiting


def _free(key: Key, pid: int, shared: bool) -> bool:
    """Whether no other session stands in the way."""
    tables = (_EXCLUSIVE,) if shared else (_EXCLUSIVE, _SHARED)
    return all(holder == pid for table in tables for holder in table.get(key, ()))


def try_lock(key: Key, pid: int, shared: bool = False) -> bool:
    """Take a lock if it is free."""
    with _GUARD:
        if not _free(key, pid, shared):
            return False
        (_SHARED if shared else _EXCLUSIVE).setdefault(key, Counter())[pid] += 1
        return True


def lock(key: Key, run: Run, shared: bool = False) -> None:
    """Take a lock, waiting until it is free."""
    pid = session_of(run).backend_pid
    while not try_lock(key, pid, shared):
        run.check()
        with _GUARD:
            _GUARD.wait(_POLL)


def unlock(key: Key, pid: int, shared: bool = False) -> bool:
    """Give back one lock; false where the session does not hold it."""
    table = _SHARED if shared else _EXCLUSIVE
    with _GUARD:
        holders = table.get(key)
        if not holders or not holders[pid]:
            return False
        holders[pid] -= 1
        if not holders[pid]:
            del holders[pid]
        if not holders:
            del table[key]
        _GUARD.notify_all()
        return True


def release(pid: int) -> None:
    """Give back all locks of a session."""
    with _GUARD:
        for table in (_EXCLUSIVE, _SHARED):
            for key in [key for key, holders in table.items() if pid in holders]:
                del table[key][pid]
                if not table[key]:
                    del table[key]
        _GUARD.notify_all()


def _each(keys: tuple[Column, ...], one: Callable[[Key], bool]) -> list[bool]:
    return [one(key) for key in zip(*(column.tolist() for column in keys), strict=True)]


def _declare(suffix: str, shared: bool) -> None:
    for types in ([INT8], [INT4, INT4]):

        @scalar(f"pg_advisory_lock{suffix}", types, VOID, volatility="v", run=True)
        def take(*keys: Column, run: Run) -> Column:
            """Take an advisory lock, waiting for it."""
            for key in zip(*(column.tolist() for column in keys), strict=True):
                lock(key, run, shared)
            return Column.of(VOID, [""] * len(keys[0]))

        @scalar(f"pg_try_advisory_lock{suffix}", types, BOOL, volatility="v", run=True)
        def attempt(*keys: Column, run: Run) -> Column:
            """Take an advisory lock if it is free."""
            pid = session_of(run).backend_pid
            return Column.of(BOOL, _each(keys, lambda key: try_lock(key, pid, shared)))

        @scalar(f"pg_advisory_unlock{suffix}", types, BOOL, volatility="v", run=True)
        def give(*keys: Column, run: Run) -> Column:
            """Give back an advisory lock."""
            pid = session_of(run).backend_pid
            return Column.of(BOOL, _each(keys, lambda key: unlock(key, pid, shared)))


_declare("", False)
_declare("_shared", True)


@scalar("pg_advisory_unlock_all", [], VOID, volatility="v", run=True)
def unlock_all(run: Run) -> Column:
    """Give back all advisory locks of the session."""
    release(session_of(run).backend_pid)
    return Column.of(VOID, [""])
