"""Forms of bit and bit varying: binary digits as text, int32 bits and the bytes on the wire.

In a column: storage.types. `length_of` and `pack` know that layout, `uniform` turns a column of equal
lengths into rows of bytes for kernels.
"""

from __future__ import annotations

import re
import struct

import pyarrow as pa

from engine.forms.style import Style
from storage.column import Array, Column
from storage.errors import (
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    ProtocolViolation,
    StringDataLengthMismatch,
    StringDataRightTruncation,
)
from storage.rowbytes import rows_of
from storage.types import BIT, Type

_WRONG = {"binary": re.compile("[^01]"), "hexadecimal": re.compile("[^0-9a-fA-F]")}


def pack(digits: str) -> bytes:
    """Binary digits as they lie in a column."""
    size = -(-len(digits) // 8)
    padding = 8 * size - len(digits)
    return int((digits + "0" * padding) or "0", 2).to_bytes(size, "big") + bytes((padding,))


def length_of(raw: bytes) -> int:
    """How many bits a value has."""
    return 8 * (len(raw) - 1) - raw[-1]


def digits_of(raw: bytes) -> str:
    """A value as binary digits."""
    size = len(raw) - 1
    return f"{int.from_bytes(raw[:-1], 'big'):0{8 * size}b}"[: 8 * size - raw[-1]] if size else ""


def fitted(type: Type, raw: bytes, *, cut: bool = False) -> bytes:
    """A value in bit(n) or varbit(n): by force if `cut`. Raises where its length is another."""
    length = length_of(raw)
    if type.oid == BIT.oid:
        if type.modifier < 0 or length == type.modifier:
            return raw
        if not cut:
            raise StringDataLengthMismatch(f"bit string length {length} does not match type {type}")
        return pack(digits_of(raw)[: type.modifier].ljust(type.modifier, "0"))
    if type.modifier < 0 or length <= type.modifier:
        return raw
    if not cut:
        raise StringDataRightTruncation(f"bit string too long for type {type}")
    return pack(digits_of(raw)[: type.modifier])


def write_bits(column: Column, style: Style) -> pa.Array:
    """10110"""
    texts = [None if raw is None else digits_of(raw) for raw in column.values.to_pylist()]
    return pa.array(texts, pa.large_string())


def read_bits(type: Type, texts: list[str], style: Style) -> list[bytes]:
    """Binary digits, or hexadecimal ones behind an x. Raises what PostgreSQL's input functions raise."""
    return [fitted(type, pack(read_digits(text))) for text in texts]


def read_digits(text: str) -> str:
    """Binary digits of digits behind a b, an x (hexadecimal ones) or nothing.

    Raises InvalidTextRepresentation.
    """
    kind, digits = _parts(text)
    wrong = _WRONG[kind].search(digits)
    if wrong is not None:
        raise InvalidTextRepresentation(f'"{wrong[0]}" is not a valid {kind} digit')
    return digits if kind == "binary" else "".join(f"{int(digit, 16):04b}" for digit in digits)


def is_readable(text: str) -> bool:
    """Whether there are such digits only."""
    kind, digits = _parts(text)
    return _WRONG[kind].search(digits) is None


def _parts(text: str) -> tuple[str, str]:
    kind = "hexadecimal" if text[:1] in ("x", "X") else "binary"
    return kind, text[1:] if text[:1] in ("x", "X", "b", "B") else text


def write_wire(raw: bytes) -> bytes:
    """A value's binary form."""
    return struct.pack(">i", length_of(raw)) + raw[:-1]


def read_wire(type: Type, item: bytes, excess: str) -> bytes:
    """The inverse of `write_wire`. Raises what PostgreSQL's receive functions raise."""
    if len(item) < 4:
        raise ProtocolViolation("insufficient data left in message")
    (length,) = struct.unpack_from(">i", item)
    if length < 0:
        raise InvalidBinaryRepresentation("invalid length in external bit string")
    size = -(-length // 8)
    fitting = 8 * size - length
    if len(item) < 4 + size:
        raise ProtocolViolation("insufficient data left in message")
    if len(item) > 4 + size:
        raise InvalidBinaryRepresentation(excess)
    body = bytearray(item[4:])
    if fitting:  # what stands behind the last bit counts for nothing
        body[-1] &= 0xFF << fitting & 0xFF
    return fitted(type, bytes(body) + bytes((fitting,)))


def uniform(column: Column) -> Array | None:
    """(rows, bytes) uint8 of a column whose values have one length, the padding's count behind each; None
    where they have several. Rows under nulls are zeros."""
    rows, there = rows_of(column.values), column.is_valid()
    if rows is None or not there.any():
        return None
    return rows if (rows[there, -1] == rows[there, -1][0]).all() else None
