"""What a client may send: one class a message, with its tag, how it is read and how it is written.

    tagged:   byte tag, int32 length (itself included), body
    untagged: int32 length, int32 code, body - the first packet, and those before it (SSL, GSS, cancel)

A Reader never looks past the end of its body, and a count is checked against the bytes that are left
before anything is allocated for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Literal

from engine.forms.utf8 import decoded
from storage.errors import DatabaseError, FeatureNotSupported, ProtocolViolation

_INT16 = struct.Struct(">H")
_INT32 = struct.Struct(">i")
_HEAD = struct.Struct(">BI")

SSL_CODE, GSS_CODE, CANCEL_CODE = 80_877_103, 80_877_104, 80_877_102
PROTOCOL = 3


class Reader:
    """A message's body, read from front to back."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise ProtocolViolation("insufficient data left in message")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def uint16(self) -> int:
        """Two bytes, without sign."""
        value: int = _INT16.unpack(self.take(2))[0]
        return value

    def int32(self) -> int:
        """Four bytes, with sign."""
        value: int = _INT32.unpack(self.take(4))[0]
        return value

    def count(self, size: int) -> int:
        """A 16-bit count of things of at least `size` bytes each, which must all be there."""
        count = self.uint16()
        if count * size > len(self._data) - self._at:
            raise ProtocolViolation("insufficient data left in message")
        return count

    def uint16s(self) -> tuple[int, ...]:
        """A 16-bit count, and so many numbers."""
        count = self.count(2)
        values = struct.unpack_from(f">{count}H", self._data, self._at) if count else ()
        self._at += 2 * count
        return values

    def string(self) -> str:
        """Text up to a zero byte."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise ProtocolViolation("invalid string in message")
        raw = self._data[self._at : end]
        self._at = end + 1
        if not raw:
            return ""
        return decoded(raw)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Raise ProtocolViolation if anything is left."""
        if self._at != len(self._data):
            raise ProtocolViolation("invalid message format")


def _string(text: str) -> bytes:
    return text.encode() + b"\0"


def _int16s(values: tuple[int, ...]) -> bytes:
    return struct.pack(f">H{len(values)}H", len(values), *values)


def _tagged(tag: int, body: bytes = b"") -> bytes:
    return _HEAD.pack(tag, len(body) + 4) + body


@dataclass(frozen=True, slots=True)
class Query:
    """Q: statements as text."""

    text: str
    tag: ClassVar[int] = ord("Q")

    @classmethod
    def read(cls, reader: Reader) -> Query:
        return cls(reader.string())

    def write(self) -> bytes:
        return _tagged(self.tag, _string(self.text))


@dataclass(frozen=True, slots=True)
class Parse:
    """P: prepare a statement; `types` are OIDs, 0 for unknown."""

    name: str
    text: str
    types: tuple[int, ...] = ()
    tag: ClassVar[int] = ord("P")

    @classmethod
    def read(cls, reader: Reader) -> Parse:
        name, text = reader.string(), reader.string()
        return cls(name, text, tuple(reader.int32() & 0xFFFFFFFF for _ in range(reader.count(4))))

    def write(self) -> bytes:
        types = struct.pack(f">H{len(self.types)}I", len(self.types), *self.types)
        return _tagged(self.tag, _string(self.name) + _string(self.text) + types)


@dataclass(frozen=True, slots=True)
class Bind:
    """B: a portal of a prepared statement. Formats: none (text), one for all, or one each."""

    portal: str
    statement: str
    formats: tuple[int, ...] = ()
    parameters: tuple[bytes | None, ...] = ()
    results: tuple[int, ...] = ()
    tag: ClassVar[int] = ord("B")

    @classmethod
    def read(cls, reader: Reader) -> Bind:
        portal, statement = reader.string(), reader.string()
        formats = reader.uint16s()
        parameters: list[bytes | None] = []
        for _ in range(reader.count(4)):
            length = reader.int32()
            parameters.append(None if length == -1 else reader.take(length))
        return cls(
            portal,
            statement,
            formats,
            tuple(parameters),
            reader.uint16s(),
        )

    def write(self) -> bytes:
        head = _string(self.portal) + _string(self.statement) + _int16s(self.formats)
        values = b"".join(
            _INT32.pack(-1) if value is None else _INT32.pack(len(value)) + value for value in self.parameters
        )
        count = _INT16.pack(len(self.parameters))
        return _tagged(self.tag, head + count + values + _int16s(self.results))


