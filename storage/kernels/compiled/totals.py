"""Twin of plain.totals: a block of rows at a time goes through the program and into the table, in cache.

A block is taken whole or not at all: what its slots are to be given is looked at before any of it is.
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
from storage.kernels.plain import totals as plain
from storage.kernels.plain.programs import Array, Code
from storage.kernels.plain.totals import Added, Blocks, Digit, Kind, Mask, Source, Totals, Why

_U = np.uint64
_ROOM, _SPAN, _INFINITE = np.int64(plain.ROOM), np.int64(plain.SPAN), np.int64(plain.INFINITE)
_PLACES, _TABLE, _BYTES = types.int64[::1], types.int64[:, ::1], types.uint8[::1]
_DOUBLES, _INT = types.float64[::1], types.int64
_LOADED, _PACKED = 4, 6  # numbers that describe a load, and packed blocks: see _unpack
_NOTHING = np.zeros(1, np.int64)
_UNLOADED = loads_of([_NOTHING], [None])[0]  # of what lies in packed blocks
_MANTISSA, _TOP_BIT = np.int64((1 << 52) - 1), np.int64(1 << 52)
_ONE, _LAST = _U(1), _U(63)
_LEAST = np.int64(plain.LEAST)

_KNOWN, _SUM, _WIDE, _FLOAT, _TOP, _TOP_FLOAT = (int(kind) for kind in Kind)
_NO_ANSWER, _SPECIAL, _FULL, _BEYOND = (int(why) for why in list(Why)[1:])


@njit(types.void(_PLACES, _INT, _INT, _PLACES, _PLACES), nogil=True, cache=True)
def _unpack(blocks, start, n, out, aside):  # type: ignore[no-untyped-def]
    """Values of packed blocks. `blocks`: addresses of words, offsets, widths, bases; how many; the first."""
    count = blocks[4]
    offsets = i8(blocks[1], count + 1).view(np.uint64)
    words = i8(blocks[0], np.int64(offsets[count])).view(np.uint64)
    widths, bases = u1(blocks[2], count), i8(blocks[3], count).view(np.uint64)
    unpack_range(words, offsets, widths, bases, np.uint64(blocks[5] + start), out[:n], aside)


@njit(types.void(_TABLE, _INT, _INT, _PLACES, _PLACES, _DOUBLES, _BYTES, _PLACES), nogil=True, cache=True)
def _numbers(keys, start, n, out, value, floats, known, aside):  # type: ignore[no-untyped-def]
    """The groups of rows. `keys`: of each its load, packed blocks, limit, base, and the address and the
    length of its table, or zeros."""
    out[:n] = 0
    for k in range(len(keys)):
        if keys[k, _LOADED]:
            _unpack(keys[k, _LOADED:], start, n, value, aside)
        else:
            load_block(keys[k], start, n, value, floats, known)
        limit, base = keys[k, _LOADED + _PACKED], keys[k, _LOADED + _PACKED + 1]
        table, size = keys[k, _LOADED + _PACKED + 2], keys[k, _LOADED + _PACKED + 3]
        if keys[k, 2]:
            there = u1(keys[k, 2] + start, n)
            for i in range(n):
                value[i] = value[i] if there[i] else (0 if table else base)
        if table:
            found = i8(table, size)
            for i in range(n):
                value[i] = found[_U(value[i])]
        else:
            for i in range(n):
                value[i] -= base
        if keys[k, 2]:
            there = u1(keys[k, 2] + start, n)
            for i in range(n):
                value[i] = value[i] if there[i] else limit - 1
        if k == 0:
            out[:n] = value[:n]
        else:
            for i in range(n):
                out[i] = out[i] * limit + value[i]


@njit(types.void(_PLACES, _INT, _INT, _INT, _INT), nogil=True, cache=True)
def _place(numbers, n, groups, copies, mask):  # type: ignore[no-untyped-def]
    """Numbers of groups as places in `copies` tables of so many groups and one."""
    if mask:
        there = u1(mask, n)
        for i in range(n):
            numbers[i] = numbers[i] if there[i] else groups
    if copies > 1:
        for i in range(n):
            numbers[i] += (i & (copies - 1)) * (groups + 1)


@njit(types.void(_PLACES, _INT, _INT, _INT, _PLACES, _PLACES), nogil=True, cache=True)
def _count(places, n, first, width, firsts, words):  # type: ignore[no-untyped-def]
    """Count rows, numbered from `first` on, above all before; places become those of their words."""
    for i in range(n):
        line = _U(places[i])
        at = line * _U(width)
        before = words[at]
        if before == 0:
            firsts[line] = first + i
        words[at] = before + 1
        places[i] = np.int64(at)


@njit(types.int64(_PLACES, _INT), nogil=True, cache=True)
def _magnitude(values, n):  # type: ignore[no-untyped-def]
    """A power of two, at most _ROOM, that no magnitude is above; more than _ROOM where there is none."""
    bits = np.int64(0)
    for i in range(n):
        bits |= values[i] ^ (values[i] >> 63)
    if bits >= _ROOM:
        return _ROOM + 1
    bound = np.int64(1)
    while bound <= bits:
        bound <<= 1
    return bound


@njit(types.Tuple((_INT, _INT, types.boolean))(_PLACES, _INT), nogil=True, cache=True)
def _exponents(bits, n):  # type: ignore[no-untyped-def]
    """(the least and the greatest exponent of floats that are not 0, whether one of those that are is -0)."""
    least, most, minus = _INFINITE, np.int64(-1), np.int64(0)
    for i in range(n):
        exponent = (bits[i] >> 52) & _INFINITE
        zero = (bits[i] << 1) == 0
        minus |= np.int64(zero) & (bits[i] >> 63)
        least = min(least, _INFINITE if zero else exponent)
        most = max(most, np.int64(-1) if zero else exponent)
    return least, most, minus != 0


@njit(types.void(_PLACES, _INT, _INT, _PLACES, _PLACES), nogil=True, cache=True)
def _fixed_point(bits, n, base, low, high):  # type: ignore[no-untyped-def]
    """Floats in units of 2^(base - 1075), in two words."""
    for i in range(n):
        exponent = (bits[i] >> 52) & _INFINITE
        whole = _U((bits[i] & _MANTISSA) | _TOP_BIT) if exponent else _U(0)
        shift, sign = _U(max(exponent - base, 0)), bits[i] >> 63
        lower = np.int64(whole << shift)
        low[i] = (lower ^ sign) - sign
        # of minus a number all bits are turned, and one is added to the lower word
        high[i] = (np.int64((whole >> _ONE) >> (_LAST - shift)) ^ sign) + (np.int64(lower == 0) & -sign)


@njit(types.void(_PLACES, _INT, _INT, _PLACES, _PLACES), nogil=True, cache=True)
def _add(places, n, word, values, words):  # type: ignore[no-untyped-def]
    for i in range(n):
        words[_U(places[i] + word)] += values[i]


@njit(types.void(_PLACES, _INT, _INT, _PLACES, _PLACES, _PLACES), nogil=True, cache=True)
def _add_wide(places, n, word, low, high, words):  # type: ignore[no-untyped-def]
    for i in range(n):
        at = _U(places[i] + word)
        total = words[at] + low[i]
        words[at] = total
        words[at + _ONE] += high[i] + np.int64(_U(total) < _U(low[i]))


@njit(types.void(_PLACES, _INT, _INT, _PLACES, _PLACES), nogil=True, cache=True)
def _top(places, n, word, keys, words):  # type: ignore[no-untyped-def]
    for i in range(n):
        at = _U(places[i] + word)
        words[at] = np.int64(max(_U(words[at]), _U(keys[i])))


@njit(types.void(_PLACES, _INT, _BYTES, _PLACES), nogil=True, cache=True)
def _cleared(values, n, known, out):  # type: ignore[no-untyped-def]
    """The values that are there, and zeros."""
    for i in range(n):
        out[i] = values[i] & -np.int64(known[i])


@njit(types.void(_PLACES, _INT, _INT, _INT, types.boolean, _BYTES, _PLACES), nogil=True, cache=True)
def _ordered(values, n, kind, base, valids, known, out):  # type: ignore[no-untyped-def]
    """What a TOP compares."""
    for i in range(n):
        value = values[i] ^ ((values[i] >> 63) & _LEAST) if kind == _TOP_FLOAT else values[i]
        out[i] = value ^ base
    if valids:
        _cleared(out, n, known, out)


@njit(
    types.boolean(_PLACES, _INT, _INT, types.boolean, _PLACES, _BYTES, _TABLE, _PLACES, _PLACES),
    nogil=True,
    cache=True,
)
def _ready(slot, at, n, valids, values, known, given, bounds, told):  # type: ignore[no-untyped-def]
    """Make of values what a slot is given, given[0] and given[1]; whether it takes them."""
    kind, base = slot[0], slot[4]
    if kind == _KNOWN:
        for i in range(n):
            given[0, i] = np.int64(known[i])
        return True
    if kind == _TOP:
        _ordered(values, n, kind, base, valids, known, given[0])
        return True
    bits = given[2]
    if valids:
        _cleared(values, n, known, bits)
        values = bits
    if kind == _SUM:
        bound = _magnitude(values, n)
        if bound > _ROOM // n or bounds[at] + bound * n > _ROOM:
            told[0], told[1] = _FULL, at
            return False
        given[0, :n] = values[:n]
        given[1, 0] = bound * n
        return True
    if kind == _WIDE:
        for i in range(n):
            given[0, i] = values[i]
            given[1, i] = values[i] >> 63
        return True
    least, most, minus = _exponents(values, n)
    if least == 0 or most == _INFINITE or (minus and kind == _TOP_FLOAT):
        told[0], told[1] = _SPECIAL, at
        return False
    if kind == _TOP_FLOAT:
        _ordered(values, n, kind, base, valids, known, given[0])
        return True
    if most >= 0 and (least < base or most > base + _SPAN):
        told[0], told[1], told[2], told[3] = _BEYOND, at, least, most
        return False
    _fixed_point(values, n, base, given[0], given[1])
    return True


@njit(
    types.int64(
        CODE, *(_TABLE,) * 3, *(_INT,) * 6, types.boolean, _TABLE, _PLACES, _PLACES, _PLACES, _PLACES
    ),
    nogil=True,
    cache=True,
)
def _total(  # type: ignore[no-untyped-def]
    code, loads, packed, keys, begin, rows, number, groups, copies, mask, valids, slots, firsts, words,
    bounds, told
):  # fmt: skip
    """`packed`: of each load, packed blocks or zeros. Gives how many rows were taken; `told`: see Added."""
    count, width = len(loads), len(words) // len(firsts)
    ints = np.empty((count + len(code), BLOCK), np.int64)
    floats = ints.view(np.float64)
    there = np.ones((count + len(code), BLOCK), np.uint8)
    fixed = fixed_registers(code, loads)
    for k in range(count):
        if fixed[k]:
            load_fixed(loads[k], ints[k], floats[k])
    places, value, aside = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    given, known = np.empty((len(slots), 3, BLOCK), np.int64), np.ones(BLOCK, np.uint8)
    for start in range(begin, rows, BLOCK):
        n = min(BLOCK, rows - start)
        for k in range(count):
            if packed[k, 0]:
                _unpack(packed[k], start, n, ints[k], aside)
            elif not fixed[k]:
                load_block(loads[k], start, n, ints[k], floats[k], there[k])
        if not run_block(code, fixed, start == begin, n, valids, ints, floats, there):
            told[0] = _NO_ANSWER
            return start
        for s in range(len(slots)):
            values, seen = ints[slots[s, 1]], there[slots[s, 2]]
            if not _ready(slots[s], s, n, valids, values, seen, given[s], bounds, told):
                return start
        _numbers(keys, start, n, places, value, value.view(np.float64), known, aside)
        _place(places, n, groups, copies, mask + start if mask else 0)
        _count(places, n, number + start, width, firsts, words)
        for s in range(len(slots)):
            kind, word = slots[s, 0], slots[s, 3]
            if kind == _SUM:
                bounds[s] += given[s, 1, 0]
            if kind in (_SUM, _KNOWN):
                _add(places, n, word, given[s, 0], words)
            elif kind in (_WIDE, _FLOAT):
                _add_wide(places, n, word, given[s, 0], given[s, 1], words)
            else:
                _top(places, n, word, given[s, 0], words)
    return rows


def _described(source: Source) -> tuple[int, ...]:
    """Packed blocks as _unpack takes them; zeros for an array."""
    if not isinstance(source, Blocks):
        return (0,) * _PACKED
    return (*source.addresses, len(source.widths), source.start)


def _loads(sources: Sequence[Source], arrays: Sequence[Array], masks: Sequence[Array | None]) -> Array:
    """`loads_of`, of which packed blocks need their masks only."""
    loads = np.empty((len(sources), _LOADED), np.int64)
    loads[:] = _UNLOADED
    rest = [
        at
        for at, (source, mask) in enumerate(zip(sources, masks, strict=True))
        if mask is not None or not isinstance(source, Blocks)
    ]
    if rest:
        loads[rest] = loads_of([arrays[at] for at in rest], [masks[at] for at in rest])
    return loads


def _contiguous(source: Source) -> Array:
    return _NOTHING if isinstance(source, Blocks) else np.ascontiguousarray(source)


def add_totals(
    totals: Totals,
    code: Code,
    columns: Sequence[Source],
    valids: Sequence[Array | None],
    rows: int,
    start: int,
    number: int,
    keys: Sequence[Digit],
    mask: Mask | None,
) -> Added:
    """See plain.totals.add_totals."""
    # named, so that what addresses point to stays
    arrays = [_contiguous(each) for each in columns]
    masks = [None if valid is None else np.ascontiguousarray(valid) for valid in valids]
    digits = [_contiguous(key.source) for key in keys]
    there = [None if key.valid is None else np.ascontiguousarray(key.valid) for key in keys]
    seen = None if mask is None else np.ascontiguousarray(mask)
    loads, packed = _loads(columns, arrays, masks), [_described(each) for each in columns]
    described = [
        (*load, *_described(key.source), key.limit, key.base, *_address(key.table))
        for load, key in zip(_loads([key.source for key in keys], digits, there).tolist(), keys, strict=True)
    ]
    blocks = np.array(packed, np.int64).reshape(-1, _PACKED)
    loads[blocks[:, 0] != 0, 3] = 0
    told = np.zeros(4, np.int64)
    done = _total(
        code,
        loads,
        blocks,
        np.array(described, np.int64).reshape(-1, _LOADED + _PACKED + 4),
        start,
        rows,
        number,
        totals.groups,
        totals.copies,
        0 if seen is None else seen.ctypes.data,
        any(each is not None for each in masks),
        totals.slots,
        totals.firsts,
        totals.words.reshape(-1),
        totals.bounds,
        told,
    )
    why, *more = told.tolist()
    return Added(done, Why(why), *more)


def _address(table: Array | None) -> tuple[int, int]:
    return (0, 0) if table is None else (table.ctypes.data, len(table))
