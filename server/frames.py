"""Bytes of a connection, cut into packets and messages; lengths are checked before anything is kept for them.

A message that is longer than its kind may be is a ProtocolViolation, and so is an unknown tag: after
either the stream cannot be followed any more, so the connection ends.
"""

from __future__ import annotations

import struct

from server.messages import (
    BY_TAG,
    PASSWORD,
    Bind,
    CopyData,
    FunctionCall,
    Parse,
    Query,
)
from storage.errors import ProtocolViolation

SMALL = 10_000  # bytes: packets before authentication, and messages that hold no more than a name
_LARGE_TAGS = frozenset(message.tag for message in (Query, Parse, Bind, CopyData, FunctionCall))
_HEAD = struct.Struct(">BI")
_LENGTH = struct.Struct(">I")

Frame = tuple[int, bytes]  # tag, body


class Frames:
    """`packet` cuts untagged packets and `password` tagged ones of what was fed, `messages` of what comes."""

    def __init__(self, largest: int) -> None:
        self._most = {tag: largest if tag in _LARGE_TAGS else SMALL for tag in BY_TAG}
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self._data += data

    @property
    def pending(self) -> int:
        """Bytes that are not cut yet."""
        return len(self._data)

    def peek(self) -> int | None:
        """The first byte, if there is one."""
        return self._data[0] if self._data else None

    def take(self) -> bytes:
        """Everything that is not cut yet, as it came."""
        taken = bytes(self._data)
        self._data.clear()
        return taken

    def packet(self) -> bytes | None:
        """The body of an untagged packet; None: not all of it is there."""
        data = self._data
        if len(data) < 4:
            return None
        length = _LENGTH.unpack_from(data)[0]
        if not 8 <= length <= SMALL:
            raise ProtocolViolation("invalid length of startup packet")
        if len(data) < length:
            return None
        body = bytes(data[4:length])
        del data[:length]
        return body

    def password(self) -> bytes | None:
        """The body of a 'p' message; None: not all of it is there."""
        data = self._data
        if data and data[0] != PASSWORD:
            raise ProtocolViolation(f"expected SASL response, got message type {data[0]}")
        if len(data) < 5:
            return None
        length = _HEAD.unpack_from(data)[1]
        if not 4 <= length <= SMALL:
            raise ProtocolViolation("invalid message length")
        if len(data) < length + 1:
            return None
        body = bytes(data[5 : length + 1])
        del data[: length + 1]
        return body

    def messages(self, data: bytes, into: list[Frame]) -> None:
        """Put the whole messages that are there with `data`, in order, into a list; the rest is kept.

        Raises ProtocolViolation behind those that can be followed.
        """
        kept = self._data
        source: bytes | memoryview = data
        if kept:
            kept += data
            source = memoryview(kept)
        at, end = 0, len(source)
        try:
            while end - at >= 5:
                tag, length = _HEAD.unpack_from(source, at)
                most = self._most.get(tag, -1)
                if not 4 <= length <= most:
                    if most < 0:
                        raise ProtocolViolation(f"invalid frontend message type {tag}")
                    raise ProtocolViolation("invalid message length")
                stop = at + 1 + length
                if stop > end:
                    break
                into.append((tag, bytes(source[at + 5 : stop])))
                at = stop
        finally:
            if isinstance(source, memoryview):
                source.release()
                del kept[:at]
            elif at < end:
                kept += source[at:]
