"""Twins of plain.terms: a block of rows at a time, the terms one after the other as long as a row is left.

What a block's base and width decide of a term is not unpacked, and a block that a term rules out as a whole
is not looked at for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit, types

from storage.kernels.compiled.lanes import compare_block, expand_block, member_block, unpack_block
from storage.kernels.compiled.members import popcount
from storage.kernels.compiled.packing import fill, rows_of
from storage.kernels.compiled.programs import i8, u1
from storage.kernels.plain.packing import BLOCK, LANES, Integers, Mask
from storage.kernels.plain.terms import Term

_U = np.uint64
_ZERO, _ONE, _WORD = _U(0), _U(1), _U(64)
_ALL = _U(0xFFFF_FFFF_FFFF_FFFF)
_LANES, _BLOCK = _U(LANES), _U(BLOCK)
_NONE, _EVERY, _OPEN = 0, 1, 2  # of a block's rows: what is known of a term without unpacking
_TABLE = types.Array(types.int64, 2, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C", readonly=True)
_BYTES = types.uint8[::1]
_OUT = types.int64[::1]
_WORDS, _OFFSETS, _WIDTHS, _BASES, _COUNT, _LOW, _HIGH, _INSIDE, _LOOKED_UP, _FEW = range(10)
"""The numbers of a term: addresses, how many blocks, bounds, whether inside, and where there is a table its
address, behind its end one more that is false, and its items as bits, 0 where there are more than 64."""


@njit(types.int64(_TABLE, types.int64, types.uint64), nogil=True, cache=True)
def _decided(terms, t, block):  # type: ignore[no-untyped-def]
    """What is known of a block."""
    base = i8(terms[t, _BASES], terms[t, _COUNT])[block]
    width = _U(u1(terms[t, _WIDTHS], terms[t, _COUNT])[block])
    low, high = terms[t, _LOW], terms[t, _HIGH]
    reach = _ALL >> (_WORD - width) if width > _ZERO else _ZERO
    # the block's values lie between base and base + reach, which may be beyond int64
    found = _OPEN
    if low > high or high < base or (low > base and _U(low) - _U(base) > reach):
        found = _NONE
    elif not terms[t, _LOOKED_UP]:
        if low <= base and _U(high) - _U(base) >= reach:
            found = _EVERY
    elif width == _ZERO:
        found = _EVERY if u1(terms[t, _LOOKED_UP], high - low + 1)[base - low] else _NONE
    if found == _OPEN or terms[t, _INSIDE]:
        return found
    return _NONE if found == _EVERY else _EVERY


@njit(
    types.void(_TABLE, types.int64, types.uint64, types.uint64, _BYTES, types.uint64, types.uint64[::1]),
    nogil=True,
    cache=True,
)
def _compare(terms, t, block, values, out, here, codes):  # type: ignore[no-untyped-def]
    """What a term says of so many values, up to a whole row, of a block that is open, into out[here:]."""
    count = terms[t, _COUNT]
    offsets = i8(terms[t, _OFFSETS], count + 1)
    at, base = _U(offsets[block]), i8(terms[t, _BASES], count)[block]
    words = i8(terms[t, _WORDS], offsets[count]).view(np.uint64)
    width = _U(u1(terms[t, _WIDTHS], count)[block])
    low, high = terms[t, _LOW], terms[t, _HIGH]
    least = _U(low) - _U(base) if low > base else _ZERO
    if terms[t, _FEW]:
        bits = _U(terms[t, _FEW])
        member_block(words, at, width, rows_of(values), _U(low) - _U(base), bits, out, here)
    elif terms[t, _LOOKED_UP]:
        span = _U(high) - _U(low)
        table = u1(terms[t, _LOOKED_UP], high - low + 2)
        unpack_block(words, at, width, rows_of(values), _U(base) - _U(low), codes, _ZERO)
        for i in range(values):
            out[here + i] = table[min(codes[i], span + _ONE)]
    elif width == _ONE and values == _BLOCK:
        # one of 0 and 1 is looked for, or the block would be decided
        expand_block(words, at, _ZERO if least == _ONE else _ALL, _ZERO, out, here)
    else:
        compare_block(words, at, width, rows_of(values), least, _U(high) - _U(base) - least, out, here)
    if not terms[t, _INSIDE]:
        for i in range(values):
            out[here + i] ^= 1


@njit(inline="always")
def _meet(out, done, other, within, wanted):  # type: ignore[no-untyped-def]
    """Leave in out[done:] what is true in other[within:], too, of so many rows; whether there is any."""
    left = np.uint8(0)
    for i in range(wanted):
        found = out[done + i] & other[within + i]
        out[done + i] = found
        left |= found
    return left > 0


@njit(
    types.int64(
        *(_TABLE, _PLACES, types.uint64, types.uint64, types.uint64, _BYTES, types.uint64),
        *(_OUT, _BYTES, types.uint64[::1]),
    ),
    nogil=True,
    cache=True,
)
def _met(terms, masks, row, wanted, done, out, here, known, aside, codes):  # type: ignore[no-untyped-def]
    """Which of so many rows from `row` on, all of one block, meet all: into out[here:], if they are open.

    Or what is known of all of them. `masks` are addresses, in which the rows come behind `done` others;
    `known`, `aside` and `codes` are room for a number a term and for a block's rows.
    """
    block, within = row // _BLOCK, row % _BLOCK
    for t in range(len(terms)):
        known[t] = _decided(terms, t, block)
        if known[t] == _NONE:
            return _NONE
    begun = False
    for t in range(len(terms)):
        if known[t] != _OPEN:
            continue
        if not begun and within == _ZERO and wanted % _LANES == _ZERO:
            _compare(terms, t, block, wanted, out, here, codes)
        else:
            if not begun:
                fill(1, wanted, out, here)
            _compare(terms, t, block, within + wanted, aside, _ZERO, codes)
            if not _meet(out, here, aside, within, wanted):
                return _NONE
        begun = True
    if len(masks) and not begun:
        fill(1, wanted, out, here)
        begun = True
    for m in range(len(masks)):
        if not _meet(out, here, u1(masks[m] + np.int64(done), np.int64(wanted)), _ZERO, wanted):
            return _NONE
    return _OPEN if begun else _EVERY


@njit(types.void(_TABLE, _PLACES, types.uint64, _BYTES), nogil=True, cache=True)
def _select(terms, masks, start, out):  # type: ignore[no-untyped-def]
    """See select_terms."""
    known, aside, codes = (
        np.empty(len(terms), np.int64),
        np.empty(BLOCK, np.uint8),
        np.empty(BLOCK, np.uint64),
    )
    count, done = _U(len(out)), _ZERO
    while done < count:
        row = start + done
        wanted = min(_BLOCK - row % _BLOCK, count - done)
        found = _met(terms, masks, row, wanted, done, out, done, known, aside, codes)
        if found != _OPEN:
            fill(1 if found == _EVERY else 0, wanted, out, done)
        done += wanted


@njit(types.int64(_TABLE, _PLACES, types.uint64, types.uint64), nogil=True, cache=True)
def _counted(terms, masks, start, count):  # type: ignore[no-untyped-def]
    """See count_terms."""
    known, aside, codes = (
        np.empty(len(terms), np.int64),
        np.empty(BLOCK, np.uint8),
        np.empty(BLOCK, np.uint64),
    )
    out = np.empty(BLOCK, np.uint8)
    done, total = _ZERO, np.int64(0)
    while done < count:
        row = start + done
        wanted = min(_BLOCK - row % _BLOCK, count - done)
        found = _met(terms, masks, row, wanted, done, out, _ZERO, known, aside, codes)
        if found == _EVERY:
            total += np.int64(wanted)
        elif found == _OPEN:
            for i in range(wanted):
                total += out[i]
        done += wanted
    return total


_GATHER = _U(0x0102_0408_1020_4080)
"""Eight bytes of 0 or 1, the first one lowest, times this have them as bits in their highest byte."""
_ORDERS = np.array([sorted(range(8), key=lambda i: not byte >> i & 1) for byte in range(256)], np.uint8)
"""(256, 8) the numbers of a byte's set bits, lowest first, and then the others."""


