"""Raw message sequences as text, and what a server answers to them.

    sequence an error skips up to Sync
    Parse("", "select nothing")
    Bind("", "")
    Sync()
    ----
    E ERROR 42703: column "nothing" does not exist (P 8)
    Z I

Each line is a message of server.messages, or a step of its own: `hear("Z")` reads on until a message of one
of these tags has come, `cancel()` cancels until something comes, `Raw("51 0000")` sends bytes, and so does
`Packet("0000")` as a first packet. Without `hear` everything is sent at once. A sequence that does not
begin with a first packet finds a session that has begun. Flush and Terminate end each sequence, and what is
compared is everything up to the end.

The answer is PostgreSQL's, each message as its tag and what can be compared of it; where ours is another,
it stands below, with the reason:

    ---- ours: why it differs
    E FATAL 08P01: invalid message length

`--complete` writes the answers: PostgreSQL's with PG_URI, those that are ours without.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server import messages
from tests.server import wire

SECONDS = 20
_HIDDEN = {
    "S",
    "V",
    "C",
    "M",
    "F",
    "L",
    "R",
}  # fields of an error that stand before it, or say where its code is


@dataclass
class Raw:
    """Bytes, given in hexadecimal."""

    data: str

    def write(self) -> bytes:
        """The bytes."""
        return bytes.fromhex(self.data)


class Packet(Raw):
    """The same, as the first thing that is sent."""


@dataclass
class Hear:
    """Read on until one of these tags."""

    tags: str


@dataclass
class CancelRunning:
    """Send cancel requests until something comes."""


@dataclass
class Sequence:
    """One sequence: its name, the lines of its steps, PostgreSQL's answer, and ours where it differs."""

    name: str
    steps: list[str]
    answer: list[str] = field(default_factory=list)
    ours: list[str] | None = None
    reason: str = ""

    @property
    def expected(self) -> list[str]:
        """What this server answers."""
        return self.answer if self.ours is None else self.ours

    def text(self) -> str:
        """The sequence as it is read."""
        lines = [f"sequence {self.name}", *self.steps, "----", *self.answer]
        if self.ours is not None:
            lines += [f"---- ours: {self.reason}", *self.ours]
        return "\n".join(lines) + "\n"


def read(path: Path) -> list[Sequence]:
    """The sequences of a file."""
    sequences: list[Sequence] = []
    for block in path.read_text().split("\n\n")[1:]:
        head, *lines = block.rstrip("\n").split("\n")
        word, _, name = head.partition(" ")
        assert word == "sequence", f"{path}: {head!r} does not begin a sequence"
        assert name not in [s.name for s in sequences], f"{path}: {name!r} is there twice"
        sequence = Sequence(name, [])
        into = sequence.steps
        for line in lines:
            mark, _, reason = line.partition(" ours: ")
            if mark == "----" and reason:
                into, sequence.reason = [], reason
                sequence.ours = into
            elif line == "----":
                into = sequence.answer
            else:
                into.append(line)
        sequences.append(sequence)
    return sequences


def write(path: Path, sequences: list[Sequence]) -> None:
    """Put sequences into their file, below what it says at its head."""
    head = path.read_text().split("\n\n")[0]
    path.write_text("\n".join([head + "\n", *(sequence.text() for sequence in sequences)]))


class Peer:
    """A server and who is known there."""

    def __init__(self, host: str, port: int, user: str, database: str) -> None:
        self.host, self.port, self.user, self.database = host, port, user, database

    def run(self, sequence: Sequence) -> list[str]:
        """The lines of the answer."""
        names: dict[str, Any] = {
            **vars(messages),
            "Raw": Raw,
            "Packet": Packet,
            "hear": Hear,
            "cancel": CancelRunning,
        }
        names |= {"USER": self.user, "DATABASE": self.database}
        steps = [eval(line, names) for line in sequence.steps]
        with socket.create_connection((self.host, self.port), timeout=SECONDS) as connection:
            conversation = _Conversation(self, connection)
            if not isinstance(steps[0], messages.First | Packet):
                conversation.greet()
            for step in [*steps, messages.Flush(), messages.Terminate()]:
                conversation.take(step)
            conversation.send()
            conversation.hear("")
        return [self._masked(line) for line in conversation.lines]

    def _masked(self, line: str) -> str:
        return line.replace(f'"{self.user}"', '"USER"').replace(f'"{self.database}"', '"DATABASE"')


