"""Twins of plain.partners: a block of keys at a time, unpacked in cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from storage.kernels.compiled.members import popcount
from storage.kernels.compiled.packing import BITS, ints_of, unpack_range
from storage.kernels.plain.members import Integers, Mask, Words
from storage.kernels.plain.packing import BLOCK, Array, Blocks
from storage.kernels.plain.partners import Lookup

_U = np.uint64
_ZERO, _ONE, _SIX, _BITS = _U(0), _U(1), _U(6), _U(63)
_READ = types.Array(types.uint64, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_OUT, _MET = types.int64[::1], types.boolean[::1]
_SET = (types.int64, _READ, _NUMBERS, _NUMBERS, _OUT, _MET)
_LOOKED_UP = (types.int64, _NUMBERS, _OUT, _MET)
_NONE = np.zeros(0, np.int64)


@njit(inline="always")
def find_block(values, count, low, words, ranks, held, out, met, here):  # type: ignore[no-untyped-def]
    """Of so many values into out[here:] and met[here:]; how many are met."""
    room, found = _U(64) * _U(len(words)), _ZERO
    for i in range(count):
        place = _U(values[i]) - _U(low)
        inside = place < room
        place = place if inside else _ZERO
        word, bit = words[place >> _SIX], _ONE << (place & _BITS)
        there = inside & (word & bit != _ZERO)
        rank = ranks[place >> _SIX] + np.int64(popcount(word & (bit - _ONE)))
        out[here + i] = rank if there else 0
        met[here + i] = there
        found += _U(there)
    if len(held):
        for i in range(count):
            out[here + i] = held[_U(out[here + i])] if met[here + i] else 0
    return found


@njit(inline="always")
def look_up_block(values, count, low, table, out, met, here):  # type: ignore[no-untyped-def]
    """The same by a table."""
    last, missed = _U(len(table) - 1), np.int64(0)
    for i in range(count):
        found = table[min(_U(values[i]) - _U(low), last)]
        out[here + i] = max(found, np.int64(0))
        met[here + i] = found >= 0
        missed += found >> 63
    return count + _U(missed)


@njit(types.uint64(_READ, *_LOOKED_UP), nogil=True, cache=True)
def _plain_looked_up(values, low, table, out, met):  # type: ignore[no-untyped-def]
    return look_up_block(values, _U(len(out)), low, table, out, met, _ZERO)


@njit(types.uint64(*BITS, types.uint64, *_LOOKED_UP), nogil=True, cache=True)
def _packed_looked_up(bits, offsets, widths, bases, start, low, table, out, met):  # type: ignore[no-untyped-def]
    values, aside = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    rows, done, found = _U(len(out)), _ZERO, _ZERO
    while done < rows:
        count = min(_U(BLOCK) - (start + done) % _U(BLOCK), rows - done)
        unpack_range(bits, offsets, widths, bases, start + done, values[:count], aside)
        found += look_up_block(values, count, low, table, out, met, done)
        done += count
    return found


@njit(types.uint64(_READ, *_SET), nogil=True, cache=True)
def _plain(values, low, words, ranks, held, out, met):  # type: ignore[no-untyped-def]
    return find_block(values, _U(len(out)), low, words, ranks, held, out, met, _ZERO)


@njit(types.uint64(*BITS, types.uint64, *_SET), nogil=True, cache=True)
def _packed(bits, offsets, widths, bases, start, low, words, ranks, held, out, met):  # type: ignore[no-untyped-def]
    values, aside = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    rows, done, found = _U(len(out)), _ZERO, _ZERO
    while done < rows:
        # to the end of a block of the source: those that follow are unpacked whole
        count = min(_U(BLOCK) - (start + done) % _U(BLOCK), rows - done)
        unpack_range(bits, offsets, widths, bases, start + done, values[:count], aside)
        found += find_block(values, count, low, words, ranks, held, out, met, done)
        done += count
    return found


def find_partners(source: Array | Blocks, lookup: Lookup, out: Integers, met: Mask) -> int:
    """See plain.partners.find_partners."""
    if lookup.table is not None:
        return look_up_partners(source, lookup.low, lookup.table, out, met)
    held = _NONE if lookup.held is None else lookup.held
    asked = (lookup.low, lookup.words, lookup.ranks, held, out, met)
    if isinstance(source, Blocks):
        return int(_packed(*_blocks(source), *asked))
    return int(_plain(_ints(source), *asked))


def look_up_partners(source: Array | Blocks, low: int, table: Integers, out: Integers, met: Mask) -> int:
    """See plain.partners.look_up_partners."""
    if isinstance(source, Blocks):
        return int(_packed_looked_up(*_blocks(source), low, table, out, met))
    return int(_plain_looked_up(_ints(source), low, table, out, met))


def _ints(values: Array) -> Words:
    return ints_of(values.astype(np.int64, copy=False))


def _blocks(source: Blocks) -> tuple[Any, ...]:
    bits = (source.words, ints_of(source.offsets), source.widths, ints_of(source.bases))
    return (*bits, _U(source.start))
