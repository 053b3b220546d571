"""Whether whole numbers are among others, by bits: the meaning of the kernels behind filters of join keys.

A *bit set* over [low, low + 64 n) is n words: number v is bit (v - low) % 64 of word (v - low) // 64. A
*bloom filter* is a power of two of words: the top bits of a number's hash choose a word, 12 of its low ones
two bits of it, both of which are set. It may say yes to a number that was never put in, and never no to one
that was. Of blocked ones see Putze, Sanders, Singler: Cache-, hash- and space-efficient Bloom filters, 2007.

With how many bits are set before each word, a bit set numbers what is in it, in ascending order, in less than
two bits for each number of its range: see Jacobson: Space-efficient static trees and graphs, FOCS 1989.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.group import MIX

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_ONE, _SIX, _SIXTY_THREE, _FOLD = np.uint64(1), np.uint64(6), np.uint64(63), np.uint64(32)


def set_bits(values: Integers, low: int, words: Words) -> None:
    """Put numbers into a bit set, which has room for them all."""
    places = (values - low).view(np.uint64)
    np.bitwise_or.at(words, (places >> _SIX).astype(np.int64), _ONE << (places & _SIXTY_THREE))


def among_bits(values: Integers, low: int, words: Words) -> Mask:
    """(n,) which numbers are in a bit set; those it has no room for are not."""
    places = (values - np.int64(low)).view(np.uint64)
    inside = places < np.uint64(64 * len(words))
    places = np.where(inside, places, np.uint64(0))
    found = words[(places >> _SIX).astype(np.int64)] >> (places & _SIXTY_THREE) & _ONE
    result: Mask = inside & (found != 0)
    return result


def count_bits(words: Words) -> Integers:
    """(n,) how many bits are set in all words before each."""
    counts = np.bitwise_count(words).astype(np.int64)
    return np.cumsum(counts) - counts


def rank_bits(values: Integers, low: int, words: Words, ranks: Integers) -> Integers:
    """(n,) how many smaller numbers are in a bit set, -1 for what is not in it; `ranks` of count_bits."""
    found = among_bits(values, low, words)
    places = np.where(found, (values - np.int64(low)).view(np.uint64), np.uint64(0))
    at = (places >> _SIX).astype(np.int64)
    before = words[at] & ((_ONE << (places & _SIXTY_THREE)) - _ONE)
    return np.where(found, ranks[at] + np.bitwise_count(before), -1)


def set_bloom(values: Integers, words: Words) -> None:
    """Put numbers into a bloom filter."""
    at, bits = _places(values, len(words))
    np.bitwise_or.at(words, at, bits)


def among_bloom(values: Integers, words: Words) -> Mask:
    """(n,) which numbers a bloom filter may hold."""
    at, bits = _places(values, len(words))
    result: Mask = (words[at] & bits) == bits
    return result


def _places(values: Integers, count: int) -> tuple[Integers, Words]:
    hashes = values.view(np.uint64) * MIX
    hashes = (hashes ^ (hashes >> _FOLD)) * MIX
    at = (
        (hashes >> np.uint64(64 - (count.bit_length() - 1)))
        if count > 1
        else np.zeros(len(values), np.uint64)
    )
    low = hashes >> np.uint64(8)
    bits = (_ONE << (low & _SIXTY_THREE)) | (_ONE << ((low >> _SIX) & _SIXTY_THREE))
    return at.astype(np.int64), bits
