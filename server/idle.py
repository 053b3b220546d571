"""How long a client may leave its session idle, and what it is then told."""

from __future__ import annotations

import re

from server.connection import Connection
from storage.errors import DatabaseError, IdleInTransactionTimeout, IdleSessionTimeout

IdleLimit = tuple[float, DatabaseError]
"""Seconds, and the error that ends the connection."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+)([a-z]*)")


def idle_limit(connection: Connection) -> IdleLimit | None:
    """The limit of a connection that has nothing to do, None where there is none."""
    if not connection.waiting:
        return None
    idle = connection.session.status == "I"
    name = "idle_session_timeout" if idle else "idle_in_transaction_session_timeout"
    shown = connection.session.setting(name)
    if not shown or shown == "0":
        return None
    found = _DURATION.fullmatch(shown)
    assert found is not None, f"{name} is shown as {shown!r}"
    error = (
        IdleSessionTimeout("terminating connection due to idle-session timeout")
        if idle
        else IdleInTransactionTimeout("terminating connection due to idle-in-transaction timeout")
    )
    return int(found[1]) * _UNITS[found[2]], error