Kind = Literal["S", "P"]


def _kind(reader: Reader, name: str) -> Kind:
    match reader.byte():
        case 0x53:
            return "S"
        case 0x50:
            return "P"
        case other:
            raise ProtocolViolation(f"invalid {name} message subtype {other}")


@dataclass(frozen=True, slots=True)
class Describe:
    """D: what a statement ('S') or portal ('P') takes and gives."""

    kind: Kind
    name: str
    tag: ClassVar[int] = ord("D")

    @classmethod
    def read(cls, reader: Reader) -> Describe:
        return cls(_kind(reader, "DESCRIBE"), reader.string())

    def write(self) -> bytes:
        return _tagged(self.tag, self.kind.encode() + _string(self.name))


@dataclass(frozen=True, slots=True)
class Close:
    """C: forget a statement ('S') or portal ('P')."""

    kind: Kind
    name: str
    tag: ClassVar[int] = ord("C")

    @classmethod
    def read(cls, reader: Reader) -> Close:
        return cls(_kind(reader, "CLOSE"), reader.string())

    def write(self) -> bytes:
        return _tagged(self.tag, self.kind.encode() + _string(self.name))


@dataclass(frozen=True, slots=True)
class Execute:
    """E: run a portal, up to `limit` rows of it (0 and below: all)."""

    portal: str
    limit: int = 0
    tag: ClassVar[int] = ord("E")

    @classmethod
    def read(cls, reader: Reader) -> Execute:
        return cls(reader.string(), reader.int32())

    def write(self) -> bytes:
        return _tagged(self.tag, _string(self.portal) + _INT32.pack(self.limit))


@dataclass(frozen=True, slots=True)
class Sync:
    """S: the end of an extended-protocol series."""

    tag: ClassVar[int] = ord("S")

    @classmethod
    def read(cls, reader: Reader) -> Sync:
        return cls()

    def write(self) -> bytes:
        return _tagged(self.tag)


@dataclass(frozen=True, slots=True)
class Flush:
    """H: send what is there."""

    tag: ClassVar[int] = ord("H")

    @classmethod
    def read(cls, reader: Reader) -> Flush:
        return cls()

    def write(self) -> bytes:
        return _tagged(self.tag)


@dataclass(frozen=True, slots=True)
class Terminate:
    """X: good-bye."""

    tag: ClassVar[int] = ord("X")

    @classmethod
    def read(cls, reader: Reader) -> Terminate:
        return cls()

    def write(self) -> bytes:
        return _tagged(self.tag)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """F: a function by OID, the protocol's oldest corner; its body is not looked into."""

    body: bytes
    tag: ClassVar[int] = ord("F")

    @classmethod
    def read(cls, reader: Reader) -> FunctionCall:
        return cls(reader.rest())

    def write(self) -> bytes:
        return _tagged(self.tag, self.body)


@dataclass(frozen=True, slots=True)
class CopyData:
    """d: a piece of COPY's data, cut anywhere."""

    data: bytes
    tag: ClassVar[int] = ord("d")

    @classmethod
    def read(cls, reader: Reader) -> CopyData:
        return cls(reader.rest())

    def write(self) -> bytes:
        return _tagged(self.tag, self.data)


@dataclass(frozen=True, slots=True)
class CopyDone:
    """c: the end of COPY's data."""

    tag: ClassVar[int] = ord("c")

    @classmethod
    def read(cls, reader: Reader) -> CopyDone:
        return cls()

    def write(self) -> bytes:
        return _tagged(self.tag)


