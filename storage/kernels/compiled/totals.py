"""Twin of plain.totals: a block of rows at a time goes through the program and into the sums, in cache.

A sum is gathered in one word as long as the magnitudes met so far cannot overflow it, and then goes on to
its two halves. Few groups are added up in COPIES places in turn, so that the next row seldom waits for the
one before. Rows outside the mask have a place of their own behind the groups, which nobody looks at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit, types

from storage.kernels.compiled.packing import unpack_range
from storage.kernels.compiled.programs import (
    BLOCK,
    CODE,
    fixed_registers,
    i8,
    load_block,
    load_fixed,
    loads_of,
    run_block,
    u1,
)
from storage.kernels.plain.programs import Array, Code
from storage.kernels.plain.sums import LOW
from storage.kernels.plain.totals import Blocks, Mask, Source, Totals

_COPIES = 4
_FEW = 512  # groups
_ROOM = np.int64(1) << 62  # what a word may gather
_LOW, _HALF = np.int64(LOW), np.int64(32)
_PLACES, _TABLE, _BYTES = types.int64[::1], types.int64[:, ::1], types.uint8[::1]
_PACKED = 6  # numbers that describe packed blocks: see _unpack
_NOTHING = np.zeros(1, np.int64)


@njit(types.void(_PLACES, types.int64, types.int64, _PLACES, _PLACES), nogil=True, cache=True)
def _unpack(blocks, start, n, out, aside):  # type: ignore[no-untyped-def]
    """Values of packed blocks. `blocks`: addresses of words, offsets, widths, bases; how many; the first."""
    count = blocks[4]
    offsets = i8(blocks[1], count + 1).view(np.uint64)
    words = i8(blocks[0], np.int64(offsets[count])).view(np.uint64)
    widths, bases = u1(blocks[2], count), i8(blocks[3], count).view(np.uint64)
    unpack_range(words, offsets, widths, bases, np.uint64(blocks[5] + start), out[:n], aside)


@njit(types.void(_TABLE, types.int64, types.int64, _PLACES, _PLACES, _PLACES), nogil=True, cache=True)
def _numbers(digits, start, n, out, value, aside):  # type: ignore[no-untyped-def]
    """The groups of rows. `digits`: of each column its limit, its array's address or 0, its packed blocks."""
    out[:n] = 0
    for d in range(len(digits)):
        limit = digits[d, 0]
        if digits[d, 1]:
            given = i8(digits[d, 1] + 8 * start, n)
            for i in range(n):
                out[i] = out[i] * limit + given[i]
        else:
            _unpack(digits[d, 2:], start, n, value, aside)
            for i in range(n):
                out[i] = out[i] * limit + value[i]


@njit(types.void(_PLACES, types.int64, types.int64, types.int64, types.int64), nogil=True, cache=True)
def _place(numbers, n, groups, copies, mask):  # type: ignore[no-untyped-def]
    """Numbers of groups as places in `copies` tables of so many groups and one."""
    if mask:
        there = u1(mask, n)
        for i in range(n):
            numbers[i] = numbers[i] if there[i] else groups
    if copies > 1:
        for i in range(n):
            numbers[i] += (i & (_COPIES - 1)) * (groups + 1)


@njit(types.void(_PLACES, types.int64, types.int64, _PLACES, _PLACES), nogil=True, cache=True)
def _count(places, start, n, firsts, counts):  # type: ignore[no-untyped-def]
    for i in range(n):
        at = places[i]
        before = counts[at]
        if before == 0:
            firsts[at] = start + i
        counts[at] = before + 1


@njit(types.int64(_PLACES, types.int64), nogil=True, cache=True)
def _magnitude(values, n):  # type: ignore[no-untyped-def]
    """A power of two, at most _ROOM, that is above all magnitudes; _ROOM where there is none."""
    bits = np.int64(0)
    for i in range(n):
        bits |= values[i] ^ (values[i] >> 63)
    bound = np.int64(1)
    while bound <= bits and bound < _ROOM:
        bound <<= 1
    return bound


@njit(types.void(_PLACES, _PLACES, _PLACES), nogil=True, cache=True)
def _settle(part, high, low):  # type: ignore[no-untyped-def]
    """Move on what is gathered."""
    for at in range(len(part)):
        high[at] += part[at] >> _HALF
        low[at] += part[at] & _LOW
        part[at] = 0


@njit(types.void(_PLACES, types.int64, _PLACES, _PLACES), nogil=True, cache=True)
def _gather(places, n, values, part):  # type: ignore[no-untyped-def]
    for i in range(n):
        part[places[i]] += values[i]


@njit(types.void(_PLACES, types.int64, _PLACES, _PLACES, _PLACES), nogil=True, cache=True)
def _add(places, n, values, high, low):  # type: ignore[no-untyped-def]
    for i in range(n):
        at = places[i]
        high[at] += values[i] >> _HALF
        low[at] += values[i] & _LOW


