"""Codes that a query is about to want, in memory before it comes: after a start, and after a rewriting.

A start reads no file, so the first query would find the codes of a large table on disk. A thread of low
priority reads them into the buffer cache, table by table, as long as that has room; it pushes nothing out.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from storage.catalog import Table
from storage.errors import DataCorrupted
from storage.segments.cache import cache
from storage.segments.coding import FIRST, codes_of, section_of
from storage.segments.sealed import Sealed
from storage.segments.table import Part

_log = logging.getLogger("glancedb.segments")
_NICE = 10


def warm(table: Table, parts: Iterable[Part], going: Callable[[], bool] = lambda: True) -> None:
    """Read the codes of these parts while the buffer cache has room and `going` says so."""
    for part in parts:
        if not isinstance(part, Sealed) or part.damaged:
            continue
        for definition in table.columns:
            section = part.segment.sections.get(section_of(definition.number))
            if section is None:
                continue
            if not cache.has_room(sum(section.sizes[:FIRST])) or not going():
                return
            try:
                codes_of(part, definition)
            except DataCorrupted as error:  # whoever asks for them is told, too
                _log.error("%s", error)


class Warming:
    """The thread that reads codes after a start."""

    def __init__(self, tables: Iterable[tuple[Table, tuple[Part, ...]]]) -> None:
        self._closing = threading.Event()
        self._tables = list(tables)
        self._thread = threading.Thread(target=self._work, name="warming", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while self._tables and not self._closing.is_set():
            table, parts = self._tables.pop()
            warm(table, parts, lambda: not self._closing.is_set())

    def wait(self) -> None:
        """Until it has read what there is room for."""
        self._thread.join()

    def close(self) -> None:
        """End the thread, once it has what it is reading."""
        self._closing.set()
        self._thread.join()
