"""The merger: blocks become segments, and segments are merged, in the background.

    seal     the blocks, when they are large or have lain for a while
    clean    a segment with many rows that nobody can see any more
    merge    sorted runs of about the same size, several at once, so that a row is written again only as
             often as the logarithm of the table's size; without a sort key, segments that are far from full

A sorted run is a sequence of segments that do not overlap in the sort key: what one rewriting made. Runs
that follow one another anyway are called one run without being touched, so what arrives in order is never
written twice. See storage.segments.rewrite for how rows get from parts into segments.

One rewriting at a time a database, and none while a checkpoint gathers what is sealed: a checkpoint of
commit n must find no rows of later commits in segments. The merger's thread runs at the lowest priority,
and rests between two rewritings for as long as the last one took.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Literal, Protocol

from storage.definitions import Table
from storage.errors import DatabaseError
from storage.segments.blocks import Block
from storage.segments.cache import portion
from storage.segments.rewrite import BACKGROUND, MANUAL, apart, rewrite, row_bytes, segment_bytes
from storage.segments.sealed import Sealed
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.sources import Source
from storage.segments.table import Part, Store

_log = logging.getLogger("glancedb.merger")

SEAL_ROWS = 262_144
SEAL_BYTES = 64 << 20
"""Blocks of so many rows or bytes are sealed at once."""
SEAL_PART = 8
"""Where the buffer cache is small, blocks of one of so many parts of its bytes are."""
SEAL_SECONDS = 300.0
"""Blocks of at least a few rows are sealed when nothing was sealed for so long."""
SEAL_FEW = 4_096
DEAD_SHARE = 0.25
"""A segment with a larger share of dead rows is made anew."""
FAN_IN = 4
"""So many runs of a size are merged."""
MERGE_ROWS = 16 << 20
"""The most rows of a merge: their keys are sorted in memory."""
_LOOK = 5.0  # seconds between two looks at what is old
_REST = 1.0  # the longest rest between two rewritings
_RETRY = 60.0  # seconds until a table whose merge failed is tried again
_NICE = 10

Mode = Literal["flush", "some", "full"]


class _Stopped(Exception):
    """The merger is to end."""


def seal(
    store: Store, table: Table, commit: int, oldest: int, folder: SegmentFolder, merger: str = BACKGROUND
) -> None:
    """Make segments of all rows in blocks that commits up to `commit` made."""
    sources = [source for source in _sources(store, commit) if isinstance(source.part, Block)]
    for group in _bounded(sources):
        rewrite(store, table, group, oldest, folder, merger=merger)


def optimize(store: Store, table: Table, commit: int, oldest: int, folder: SegmentFolder, mode: Mode) -> None:
    """OPTIMIZE TABLE: seal; or bring the table into shape as the merger would, too; or make all one run."""
    if mode == "flush":
        seal(store, table, commit, oldest, folder, MANUAL)
    elif mode == "full":
        for group in _bounded([source for source in _sources(store, commit) if not _damaged(source.part)]):
            rewrite(store, table, group, oldest, folder, merger=MANUAL)
    else:
        _put_in_shape(store, table, commit, oldest, folder)


def _put_in_shape(store: Store, table: Table, commit: int, oldest: int, folder: SegmentFolder) -> None:
    """Seal, drop every dead row, and merge what is small."""
    sources = [source for source in _sources(store, commit) if not _damaged(source.part)]
    small = [source for source in sources if isinstance(source.part, Block) or not _is_full(table, source)]
    dead = [source for source in sources if source not in small and _dead(source, oldest)]
    if any(isinstance(source.part, Block) for source in small) or len(small) > 1 or _any_dead(small, oldest):
        for group in _bounded(small):
            rewrite(store, table, group, oldest, folder, merger=MANUAL)
    for source in dead:
        rewrite(store, table, [source], oldest, folder, run=_run(source.part), merger=MANUAL)
    while (runs := _overlapping(store, table, commit)) is not None:
        rewrite(store, table, runs, oldest, folder, merger=MANUAL)


def run_sizes(store: Store, table: Table) -> list[int]:
    """How many segments each sorted run has; without a sort key all are one."""
    parts = [part for part in store.parts if isinstance(part, Sealed)]
    if not table.sort_key:
        return [len(parts)] if parts else []
    return list(Counter(part.run or part for part in parts).values())


def step(
    store: Store, table: Table, commit: int, oldest: int, folder: SegmentFolder, check: Callable[[], None]
) -> bool:
    """One rewriting, the most useful one; whether there was any."""
    sources = [source for source in _sources(store, commit) if not _damaged(source.part)]
    blocks = [source for source in sources if isinstance(source.part, Block)]
    if blocks and _is_due(store, blocks):
        for group in _bounded(blocks):
            rewrite(store, table, group, oldest, folder, check=check)
        return True
    for source in sources:
        part, many = source.part, DEAD_SHARE * source.rows
        if isinstance(part, Sealed) and part.deleted > many and _dead(source, oldest) > many:
            rewrite(store, table, [source], oldest, folder, run=_run(source.part), check=check)
            return True
    runs = _overlapping(store, table, commit)
    if runs is None:
        return False
    rewrite(store, table, runs, oldest, folder, check=check)
    return True


def _sources(store: Store, commit: int) -> list[Source]:
    with store.lock:
        counts = [(part, part.visible_rows(commit)) for part in store.parts]
    return [Source(part, rows) for part, rows in counts if rows]


def _bounded(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """The sources in groups of at most MERGE_ROWS rows."""
    group: list[Source] = []
    rows = 0
    for source in sources:
        if group and rows + source.rows > MERGE_ROWS:
            yield group
            group, rows = [], 0
        group.append(source)
        rows += source.rows
    if group:
        yield group


def _is_due(store: Store, blocks: Sequence[Source]) -> bool:
    """Whether blocks are large enough, or have lain long enough, to be sealed."""
    rows = sum(source.rows for source in blocks)
    nbytes = sum(source.part.nbytes for source in blocks if isinstance(source.part, Block))
    old = rows >= SEAL_FEW and time.monotonic() - store.sealed_at > SEAL_SECONDS
    return rows >= SEAL_ROWS or nbytes >= portion(SEAL_BYTES, SEAL_PART) or old


def _damaged(part: Part) -> bool:
    return isinstance(part, Sealed) and part.damaged


def _run(part: Part) -> int:
    return part.run if isinstance(part, Sealed) else 0


def _dead(source: Source, oldest: int) -> int:
    """Rows of it that no snapshot can see."""
    if isinstance(source.part, Sealed) and not source.part.deleted:
        return 0
    gone = source.part.gone_in(0, source.rows)
    return 0 if gone is None else int(((gone > 0) & (gone <= oldest)).sum())


def _any_dead(sources: Sequence[Source], oldest: int) -> bool:
    return any(_dead(source, oldest) for source in sources)


def _is_full(table: Table, source: Source) -> bool:
    """Whether a segment is of a size that merging would not change much."""
    on_disk = isinstance(source.part, Sealed) and bool(source.part.file)
    width = row_bytes(source.part, apart(table, on_disk))
    return 2 * source.rows >= table.segment_rows or 2 * source.rows * width >= segment_bytes()


def _overlapping(store: Store, table: Table, commit: int) -> list[Source] | None:
    """Sealed parts that are to be merged into one run: several runs of about the same size."""
    runs: defaultdict[object, list[Source]] = defaultdict(list)
    for source in _sources(store, commit):
        if not isinstance(source.part, Sealed) or source.part.damaged:
            continue
        if table.sort_key:
            runs[source.part.run or source.part].append(source)
        elif not _is_full(table, source):
            runs[source.part].append(source)
    by_class: defaultdict[int, list[list[Source]]] = defaultdict(list)
    for run in runs.values():
        rows = sum(source.rows for source in run)
        by_class[rows.bit_length() // 2].append(run)
    for _, alike in sorted(by_class.items()):
        while len(alike) >= FAN_IN:
            chosen = alike[: 2 * FAN_IN]
            if _follow(store, table, chosen):
                alike = alike[len(chosen) :]
                continue
            sources = [source for run in chosen for source in run]
            if sum(source.rows for source in sources) <= MERGE_ROWS:
                return sources
            break
    return None


def _follow(store: Store, table: Table, runs: Sequence[Sequence[Source]]) -> bool:
    """Whether runs of full segments follow one another in the sort key; they are one run from now on."""
    if not table.sort_key or not all(_is_full(table, source) for run in runs for source in run):
        return False
    number, _ = table.sort_key[0]
    spans = []
    for source in (source for run in runs for source in run):
        assert isinstance(source.part, Sealed)
        column = source.part.segment.columns.get(number)
        if column is None or column.zone.low is None or column.zone.high is None or column.zone.nulls:
            return False
        spans.append((column.zone.low, column.zone.high))
    spans.sort()
    if any(high > low for (_, high), (low, _) in pairwise(spans)):
        return False
    parts = [source.part for run in runs for source in run]
    run = min(part.first_row_id for part in parts)
    with store.lock:
        for part in parts:
            assert isinstance(part, Sealed)
            part.run = run
    return True


Step = Callable[[Store, Table, int, int, SegmentFolder], bool]
"""(store, table, newest commit, oldest commit of a snapshot, folder)"""


class Home(Protocol):
    """What the merger needs of the database."""

    def merge_step(self, step: Step) -> bool:
        """Try `step` on each table until it says that it did something."""


class Merger:
    """The thread that merges. It does not keep its database alive."""

    def __init__(self, home: Home) -> None:
        self._home = weakref.ref(home)
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._not_before: weakref.WeakKeyDictionary[Store, float] = weakref.WeakKeyDictionary()

    def start(self) -> None:
        """Begin to look for work, now and every few seconds."""
        with self._starting:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._work, name="merger", daemon=True)
                self._thread.start()

    def consider(self, store: Store) -> None:
        """After a commit: look at once if there is much to seal."""
        if self._thread is None and store.unsealed_rows >= SEAL_FEW:
            self.start()
        if store.unsealed_rows >= SEAL_ROWS or store.unsealed_bytes >= portion(SEAL_BYTES, SEAL_PART):
            self.start()
            self._wanted.set()

    def close(self) -> None:
        """End the thread; what it is at is given up."""
        with self._starting:
            self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._closing.is_set():
            self._wanted.wait(_LOOK)
            self._wanted.clear()
            while not self._closing.is_set() and self._once():
                pass
            if self._home() is None:
                return

    def _once(self) -> bool:
        """One rewriting, and a rest; whether there was any."""
        home = self._home()
        if home is None:
            return False
        begun = time.monotonic()
        try:
            done = home.merge_step(self._step)
        except _Stopped:
            return False
        del home
        if done:
            self._closing.wait(min(time.monotonic() - begun, _REST))
        return done

    def _step(self, store: Store, table: Table, commit: int, oldest: int, folder: SegmentFolder) -> bool:
        if time.monotonic() < self._not_before.get(store, 0.0):
            return False
        try:
            return step(store, table, commit, oldest, folder, self._check)
        except (DatabaseError, OSError, MemoryError) as error:
            # everything is as it was, and the other tables have their turn
            self._not_before[store] = time.monotonic() + _RETRY
            _log.warning('merging table "%s" failed, and is tried again: %s', table.name, error)
            return False

    def _check(self) -> None:
        if self._closing.is_set():
            raise _Stopped
