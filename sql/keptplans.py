"""What is kept by text: in each session, over what all sessions of a database share.

A plan knows the catalog's objects that it was made of (sql.planned), so whoever finds one holds it against
his own. A session works with copies: it may plan them again, while others keep theirs. What only it can see,
objects of its own or of a transaction that has not committed, is not shared.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from storage.database import Database

V = TypeVar("V")
Key = Hashable

OWN, SHARED = 512, 4096
"""How much a session keeps, and all sessions together, of each kind."""


@dataclass
class Uses:
    """How often a plan has run, in whatever session: about, for counts of two threads at once may be lost."""

    count: int = 0


class Kept(Generic[V]):
    """Values by key; the one that was not used for longest goes first. May be used by any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, V] = OrderedDict()

    def get(self, key: Key) -> V | None:
        """The value, None where there is none."""
        with self._lock:
            value = self._kept.get(key)
            if value is not None:
                self._kept.move_to_end(key)
        return value

    def put(self, key: Key, value: V) -> None:
        """Keep a value."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def values(self) -> list[V]:
        """All that are kept, the one that was used last at the end."""
        with self._lock:
            return list(self._kept.values())

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()


class OwnKept(Generic[V]):
    """What one session keeps: first its own, then copies of what others have put."""

    def __init__(self, shared: Kept[V], copy: Callable[[V], V]) -> None:
        self._own: Kept[V] = Kept(OWN)
        self._shared = shared
        self._copy = copy

    def get(self, key: Key) -> V | None:
        """The value, None where there is none."""
        value = self._own.get(key)
        if value is None:
            shared = self._shared.get(key)
            if shared is not None:
                value = self._copy(shared)
                self._own.put(key, value)
        return value

    def put(self, key: Key, value: V, *, share: bool) -> None:
        """Keep a value, and share a copy of it, if it may be."""
        self._own.put(key, value)
        if share:
            self._shared.put(key, self._copy(value))

    def clear(self) -> None:
        """Forget the session's own."""
        self._own.clear()


_lock = threading.Lock()
_shared: WeakKeyDictionary[Database, dict[str, Kept[object]]] = WeakKeyDictionary()


def shared(database: Database, kind: str) -> Kept[object]:
    """What all sessions of a database share of a kind."""
    with _lock:
        kinds = _shared.setdefault(database, {})
        return kinds.setdefault(kind, Kept(SHARED))
