"""bytea: encode and decode, hashes, single bytes and bits."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Callable

import numpy as np

from engine.functions.registry import scalar
from engine.functions.text import each
from storage.column import Column
from storage.errors import ArraySubscriptError, InvalidParameterValue, InvalidTextRepresentation
from storage.types import BINARY, BYTEA, INT4, TEXT, UUID

_SIX_BITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64 = re.compile("[A-Za-z0-9+/]*={0,2}")
_ESCAPE = re.compile(rb"\\(\\|[0-3][0-7]{2})")


def _base64(raw: bytes) -> str:
    text = base64.b64encode(raw).decode()
    return "\n".join(text[i : i + 76] for i in range(0, len(text), 76))


def _escape(raw: bytes) -> str:
    return "".join("\\\\" if b == 92 else chr(b) if 0 < b < 128 else f"\\{b:03o}" for b in raw)


_ENCODERS: dict[str, Callable[[bytes], str]] = {"hex": bytes.hex, "base64": _base64, "escape": _escape}


def _unhex(text: str) -> bytes:
    digits = "".join(text.split())
    for digit in digits:
        if digit not in "0123456789abcdefABCDEF":
            raise InvalidParameterValue(f'invalid hexadecimal digit: "{digit}"')
    if len(digits) % 2:
        raise InvalidParameterValue("invalid hexadecimal data: odd number of digits")
    return bytes.fromhex(digits)


def _unbase64(text: str) -> bytes:
    symbols = "".join(text.split())
    if len(symbols) % 4 == 0 and _BASE64.fullmatch(symbols):
        return base64.b64decode(symbols)
    return _unbase64_slowly(symbols)


def _unbase64_slowly(symbols: str) -> bytes:
    """What is not written as usual: PostgreSQL takes `=` in the middle of a group, and says what is wrong."""
    out, group, place, padding = bytearray(), 0, 0, 0
    for symbol in symbols:
        if symbol == "=":
            if not padding:
                if place not in (2, 3):
                    raise InvalidParameterValue('unexpected "=" while decoding base64 sequence')
                padding = place - 1
            six = 0
        else:
            six = _SIX_BITS.find(symbol)
            if six < 0:
                raise InvalidParameterValue(f'invalid symbol "{symbol}" found while decoding base64 sequence')
        group, place = group << 6 | six, place + 1
        if place == 4:
            out += group.to_bytes(3, "big")[: padding or 3]
            group = place = 0
    if place:
        raise InvalidParameterValue(
            "invalid base64 end sequence",
            hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
        )
    return bytes(out)


def _unescape(text: str) -> bytes:
    raw = text.encode()
    if "\\" in _ESCAPE.sub(b"", raw).decode(errors="replace"):
        raise InvalidTextRepresentation("invalid input syntax for type bytea")
    return _ESCAPE.sub(lambda m: b"\\" if m[1] == b"\\" else bytes([int(m[1], 8)]), raw)


_DECODERS: dict[str, Callable[[str], bytes]] = {"hex": _unhex, "base64": _unbase64, "escape": _unescape}


def _encoding(name: str) -> str:
    if name.lower() not in _ENCODERS:
        raise InvalidParameterValue(f'unrecognized encoding: "{name}"')
    return name.lower()


for _type in (BYTEA, BINARY):

    @scalar("encode", [_type, TEXT], TEXT)
    def encode(column: Column, encoding: Column) -> Column:
        """Bytes as text: hex, base64 or escape."""
        return each(lambda raw, name: _ENCODERS[_encoding(name)](raw), column, encoding)

    @scalar("md5", [_type], TEXT)
    def md5(column: Column) -> Column:
        """The MD5 hash in hexadecimal."""
        return each(lambda raw: hashlib.md5(raw, usedforsecurity=False).hexdigest(), column)

    for _name in ("sha224", "sha256", "sha384", "sha512"):

        def _hash(name: str) -> Callable[[Column], Column]:
            def apply(column: Column) -> Column:
                """The hash of that name."""
                return each(lambda raw: hashlib.new(name, raw).digest(), column, type=BYTEA)

            return apply

        scalar(_name, [_type], BYTEA)(_hash(_name))

    @scalar("get_byte", [_type, INT4], INT4)
    def get_byte(column: Column, index: Column) -> Column:
        """The byte at an index, from 0."""

        def one(raw: bytes, index: int) -> int:
            if not 0 <= index < len(raw):
                raise ArraySubscriptError(f"index {index} out of valid range, 0..{len(raw) - 1}")
            return raw[index]

        return each(one, column, index, type=INT4)


@scalar("decode", [TEXT, TEXT], BYTEA)
def decode(column: Column, encoding: Column) -> Column:
    """Text as the bytes it stands for: hex, base64 or escape."""
    return each(lambda text, name: _DECODERS[_encoding(name)](text), column, encoding, type=BYTEA)


@scalar("md5", [TEXT], TEXT)
def md5_of_text(column: Column) -> Column:
    """The MD5 hash in hexadecimal."""
    return each(lambda t: hashlib.md5(t.encode(), usedforsecurity=False).hexdigest(), column)


@scalar("gen_random_uuid", [], UUID, volatility="v", rows=True)
def gen_random_uuid(rows: int) -> Column:
    """A random UUID, of version 4."""
    return Column(
        UUID, np.frombuffer(b"".join(uuid.uuid4().bytes for _ in range(rows)), np.uint8).reshape(-1, 16)
    )
