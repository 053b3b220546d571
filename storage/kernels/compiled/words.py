"""Twins of plain.words: the digits of two words, 18 of them at a time."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.compiled.wide import TENS, ZERO, divide, negative
from storage.kernels.plain.words import Bytes, Integers, Scales

_U = np.uint64
_DIGITS, _PIECE = 39, 18
"""Decimal digits of two words, and those of a word that are taken at once."""
_TEN = _U(10)
_WORDS = types.Array(types.int64, 2, "C", readonly=True)
_SCALES = types.Array(types.int16, 1, "C", readonly=True)
_MORE = 8 + 2 * 12  # of a wire's form, beside the digits behind the point


@njit(nogil=True, error_model="numpy")
def _digits(words, out):  # type: ignore[no-untyped-def]
    """Write the digits of a number, the last one first, and zeros behind them; how many there are."""
    high, low = _U(words[0]), _U(words[1])
    if words[0] < 0:
        high, low = negative(high, low)
    piece, count = TENS[_PIECE], 0
    for start in range(0, _DIGITS, _PIECE):
        upper = high // piece
        found, rest = divide(high - upper * piece, low, piece)
        high, low = upper, found
        for place in range(start, min(start + _PIECE, _DIGITS)):
            after = rest // _TEN
            digit = rest - after * _TEN
            out[place] = np.uint8(digit)
            if digit != ZERO:
                count = place + 1
            rest = after
    return count


@njit(types.int64(_WORDS, _SCALES, types.int64[::1], types.uint8[::1]), nogil=True, cache=True)
def _texts(words, scales, lengths, out):  # type: ignore[no-untyped-def]
    digits = np.zeros(_DIGITS, np.uint8)
    at = 0
    for i in range(len(words)):
        scale, begin = np.int64(scales[i]), at
        if scale >= 0:
            count = max(_digits(words[i], digits), scale + 1)
            if words[i, 0] < 0:
                out[at] = 45
                at += 1
            for place in range(count - 1, -1, -1):
                out[at] = 48 + (digits[place] if place < _DIGITS else 0)
                at += 1
                if place == scale and scale > 0:
                    out[at] = 46
                    at += 1
        lengths[i] = at - begin
    return at


@njit(nogil=True)
def _put(out, at, word):  # type: ignore[no-untyped-def]
    out[at] = np.uint8((word >> 8) & 255)
    out[at + 1] = np.uint8(word & 255)


@njit(nogil=True)
def _group(digits, count, first):  # type: ignore[no-untyped-def]
    """The base-10000 digit whose last figure is digit `first`, which may be before the last one."""
    found, factor = np.int64(0), np.int64(1)
    for place in range(first, first + 4):
        if 0 <= place < count:
            found += factor * np.int64(digits[place])
        factor *= 10
    return found


@njit(types.int64(_WORDS, _SCALES, types.int64[::1], types.uint8[::1]), nogil=True, cache=True)
def _fields(words, scales, lengths, out):  # type: ignore[no-untyped-def]
    digits = np.zeros(_DIGITS, np.uint8)
    at = 0
    for i in range(len(words)):
        scale = np.int64(scales[i])
        if scale < 0:
            lengths[i] = 0
            continue
        count = _digits(words[i], digits)
        # the groups from the first with a figure on, as they lie around the point
        power = (count - 1 - scale) >> 2
        groups, begin = 0, at + 8
        if count > 0:
            for weight in range(power, -((scale + 3) >> 2) - 1, -1):
                found = _group(digits, count, scale + 4 * weight)
                _put(out, begin + 2 * (power - weight), found)
                if found > 0:
                    groups = power - weight + 1
        _put(out, at, groups)
        _put(out, at + 2, power if count > 0 else 0)
        _put(out, at + 4, 0x4000 if words[i, 0] < 0 else 0)
        _put(out, at + 6, scale)
        lengths[i] = 8 + 2 * groups
        at += lengths[i]
    return at


def word_texts(words: Integers, scales: Scales) -> tuple[Bytes, Integers]:
    """See plain.words.word_texts."""
    room = int(np.maximum(scales.astype(np.int64) + 3, _DIGITS + 2).sum())
    return _written(_texts, words, scales, room)


def word_fields(words: Integers, scales: Scales) -> tuple[Bytes, Integers]:
    """See plain.words.word_fields."""
    room = int(np.maximum(scales.astype(np.int64), 0).sum()) + _MORE * len(scales)
    return _written(_fields, words, scales, room)


def _written(kernel, words: Integers, scales: Scales, room: int) -> tuple[Bytes, Integers]:  # type: ignore[no-untyped-def]
    lengths, out = np.empty(len(scales), np.int64), np.empty(room, np.uint8)
    used = int(kernel(np.ascontiguousarray(words), np.ascontiguousarray(scales), lengths, out))
    return out[:used], lengths
