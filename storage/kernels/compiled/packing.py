"""Twins of plain.packing: LANES values a step under one shift, which the compiler makes vectors of.

A block of which only a part is wanted is unpacked aside and copied. Indices are unsigned: a signed one
would be tested for being negative at every step, and the loops would not become vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

from storage.kernels.plain.packing import BLOCK, LANES, Integers, Mask, Widths, Words, block_offsets

__all__ = [
    "block_offsets",
    "pack_blocks",
    "select_blocks",
    "undelta_at",
    "undelta_blocks",
    "unpack_at",
    "unpack_blocks",
]

_U = np.uint64
_ZERO, _ONE, _SIX, _LOW, _WORD = _U(0), _U(1), _U(6), _U(63), _U(64)
_ALL = _U(0xFFFF_FFFF_FFFF_FFFF)
_LANES, _BLOCK = _U(LANES), _U(BLOCK)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_WIDTHS = types.Array(types.uint8, 1, "C", readonly=True)
_INTEGERS = types.Array(types.int64, 1, "C", readonly=True)
_FORMS = (types.uint8, types.int16, types.int32, types.int64)
BITS = (_WORDS, _WORDS, _WIDTHS, _WORDS)


@njit(inline="always")
def unpack_block(words, at, width, base, rows, out, here):  # type: ignore[no-untyped-def]
    """`rows` * LANES values of a block whose words begin at `at` into out[here:]."""
    if width == _ZERO:
        for i in range(rows * _LANES):
            out[here + i] = base
        return
    mask = _ALL >> (_WORD - width)
    for row in range(rows):
        bit = row * width
        shift = bit & _LOW
        source = at + (bit >> _SIX) * _LANES
        target = here + row * _LANES
        if shift + width <= _WORD:
            for lane in range(_LANES):
                out[target + lane] = base + ((words[source + lane] >> shift) & mask)
        else:
            rest = _WORD - shift
            for lane in range(_LANES):
                low = words[source + lane] >> shift
                high = words[source + _LANES + lane] << rest
                out[target + lane] = base + ((low | high) & mask)


@njit(inline="always")
def _sum(out, here, count, total):  # type: ignore[no-untyped-def]
    """Running sums from out[here + 1] on, out[here] being `total`."""
    for i in range(count):
        total += _U(out[here + i])
        out[here + i] = total


def _unpack_range(words, offsets, widths, bases, start, out, aside):  # type: ignore[no-untyped-def]
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        at, width, base = offsets[block], _U(widths[block]), bases[block]
        if within == _ZERO and wanted % _LANES == _ZERO:
            unpack_block(words, at, width, base, wanted // _LANES, out, done)
        else:
            unpack_block(words, at, width, base, (within + wanted + _LANES - _ONE) // _LANES, aside, _ZERO)
            for i in range(wanted):
                out[done + i] = aside[within + i]
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
    """The values of a block up to number `rows` * LANES into the int64 out[here:]."""
    base, first = bases[block], firsts[block]
    if widths[block] == 0:
        for i in range(rows * _LANES):
            out[here + i] = first + i * base
    else:
        unpack_block(words, offsets[block], _U(widths[block]), base, rows, out, here)
        _sum(out, here, rows * _LANES, first - base)


def _undelta_range(words, offsets, widths, bases, firsts, start, out, aside):  # type: ignore[no-untyped-def]
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        rows = (within + wanted + _LANES - _ONE) // _LANES
        _undelta(words, offsets, widths, bases, firsts, block, rows, aside, _ZERO)
        for i in range(wanted):
            out[done + i] = aside[within + i]
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


@njit(types.void(*BITS, types.uint64, types.int64, types.int64, types.boolean[::1]), nogil=True, cache=True)
def _select(words, offsets, widths, bases, start, low, high, out):  # type: ignore[no-untyped-def]
    aside = np.empty(BLOCK, np.uint64)
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        width, base = _U(widths[block]), np.int64(bases[block])
        reach = _ALL >> (_WORD - width) if width > _ZERO else _ZERO
        # the block's values lie between base and base + reach, which may be beyond int64
        if high < base or (low > base and _U(low) - _U(base) > reach):
            for i in range(wanted):
                out[done + i] = False
        elif low <= base and _U(high) - _U(base) >= reach:
            for i in range(wanted):
                out[done + i] = True
        else:
            least = _U(low) - _U(base) if low > base else _ZERO
            span = _U(high) - _U(base) - least
            rows = (within + wanted + _LANES - _ONE) // _LANES
            unpack_block(words, offsets[block], width, _ZERO, rows, aside, _ZERO)
            for i in range(wanted):
                out[done + i] = aside[within + i] - least <= span
        done += wanted
        row += wanted


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


def _compiled(body: Callable[..., None], *arguments: Any) -> Any:
    """A kernel for each form of `out`, which is the first argument that is written as None."""
    signatures = [
        types.void(*(form[::1] if argument is None else argument for argument in arguments))
        for form in _FORMS
    ]
    return njit(signatures, nogil=True, cache=True)(body)


_range = _compiled(_unpack_range, *BITS, types.uint64, None, None)
_rows = _compiled(_unpack_rows, *BITS, _WORDS, None)
_deltas = _compiled(_undelta_range, *BITS, _WORDS, types.uint64, None, types.uint64[::1])
_delta_rows = _compiled(_undelta_rows, *BITS, _WORDS, _WORDS, None, types.uint64[::1])


def ints_of(values: Integers) -> Words:
    """int64 as uint64: the bits stay."""
    return np.ascontiguousarray(values).view(np.uint64)


def _target(out: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """`out` as one of _FORMS: wrapping makes signs equal."""
    return out.view(f"i{out.dtype.itemsize}" if out.dtype.itemsize > 1 else np.uint8)


def pack_blocks(values: Integers, bases: Integers, widths: Widths, offsets: Integers) -> Words:
    """See plain.packing.pack_blocks."""
    words = np.zeros(int(offsets[-1]), np.uint64)
    _pack(ints_of(values), ints_of(bases), widths, ints_of(offsets), words)
    return words


def unpack_blocks(words, offsets, widths, bases, start, out):  # type: ignore[no-untyped-def]
    """See plain.packing.unpack_blocks."""
    target = _target(out)
    aside = np.empty(BLOCK, target.dtype)
    _range(words, ints_of(offsets), widths, ints_of(bases), _U(start), target, aside)


def unpack_at(words, offsets, widths, bases, rows, out):  # type: ignore[no-untyped-def]
    """See plain.packing.unpack_at."""
    _rows(words, ints_of(offsets), widths, ints_of(bases), ints_of(rows), _target(out))


def select_blocks(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    start: int,
    low: int,
    high: int,
    out: Mask,
) -> None:
    """See plain.packing.select_blocks."""
    _select(words, ints_of(offsets), widths, ints_of(bases), _U(start), low, high, out)


def undelta_blocks(words, offsets, widths, bases, firsts, start, out):  # type: ignore[no-untyped-def]
    """See plain.packing.undelta_blocks."""
    aside = np.empty(BLOCK, np.uint64)
    _deltas(words, ints_of(offsets), widths, ints_of(bases), ints_of(firsts), _U(start), _target(out), aside)


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
        _target(out),
        aside,
    )
