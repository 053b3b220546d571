"""Twins of plain.buckets: rows counted into buckets instead of sorted, chains followed hash by hash.

What one twin has built the other reads. A search writes what it finds into arrays with room for one row a
hash, and is done again with more room where that was too little.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.plain.buckets import Entries, Links, Positions, Words, bucket_bits, position_bits

_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_ENTRIES = types.Array(types.uint32, 1, "C", readonly=True)
_LINKS = types.int32[::1]
_OUT = types.int64[::1]
_U = np.uint64
_ONE, _HALF, _FILTER, _LOW = _U(1), _U(32), _U(31), _U(0xFFFF_FFFF)


@njit(
    types.void(_WORDS, _ROWS, types.uint64, types.uint64, types.uint64[::1], types.uint32[::1]),
    nogil=True,
    cache=True,
)
def _bucket(hashes, positions, bits, low, heads, entries):  # type: ignore[no-untyped-def]
    shift = _U(64) - bits
    width = _U(32) - low
    for i in range(len(hashes)):
        heads[np.int64(hashes[i] >> shift) + 1] += _ONE
    for i in range(1, len(heads)):
        heads[i] += heads[i - 1]
    # While they fill, a head's upper half is where its next entry goes.
    for i in range(len(heads)):
        heads[i] <<= _HALF
    for i in range(len(hashes)):
        at = np.int64(hashes[i] >> shift)
        tag = _U(0)
        if width:
            tag = ((hashes[i] >> (shift - width)) & ((_ONE << width) - _ONE)) << low
        entries[np.int64(heads[at] >> _HALF)] = np.uint32(_U(positions[i]) | tag)
        heads[at] = (heads[at] + (_ONE << _HALF)) | (_ONE << (hashes[i] & _FILTER))
    start = _U(0)
    for i in range(len(heads)):
        following = heads[i] >> _HALF
        heads[i] = (heads[i] & _LOW) | (start << _HALF)
        start = following


@njit(types.int64(_WORDS, _ENTRIES, types.uint64, _WORDS, _OUT, _OUT), nogil=True, cache=True)
def _probe(heads, entries, low, hashes, asked, found):  # type: ignore[no-untyped-def]
    bits = _U(0)
    while (1 << np.int64(bits)) < len(heads) - 1:
        bits += _ONE
    shift = _U(64) - bits
    width = _U(32) - low
    mask = (_ONE << low) - _ONE
    count = 0
    for i in range(len(hashes)):
        at = np.int64(hashes[i] >> shift)
        head = heads[at]
        if not (head >> (hashes[i] & _FILTER)) & _ONE:
            continue
        tag = _U(0)
        if width:
            tag = (hashes[i] >> (shift - width)) & ((_ONE << width) - _ONE)
        for j in range(np.int64(head >> _HALF), np.int64(heads[at + 1] >> _HALF)):
            entry = _U(entries[j])
            if entry >> low == tag:
                if count < len(asked):
                    asked[count] = i
                    found[count] = np.int64(entry & mask)
                count += 1
    return count


@njit(types.void(_LINKS, _LINKS, types.uint64, _WORDS, types.int64, types.int64), nogil=True, cache=True)
def _chain(slots, following, shift, hashes, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        at = np.int64(hashes[i] >> shift)
        following[i] = slots[at]
        slots[at] = i


@njit(types.int64(_LINKS, _LINKS, types.uint64, _WORDS, _WORDS, _OUT, _OUT), nogil=True, cache=True)
def _follow(slots, following, shift, hashes, asked, rows, found):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(asked)):
        at = slots[np.int64(asked[i] >> shift)]
        while at >= 0:
            if hashes[at] == asked[i]:
                if count < len(rows):
                    rows[count] = i
                    found[count] = at
                count += 1
            at = following[at]
    return count


def bucket_rows(hashes: Words, positions: Positions, rows: int) -> tuple[Words, Entries]:
    """See plain.buckets.bucket_rows."""
    bits, low = bucket_bits(len(hashes)), position_bits(rows)
    heads = np.zeros((1 << bits) + 1, np.uint64)
    entries = np.empty(len(hashes), np.uint32)
    _bucket(np.ascontiguousarray(hashes), np.ascontiguousarray(positions), _U(bits), _U(low), heads, entries)
    return heads, entries


def probe_buckets(heads: Words, entries: Entries, rows: int, hashes: Words) -> tuple[Positions, Positions]:
    """See plain.buckets.probe_buckets."""
    hashes, low, room = np.ascontiguousarray(hashes), _U(position_bits(rows)), len(hashes)
    while True:
        asked, found = np.empty(room, np.int64), np.empty(room, np.int64)
        count = _probe(heads, entries, low, hashes, asked, found)
        if count <= room:
            return asked[:count], found[:count]
        room = count


def chain_words(slots: Links, following: Links, hashes: Words, start: int, stop: int) -> None:
    """See plain.buckets.chain_words."""
    _chain(slots, following, _shift(slots), hashes, start, stop)


def probe_chains(slots: Links, following: Links, hashes: Words, asked: Words) -> tuple[Positions, Positions]:
    """See plain.buckets.probe_chains."""
    asked, room = np.ascontiguousarray(asked), len(asked)
    while True:
        rows, found = np.empty(room, np.int64), np.empty(room, np.int64)
        count = _follow(slots, following, _shift(slots), hashes, asked, rows, found)
        if count <= room:
            return rows[:count], found[:count]
        room = count


def _shift(slots: Links) -> np.uint64:
    return _U(64 - (len(slots).bit_length() - 1))
