"""The hashes of PostgreSQL's hash indexes and hash partitions, which SQL calls too: hashtext and its kin.

Bob Jenkins' lookup3 (2006) over bytes, with PostgreSQL's start value; numbers are hashed as 32 bits. With
a seed, 64 bits come out: the second word above the first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from engine.functions.registry import scalar
from engine.functions.text import each
from storage.column import Column
from storage.types import (
    BPCHAR,
    CHAR,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    NAME,
    OID,
    TEXT,
    UUID,
    Type,
)

_MASK = 0xFFFFFFFF
_START = 0x9E3779B9 + 3_923_095
_State = tuple[int, int, int]


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _MASK


def _mix(a: int, b: int, c: int) -> _State:
    for first, second, third in ((4, 6, 8), (16, 19, 4)):
        a, c = (a - c & _MASK) ^ _rotated(c, first), c + b & _MASK
        b, a = (b - a & _MASK) ^ _rotated(a, second), a + c & _MASK
        c, b = (c - b & _MASK) ^ _rotated(b, third), b + a & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> _State:
    c = (c ^ b) - _rotated(b, 14) & _MASK
    a = (a ^ c) - _rotated(c, 11) & _MASK
    b = (b ^ a) - _rotated(a, 25) & _MASK
    c = (c ^ b) - _rotated(b, 16) & _MASK
    a = (a ^ c) - _rotated(c, 4) & _MASK
    b = (b ^ a) - _rotated(a, 14) & _MASK
    c = (c ^ b) - _rotated(b, 24) & _MASK
    return a, b, c


def _begun(size: int, seed: int) -> _State:
    start = _START + size & _MASK
    if not seed:
        return start, start, start
    return _mix(start + (seed >> 32 & _MASK) & _MASK, start + (seed & _MASK) & _MASK, start)


def _of_bytes(raw: bytes, seed: int) -> _State:
    a, b, c = _begun(len(raw), seed)
    whole = len(raw) - len(raw) % 12
    for x, y, z in struct.iter_unpack("<III", raw[:whole]):
        a, b, c = _mix(a + x & _MASK, b + y & _MASK, c + z & _MASK)
    tail = raw[whole:]
    x, y = (int.from_bytes(part, "little") for part in (tail[:4], tail[4:8]))
    z = int.from_bytes(tail[8:], "little") << 8  # its lowest byte is the length's
    return _final(a + x & _MASK, b + y & _MASK, c + z & _MASK)


def _of_word(word: int, seed: int) -> _State:
    a, b, c = _begun(4, seed)
    return _final(a + word & _MASK, b, c)


def _of_bigint(value: int, seed: int) -> _State:
    """Small numbers hash as int4 does."""
    high = value >> 32 & _MASK
    return _of_word((value & _MASK) ^ (high if value >= 0 else ~high & _MASK), seed)


def _of_float(value: float, seed: int) -> _State | None:
    """Both zeros are 0, whatever the seed; all NaN are one."""
    return (
        None if value == 0 else _of_bytes(struct.pack("<d", value if value == value else float("nan")), seed)
    )


_Hash = Callable[[Any, int], _State | None]
_HASHES: dict[str, tuple[Type, _Hash]] = {
    "hashtext": (TEXT, lambda value, seed: _of_bytes(value.encode(), seed)),
    "hashbpchar": (BPCHAR, lambda value, seed: _of_bytes(value.rstrip(" ").encode(), seed)),
    "hashname": (NAME, lambda value, seed: _of_bytes(value.encode(), seed)),
    "hashint2": (INT2, lambda value, seed: _of_word(value & _MASK, seed)),
    "hashint4": (INT4, lambda value, seed: _of_word(value & _MASK, seed)),
    "hashint8": (INT8, _of_bigint),
    "hashoid": (OID, lambda value, seed: _of_word(value, seed)),
    "hashchar": (CHAR, lambda value, seed: _of_word((value ^ 0x80) - 0x80 & _MASK, seed)),
    "hashfloat4": (FLOAT4, _of_float),
    "hashfloat8": (FLOAT8, _of_float),
    "uuid_hash": (UUID, lambda value, seed: _of_bytes(bytes(value), seed)),
}


def _hash(name: str, type: Type, state: _Hash) -> None:
    def short(value: Any) -> int:
        found = state(value, 0)
        return 0 if found is None else (found[2] ^ 1 << 31) - (1 << 31)

    def long(value: Any, seed: int) -> int:
        found = state(value, seed)
        return seed if found is None else ((found[1] << 32 | found[2]) ^ 1 << 63) - (1 << 63)

    @scalar(name, [type], INT4)
    def hashed(column: Column) -> Column:
        """The value's hash, as hash indexes have it."""
        return each(short, column, type=INT4)

    @scalar(f"{name}extended" if name != "uuid_hash" else "uuid_hash_extended", [type, INT8], INT8)
    def extended(column: Column, seed: Column) -> Column:
        """The value's hash of 64 bits under a seed."""
        return each(long, column, seed, type=INT8)


for _name, (_type, _state) in _HASHES.items():
    _hash(_name, _type, _state)
