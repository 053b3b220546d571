"""pg_lsn and xid8: counters of 64 bits without a sign.

They lie in an int64 with the highest bit turned over, so that comparing the integers compares the counters.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from engine.forms.numbers import invalid
from engine.forms.style import Style
from storage.column import Array, Column
from storage.types import PG_LSN, Type

TOP = 1 << 63
_MOST = (1 << 64) - 1
_LSN = re.compile("([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
# PostgreSQL lets strtoull read: what follows the digits is ignored, and no digits are 0
_NUMBER = re.compile(r"\s*([+-]?)(0[xX][0-9A-Fa-f]+|0[0-7]*|[0-9]*)")
_BASES = {"0x": 16, "0X": 16}


def counts_of(values: Array) -> Array:
    """The counters themselves, as uint64."""
    return np.ascontiguousarray(values).view(np.uint64) ^ np.uint64(TOP)


def lsn_text(value: int) -> str:
    """16/B374D848"""
    count = value + TOP
    return f"{count >> 32:X}/{count & 0xFFFF_FFFF:X}"


def write_counter(column: Column, style: Style) -> pa.Array:
    """The halves of a pg_lsn as hexadecimal numbers; xid8 in decimal."""
    shown = lsn_text if column.type.oid == PG_LSN.oid else lambda value: str(value + TOP)
    mask = None if column.valid is None else ~column.valid
    return pa.array([shown(value) for value in column.values.tolist()], pa.large_string(), mask=mask)


def read_counter(type: Type, texts: list[str], style: Style) -> list[int]:
    """Raises InvalidTextRepresentation."""
    return [(_lsn(type, text) if type.oid == PG_LSN.oid else _xid(text)) - TOP for text in texts]


def _lsn(type: Type, text: str) -> int:
    found = _LSN.fullmatch(text)
    if found is None:
        raise invalid(type, text)
    return (int(found[1], 16) << 32) + int(found[2], 16)


def _xid(text: str) -> int:
    found = _NUMBER.match(text)
    assert found is not None
    sign, digits = found.groups()
    base = _BASES.get(digits[:2], 8 if digits.startswith("0") else 10)
    count = int(digits or "0", base)
    return _MOST if count > _MOST else -count & _MOST if sign == "-" else count


def write_wire(values: Array) -> Array:
    """(rows, 8) uint8: the counters, big-endian."""
    return counts_of(values).astype(">u8").reshape(len(values), 1).view(np.uint8)


def read_wire(rows: Array) -> Array:
    """The inverse."""
    counts = np.ascontiguousarray(rows).reshape(-1).view(">u8").astype(np.uint64)
    return (counts ^ np.uint64(TOP)).view(np.int64)