class _Conversation:
    """One connection: what is to be sent, and what has come."""

    def __init__(self, peer: Peer, connection: socket.socket) -> None:
        self.lines: list[str] = []
        self._peer = peer
        self._socket = connection
        self._out = b""
        self._in = b""
        self._unanswered = 0  # encryption requests
        self._key = b""
        self._began = False

    def greet(self) -> None:
        """Begin a session, of which nothing is told."""
        start = messages.Startup(0, {"user": self._peer.user, "database": self._peer.database})
        self.take(start)
        self.take(Hear("Z"))
        self.lines.clear()

    def take(self, step: Any) -> None:
        """One step."""
        match step:
            case Hear():
                self.send()
                self.hear(step.tags)
            case CancelRunning():
                self.send()
                self._cancel()
            case messages.SslRequest() | messages.GssRequest():
                self._unanswered += 1
                self._out += step.write()
            case _:
                self._out += step.write()

    def send(self) -> None:
        """Send what is to be sent; a server that has closed already does not hear it."""
        out, self._out = self._out, b""
        with suppress(ConnectionError):
            self._socket.sendall(out)

    def hear(self, tags: str) -> None:
        """Messages up to one of these, or to the end."""
        while True:
            message = self._message()
            if message is None:
                return
            tag, body = message
            if tag == "K":
                self._key = body
            self._began = self._began or tag == "Z"
            if tag == "S" and not self._began:
                continue  # the greeting's settings are looked at elsewhere
            self.lines.append(told(tag, body))
            if tag in tags:
                return

    def _message(self) -> tuple[str, bytes] | None:
        if self._unanswered:
            self._unanswered -= 1
            return ("answer", self._exactly(1))
        head = self._exactly(5)
        if len(head) < 5:
            return None
        return chr(head[0]), self._exactly(struct.unpack_from(">I", head, 1)[0] - 4)

    def _exactly(self, count: int) -> bytes:
        while len(self._in) < count:
            try:
                piece = self._socket.recv(1 << 16)
            except ConnectionError:
                piece = b""
            if not piece:
                break
            self._in += piece
        taken, self._in = self._in[:count], self._in[count:]
        return taken

    def _cancel(self) -> None:
        pid, key = struct.unpack_from(">i", self._key)[0], self._key[4:]
        while not self._in and not select.select([self._socket], [], [], 0.05)[0]:
            with socket.create_connection((self._peer.host, self._peer.port), timeout=SECONDS) as other:
                other.sendall(messages.CancelRequest(pid, key).write())
                other.recv(1)


def told(tag: str, body: bytes) -> str:
    """A message of the server's as a line."""
    return " ".join([tag, *_told(tag, body)])


def _told(tag: str, body: bytes) -> Iterator[str]:
    match tag:
        case "E" if body[:1] != b"S":
            yield _shown(body)  # of a protocol before 3
        case "E" | "N":
            fields = wire.error(body)
            yield f"{fields['S']} {fields['C']}: {fields['M']}".replace("\n", "\\n")
            rest = [f"{k} {v}" for k, v in fields.items() if k not in _HIDDEN]
            if rest:
                yield f"({'; '.join(rest)})".replace("\n", "\\n")
        case "T":
            yield from _fields(body)
        case "D":
            yield "|".join("NULL" if value is None else _shown(value) for value in wire.row(body))
        case "t":
            yield from map(str, struct.unpack_from(f">{len(body) // 4}I", body, 2))
        case "S":
            yield "=".join(part.decode() for part in body.split(b"\0")[:2])
        case "A":
            yield " ".join(part.decode() for part in body[4:].split(b"\0")[:2])
        case "K":
            yield f"{len(body)} bytes"
        case "Z" | "C" | "d" | "answer":
            yield _shown(body.rstrip(b"\0"))
        case "R" | "v":
            yield body.hex()
        case "G" | "H":
            yield f"{body[0]} {' '.join(map(str, struct.unpack_from(f'>{len(body) // 2 - 1}H', body, 3)))}"
        case _:
            assert not body, tag


def _fields(body: bytes) -> Iterator[str]:
    """Of each field name:type:size:modifier:format, and the column's number where it is a table's."""
    at = 2
    for _ in range(struct.unpack_from(">H", body)[0]):
        end = body.index(b"\0", at)
        table, number, type, size, modifier, format = struct.unpack_from(">IhIhih", body, end + 1)
        origin = f"@{number}" if table else ""
        yield f"{body[at:end].decode()}{origin}:{type}:{size}:{modifier}:{format}"
        at = end + 19


def _shown(data: bytes) -> str:
    """Bytes as they would be written in a literal."""
    return repr(data)[2:-1]
