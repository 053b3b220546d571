"""Codes that a query is about to want, in memory before it comes: after a start, and after a rewriting.

A start reads no file, so the first query would find the codes of a large table on disk. A thread of low
priority reads them into the buffer cache, as long as that has room; it pushes nothing out. The signs of all
rows come first, 140 bytes a row of 1024 dimensions, without which nothing is decided; then the checksums of
the vectors, 4 bytes a row, for a row of a file whose checksums are not there costs three waits for the disk
rather than one; then the second plane of all rows, 136 bytes more, which decides most of the rows that signs
leave open, each of which would be a page of the disk. The planes after it, twice as large, are left to the
queries that ask for them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

from storage.definitions import ColumnDefinition, Table
from storage.errors import DataCorrupted
from storage.segments.cache import cache
from storage.segments.coding import FIRST, codes_of, section_of
from storage.segments.sealed import Sealed
from storage.segments.table import Part
from storage.segments.vectors import AnyFile
from storage.segments.widerows import referred

_log = logging.getLogger("glancedb.segments")
_NICE = 10
_CHECK_BYTES = 4  # of a row
_SECOND = slice(FIRST, FIRST + 2)
"""The buffers of a segment's codes that are its second plane: see storage.codes.cells."""

Parts = Iterable[tuple[Table, Iterable[Part]]]


def warm(tables: Parts, going: Callable[[], bool] = lambda: True) -> None:
    """Read the codes of these tables' parts while the buffer cache has room and `going` says so."""
    for nbytes, read in _readings(tables):
        if not cache.has_room(nbytes) or not going():
            return
        try:
            read()
        except DataCorrupted as error:  # whoever asks for what is damaged is told, too
            _log.error("%s", error)


def _readings(tables: Parts) -> Iterator[tuple[int, Callable[[], object]]]:
    """(bytes, what reads them), in turn."""
    known = [
        (part, definition, section)
        for table, parts in tables
        for part in parts
        if isinstance(part, Sealed) and not part.damaged
        for definition in table.columns
        if (section := part.segment.sections.get(section_of(definition.number))) is not None
    ]
    for part, definition, section in known:
        yield sum(section.sizes[:FIRST]), partial(codes_of, part, definition)
    for part, definition, _ in known:
        column = referred(part, definition)
        for file in () if column is None else column.files:
            yield _CHECK_BYTES * file.rows, partial(_read_checks, file)
    for part, definition, section in known:
        yield sum(section.sizes[_SECOND]), partial(_read_second, part, definition)


def _read_checks(file: AnyFile) -> None:
    file.checks.kept()


def _read_second(part: Part, definition: ColumnDefinition) -> None:
    codes = codes_of(part, definition)
    for finer in codes.finer[:1] if codes is not None else ():
        finer.load()


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
        warm(self._tables, lambda: not self._closing.is_set())
        self._tables = []

    def wait(self) -> None:
        """Until it has read what there is room for."""
        self._thread.join()

    def close(self) -> None:
        """End the thread, once it has what it is reading."""
        self._closing.set()
        self._thread.join()
