"""Twin of plain.totals: a block of rows at a time goes through the program and into the table, in cache.

A block is taken whole or not at all: what its slots are to be given is looked at before any of it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit, types

from storage.kernels.compiled.packing import unpack_range
from storage.kernels.compiled.partners import find_block, look_up_block
from storage.kernels.compiled.programs import (
    BLOCK,
    CODE,
    KINDS,
    fixed_registers,
    i8,
    load_at,
    load_block,
    load_fixed,
    run_block,
    u1,
)
from storage.kernels.plain import totals as plain
from storage.kernels.plain.packing import Blocks
from storage.kernels.plain.programs import Array, Code
from storage.kernels.plain.totals import Added, Digit, Held, Kind, Mask, Meeting, Source, Totals, Why

_U = np.uint64
_ROOM, _SPAN, _INFINITE = np.int64(plain.ROOM), np.int64(plain.SPAN), np.int64(plain.INFINITE)
_PLACES, _TABLE, _BYTES = types.int64[::1], types.int64[:, ::1], types.uint8[::1]
_DOUBLES, _INT = types.float64[::1], types.int64
_LOADED, _SOURCE = 4, 11
"""How many numbers describe a load (see programs), and a source: a load, packed blocks (see _unpack) or
zeros, and the number of the meeting whose held rows it is of, from 1 on, or 0; of such a load the fifth is
how many rows are held."""
_HELD, _ROWS = _SOURCE - 1, _LOADED
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


@njit(types.void(_PLACES, _INT, _INT, _TABLE, _PLACES, _DOUBLES, _BYTES, _PLACES), nogil=True, cache=True)
def _fetch(source, start, n, met, ints, floats, known, aside):  # type: ignore[no-untyped-def]
    """Rows of a source, and where they have values; `met` are the held rows of each meeting."""
    if source[_HELD]:
        load_at(source[0], source[1], source[_ROWS], met[source[_HELD] - 1], n, ints, floats)
    elif source[_LOADED]:
        _unpack(source[_LOADED:], start, n, ints, aside)
    else:
        load_block(source, start, n, ints, floats, known)


@njit(types.void(_TABLE, _INT, _INT, _TABLE, _BYTES, _PLACES, _BYTES, _PLACES), nogil=True, cache=True)
def _meet(meetings, start, n, met, seen, value, there, aside):  # type: ignore[no-untyped-def]
    """Who the rows meet; whoever meets nobody is not seen. `meetings`: of each its keys' source, and what a
    Lookup has: low, the addresses of words, ranks, held rows and table, the lengths of words, held, table."""
    floats = value.view(np.float64)
    for m in range(len(meetings)):
        _fetch(meetings[m], start, n, met, value, floats, there, aside)
        lookup = meetings[m, _SOURCE:]
        low, keys = lookup[0], value.view(np.uint64)
        if lookup[4]:
            look_up_block(keys, _U(n), low, i8(lookup[4], lookup[7]), met[m], there, _U(0))
        else:
            words = i8(lookup[1], lookup[5]).view(np.uint64)
            ranks, held = i8(lookup[2], lookup[5]), i8(lookup[3], lookup[6])
            find_block(keys, _U(n), low, words, ranks, held, met[m], there, _U(0))
        for i in range(n):
            seen[i] &= there[i]


@njit(
    types.void(_TABLE, _INT, _INT, _TABLE, _PLACES, _PLACES, _DOUBLES, _BYTES, _PLACES),
    nogil=True,
    cache=True,
)
def _numbers(keys, start, n, met, out, value, floats, known, aside):  # type: ignore[no-untyped-def]
    """The groups of rows. `keys`: of each its source, limit, base, and the address and the length of its
    table, or zeros."""
    out[:n] = 0
    for k in range(len(keys)):
        _fetch(keys[k], start, n, met, value, floats, known, aside)
        limit, base = keys[k, _SOURCE], keys[k, _SOURCE + 1]
        table, size = keys[k, _SOURCE + 2], keys[k, _SOURCE + 3]
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


@njit(types.void(_PLACES, _INT, _INT, _INT, types.boolean, _BYTES), nogil=True, cache=True)
def _place(numbers, n, groups, copies, masked, seen):  # type: ignore[no-untyped-def]
    """Numbers of groups as places in `copies` tables of so many groups and one, of what is not seen."""
    if masked:
        for i in range(n):
            numbers[i] = numbers[i] if seen[i] else groups
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
    code, sources, keys, meetings, begin, rows, number, groups, copies, mask, valids, slots, firsts, words,
    bounds, told
):  # fmt: skip
    """`mask` is an address, or 0. Gives how many rows were taken; `told`: see Added."""
    count, width = len(sources), len(words) // len(firsts)
    ints = np.empty((count + len(code), BLOCK), np.int64)
    floats = ints.view(np.float64)
    there = np.ones((count + len(code), BLOCK), np.uint8)
    fixed = fixed_registers(code, sources)
    for k in range(count):
        if fixed[k]:
            load_fixed(sources[k], ints[k], floats[k])
    places, value, aside = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    given, known = np.empty((len(slots), 3, BLOCK), np.int64), np.ones(BLOCK, np.uint8)
    met, seen = np.empty((len(meetings), BLOCK), np.int64), np.ones(BLOCK, np.uint8)
    masked = mask != 0 or len(meetings) > 0
    for start in range(begin, rows, BLOCK):
        n = min(BLOCK, rows - start)
        if masked:
            seen[:n] = 1
            if mask:
                seen[:n] = u1(mask + start, n)
            _meet(meetings, start, n, met, seen, value, known, aside)
        for k in range(count):
            if not fixed[k]:
                _fetch(sources[k], start, n, met, ints[k], floats[k], there[k], aside)
        if not run_block(code, fixed, start == begin, n, valids, ints, floats, there):
            told[0] = _NO_ANSWER
            return start
        for s in range(len(slots)):
            values, has = ints[slots[s, 1]], there[slots[s, 2]]
            if not _ready(slots[s], s, n, valids, values, has, given[s], bounds, told):
                return start
        _numbers(keys, start, n, met, places, value, value.view(np.float64), known, aside)
        _place(places, n, groups, copies, masked, seen)
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


def _described(source: Source, valid: Array | None) -> tuple[int, ...]:
    """The numbers of a source: see _SOURCE. Arrays are contiguous."""
    there = 0 if valid is None else _address(valid)
    if isinstance(source, Blocks):
        return (0, 0, there, 0, *source.addresses, len(source.widths), source.start, 0)
    if isinstance(source, Held):
        values = source.values
        return (KINDS[values.dtype], source.address, there, 0, len(values), 0, 0, 0, 0, 0, source.meeting + 1)
    fixed = len(source) == 1 and valid is None
    return (KINDS[source.dtype], _address(source), there, fixed, 0, 0, 0, 0, 0, 0, 0)


def _contiguous(source: Any) -> Any:
    """A source, or None, whose addresses say all: to be held on to for as long as those are used."""
    return np.ascontiguousarray(source) if isinstance(source, np.ndarray) else source


def _numbered(meeting: Meeting, source: Source) -> tuple[int, ...]:
    """The numbers of a meeting: see _meet."""
    lookup = meeting.lookup
    held, table = (0 if each is None else len(each) for each in (lookup.held, lookup.table))
    return (*_described(source, None), lookup.low, *lookup.addresses, len(lookup.words), held, table)


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
    meetings: Sequence[Meeting] = (),
) -> Added:
    """See plain.totals.add_totals."""
    # named, so that what addresses point to stays
    arrays, masks = [*map(_contiguous, columns)], [*map(_contiguous, valids)]
    digits = [(_contiguous(key.source), _contiguous(key.valid)) for key in keys]
    asked = [_contiguous(meeting.source) for meeting in meetings]
    seen = _contiguous(mask)
    told = np.zeros(4, np.int64)
    done = _total(
        code,
        _table([*map(_described, arrays, masks)], _SOURCE),
        _table(
            [
                (*_described(*digit), key.limit, key.base, *_placed(key.table))
                for digit, key in zip(digits, keys, strict=True)
            ],
            _SOURCE + 4,
        ),
        _table([*map(_numbered, meetings, asked)], _SOURCE + 8),
        start,
        rows,
        number,
        totals.groups,
        totals.copies,
        0 if seen is None else _address(seen),
        any(each is not None for each in masks),
        totals.slots,
        totals.firsts,
        totals.words.reshape(-1),
        totals.bounds,
        told,
    )
    why, *more = told.tolist()
    return Added(done, Why(why), *more)


def _table(rows: Sequence[tuple[int, ...]], width: int) -> Array:
    return np.array(rows, np.int64) if rows else np.empty((0, width), np.int64)


def _address(array: Array) -> int:
    """Where an array's elements are; `ctypes` takes three times as long to say it."""
    return int(array.__array_interface__["data"][0])


def _placed(table: Array | None) -> tuple[int, int]:
    """The address and the length of a digit's table."""
    return (0, 0) if table is None else (_address(table), len(table))