@njit(types.void(types.Array(types.uint8, 1, "C", readonly=True), types.int64, _OUT), nogil=True, cache=True)
def _true(mask, first, out):  # type: ignore[no-untyped-def]
    """`out` has room for seven more, which are written behind the last one."""
    rows = len(mask)
    whole = rows // 8
    words = mask[: 8 * whole].view(np.uint64)
    found = np.int64(0)
    for word in range(whole):
        if words[word]:
            which = (words[word] * _GATHER) >> _U(56)
            for i in range(8):
                out[found + i] = first + 8 * word + _ORDERS[which, i]
            found += np.int64(popcount(words[word]))
    for i in range(8 * whole, rows):
        out[found] = first + i
        found += mask[i]


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _described(term: Term) -> Any:
    """The numbers of a term, and the arrays that addresses point to."""
    if term.described is None:
        arrays, addresses = [], term.addresses
        if addresses is None:
            arrays = [np.ascontiguousarray(a) for a in (term.words, term.offsets, term.widths, term.bases)]
            addresses = tuple(map(_address, arrays))
        looked_up = bits = 0
        if term.table is not None:
            table = np.append(term.table, np.False_)
            arrays.append(table)
            looked_up = _address(table)
            if len(term.table) <= 64:
                bits = sum(1 << place for place in np.flatnonzero(table).tolist())
                bits -= (bits >> 63) << 64  # as int64
        bounds = (term.low, term.high, int(term.inside))
        numbers = (*addresses, len(term.widths), *bounds, looked_up, bits)
        term.described = np.array(numbers, np.int64), arrays
    return term.described[0]


def select_terms(terms: Sequence[Term], masks: Sequence[Mask], start: int, out: Mask) -> None:
    """See plain.terms.select_terms."""
    given = _contiguous(masks)
    _select(_numbers(terms), _places(given), _U(start), out.view(np.uint8))


def count_terms(terms: Sequence[Term], masks: Sequence[Mask], start: int, stop: int) -> int:
    """See plain.terms.count_terms."""
    given = _contiguous(masks)
    return int(_counted(_numbers(terms), _places(given), _U(start), _U(stop - start)))


def _contiguous(masks: Sequence[Mask]) -> Sequence[Mask]:
    """The masks so that their addresses say all: to be held on to for as long as those are used."""
    return [np.ascontiguousarray(mask) for mask in masks]


def _numbers(terms: Sequence[Term]) -> Any:
    return np.array([_described(term) for term in terms], np.int64).reshape(-1, _FEW + 1)


def _places(masks: Sequence[Mask]) -> Any:
    return np.array([_address(mask) for mask in masks], np.int64)


def true_rows(mask: Mask, first: int) -> Integers:
    """See plain.terms.true_rows."""
    count = int(np.count_nonzero(mask))
    out = np.empty(count + 7, np.int64)
    if count:
        _true(np.ascontiguousarray(mask).view(np.uint8), first, out)
    return out[:count]
