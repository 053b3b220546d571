"""What a client is told when an answer ends with an exception."""

from __future__ import annotations

import logging

from storage.errors import (
    DatabaseError,
    InternalError,
    OutOfMemory,
    ProtocolViolation,
    StatementTooComplex,
)

log = logging.getLogger("glancedb.connection")

SYNCHRONY = ProtocolViolation("terminating connection because protocol synchronization was lost")
"""What follows the error of a Lost."""


class Lost(Exception):
    """The client sends what nobody can make sense of: the connection ends after this error."""

    def __init__(self, error: DatabaseError) -> None:
        super().__init__(error)
        self.error = error


def told_of(error: Exception) -> DatabaseError:
    """What the client is told of an exception."""
    match error:
        case DatabaseError():
            return error
        case Lost():
            return error.error
        case RecursionError():
            return StatementTooComplex("stack depth limit exceeded")
        case MemoryError():
            return OutOfMemory("out of memory")
        case _:
            log.error("a statement ended with an error of the server's own", exc_info=error)
            return InternalError(f"internal error: {type(error).__name__}: {error}")
