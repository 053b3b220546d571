"""Twins of plain.group: one pass over the rows instead of several over arrays.

The tables are the same: what one twin has placed the other finds. Inputs are declared read-only, which
writable arrays match too.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.plain.group import MIX, Codes, Words, base_of

_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_CODES = types.Array(types.int64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT = types.int64[::1]
_U = np.uint64
_ONE, _SHIFT, _FOLD, _SECOND = _U(1), _U(32), _U(29), _U(0xD6E8_FEB8_6659_FD93)


@njit(types.uint64(types.uint64, types.uint64, types.uint64), nogil=True, cache=True)
def _mixed(state, word, salt):  # type: ignore[no-untyped-def]
    mixed = (state ^ (word + salt)) * MIX
    mixed ^= mixed >> _SHIFT
    mixed *= _SECOND
    return mixed ^ (mixed >> _FOLD)


@njit(types.void(_WORDS, _WORDS, types.uint64, types.uint64[::1]), nogil=True, cache=True)
def _mix(state, words, salt, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = _mixed(state[i], words[i], salt)


@njit(types.void(_CODES, _BYTES, types.uint64, types.uint64, types.uint64[::1]), nogil=True, cache=True)
def _hash(offsets, data, base, salt, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        total = _U(0)
        for j in range(offsets[i], offsets[i + 1]):
            total = total * base + (_U(data[j]) + _ONE)
        out[i] = _mixed(total * MIX, _U(offsets[i + 1] - offsets[i]), salt)


@njit(types.int64(_WORDS, types.uint64, _OUT, _OUT, _OUT), nogil=True, cache=True)
def _group(words, shift, slots, codes, firsts):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    count = 0
    for i in range(len(words)):
        word = words[i]
        at = np.int64((word * MIX) >> shift)
        while True:
            code = slots[at]
            if code < 0:
                slots[at] = code = count
                firsts[count] = i
                count += 1
                break
            if words[firsts[code]] == word:
                break
            at = (at + 1) & mask
        codes[i] = code
    return count


@njit(types.int64(_CODES, _OUT, _OUT, _OUT), nogil=True, cache=True)
def _group_codes(numbers, table, codes, firsts):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(numbers)):
        code = table[numbers[i]]
        if code < 0:
            table[numbers[i]] = code = count
            firsts[count] = i
            count += 1
        codes[i] = code
    return count


@njit(types.void(_CODES, _OUT), nogil=True, cache=True)
def _starts(codes, starts):  # type: ignore[no-untyped-def]
    for i in range(len(codes)):
        if codes[i] >= 0:
            starts[codes[i] + 1] += 1
    for i in range(1, len(starts)):
        starts[i] += starts[i - 1]


@njit(types.void(_CODES, _OUT, _OUT), nogil=True, cache=True)
def _order(codes, ends, order):  # type: ignore[no-untyped-def]
    for i in range(len(codes)):
        code = codes[i]
        if code >= 0:
            order[ends[code]] = i
            ends[code] += 1


@njit(types.void(_OUT, types.uint64, _WORDS, types.int64), nogil=True, cache=True)
def _place(slots, shift, words, start):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    for i in range(start, len(words)):
        at = np.int64((words[i] * MIX) >> shift)
        while slots[at] >= 0:
            at = (at + 1) & mask
        slots[at] = i


@njit(types.void(_CODES, types.uint64, _WORDS, _WORDS, _OUT), nogil=True, cache=True)
def _find(slots, shift, distinct, words, out):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    for i in range(len(words)):
        word = words[i]
        at = np.int64((word * MIX) >> shift)
        code = slots[at]
        while code >= 0 and distinct[code] != word:
            at = (at + 1) & mask
            code = slots[at]
        out[i] = code


def mix_words(state: Words, words: Words, salt: int) -> Words:
    """See plain.group.mix_words."""
    out = np.empty(len(words), np.uint64)
    _mix(np.ascontiguousarray(state), np.ascontiguousarray(words), _U(salt), out)
    return out


def hash_bytes(offsets: Codes, data: np.ndarray, salt: int) -> Words:
    """See plain.group.hash_bytes."""
    out = np.empty(max(len(offsets) - 1, 0), np.uint64)
    _hash(np.ascontiguousarray(offsets), np.ascontiguousarray(data), base_of(salt), _U(salt), out)
    return out


def group_words(words: Words) -> tuple[Codes, Codes]:
    """See plain.group.group_words."""
    rows = len(words)
    size = 1 << max(2 * rows - 1, 1).bit_length()
    codes, firsts = np.empty(rows, np.int64), np.empty(rows, np.int64)
    slots = np.full(size, -1, np.int64)
    count = _group(np.ascontiguousarray(words), _shift(size), slots, codes, firsts)
    return codes, firsts[:count].copy()


def group_codes(numbers: Codes, limit: int) -> tuple[Codes, Codes]:
    """See plain.group.group_codes."""
    codes, firsts = np.empty(len(numbers), np.int64), np.empty(min(len(numbers), limit), np.int64)
    table = np.full(limit, -1, np.int64)
    count = _group_codes(np.ascontiguousarray(numbers), table, codes, firsts)
    return codes, firsts[:count].copy()


def order_codes(codes: Codes, count: int) -> tuple[Codes, Codes]:
    """See plain.group.order_codes."""
    codes = np.ascontiguousarray(codes)
    starts = np.zeros(count + 1, np.int64)
    _starts(codes, starts)
    order = np.empty(int(starts[-1]), np.int64)
    _order(codes, starts[:-1].copy(), order)
    return starts, order


def place_words(slots: Codes, words: Words, start: int) -> None:
    """See plain.group.place_words."""
    _place(slots, _shift(len(slots)), words, start)


def find_words(slots: Codes, distinct: Words, words: Words) -> Codes:
    """See plain.group.find_words."""
    out = np.empty(len(words), np.int64)
    _find(slots, _shift(len(slots)), distinct, np.ascontiguousarray(words), out)
    return out


def _shift(size: int) -> np.uint64:
    return _U(64 - (size.bit_length() - 1))
