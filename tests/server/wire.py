"""The client's side of the wire for tests: what the server said, taken apart."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from server import messages
from server.connection import Connection
from server.messages import Query, Startup

Said = list[tuple[str, bytes]]


def split(data: bytes) -> Said:
    """(tag, body) of each message of the server's; all of them must be whole."""
    said, at = [], 0
    while at < len(data):
        length = struct.unpack_from(">I", data, at + 1)[0]
        assert at + 1 + length <= len(data), "a message is cut"
        said.append((chr(data[at]), data[at + 5 : at + 1 + length]))
        at += 1 + length
    return said


def tags(said: Said) -> str:
    """The tags, one letter each."""
    return "".join(tag for tag, _ in said)


def error(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse."""
    return {field[:1].decode(): field[1:].decode() for field in body.split(b"\0") if field}


def row(body: bytes) -> list[bytes | None]:
    """The fields of a DataRow."""
    count = struct.unpack_from(">H", body)[0]
    fields: list[bytes | None] = []
    at = 2
    for _ in range(count):
        length = struct.unpack_from(">i", body, at)[0]
        at += 4
        fields.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    assert at == len(body)
    return fields


def send(connection: Connection, *parts: object) -> Said:
    """Give messages to a state machine and take everything it answers."""
    said = b""
    for part in parts:
        data = part.write()  # type: ignore[attr-defined]
        body = data[5:]
        assert struct.unpack_from(">I", data, 1)[0] == len(body) + 4
        said += b"".join(connection.receive(data[0], body))
        if connection.closed:
            break
    return split(said)


class Client:
    """A raw client over TCP."""

    def __init__(self, port: int, parameters: dict[str, str] | None = None, *, start: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.greeting: Said = []
        if start:
            self.write(Startup(0, {"user": "glancedb", "database": "glancedb", **(parameters or {})}).write())
            self.greeting = self.until("ZE")

    def write(self, *data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(b"".join(data))

    def exactly(self, count: int) -> bytes:
        """So many bytes; fewer where the server closes."""
        data = b""
        while len(data) < count:
            piece = self.socket.recv(min(count - len(data), 1 << 16))
            if not piece:
                break
            data += piece
        return data

    def message(self) -> tuple[str, bytes] | None:
        """The next message; None at the end."""
        head = self.exactly(5)
        if len(head) < 5:
            return None
        return chr(head[0]), self.exactly(struct.unpack(">I", head[1:])[0] - 4)

    def until(self, last: str) -> Said:
        """Messages up to one of these tags, or to the end."""
        said: Said = []
        while (message := self.message()) is not None:
            said.append(message)
            if message[0] in last:
                break
        return said

    def query(self, text: str) -> Said:
        """One Query and its answer."""
        self.write(Query(text).write())
        return self.until("Z")

    def close(self) -> None:
        """Leave without a word."""
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def whole(parts: Iterable[messages.Message]) -> bytes:
    """Several messages as bytes."""
    return b"".join(part.write() for part in parts)
