"""Bit strings: PostgreSQL's functions and operators over bit and varbit, pgvector's distances of bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.forms import bits
from engine.functions.registry import operator, scalar
from engine.functions.text import each
from storage.column import Array, Column
from storage.errors import (
    ArraySubscriptError,
    DataException,
    InvalidParameterValue,
    StringDataLengthMismatch,
    SubstringError,
)
from storage.types import BIT, FLOAT8, INT4, INT8, VARBIT, Type

_Measure = Callable[[Array, Array], Array]


def _pairs(left: Column, right: Column, measure: _Measure) -> Column:
    """The measure on rows of bytes, one side being constant or not. Raises DataException for lengths that
    differ."""
    if not len(left) or not len(right):
        return Column.of(FLOAT8, [])
    a, b = bits.uniform(left), bits.uniform(right)
    constant = left.constant and right.constant
    if a is not None and b is not None and a.shape[1] == b.shape[1] and a[0, -1] == b[0, -1]:
        return Column(FLOAT8, measure(a[:, :-1], b[:, :-1]), constant=constant)
    rows = max(len(left), len(right))
    found = []
    for x, y in zip(left.spread(rows).values.to_pylist(), right.spread(rows).values.to_pylist(), strict=True):
        m, n = bits.length_of(x), bits.length_of(y)
        if m != n:
            raise DataException(f"different bit lengths {m} and {n}")
        one, other = (np.frombuffer(raw, np.uint8, len(raw) - 1)[None, :] for raw in (x, y))
        found.append(measure(one, other)[0])
    return Column(FLOAT8, np.array(found, np.float64), constant=constant)


def _ones(rows: Array) -> Array:
    return np.asarray(np.bitwise_count(rows).sum(axis=1, dtype=np.int64))


def _hamming(a: Array, b: Array) -> Array:
    return _ones(a ^ b).astype(np.float64)


def _jaccard(a: Array, b: Array) -> Array:
    shared, either = _ones(a & b), _ones(a | b)
    return np.asarray(np.where(shared == 0, 1.0, 1.0 - shared / np.maximum(either, 1)))


@operator("<~>", [BIT, BIT], FLOAT8, constants=True)
@scalar("hamming_distance", [BIT, BIT], FLOAT8, constants=True)
def hamming_distance(left: Column, right: Column) -> Column:
    """How many bits differ."""
    return _pairs(left, right, _hamming)


@operator("<%>", [BIT, BIT], FLOAT8, constants=True)
@scalar("jaccard_distance", [BIT, BIT], FLOAT8, constants=True)
def jaccard_distance(left: Column, right: Column) -> Column:
    """1 minus what share of the bits that are set in either is set in both; 1 where none is."""
    return _pairs(left, right, _jaccard)


def _combined(what: str, combine: Callable[[int, int], int]) -> Callable[[Column, Column], Column]:
    def one(left: bytes, right: bytes) -> bytes:
        if bits.length_of(left) != bits.length_of(right):
            raise StringDataLengthMismatch(f"cannot {what} bit strings of different sizes")
        made = combine(int.from_bytes(left[:-1], "big"), int.from_bytes(right[:-1], "big"))
        return made.to_bytes(len(left) - 1, "big") + left[-1:]

    def apply(left: Column, right: Column) -> Column:
        return each(one, left, right, type=BIT)

    apply.__doc__ = f"Bit by bit: {what}."
    return apply


operator("&", [BIT, BIT], BIT)(_combined("AND", int.__and__))
operator("|", [BIT, BIT], BIT)(_combined("OR", int.__or__))
operator("#", [BIT, BIT], BIT)(_combined("XOR", int.__xor__))


@operator("~", [BIT], BIT)
def invert(column: Column) -> Column:
    """Every bit the other way."""
    turned = str.maketrans("01", "10")
    return each(lambda raw: bits.pack(bits.digits_of(raw).translate(turned)), column, type=BIT)


def _shifted(raw: bytes, count: int) -> bytes:
    """The bits moved left, or right where `count` is negative; zeros come after."""
    digits = bits.digits_of(raw)
    size = len(digits)
    if count >= 0:
        return bits.pack(digits[count:].ljust(size, "0"))
    return bits.pack(digits[: max(size + count, 0)].rjust(size, "0"))


@operator("<<", [BIT, INT4], BIT)
def shift_left(column: Column, count: Column) -> Column:
    """The bits moved left."""
    return each(_shifted, column, count, type=BIT)


@operator(">>", [BIT, INT4], BIT)
def shift_right(column: Column, count: Column) -> Column:
    """The bits moved right."""
    return each(lambda raw, n: _shifted(raw, -n), column, count, type=BIT)


@operator("||", [VARBIT, VARBIT], VARBIT)
def concat(left: Column, right: Column) -> Column:
    """The bits of both."""
    return each(lambda a, b: bits.pack(bits.digits_of(a) + bits.digits_of(b)), left, right, type=VARBIT)


def _part(raw: bytes, start: int, length: int | None = None) -> bytes:
    digits = bits.digits_of(raw)
    if length is not None and length < 0:
        raise SubstringError("negative substring length not allowed")
    end = len(digits) if length is None else max(start - 1 + length, 0)
    return bits.pack(digits[max(start - 1, 0) : end])


def _numbers(name: str, function: Callable[[bytes], int], result: Type) -> None:
    def apply(column: Column) -> Column:
        return each(function, column, type=result)

    apply.__doc__ = {"octet_length": "How many bytes.", "bit_count": "How many bits are set."}.get(
        name, "How many bits."
    )
    scalar(name, [BIT], result)(apply)


_numbers("length", bits.length_of, INT4)
_numbers("bit_length", bits.length_of, INT4)
_numbers("octet_length", lambda raw: len(raw) - 1, INT4)
_numbers("bit_count", lambda raw: int.from_bytes(raw[:-1], "big").bit_count(), INT8)


@scalar("substring", [BIT, INT4], BIT)
def substring(column: Column, start: Column) -> Column:
    """The bits from a position on, counted from 1."""
    return each(_part, column, start, type=BIT)


@scalar("substring", [BIT, INT4, INT4], BIT)
def substring_for(column: Column, start: Column, length: Column) -> Column:
    """So many bits from a position on, counted from 1."""
    return each(_part, column, start, length, type=BIT)


def _check_index(index: int, length: int) -> None:
    if not 0 <= index < length:
        raise ArraySubscriptError(f"bit index {index} out of valid range (0..{length - 1})")


@scalar("get_bit", [BIT, INT4], INT4)
def get_bit(column: Column, index: Column) -> Column:
    """The bit at an index, from 0."""

    def one(raw: bytes, index: int) -> int:
        digits = bits.digits_of(raw)
        _check_index(index, len(digits))
        return int(digits[index])

    return each(one, column, index, type=INT4)


@scalar("set_bit", [BIT, INT4, INT4], BIT)
def set_bit(column: Column, index: Column, value: Column) -> Column:
    """The bits with the one at an index, from 0, set to 0 or 1."""

    def one(raw: bytes, index: int, value: int) -> bytes:
        digits = bits.digits_of(raw)
        _check_index(index, len(digits))
        if value not in (0, 1):
            raise InvalidParameterValue("new bit must be 0 or 1")
        return bits.pack(f"{digits[:index]}{value}{digits[index + 1 :]}")

    return each(one, column, index, value, type=BIT)
