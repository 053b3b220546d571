"""What the server says: one function a message, giving its bytes.

Every message is a byte tag and an int32 length that counts itself but not the tag.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Literal

from sql.outcome import Field, Notice, Notification
from storage.errors import DatabaseError
from storage.types import Type

_HEAD = struct.Struct(">BI")
_FIELD = struct.Struct(">IhIhih")

PARSE_COMPLETE = b"1\0\0\0\4"
BIND_COMPLETE = b"2\0\0\0\4"
CLOSE_COMPLETE = b"3\0\0\0\4"
NO_DATA = b"n\0\0\0\4"
PORTAL_SUSPENDED = b"s\0\0\0\4"
EMPTY_QUERY = b"I\0\0\0\4"
COPY_DONE = b"c\0\0\0\4"
AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
YES, NO = b"S", b"N"  # to SSLRequest and GSSENCRequest: one byte, no length


def _message(tag: bytes, body: bytes) -> bytes:
    return _HEAD.pack(tag[0], len(body) + 4) + body


def _text(value: str) -> bytes:
    # A zero byte ends a string on the wire; none may come from inside one.
    return value.replace("\0", "").encode(errors="replace") + b"\0"


@cache
def ready(status: Literal["I", "T", "E"]) -> bytes:
    """ReadyForQuery: 'I' idle, 'T' in a transaction, 'E' in a failed one."""
    return b"Z\0\0\0\5" + status.encode()


@lru_cache(256)
def command_complete(tag: str) -> bytes:
    """CommandComplete: 'SELECT 3'."""
    return _message(b"C", _text(tag))


def parameter_status(name: str, value: str) -> bytes:
    """ParameterStatus: a reported setting."""
    return _message(b"S", _text(name) + _text(value))


def backend_key_data(pid: int, key: bytes) -> bytes:
    """BackendKeyData: what a CancelRequest must name."""
    return _message(b"K", struct.pack(">i", pid) + key)


def negotiate_protocol_version(minor: int, unknown: Sequence[str]) -> bytes:
    """NegotiateProtocolVersion: the newest 3.x spoken here, and the options nobody knows."""
    head = struct.pack(">HHI", 3, minor, len(unknown))
    return _message(b"v", head + b"".join(map(_text, unknown)))


def sasl_mechanisms(names: Iterable[str]) -> bytes:
    """AuthenticationSASL: what may be used."""
    return _message(b"R", struct.pack(">I", 10) + b"".join(map(_text, names)) + b"\0")


def sasl_continue(data: bytes) -> bytes:
    """AuthenticationSASLContinue: the server's first message."""
    return _message(b"R", struct.pack(">I", 11) + data)


def sasl_final(data: bytes) -> bytes:
    """AuthenticationSASLFinal: the server's signature."""
    return _message(b"R", struct.pack(">I", 12) + data)


def row_description(fields: Sequence[Field], formats: Sequence[int]) -> bytes:
    """RowDescription: names, where they come from, types; `formats` has one code a field."""
    parts = [struct.pack(">H", len(fields))]
    for field, format in zip(fields, formats, strict=True):
        type = field.type
        # A type told under another OID (binary as bytea) has a modifier the client cannot read.
        of_domain = type.element is not None and type.element.domain is not None
        modifier = -1 if type.wire or of_domain else type.modifier
        head = _FIELD.pack(field.table, field.number, type.wire_oid, type.size, modifier, format)
        parts.append(_text(field.name) + head)
    return _message(b"T", b"".join(parts))


def parameter_description(types: Sequence[Type]) -> bytes:
    """ParameterDescription: the OIDs of $1, $2, ..."""
    return _message(b"t", struct.pack(f">H{len(types)}I", len(types), *(t.wire_oid for t in types)))


def copy_in(binary: bool, columns: int) -> bytes:
    """CopyInResponse: send data now."""
    return _copy(b"G", binary, columns)


def copy_out(binary: bool, columns: int) -> bytes:
    """CopyOutResponse: data follows."""
    return _copy(b"H", binary, columns)


def _copy(tag: bytes, binary: bool, columns: int) -> bytes:
    return _message(tag, struct.pack(f">BH{columns}H", binary, columns, *([int(binary)] * columns)))


def copy_data(data: bytes) -> bytes:
    """CopyData: one row."""
    return _message(b"d", data)


def error(error: DatabaseError, *, fatal: bool = False) -> bytes:
    """ErrorResponse with the fields that the error has; `fatal`: the connection ends with it."""
    severity = "FATAL" if fatal else error.severity
    fields = [
        ("S", severity),
        ("V", severity),
        ("C", error.sqlstate),
        ("M", error.message),
        ("D", error.detail),
        ("H", error.hint),
        ("P", str(error.position) if error.position else ""),
        ("W", error.where),
        ("s", error.schema),
        ("t", error.table),
        ("c", error.column),
        ("d", error.datatype),
        ("n", error.constraint),
    ]
    return _message(b"E", _fields(fields))


def notice(notice: Notice) -> bytes:
    """NoticeResponse."""
    fields = [
        ("S", notice.severity),
        ("V", notice.severity),
        ("C", notice.sqlstate),
        ("M", notice.message),
        ("D", notice.detail),
        ("H", notice.hint),
    ]
    return _message(b"N", _fields(fields))


def notification(notification: Notification) -> bytes:
    """NotificationResponse."""
    body = notification.pid.to_bytes(4, "big") + _text(notification.channel) + _text(notification.payload)
    return _message(b"A", body)


def _fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(code.encode() + _text(value) for code, value in fields if value) + b"\0"
