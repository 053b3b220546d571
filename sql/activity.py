"""The open sessions of this process, by backend pid: for pg_stat_activity and pg_cancel_backend."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from engine.seams import SessionInfo
from sql.portals import Portals
from storage.database import Database


class Active(SessionInfo, Protocol):
    """What others may see of a session. Times are microseconds since 2000-01-01 UTC; 0: never."""

    on_terminate: Callable[[], None] | None
    prepared: dict[str, Any]  # name -> sql.planned.Planned
    portals: Portals
    query: str
    query_start: int
    state_change: int  # when it began to work, or to rest
    working: bool
    backend_start: int
    store: Database

    @property
    def status(self) -> str: ...

    @property
    def transaction_start(self) -> int: ...

    def cancel(self) -> None: ...


_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970

_PIDS = itertools.count(1)
_SESSIONS: weakref.WeakValueDictionary[int, Active] = weakref.WeakValueDictionary()


def enter(session: Active) -> None:
    """A session is there; its backend_pid is set."""
    session.backend_pid = next(_PIDS)
    _SESSIONS[session.backend_pid] = session


def leave(session: Active) -> None:
    """A session has closed."""
    _SESSIONS.pop(session.backend_pid, None)


def sessions() -> Mapping[int, Active]:
    """Every open session by its pid."""
    return dict(_SESSIONS)


def microseconds(seconds: float) -> int:
    """time.time() as microseconds since 2000-01-01 UTC."""
    return int(seconds * 1_000_000) - _EPOCH
