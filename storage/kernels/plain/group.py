"""Hashing and numbering of 64-bit words: the meaning of the kernels behind GROUP BY, joins and DISTINCT.

A *word* is a uint64 that stands for a key. An index over distinct words is an open hash table `slots`
(int64, its length a power of two, -1 empty): word i is found by linear probing from the top bits of
`word * MIX`. Plain and compiled kernels read and write the same table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.int64]

MIX = np.uint64(0x9E37_79B9_7F4A_7C15)
_SHIFT = np.uint64(32)
_FOLD = np.uint64(29)


def mix_words(state: Words, words: Words, salt: int) -> Words:
    """`state` with `words` folded in: a hash of several words, row by row."""
    mixed = (state ^ (words + np.uint64(salt))) * MIX
    mixed ^= mixed >> _SHIFT
    mixed *= np.uint64(0xD6E8_FEB8_6659_FD93)
    return mixed ^ (mixed >> _FOLD)


def hash_bytes(offsets: Codes, data: npt.NDArray[np.uint8], salt: int) -> Words:
    """A hash of each string `data[offsets[i]:offsets[i + 1]]`: a polynomial over its bytes, and its length.

    The polynomial's base is odd and depends on the salt, so strings that meet under one do not under
    the next.
    """
    base = base_of(salt)
    lengths = np.diff(offsets)
    if not len(lengths):
        return np.zeros(0, np.uint64)
    powers = np.ones(int(lengths.max()) + 1, np.uint64)
    np.multiply.accumulate(np.full(len(powers) - 1, base), out=powers[1:])
    first, last = int(offsets[0]), int(offsets[-1])
    text = data[first:last].astype(np.uint64) + np.uint64(1)
    # Byte j of a string of n bytes counts base ** (n - 1 - j), as if read from left to right.
    ends = np.repeat(offsets[1:] - first, lengths)
    text *= powers[ends - 1 - np.arange(last - first)]
    sums = np.zeros(len(lengths), np.uint64)
    filled = lengths > 0
    if filled.any():
        sums[filled] = np.add.reduceat(text, (offsets[:-1] - first)[filled])
    # multiplied, or a short string's sum and its length could cancel each other
    return mix_words(sums * MIX, lengths.astype(np.uint64), salt)


def base_of(salt: int) -> np.uint64:
    """The odd base of `hash_bytes`."""
    return np.uint64((0x1000_0000_01B3 + 0x5851_F42D * 2 * salt) & 0xFFFF_FFFF_FFFF_FFFF)


def group_words(words: Words) -> tuple[Codes, Codes]:
    """(number of each row's word in order of first appearance, row of each first appearance)."""
    if not len(words):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    _, firsts, inverse = np.unique(words, return_index=True, return_inverse=True)
    order = np.argsort(firsts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[inverse.reshape(-1)], firsts[order].astype(np.int64)


def group_codes(numbers: Codes, limit: int) -> tuple[Codes, Codes]:
    """`group_words` of numbers from 0 to below `limit`."""
    return group_words(numbers.view(np.uint64))


def order_codes(codes: Codes, count: int) -> tuple[Codes, Codes]:
    """(where the rows of each code from 0 to `count` begin, one place more; the rows by code, as they come).

    Rows with a negative code are left out.
    """
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(codes[codes >= 0], minlength=count), out=starts[1:])
    order = np.argsort(codes, kind="stable")
    return starts, order[len(codes) - int(starts[-1]) :]


def place_words(slots: Codes, words: Words, start: int) -> None:
    """Enter words[start:] into the table; they are distinct and not in it, and there is room."""
    mask = len(slots) - 1
    codes = np.arange(start, len(words), dtype=np.int64)
    at = _home(words[start:], len(slots))
    while len(codes):
        empty = slots[at] < 0
        slots[at[empty]] = codes[empty]
        left = slots[at] != codes
        codes, at = codes[left], (at[left] + 1) & mask


def find_words(slots: Codes, distinct: Words, words: Words) -> Codes:
    """The number of each of `words` among `distinct`, or -1."""
    mask = len(slots) - 1
    found = np.full(len(words), -1, np.int64)
    rows = np.arange(len(words))
    at = _home(words, len(slots))
    while len(rows):
        codes = slots[at]
        here = codes >= 0
        rows, at, codes = rows[here], at[here], codes[here]
        hit = distinct[codes] == words[rows]
        found[rows[hit]] = codes[hit]
        rows, at = rows[~hit], (at[~hit] + 1) & mask
    return found


def _home(words: Words, size: int) -> Codes:
    """Where probing begins: the top bits of the mixed word."""
    shift = np.uint64(64 - (size.bit_length() - 1))
    return ((words * MIX) >> shift).astype(np.int64)
