"""LISTEN and NOTIFY: who listens to a channel of a database, and what a transaction will tell at its commit.

Both take effect at commit. What a transaction has asked for carries the number of savepoints it was asked
under, so that ROLLBACK TO can take it back.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from sql.outcome import Notification
from storage.database import Database
from storage.errors import InvalidParameterValue

_NAME_BYTES, _PAYLOAD_BYTES = 63, 7999
_LOCK = threading.Lock()
_LISTENERS: weakref.WeakKeyDictionary[Database, dict[str, weakref.WeakSet[Mailbox]]] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True)
class _Wish:
    kind: Literal["listen", "unlisten", "notify"]
    channel: str | None
    payload: str = ""
    depth: int = 0


class Mailbox:
    """A session's side: what its transaction wishes for, and what has come for it.

    `rings` is called, from any thread, when something comes.
    """

    def __init__(self, database: Database, pid: int) -> None:
        self._database = database
        self._pid = pid
        self._wishes: list[_Wish] = []
        self._come: deque[Notification] = deque()
        self.rings: Callable[[], None] | None = None

    def listen(self, channel: str, depth: int) -> None:
        """LISTEN."""
        self._wishes.append(_Wish("listen", channel, depth=depth))

    def unlisten(self, channel: str | None, depth: int) -> None:
        """UNLISTEN; None: all."""
        self._wishes.append(_Wish("unlisten", channel, depth=depth))

    def notify(self, channel: str, payload: str, depth: int) -> None:
        """NOTIFY; the same thing twice is told once. Raises InvalidParameterValue."""
        if not channel:
            raise InvalidParameterValue("channel name cannot be empty")
        if len(channel.encode()) > _NAME_BYTES:
            raise InvalidParameterValue("channel name too long")
        if len(payload.encode()) > _PAYLOAD_BYTES:
            raise InvalidParameterValue("payload string too long")
        if not any(w.kind == "notify" and (w.channel, w.payload) == (channel, payload) for w in self._wishes):
            self._wishes.append(_Wish("notify", channel, payload, depth))

    def released(self, depth: int) -> None:
        """RELEASE: what was wished for below belongs to `depth` savepoints now."""
        self._wishes = [replace(w, depth=min(w.depth, depth)) for w in self._wishes]

    def rolled_back_to(self, depth: int) -> None:
        """ROLLBACK TO the savepoint number `depth`: later wishes are void."""
        self._wishes = [w for w in self._wishes if w.depth < depth]

    def rollback(self) -> None:
        """The transaction is void."""
        self._wishes = []

    def commit(self) -> None:
        """The transaction holds: listen, and tell the others."""
        wishes, self._wishes = self._wishes, []
        if not wishes:
            return
        told: list[tuple[Mailbox, Notification]] = []
        with _LOCK:
            channels = _LISTENERS.setdefault(self._database, {})
            for wish in wishes:
                if wish.kind == "listen":
                    channels.setdefault(wish.channel or "", weakref.WeakSet()).add(self)
                elif wish.kind == "unlisten":
                    self._leave(channels, wish.channel)
            for wish in wishes:
                if wish.kind == "notify":
                    message = Notification(self._pid, wish.channel or "", wish.payload)
                    told += [(box, message) for box in channels.get(message.channel, ())]
        for box, message in told:
            box._come.append(message)
            if box.rings is not None:
                box.rings()

    def _leave(self, channels: dict[str, weakref.WeakSet[Mailbox]], channel: str | None) -> None:
        for name in [channel] if channel is not None else list(channels):
            listeners = channels.get(name)
            if listeners is not None:
                listeners.discard(self)
                if not listeners:
                    del channels[name]

    def listening(self) -> list[str]:
        """The channels that are listened to."""
        with _LOCK:
            return sorted(name for name, boxes in _LISTENERS.get(self._database, {}).items() if self in boxes)

    @property
    def empty(self) -> bool:
        """Whether nothing has come since the last call of `take`."""
        return not self._come

    def take(self) -> list[Notification]:
        """What has come since the last call."""
        found = []
        while self._come:
            found.append(self._come.popleft())
        return found

    def close(self) -> None:
        """The session ends."""
        with _LOCK:
            self._leave(_LISTENERS.get(self._database, {}), None)
