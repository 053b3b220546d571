"""Work that threads leave to the event loop: it is woken once for all that has come until it looks.

Waking a loop is a system call and a fight for the interpreter's lock, and the log's thread tells many
commits at once of each fsync.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

log = logging.getLogger("glancedb.server")


class Wakes:
    """`call` from any thread; the work is done on the loop, in the order in which it came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._woken = False

    def call(self, work: Callable[[], None]) -> None:
        """Have the work done. Raises RuntimeError once the loop is closed."""
        self._waiting.append(work)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        self._woken = False  # from here on what comes wakes anew: it may not be seen below
        for _ in range(len(self._waiting)):
            try:
                self._waiting.popleft()()
            except Exception:
                log.exception("work on the loop ended with an error of the server's own")
