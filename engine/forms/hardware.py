"""Hardware addresses, macaddr and macaddr8: their bits, their text and their wire form (tid has the same).

A macaddr lies in an int64 as its 48 bits. The 64 bits of a macaddr8 lie there with the highest one turned
over, so that comparing the integers compares the addresses.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from engine.forms.style import Style
from storage.column import Array, Column
from storage.errors import InvalidTextRepresentation, NumericValueOutOfRange
from storage.types import MACADDR8, Type

WIDTHS = {"macaddr": 6, "macaddr8": 8, "tid": 6}
"""Bytes of an address."""
_TOP = 1 << 63


def bits_of(type: Type, values: Array) -> Array:
    """Addresses as uint64, the first byte highest."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    return bits ^ np.uint64(_TOP) if type.oid == MACADDR8.oid else bits


def values_of(type: Type, bits: Array) -> Array:
    """The inverse of bits_of."""
    return (bits ^ np.uint64(_TOP) if type.oid == MACADDR8.oid else bits).view(np.int64)


def _bytes(type: Type, values: Array) -> Array:
    """(rows, 6 or 8) uint8."""
    wide: Array = bits_of(type, values).astype(">u8").view(np.uint8).reshape(len(values), 8)
    return wide[:, 8 - WIDTHS[type.name] :]


def write_hardware(column: Column, style: Style) -> pa.Array:
    """08:00:2b:01:02:03"""
    rows = _bytes(column.type, column.values).tobytes()
    width = WIDTHS[column.type.name]
    texts = [rows[at : at + width].hex(":") for at in range(0, len(rows), width)]
    return pa.array(texts, pa.large_string(), mask=None if column.valid is None else ~column.valid)


# What a number may be: PostgreSQL reads them by sscanf, which skips blanks and never gives a digit back.
_ANY, _TWO = r"\s*([0-9a-f]++)", r"\s*([0-9a-f]{1,2}+)"
_SPELLINGS = tuple(
    re.compile(pattern + r"\s*", re.IGNORECASE)
    for pattern in (
        ":".join([_ANY] * 6),
        "-".join([_ANY] * 6),
        ":".join([_TWO * 3] * 2),
        "-".join([_TWO * 3] * 2),
        r"\.".join([_TWO * 2] * 3),
        "-".join([_TWO * 2] * 3),
        _TWO * 6,
    )
)
_PAIRS = re.compile(r"\s*((?:[0-9a-f]{2}[:.-]?){8}|(?:[0-9a-f]{2}[:.-]?){6})\s*", re.IGNORECASE)


def read_hardware(type: Type, texts: list[str], style: Style) -> list[int]:
    """Six or eight bytes in hexadecimal digits, alone, by twos, or by threes; of macaddr8 by any number."""
    read = _macaddr8 if type.oid == MACADDR8.oid else _macaddr
    return [read(type, text) for text in texts]


def _macaddr(type: Type, text: str) -> int:
    for spelling in _SPELLINGS:
        found = spelling.fullmatch(text)
        if found is not None:
            parts = [int(part, 16) for part in found.groups()]
            if max(parts) > 255:
                raise NumericValueOutOfRange(f'invalid octet value in "macaddr" value: "{text}"')
            return int.from_bytes(bytes(parts), "big")
    raise _invalid(type, text)


def _macaddr8(type: Type, text: str) -> int:
    found = _PAIRS.fullmatch(text)
    if found is None or len(set(re.findall("[:.-]", text))) > 1:
        raise _invalid(type, text)
    raw = bytes.fromhex(re.sub("[:.-]", "", found[1]))
    return int.from_bytes(raw if len(raw) == 8 else raw[:3] + b"\xff\xfe" + raw[3:], "big") - _TOP


def _invalid(type: Type, text: str) -> InvalidTextRepresentation:
    return InvalidTextRepresentation(f'invalid input syntax for type {type.base}: "{text}"')


def widened(bits: Array) -> Array:
    """Of macaddr as of macaddr8: FF and FE in the middle."""
    return (bits >> np.uint64(24) << np.uint64(40)) | np.uint64(0xFFFE << 24) | (bits & np.uint64(0xFFFFFF))


def narrowed(bits: Array) -> Any:
    """The inverse. Raises NumericValueOutOfRange for one that has others there."""
    if ((bits >> np.uint64(24)) & np.uint64(0xFFFF) != 0xFFFE).any():
        raise NumericValueOutOfRange(
            "macaddr8 data out of range to convert to macaddr",
            hint="Only addresses that have FF and FE as values in the 4th and 5th bytes from the left,"
            " for example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.",
        )
    return (bits >> np.uint64(40) << np.uint64(24)) | (bits & np.uint64(0xFFFFFF))


def write_wire(type: Type, values: Array) -> Array:
    """(rows, 6 or 8) uint8: the bytes."""
    return np.ascontiguousarray(_bytes(type, values))


def read_wire(type: Type, rows: Array) -> Array:
    """The inverse."""
    wide = np.zeros((len(rows), 8), np.uint8)
    wide[:, 8 - rows.shape[1] :] = rows
    return values_of(type, wide.reshape(-1).view(">u8").astype(np.uint64))
