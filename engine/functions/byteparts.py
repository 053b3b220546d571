"""Parts of bytea and bit strings: bits and bytes at a place, overlay, trimming, position."""

from __future__ import annotations

from engine.forms import bits
from engine.functions.registry import scalar
from engine.functions.text import each
from storage.column import Column
from storage.errors import ArraySubscriptError, InvalidParameterValue, SubstringError
from storage.types import BIT, BYTEA, INT4, INT8


def _check(index: int, length: int) -> None:
    if not 0 <= index < length:
        raise ArraySubscriptError(f"index {index} out of valid range, 0..{length - 1}")


@scalar("bit_count", [BYTEA], INT8)
def bit_count(column: Column) -> Column:
    """How many bits are set."""
    return each(lambda raw: int.from_bytes(raw, "big").bit_count(), column, type=INT8)


@scalar("get_bit", [BYTEA, INT8], INT4)
def get_bit(column: Column, index: Column) -> Column:
    """The bit at an index from 0, the lowest of each byte first."""

    def one(raw: bytes, index: int) -> int:
        _check(index, 8 * len(raw))
        return raw[index // 8] >> index % 8 & 1

    return each(one, column, index, type=INT4)


@scalar("set_bit", [BYTEA, INT8, INT4], BYTEA)
def set_bit(column: Column, index: Column, value: Column) -> Column:
    """The bytes with the bit at an index, from 0, set to 0 or 1."""

    def one(raw: bytes, index: int, value: int) -> bytes:
        _check(index, 8 * len(raw))
        if value not in (0, 1):
            raise InvalidParameterValue("new bit must be 0 or 1")
        changed = bytearray(raw)
        changed[index // 8] = changed[index // 8] & ~(1 << index % 8) | value << index % 8
        return bytes(changed)

    return each(one, column, index, value, type=BYTEA)


@scalar("set_byte", [BYTEA, INT4, INT4], BYTEA)
def set_byte(column: Column, index: Column, value: Column) -> Column:
    """The bytes with the one at an index, from 0, replaced."""

    def one(raw: bytes, index: int, value: int) -> bytes:
        _check(index, len(raw))
        return raw[:index] + bytes((value & 0xFF,)) + raw[index + 1 :]

    return each(one, column, index, value, type=BYTEA)


@scalar("btrim", [BYTEA, BYTEA], BYTEA)
def btrim(column: Column, trimmed: Column) -> Column:
    """Without the bytes of a set at both ends."""
    return each(bytes.strip, column, trimmed, type=BYTEA)


@scalar("ltrim", [BYTEA, BYTEA], BYTEA)
def ltrim(column: Column, trimmed: Column) -> Column:
    """Without the bytes of a set at its start."""
    return each(bytes.lstrip, column, trimmed, type=BYTEA)


@scalar("rtrim", [BYTEA, BYTEA], BYTEA)
def rtrim(column: Column, trimmed: Column) -> Column:
    """Without the bytes of a set at its end."""
    return each(bytes.rstrip, column, trimmed, type=BYTEA)


def _check_start(start: int) -> None:
    if start <= 0:
        raise SubstringError("negative substring length not allowed")


@scalar("overlay", [BYTEA, BYTEA, INT4, INT4], BYTEA, defaults=1)
def overlay_bytes(column: Column, new: Column, start: Column, *length: Column) -> Column:
    """With other bytes in place of some, from a position on."""

    def one(raw: bytes, new: bytes, start: int, length: int | None = None) -> bytes:
        _check_start(start)
        behind = start - 1 + (len(new) if length is None else length)
        return raw[: start - 1] + new + raw[max(behind, 0) :]

    return each(one, column, new, start, *length, type=BYTEA)


@scalar("overlay", [BIT, BIT, INT4, INT4], BIT, defaults=1)
def overlay_bits(column: Column, new: Column, start: Column, *length: Column) -> Column:
    """With other bits in place of some, from a position on."""

    def one(raw: bytes, new: bytes, start: int, length: int | None = None) -> bytes:
        _check_start(start)
        digits, put = bits.digits_of(raw), bits.digits_of(new)
        behind = start - 1 + (len(put) if length is None else length)
        return bits.pack(digits[: start - 1] + put + digits[max(behind, 0) :])

    return each(one, column, new, start, *length, type=BIT)


@scalar("position", [BIT, BIT], INT4)
def position(column: Column, wanted: Column) -> Column:
    """Where the second bits first stand in the first, from 1; 0 if nowhere."""
    return each(lambda b, a: bits.digits_of(b).find(bits.digits_of(a)) + 1, column, wanted, type=INT4)
