"""Memory budgets: what operators hold is counted, and what goes beyond it is put aside in temporary files.

An operator asks a `Grant` for the bytes that it is about to hold. It gets them up to the run's limit for one
operator (work_mem times hash_mem_multiplier), as long as all statements together stay below the server's
(max_query_memory). An operator that is refused puts rows aside (engine.spill), or, where it cannot, raises
OutOfMemory. Figures are estimates of what arrays take; what is on its way between operators is not counted.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from storage.batch import BATCH_ROWS
from storage.errors import ConfigurationLimitExceeded, OutOfMemory
from storage.memory import Reservations, reservations
from storage.scratch import Scratch, ScratchFile

_UNITS = {"": 1024, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
UNLIMITED = 1 << 62
_LEAST = 1 << 20
"""Bytes that blocks are made for, even if other statements leave less at the moment."""


class Memory:
    """The memory and the temporary files of one run; any thread may ask."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        scratch: Scratch | None = None,
        server: Reservations = reservations,
    ) -> None:
        self._settings = settings or {}
        self._scratch = scratch
        self._server = server
        self._lock = threading.Lock()
        self._written = 0  # bytes in temporary files that are there

    @property
    def limit(self) -> int:
        """The bytes that one operator may hold."""
        size, times = self._settings.get("work_mem", ""), self._settings.get("hash_mem_multiplier", "")
        return int(_bytes(size) * float(times or 1)) if size else UNLIMITED

    @property
    def left(self) -> int:
        """The bytes that one operator may hold of those that other operators and statements leave."""
        return min(self.limit, max(self._server.limit - self._server.held, 0))

    def rows(self, parts: int, size: int, held: int = 0) -> int:
        """How many rows of `size` bytes a block has, as many of which as `parts` says fit into what is left.

        `held`: bytes that will be given back until then. At least one, at most a batch's.
        """
        memory = min(self.limit, max(self.left + held, _LEAST))
        return min(max(memory // (parts * size), 1), BATCH_ROWS)

    def grant(self) -> Grant:
        """An operator's share, empty yet."""
        return Grant(self.limit, self._server)

    def file(self) -> ScratchFile:
        """A new temporary file. Raises FileError."""
        if self._scratch is None:
            self._scratch = Scratch(None)
        return self._scratch.open()

    def wrote(self, nbytes: int) -> None:
        """Temporary files have grown by so many bytes, or shrunk. Raises ConfigurationLimitExceeded."""
        with self._lock:
            self._written += nbytes
            written = self._written
        limit = self._settings.get("temp_file_limit", "-1")
        if nbytes > 0 and limit != "-1" and written > _bytes(limit):
            raise ConfigurationLimitExceeded(
                f"temporary file size exceeds temp_file_limit ({_bytes(limit) >> 10}kB)"
            )


class Grant:
    """Bytes that an operator holds. Given back by `release`, or when nobody knows the grant any more."""

    def __init__(self, limit: int, server: Reservations) -> None:
        self.limit = limit
        self._server = server
        self._lock = threading.Lock()
        self._held = [0]  # a list, for the finalizer must not hold the grant
        self._releasing = weakref.finalize(self, _give_all, self._held, server)

    @property
    def held(self) -> int:
        """Bytes that are held."""
        return self._held[0]

    def room(self, nbytes: int) -> bool:
        """Hold so many bytes more, where the operator may and the server has them."""
        with self._lock:
            if self._held[0] + nbytes > self.limit or not self._server.take(nbytes):
                return False
            self._held[0] += nbytes
            return True

    def require(self, nbytes: int, what: str) -> None:
        """Hold so many bytes more, whatever the operator's limit. Raises OutOfMemory naming `what`."""
        with self._lock:
            if not self._server.take(nbytes):
                raise OutOfMemory(
                    "out of memory",
                    detail=f"{what} needs {self._held[0] + nbytes} bytes.",
                    hint="All running statements together may take max_query_memory; "
                    "this one cannot put its rows aside in temporary files.",
                )
            self._held[0] += nbytes

    def resize(self, nbytes: int) -> bool:
        """Hold `nbytes` in all from now on; false, and as before, where that is too much."""
        if nbytes > self.held:
            return self.room(nbytes - self.held)
        self.give(self.held - nbytes)
        return True

    def give(self, nbytes: int) -> None:
        """Give back bytes that are held."""
        with self._lock:
            self._held[0] -= nbytes
            self._server.give(nbytes)

    def release(self) -> None:
        """Give all back."""
        with self._lock:
            _give_all(self._held, self._server)


def _give_all(held: list[int], server: Reservations) -> None:
    server.give(held[0])
    held[0] = 0


@lru_cache(maxsize=256)
def _bytes(shown: str) -> int:
    """The bytes that a setting in kB means, as SHOW prints it."""
    digits = shown.rstrip("BkMGT")
    return int(digits) * _UNITS[shown[len(digits) :]]


def footprint(value: Any) -> int:
    """About how many bytes a value holds: arrays and columns by their own word, containers by their items."""
    size = getattr(value, "nbytes", None)
    if size is not None:
        return int(size)
    if isinstance(value, dict):
        return 64 + sum(footprint(item) for item in value.values())
    if isinstance(value, list | tuple):
        # of many items one is as good as another
        some = value[:: max(len(value) // 16, 1)] if len(value) > 64 else value
        return 56 + 8 * len(value) + (sum(map(footprint, some)) * len(value) // len(some) if some else 0)
    return 32
