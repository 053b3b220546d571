"""Twins of plain.members: one pass, no arrays between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from storage.kernels.plain.group import MIX
from storage.kernels.plain.members import Integers, Mask, Words

_VALUES = types.Array(types.int64, 1, "C", readonly=True)
_READ = types.Array(types.uint64, 1, "C", readonly=True)
_RANKS = types.Array(types.int64, 1, "C", readonly=True)
_WRITTEN = types.uint64[::1]
_OUT = types.int64[::1]
_U = np.uint64
_ONE, _SIX, _BITS, _FOLD, _EIGHT = _U(1), _U(6), _U(63), _U(32), _U(8)


@njit(types.void(_VALUES, types.int64, _WRITTEN), nogil=True, cache=True)
def _set(values, low, words):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        place = _U(values[i] - low)
        words[place >> _SIX] |= _ONE << (place & _BITS)


@njit(types.void(_VALUES, types.int64, _READ, types.boolean[::1]), nogil=True, cache=True)
def _among(values, low, words, out):  # type: ignore[no-untyped-def]
    room = _U(64 * len(words))
    for i in range(len(values)):
        place = _U(values[i] - low)
        inside = place < room
        place = place if inside else _U(0)
        out[i] = inside & ((words[place >> _SIX] >> (place & _BITS)) & _ONE != 0)


@intrinsic  # type: ignore[untyped-decorator]
def popcount(typing: Any, word: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), build


@njit(types.void(_READ, _OUT), nogil=True, cache=True)
def _count(words, out):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for i in range(len(words)):
        out[i] = total
        total += np.int64(popcount(words[i]))


@njit(types.void(_VALUES, types.int64, _READ, _RANKS, _OUT), nogil=True, cache=True)
def _rank(values, low, words, ranks, out):  # type: ignore[no-untyped-def]
    room = _U(64 * len(words))
    for i in range(len(values)):
        place = _U(values[i] - low)
        inside = place < room
        place = place if inside else _U(0)
        word, bit = words[place >> _SIX], _ONE << (place & _BITS)
        code = ranks[place >> _SIX] + np.int64(popcount(word & (bit - _ONE)))
        out[i] = code if inside & (word & bit != 0) else -1


@njit(types.uint64(types.int64), nogil=True, cache=True)
def _hashed(value):  # type: ignore[no-untyped-def]
    mixed = _U(value) * MIX
    return (mixed ^ (mixed >> _FOLD)) * MIX


@njit(types.uint64(types.uint64), nogil=True, cache=True)
def _pair(mixed):  # type: ignore[no-untyped-def]
    low = mixed >> _EIGHT
    return (_ONE << (low & _BITS)) | (_ONE << ((low >> _SIX) & _BITS))


@njit(types.void(_VALUES, _WRITTEN, types.uint64), nogil=True, cache=True)
def _put(values, words, shift):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        mixed = _hashed(values[i])
        at = mixed >> shift if shift < _U(64) else _U(0)
        words[at] |= _pair(mixed)


@njit(types.void(_VALUES, _READ, types.uint64, types.boolean[::1]), nogil=True, cache=True)
def _may(values, words, shift, out):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        mixed = _hashed(values[i])
        at = mixed >> shift if shift < _U(64) else _U(0)
        bits = _pair(mixed)
        out[i] = words[at] & bits == bits


def set_bits(values: Integers, low: int, words: Words) -> None:
    """See plain.members.set_bits."""
    _set(np.ascontiguousarray(values), low, words)


def among_bits(values: Integers, low: int, words: Words) -> Mask:
    """See plain.members.among_bits."""
    out = np.empty(len(values), np.bool_)
    _among(np.ascontiguousarray(values), low, words, out)
    return out


def count_bits(words: Words) -> Integers:
    """See plain.members.count_bits."""
    out = np.empty(len(words), np.int64)
    _count(np.ascontiguousarray(words), out)
    return out


def rank_bits(values: Integers, low: int, words: Words, ranks: Integers) -> Integers:
    """See plain.members.rank_bits."""
    out = np.empty(len(values), np.int64)
    _rank(np.ascontiguousarray(values), low, words, ranks, out)
    return out


def set_bloom(values: Integers, words: Words) -> None:
    """See plain.members.set_bloom."""
    _put(np.ascontiguousarray(values), words, _shift(words))


def among_bloom(values: Integers, words: Words) -> Mask:
    """See plain.members.among_bloom."""
    out = np.empty(len(values), np.bool_)
    _may(np.ascontiguousarray(values), words, _shift(words), out)
    return out


def _shift(words: Words) -> np.uint64:
    """How far right a hash goes to number a word."""
    return _U(64 - (len(words).bit_length() - 1))
