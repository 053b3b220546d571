"""Byte strings in SQL's order of values that lie in their columns as texts: inet, cidr, jsonb.

An address is its family, the address without what is behind its mask, the length of the mask, the whole
address: the common part of two networks decides first, then the wider one is less. inet and cidr compare.

    inet, cidr    1 byte 4 or 6, the network (4 or 16 bytes), 1 byte of mask, the address (4 or 16 bytes)

A jsonb is a tag and what stands behind it. No value is the beginning of another one, so elements follow
each other as they are. Numbers compare by value (1.0 is 1), strings by their bytes; of arrays the shorter is
less, and of objects that with fewer pairs, whose keys come in the order of jsonb: the shorter first.

    0                 an empty array that is the whole value: less than all others, as in PostgreSQL
    1                 null
    2 bytes 0         a string, which has no zero byte
    3 number          see storage.decimals
    4, 5              false, true
    6 count values    an array, the count in 4 bytes
    7 count pairs     an object: of each pair the key as bytes and 0, then the value
"""

from __future__ import annotations

import json
from decimal import Decimal
from ipaddress import IPv6Address
from typing import Any

from storage.decimals import decimal_bytes


def network_bytes(text: str) -> bytes:
    """The key of an inet or cidr, as output shows it."""
    shown, _, mask = text.partition("/")
    if ":" in shown:
        family, address = b"\6", IPv6Address(shown).packed
    else:
        family, address = b"\4", bytes(map(int, shown.split(".")))
    bits = 8 * len(address)
    if not mask:
        return family + address + bytes((bits,)) + address
    behind = bits - int(mask)
    network = (int.from_bytes(address, "big") >> behind << behind).to_bytes(len(address), "big")
    return family + network + bytes((bits - behind,)) + address


def jsonb_bytes(text: str) -> bytes:
    """The key of a jsonb. Raises RecursionError where it is nested too deep to be read."""
    value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    if value == []:
        return b"\0"
    parts: list[bytes] = []
    _append(parts, value)
    return b"".join(parts)


def _append(parts: list[bytes], value: Any) -> None:
    match value:
        case None:
            parts.append(b"\1")
        case bool():
            parts.append(b"\5" if value else b"\4")
        case str():
            parts += b"\2", _raw(value), b"\0"
        case Decimal():
            parts += b"\3", decimal_bytes(value)
        case list():
            parts += b"\6", len(value).to_bytes(4, "big")
            for item in value:
                _append(parts, item)
        case dict():
            parts += b"\7", len(value).to_bytes(4, "big")
            for raw, item in sorted(((_raw(key), item) for key, item in value.items()), key=_stored):
                parts += raw, b"\0"
                _append(parts, item)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _stored(pair: tuple[bytes, Any]) -> tuple[int, bytes]:
    """The order in which jsonb keeps keys."""
    return len(pair[0]), pair[0]