@njit(types.void(_PLACES, types.int64, _PLACES, _BYTES, _PLACES), nogil=True, cache=True)
def _clear(places, n, values, known, counts):  # type: ignore[no-untyped-def]
    """Count what is there, and make zeros of what is not."""
    for i in range(n):
        counts[places[i]] += known[i]
        values[i] &= -np.int64(known[i])


@njit(
    types.boolean(
        CODE, *(_TABLE,) * 3, *(types.int64,) * 3, types.boolean, _PLACES, *(_PLACES,) * 2, *(_TABLE,) * 3
    ),
    nogil=True,
    cache=True,
)
def _total(  # type: ignore[no-untyped-def]
    code, loads, packed, digits, rows, groups, mask, valids, sums, firsts, counts, known, high, low
):
    """`packed`: of each load, packed blocks or zeros."""
    count, copies = len(loads), len(counts) // (groups + 1)
    ints = np.empty((count + len(code), BLOCK), np.int64)
    floats = ints.view(np.float64)
    there = np.ones((count + len(code), BLOCK), np.uint8)
    fixed = fixed_registers(code, loads)
    for k in range(count):
        if fixed[k]:
            load_fixed(loads[k], ints[k], floats[k])
    places, value, aside = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    part, gathered = np.zeros(high.shape, np.int64), np.zeros(len(sums), np.int64)
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        for k in range(count):
            if packed[k, 0]:
                _unpack(packed[k], start, n, ints[k], aside)
            elif not fixed[k]:
                load_block(loads[k], start, n, ints[k], floats[k], there[k])
        if not run_block(code, fixed, start == 0, n, valids, ints, floats, there):
            return False
        _numbers(digits, start, n, places, value, aside)
        _place(places, n, groups, copies, mask + start if mask else 0)
        _count(places, start, n, firsts, counts)
        for s in range(len(sums)):
            values = ints[sums[s]]
            if valids:
                value[:n] = values[:n]
                values = value
                _clear(places, n, values, there[sums[s]], known[s])
            bound = _magnitude(values, n)
            if bound > (_ROOM - gathered[s]) // n:
                _settle(part[s], high[s], low[s])
                gathered[s] = 0
            if bound > _ROOM // n:
                _add(places, n, values, high[s], low[s])
            else:
                _gather(places, n, values, part[s])
                gathered[s] += bound * n
    for s in range(len(sums)):
        _settle(part[s], high[s], low[s])
    return True


def _described(source: Source) -> tuple[int, ...]:
    """Packed blocks as _unpack takes them; zeros for an array."""
    if not isinstance(source, Blocks):
        return (0,) * _PACKED
    addresses = (part.ctypes.data for part in source[:4])
    return (*addresses, len(source.widths), source.start)


def total_program(
    code: Code,
    columns: Sequence[Source],
    valids: Sequence[Array | None],
    rows: int,
    numbers: Sequence[Source],
    limits: Sequence[int],
    mask: Mask | None,
    sums: Sequence[int],
) -> Totals | None:
    """See plain.totals.total_program."""
    # named, so that what addresses point to stays
    arrays = [_NOTHING if isinstance(each, Blocks) else np.ascontiguousarray(each) for each in columns]
    masks = [None if valid is None else np.ascontiguousarray(valid) for valid in valids]
    given = [None if isinstance(each, Blocks) else np.ascontiguousarray(each) for each in numbers]
    seen = None if mask is None else np.ascontiguousarray(mask)
    loads = loads_of(arrays, masks)
    packed = np.array([_described(each) for each in columns], np.int64).reshape(-1, _PACKED)
    loads[packed[:, 0] != 0, 3] = 0
    digits = [
        (limit, 0 if array is None else array.ctypes.data, *_described(source))
        for limit, array, source in zip(limits, given, numbers, strict=True)
    ]
    groups = int(np.prod(limits, dtype=np.int64))
    copies = _COPIES if groups <= _FEW else 1
    shape, width = (len(sums), copies * (groups + 1)), copies * (groups + 1)
    firsts, counts = np.full(width, -1), np.zeros(width, np.int64)
    known, high, low = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    nulls = any(each is not None for each in masks)
    done = _total(
        code,
        loads,
        packed,
        np.array(digits, np.int64).reshape(-1, 2 + _PACKED),
        rows,
        groups,
        0 if seen is None else seen.ctypes.data,
        nulls,
        np.array(sums, np.int64),
        firsts,
        counts,
        known,
        high,
        low,
    )
    if not done:
        return None
    first = firsts.reshape(copies, -1)[:, :-1].view(np.uint64).min(axis=0).view(np.int64)
    counted = counts.reshape(copies, -1)[:, :-1].sum(axis=0)
    known, high, low = (
        each.reshape(len(sums), copies, groups + 1)[:, :, :-1].sum(axis=1) for each in (known, high, low)
    )
    if not nulls:
        known = np.broadcast_to(counted, known.shape)
    return Totals(first, counted, known, high, low)
