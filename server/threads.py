"""Threads for statements: one for each that runs, kept a while for the next, no bound but the sessions'.

A statement may wait for another's lock, so a bounded pool could keep the holder's COMMIT from running.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("glancedb.threads")

Work = Callable[[], None]
KEEP_SECONDS = 10.0


class Threads:
    """`start` gives work to a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Thread] = []  # the last to stop is the first to go on
        self._started = 0

    def start(self, work: Work) -> None:
        """Run `work` on a thread."""
        with self._lock:
            thread = self._waiting.pop() if self._waiting else None
            if thread is None:
                self._started += 1
                name = f"statement-{self._started}"
        if thread is None:
            _Thread(self, name, work).start()
        else:
            thread.give(work)

    def wait(self, thread: _Thread) -> None:
        """`thread` has nothing to do."""
        with self._lock:
            self._waiting.append(thread)

    def leave(self, thread: _Thread) -> bool:
        """Whether `thread` may end: no work is on its way to it."""
        with self._lock:
            if thread not in self._waiting:
                return False
            self._waiting.remove(thread)
            return True


class _Thread(threading.Thread):
    def __init__(self, threads: Threads, name: str, work: Work) -> None:
        super().__init__(name=name, daemon=True)
        self._threads = threads
        self._work: Work | None = work
        self._given = threading.Lock()  # held while there is no work; a semaphore wakes more slowly
        self._given.acquire()

    def give(self, work: Work) -> None:
        """Wake the thread for `work`."""
        self._work = work
        self._given.release()

    def run(self) -> None:
        while True:
            work, self._work = self._work, None
            assert work is not None
            try:
                work()
            except Exception:
                log.exception("work of the server's own ended with an error")
            del work
            self._threads.wait(self)
            if not self._given.acquire(timeout=KEEP_SECONDS):
                if self._threads.leave(self):
                    return
                self._given.acquire()
