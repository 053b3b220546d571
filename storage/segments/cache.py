"""The buffer cache: what was read of segment files, in anonymous memory, bounded in bytes for the process.

An entry is named by its file (the number that `owner` gave out) and a name within it, and is whatever was
made of the bytes read, their checksums seen to. Entries come and go whole, the least recently used first;
whoever holds one keeps it however long it takes, so nobody waits for a reader. Two that ask for the same
at the same time read it once.

Extents of wide columns are many times larger than all else, and a scan over more of them than there is
room for would push out everything and find nothing of it the next time. So they take what room is free, or
held by what nobody asked for in the last minute; else they are read, used and let go.

Who makes segments holds rows and codes on their way, which are no entries. He borrows the room meanwhile, and
takes no more at once than the cache is large (`portion`), so that both together stay within its bound.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, TypeVar

from storage.waiting import about_to_wait

T = TypeVar("T")
Key = tuple[int, Hashable]

SHARE = 0.5
"""The share of the machine's memory that the cache takes unless it is told otherwise."""
IDLE = 60.0  # seconds after which an entry is cold enough to give way to an extent
_LEAST = 4 << 20  # bytes that work on segments may take, however small the cache


class _Entry:
    __slots__ = ("nbytes", "used", "value")

    def __init__(self, value: Any, nbytes: int, used: float) -> None:
        self.value, self.nbytes, self.used = value, nbytes, used


class Cache:
    """See the module's text."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        self._limit = limit
        self._nbytes = self._lent = 0
        self._lock = threading.RLock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._loading: dict[Key, threading.Lock] = {}
        self._owners = itertools.count(1)
        self._keys: dict[int, set[Key]] = {}
        self._gone: deque[int] = deque()  # owners that are no more: filled without the lock

    @property
    def limit(self) -> int:
        """The most bytes that entries take together."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._make_room(0)

    @property
    def nbytes(self) -> int:
        """The bytes that entries take now."""
        with self._lock:
            self._drop_gone()
            return self._nbytes

    def has_room(self, nbytes: int, idle: float = inf) -> bool:
        """Whether so many bytes have room if what was not used for `idle` seconds goes."""
        now = time.monotonic()
        with self._lock:
            self._drop_gone()
            missing = self._nbytes + nbytes - self._room
            for entry in self._entries.values() if nbytes <= self._room else ():
                if missing <= 0 or now - entry.used < idle:
                    break
                missing -= entry.nbytes
            return missing <= 0

    @property
    def _room(self) -> int:
        """The most bytes that entries may take now."""
        return max(self._limit - self._lent, 0)

    @contextmanager
    def lend(self, nbytes: int) -> Iterator[None]:
        """While the context lasts, so many bytes that are no entry count as one: entries give way."""
        with self._lock:
            self._lent += nbytes
            self._drop_gone()
            self._make_room(0)
        try:
            yield
        finally:
            with self._lock:
                self._lent -= nbytes

    def owner(self) -> int:
        """A number for a file whose parts are to be kept."""
        return next(self._owners)

    def forget(self, owner: int) -> None:
        """The file is no more. Takes no lock, for it is called wherever the last reference is dropped."""
        self._gone.append(owner)

    def peek(self, key: Key) -> Any | None:
        """The entry, if it is there."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            entry.used = time.monotonic()
            return entry.value

    def peek_all(self, keys: Iterable[Key]) -> list[Any | None]:
        """Of each key the entry, if it is there."""
        with self._lock:  # which is free for who has it
            return [self.peek(key) for key in keys]

    def get(self, key: Key, load: Callable[[], tuple[T, int]], *, modest: bool = False) -> T:
        """The entry; where it is not there, what `load` gives: a value and its bytes.

        A `modest` entry is kept only where there is room, or what is cold makes some. Raises what `load`
        raises, and keeps nothing then.
        """
        found: T | None = self.peek(key)
        if found is not None:
            return found
        about_to_wait()
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        try:
            with loading:
                again: T | None = self.peek(key)
                if again is not None:
                    return again
                value, nbytes = load()
                self._put(key, value, nbytes, modest)
                return value
        finally:
            with self._lock:
                self._loading.pop(key, None)

    def keep(self, key: Key, value: Any, nbytes: int) -> None:
        """Have a `modest` entry of what is made without waiting: that it is not there says nothing."""
        self._put(key, value, nbytes, modest=True)

    def _put(self, key: Key, value: Any, nbytes: int, modest: bool) -> None:
        with self._lock:
            self._drop_gone()
            if not self._make_room(nbytes, IDLE if modest else 0.0):
                return
            self._entries[key] = _Entry(value, nbytes, time.monotonic())
            self._keys.setdefault(key[0], set()).add(key)
            self._nbytes += nbytes

    def _make_room(self, nbytes: int, idle: float = 0.0) -> bool:
        """Let go of what was not used for `idle` seconds until so many bytes have room, if that helps."""
        if nbytes > self._room:
            return False
        now = time.monotonic()
        while self._nbytes + nbytes > self._room:
            key, entry = next(iter(self._entries.items()))
            if now - entry.used < idle:
                return False
            self._remove(key)
        return True

    def _remove(self, key: Key) -> None:
        self._nbytes -= self._entries.pop(key).nbytes
        keys = self._keys[key[0]]
        keys.discard(key)
        if not keys:
            del self._keys[key[0]]

    def _drop_gone(self) -> None:
        while self._gone:
            for key in list(self._keys.get(self._gone.popleft(), ())):
                self._remove(key)


def default_limit() -> int:
    """SHARE of the machine's memory, in bytes."""
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * SHARE)


cache = Cache(default_limit())
"""The one of this process."""


def portion(most: int, part: int) -> int:
    """Bytes for work on segments: `most`, but of a small buffer cache no more than one of so many parts."""
    return min(most, max(cache.limit // part, _LEAST))
