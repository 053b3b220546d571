"""Twins of plain.packing: whole blocks by the intrinsics of compiled.lanes, a vector of LANES values a step.

A block of which only a part is wanted is unpacked aside and copied. Indices are unsigned: a signed one
would be tested for being negative at every step, and the loops would not become vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types

from storage.kernels.compiled.lanes import expand_block, sum_block, total_block, unpack_block
from storage.kernels.plain.packing import (
    BLOCK,
    LANES,
    Array,
    Integers,
    Widths,
    Words,
    block_offsets,
)
from storage.kernels.plain.sums import LOW

__all__ = [
    "block_offsets",
    "pack_blocks",
    "total_blocks",
    "undelta_at",
    "undelta_blocks",
    "unpack_at",
    "unpack_blocks",
    "unpack_table",
]

_U = np.uint64
_ZERO, _ONE, _SIX, _LOW, _WORD = _U(0), _U(1), _U(6), _U(63), _U(64)
_ALL = _U(0xFFFF_FFFF_FFFF_FFFF)
_LANES, _BLOCK = _U(LANES), _U(BLOCK)
_SUMMED = _U(54)  # distances of so many bits can be summed up in a word, a block of them
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_WIDTHS = types.Array(types.uint8, 1, "C", readonly=True)
_INTEGERS = types.Array(types.int64, 1, "C", readonly=True)
_BYTES = types.uint8[::1]
FORMS = (types.uint8, types.int16, types.int32, types.int64)
"""Elements of the arrays that kernels fill: signs are equal where bits are."""
BITS = (_WORDS, _WORDS, _WIDTHS, _WORDS)


@njit(inline="always")
def rows_of(values):  # type: ignore[no-untyped-def]
    """How many rows so many values of a block take."""
    return (values + _LANES - _ONE) // _LANES


@njit(inline="always")
def fill(value, count, out, here):  # type: ignore[no-untyped-def]
    """The value `count` times into out[here:]."""
    for i in range(count):
        out[here + i] = value


@njit(inline="always")
def copy(source, begin, count, out, here):  # type: ignore[no-untyped-def]
    """source[begin:begin + count] into out[here:]."""
    for i in range(count):
        out[here + i] = source[begin + i]


def _unpack_range(words, offsets, widths, bases, start, out, aside):  # type: ignore[no-untyped-def]
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        at, width, base = offsets[block], _U(widths[block]), bases[block]
        if width == _ZERO:
            fill(base, wanted, out, done)
        elif within == _ZERO and wanted % _LANES == _ZERO:
            unpack_block(words, at, width, wanted // _LANES, base, out, done)
        else:
            unpack_block(words, at, width, rows_of(within + wanted), base, aside, _ZERO)
            copy(aside, within, wanted, out, done)
        done += wanted
        row += wanted


def _unpack_bytes(words, offsets, widths, bases, start, out, aside):  # type: ignore[no-untyped-def]
    """The same for bytes, which are booleans mostly: a bit each."""
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        at, width, base = offsets[block], _U(widths[block]), bases[block]
        if width == _ZERO:
            fill(base, wanted, out, done)
        elif width == _ONE and wanted == _BLOCK:
            expand_block(words, at, _ZERO, base, out, done)
        else:
            if width == _ONE:
                expand_block(words, at, _ZERO, base, aside, _ZERO)
            else:
                unpack_block(words, at, width, rows_of(within + wanted), base, aside, _ZERO)
            copy(aside, within, wanted, out, done)
        done += wanted
        row += wanted


def _unpack_rows(words, offsets, widths, bases, rows, out):  # type: ignore[no-untyped-def]
    for i in range(_U(len(rows))):
        row = rows[i]
        block, within = row // _BLOCK, row % _BLOCK
        width, value = _U(widths[block]), bases[block]
        if width > _ZERO:
            bit = (within // _LANES) * width
            at, shift = offsets[block] + (bit >> _SIX) * _LANES + within % _LANES, bit & _LOW
            distance = words[at] >> shift
            if shift + width > _WORD:
                distance |= words[at + _LANES] << (_WORD - shift)
            value += distance & (_ALL >> (_WORD - width))
        out[i] = value


@njit(inline="always")
def _undelta(words, offsets, widths, bases, firsts, block, rows, out, here):  # type: ignore[no-untyped-def]
    """The values of a block up to number `rows` * LANES into out[here:]."""
    base, first = bases[block], firsts[block]
    if widths[block] == 0:
        for i in range(rows * _LANES):
            out[here + i] = first + i * base
    else:
        sum_block(words, offsets[block], _U(widths[block]), rows, base, first - base, out, here)


def _undelta_range(words, offsets, widths, bases, firsts, start, out, aside):  # type: ignore[no-untyped-def]
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        if within == _ZERO and wanted % _LANES == _ZERO:
            _undelta(words, offsets, widths, bases, firsts, block, wanted // _LANES, out, done)
        else:
            rows = rows_of(within + wanted)
            _undelta(words, offsets, widths, bases, firsts, block, rows, aside, _ZERO)
            copy(aside, within, wanted, out, done)
        done += wanted
        row += wanted


def _undelta_rows(words, offsets, widths, bases, firsts, rows, out, aside):  # type: ignore[no-untyped-def]
    known, ready = _ALL, _ZERO
    for i in range(_U(len(rows))):
        block, within = rows[i] // _BLOCK, rows[i] % _BLOCK
        if block != known or within >= ready * _LANES:
            # as far as the rows that follow in this block ask for
            last = rows[i]
            ahead = i + _ONE
            while ahead < _U(len(rows)) and rows[ahead] // _BLOCK == block:
                last = max(last, rows[ahead])
                ahead += _ONE
            known, ready = block, last % _BLOCK // _LANES + _ONE
            _undelta(words, offsets, widths, bases, firsts, block, ready, aside, _ZERO)
        out[i] = aside[within]


@njit(types.UniTuple(types.int64, 2)(*BITS, types.uint64, types.uint64), nogil=True, cache=True)
def _total(words, offsets, widths, bases, start, stop):  # type: ignore[no-untyped-def]
    aside = np.empty(BLOCK, np.int64)
    high = low = np.int64(0)
    row = start
    while row < stop:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, stop - row)
        at, width, base = offsets[block], _U(widths[block]), bases[block]
        if width > _ZERO and (within > _ZERO or wanted < _BLOCK or width > _SUMMED):
            unpack_block(words, at, width, rows_of(within + wanted), base, aside, _ZERO)
            for i in range(wanted):
                high += aside[within + i] >> np.int64(32)
                low += aside[within + i] & np.int64(LOW)
        else:
            if width > _ZERO:
                total = total_block(words, at, width, _BLOCK // _LANES)
                high += np.int64(total >> _U(32))
                low += np.int64(total & _U(LOW))
            high += (np.int64(base) >> np.int64(32)) * np.int64(wanted)
            low += np.int64(base & _U(LOW)) * np.int64(wanted)
        row += wanted
    return high, low


@njit(types.void(_WORDS, _WORDS, _WIDTHS, _WORDS, types.uint64[::1]), nogil=True, cache=True)
def _pack(values, bases, widths, offsets, words):  # type: ignore[no-untyped-def]
    count = _U(len(values))
    for block in range(_U(len(widths))):
        width, base, at = _U(widths[block]), bases[block], offsets[block]
        if width == _ZERO:
            continue
        begin = block * _BLOCK
        for i in range(min(_BLOCK, count - begin)):
            distance = values[begin + i] - base
            bit = (i // _LANES) * width
            target, shift = at + (bit >> _SIX) * _LANES + i % _LANES, bit & _LOW
            words[target] |= distance << shift
            if shift + width > _WORD:
                words[target + _LANES] |= distance >> (_WORD - shift)


@njit(
    [types.boolean(*BITS, types.uint64, types.Array(f, 1, "C", readonly=True), f[::1]) for f in FORMS],
    nogil=True,
    cache=True,
)
def _table(words, offsets, widths, bases, start, table, out):  # type: ignore[no-untyped-def]
    """Whether all values are in the table; what is not leaves the rest undone."""
    aside = np.empty(BLOCK, np.uint64)
    count, row, done, size = _U(len(out)), start, _ZERO, _U(len(table))
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        at, width, base = offsets[block], _U(widths[block]), bases[block]
        if width == _ZERO:
            if base >= size:
                return False
            fill(table[base], wanted, out, done)
        else:
            unpack_block(words, at, width, rows_of(within + wanted), base, aside, _ZERO)
            last = _ZERO
            for i in range(wanted):
                last = max(last, aside[within + i])
            if last >= size:
                return False
            for i in range(wanted):
                out[done + i] = table[aside[within + i]]
        done += wanted
        row += wanted
    return True


def _compiled(body: Callable[..., None], *arguments: Any) -> Any:
    """A kernel for each form of `out`, which is the first argument that is written as None."""
    signatures = [
        types.void(*(form[::1] if argument is None else argument for argument in arguments)) for form in FORMS
    ]
    return njit(signatures, nogil=True, cache=True)(body)


unpack_range = _compiled(_unpack_range, *BITS, types.uint64, None, None)
"""Values from number `start` on as many as `out` takes: (*BITS, start, out, aside), aside BLOCK elements."""
_bytes = njit(types.void(*BITS, types.uint64, _BYTES, _BYTES), nogil=True, cache=True)(_unpack_bytes)
_rows = _compiled(_unpack_rows, *BITS, _WORDS, None)
_deltas = _compiled(_undelta_range, *BITS, _WORDS, types.uint64, None, None)
_delta_rows = _compiled(_undelta_rows, *BITS, _WORDS, _WORDS, None, types.uint64[::1])


def ints_of(values: Integers) -> Words:
    """int64 as uint64: the bits stay."""
    return np.ascontiguousarray(values).view(np.uint64)


def as_form(values: Array) -> Array:
    """Values of 1, 2, 4 or 8 bytes as one of FORMS: the bits stay."""
    return values.view(f"i{values.dtype.itemsize}" if values.dtype.itemsize > 1 else np.uint8)


def pack_blocks(values: Integers, bases: Integers, widths: Widths, offsets: Integers) -> Words:
    """See plain.packing.pack_blocks."""
    words = np.zeros(int(offsets[-1]), np.uint64)
    _pack(ints_of(values), ints_of(bases), widths, ints_of(offsets), words)
    return words


def unpack_blocks(words, offsets, widths, bases, start, out):  # type: ignore[no-untyped-def]
    """See plain.packing.unpack_blocks."""
    target = as_form(out)
    aside = np.empty(BLOCK, target.dtype)
    kernel = _bytes if target.dtype == np.uint8 else unpack_range
    kernel(words, ints_of(offsets), widths, ints_of(bases), _U(start), target, aside)


def unpack_table(words, offsets, widths, bases, start, table, out):  # type: ignore[no-untyped-def]
    """See plain.packing.unpack_table."""
    source, target = as_form(np.ascontiguousarray(table)), as_form(out)
    if not _table(words, ints_of(offsets), widths, ints_of(bases), _U(start), source, target):
        raise IndexError("a code beyond its table")


def unpack_at(words, offsets, widths, bases, rows, out):  # type: ignore[no-untyped-def]
    """See plain.packing.unpack_at."""
    _rows(words, ints_of(offsets), widths, ints_of(bases), ints_of(rows), as_form(out))


def total_blocks(
    words: Words, offsets: Integers, widths: Widths, bases: Integers, start: int, stop: int
) -> tuple[int, int]:
    """See plain.packing.total_blocks."""
    found: tuple[int, int] = _total(
        words, ints_of(offsets), widths, ints_of(bases), _U(start), _U(max(start, stop))
    )
    return found


def undelta_blocks(words, offsets, widths, bases, firsts, start, out):  # type: ignore[no-untyped-def]
    """See plain.packing.undelta_blocks."""
    target = as_form(out)
    aside = np.empty(BLOCK, target.dtype)
    _deltas(words, ints_of(offsets), widths, ints_of(bases), ints_of(firsts), _U(start), target, aside)


def undelta_at(words, offsets, widths, bases, firsts, rows, out):  # type: ignore[no-untyped-def]
    """See plain.packing.undelta_at."""
    aside = np.empty(BLOCK, np.uint64)
    _delta_rows(
        words,
        ints_of(offsets),
        widths,
        ints_of(bases),
        ints_of(firsts),
        ints_of(rows),
        as_form(out),
        aside,
    )