@dataclass(frozen=True, slots=True)
class CopyFail:
    """f: the client gives the COPY up."""

    message: str
    tag: ClassVar[int] = ord("f")

    @classmethod
    def read(cls, reader: Reader) -> CopyFail:
        return cls(reader.string())

    def write(self) -> bytes:
        return _tagged(self.tag, _string(self.message))


Message = (
    Query
    | Parse
    | Bind
    | Describe
    | Close
    | Execute
    | Sync
    | Flush
    | Terminate
    | FunctionCall
    | CopyData
    | CopyDone
    | CopyFail
)
MESSAGES: tuple[type[Message], ...] = (
    Query,
    Parse,
    Bind,
    Describe,
    Close,
    Execute,
    Sync,
    Flush,
    Terminate,
    FunctionCall,
    CopyData,
    CopyDone,
    CopyFail,
)
BY_TAG: dict[int, type[Message]] = {message.tag: message for message in MESSAGES}
PASSWORD = ord("p")


def read(tag: int, body: bytes) -> Message:
    """The message of this tag; every byte of the body must belong to it."""
    reader = Reader(body)
    message = BY_TAG[tag].read(reader)
    reader.end()
    return message


@dataclass(frozen=True, slots=True)
class SaslInitial:
    """p, first of a SASL exchange: the chosen mechanism and the client's first message."""

    mechanism: str
    data: bytes
    tag: ClassVar[int] = PASSWORD

    @classmethod
    def read(cls, reader: Reader) -> SaslInitial:
        mechanism, length = reader.string(), reader.int32()
        return cls(mechanism, b"" if length == -1 else reader.take(length))

    def write(self) -> bytes:
        return _tagged(self.tag, _string(self.mechanism) + _INT32.pack(len(self.data)) + self.data)


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """p, later: the client's next message."""

    data: bytes
    tag: ClassVar[int] = PASSWORD

    @classmethod
    def read(cls, reader: Reader) -> SaslResponse:
        return cls(reader.rest())

    def write(self) -> bytes:
        return _tagged(self.tag, self.data)


@dataclass(frozen=True, slots=True)
class Startup:
    """The first packet of a session: protocol 3.`minor` and the parameters."""

    minor: int
    parameters: dict[str, str]

    def write(self) -> bytes:
        pairs = b"".join(_string(name) + _string(value) for name, value in self.parameters.items())
        return _untagged(PROTOCOL << 16 | self.minor, pairs + b"\0")


@dataclass(frozen=True, slots=True)
class SslRequest:
    """May we speak TLS?"""

    def write(self) -> bytes:
        return _untagged(SSL_CODE)


@dataclass(frozen=True, slots=True)
class GssRequest:
    """May we speak GSSAPI encryption?"""

    def write(self) -> bytes:
        return _untagged(GSS_CODE)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop what session `pid` runs; `key` is its secret."""

    pid: int
    key: bytes

    def write(self) -> bytes:
        return _untagged(CANCEL_CODE, _INT32.pack(self.pid) + self.key)


First = Startup | SslRequest | GssRequest | CancelRequest


def _untagged(code: int, body: bytes = b"") -> bytes:
    return struct.pack(">ii", len(body) + 8, code) + body


def read_first(body: bytes) -> First:
    """An untagged packet, its length stripped."""
    reader = Reader(body)
    code = reader.int32()
    if code == SSL_CODE:
        return SslRequest()
    if code == GSS_CODE:
        return GssRequest()
    if code == CANCEL_CODE:
        return CancelRequest(reader.int32(), reader.rest())
    major, minor = code >> 16, code & 0xFFFF
    if major != PROTOCOL:
        raise FeatureNotSupported(
            f"unsupported frontend protocol {major & 0xFFFF}.{minor}: server supports 3.0 to 3.0"
        )
    return Startup(minor, _parameters(reader))


def _parameters(reader: Reader) -> dict[str, str]:
    """name, value, name, value, ... and an empty name."""
    parameters: dict[str, str] = {}
    try:
        while name := reader.string():
            parameters[name] = reader.string()
        reader.end()
    except DatabaseError:
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte") from None
    return parameters
