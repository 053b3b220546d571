"""Advisory locks in SQL: see storage.transactions.advisory."""

from __future__ import annotations

from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.run import Run
from storage.column import Column
from storage.transactions.advisory import Scope
from storage.types import BOOL, INT4, INT8, VOID


def _locks(keys: tuple[Column, ...], run: Run, *, shared: bool, scope: Scope, wait: bool) -> list[bool]:
    """Take a lock for each row."""
    lock = run.transaction.lock_key
    rows = zip(*(column.tolist() for column in keys), strict=True)
    return [lock(key, shared=shared, scope=scope, wait=wait) for key in rows]


def _declare(suffix: str, shared: bool, scope: Scope) -> None:
    for types in ([INT8], [INT4, INT4]):
        part = "_xact" if scope == "transaction" else ""

        @scalar(f"pg_advisory{part}_lock{suffix}", types, VOID, volatility="v", run=True)
        def take(*keys: Column, run: Run) -> Column:
            """Take an advisory lock, waiting for it."""
            return Column.of(VOID, [""] * len(_locks(keys, run, shared=shared, scope=scope, wait=True)))

        @scalar(f"pg_try_advisory{part}_lock{suffix}", types, BOOL, volatility="v", run=True)
        def attempt(*keys: Column, run: Run) -> Column:
            """Take an advisory lock if it is free."""
            return Column.of(BOOL, _locks(keys, run, shared=shared, scope=scope, wait=False))

        if scope == "session":

            @scalar(f"pg_advisory_unlock{suffix}", types, BOOL, volatility="v", run=True)
            def give(*keys: Column, run: Run) -> Column:
                """Give back an advisory lock."""
                rows = zip(*(column.tolist() for column in keys), strict=True)
                return Column.of(BOOL, [_unlock(key, run, shared) for key in rows])


def _unlock(key: tuple[int, ...], run: Run, shared: bool) -> bool:
    done = run.transaction.unlock_key(key, shared=shared)
    if not done:
        mode = "ShareLock" if shared else "ExclusiveLock"
        session_of(run).notice("WARNING", "01000", f"you don't own a lock of type {mode}")
    return done


for _scope in ("session", "transaction"):
    _declare("", False, _scope)
    _declare("_shared", True, _scope)


@scalar("pg_advisory_unlock_all", [], VOID, volatility="v", run=True)
def unlock_all(run: Run) -> Column:
    """Give back all advisory locks of the session."""
    run.transaction.unlock_keys()
    return Column.of(VOID, [""])
