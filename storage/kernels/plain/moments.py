"""Sums of whole numbers and of their squares, and what numeric makes of them: means and variances.

A group has two halves of its sum (`high` 2^32 + `low`) and four digits of its sum of squares, each worth
2^32 times the one before, all int64: 2^31 rows of any int64 fit without a carry.

An answer is a whole number of two words, (rows, 2) int64, the upper one first, that counts units of
10^-scale; each has the scale that PostgreSQL gives a quotient (select_div_scale of its numeric.c): 16 digits
at least that mean something, by digits in base 10000. NULL is the scale of an answer that is none, LEFT that
of one which takes more than two words, here or on the way.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Scales = npt.NDArray[np.int16]

NULL, LEFT = -1, -2
DIGITS = 4
"""Of a sum of squares."""
SIGNIFICANT = 16
MOST_ROWS = 1 << 31
ROOT_SCALE = 38
"""The finest scale of a root that is had in words."""
_WORD, _HALF = 64, 32
_LOW = (1 << _HALF) - 1


def sum_squares(
    groups: Integers, values: npt.NDArray[np.signedinteger], counts: Integers, high: Integers, low: Integers,
    squares: Integers,
) -> None:  # fmt: skip
    """Add each value to its group: to `counts`, `high` and `low` (groups,), `squares` (groups, DIGITS)."""
    wide = values.astype(np.int64)
    np.add.at(counts, groups, 1)
    np.add.at(high, groups, wide >> _HALF)
    np.add.at(low, groups, wide & _LOW)
    size = np.where(wide < 0, 0 - wide.view(np.uint64), wide.view(np.uint64))
    upper, lower = size >> np.uint64(_HALF), size & np.uint64(_LOW)
    # (upper 2^32 + lower)^2, 32 bits at a time
    ends, middle = lower * lower, lower * upper
    digits = [ends & np.uint64(_LOW), ends >> np.uint64(_HALF)]
    twice = (middle & np.uint64(_LOW)) << np.uint64(1), middle >> np.uint64(_HALF) << np.uint64(1)
    first = digits[1] + twice[0]
    second = twice[1] + (upper * upper & np.uint64(_LOW)) + (first >> np.uint64(_HALF))
    third = (upper * upper >> np.uint64(_HALF)) + (second >> np.uint64(_HALF))
    for place, digit in enumerate((digits[0], first & np.uint64(_LOW), second & np.uint64(_LOW), third)):
        np.add.at(squares[:, place], groups, digit.view(np.int64))


def mean_words(rows: Integers, high: Integers, low: Integers, scale: int) -> tuple[Integers, Scales]:
    """(the means of sums of units of 10^-scale, their scales)."""
    words, scales = np.zeros((len(rows), 2), np.int64), np.full(len(rows), NULL, np.int16)
    for at, count in enumerate(rows.tolist()):
        if count:
            total = (int(high[at]) << _HALF) + int(low[at])
            fits = count < MOST_ROWS
            words[at], scales[at] = _words(_quotient(total, scale, count) if fits else None)
    return words, scales


def variance_words(
    rows: Integers, high: Integers, low: Integers, squares: Integers, scale: int, sample: bool, root: bool
) -> tuple[Integers, Scales]:
    """(the variances of units of 10^-scale, of a `sample` or not, or the roots of these; their scales)."""
    words, scales = np.zeros((len(rows), 2), np.int64), np.full(len(rows), NULL, np.int16)
    for at, count in enumerate(rows.tolist()):
        if count <= sample:
            continue
        total = (int(high[at]) << _HALF) + int(low[at])
        square = sum(digit << _HALF * place for place, digit in enumerate(squares[at].tolist()))
        words[at], scales[at] = _words(_variance(count, total, square, scale, sample, root))
    return words, scales


def _variance(
    count: int, total: int, square: int, scale: int, sample: bool, root: bool
) -> tuple[int, int] | None:
    if count >= MOST_ROWS or abs(total) >> _WORD or square >> 2 * _WORD:
        return None
    over = count * square - total * total
    if not over:
        return 0, 0
    found = _quotient(over, 2 * scale, count * (count - sample))
    if not root or found is None:
        return found
    units, scale = found
    if units >> 2 * _WORD - 1 or scale > ROOT_SCALE:
        return None
    square = units * 10**scale
    whole = math.isqrt(square)
    return whole + (square > whole * (whole + 1)), scale


def _quotient(over: int, scale: int, under: int) -> tuple[int, int]:
    """(units, their scale): units of 10^-scale over a whole number, rounded half away from zero."""
    size = abs(over)
    finer = _quotient_scale(size, scale, under)
    found, rest = divmod(size * 10 ** (finer - scale), under)
    found += 2 * rest >= under
    return (-found if over < 0 else found), finer


def _quotient_scale(size: int, scale: int, under: int) -> int:
    weight, first = _leading(size, scale)
    under_weight, under_first = _leading(under, 0)
    return max(SIGNIFICANT - 4 * (weight - under_weight - (first <= under_first)), scale)


def _leading(size: int, scale: int) -> tuple[int, int]:
    """(weight, digit) of the first base-10000 digit of a number of 10^-scale."""
    if not size:
        return 0, 0
    weight = (len(str(size)) - 1 - scale) // 4
    place = 4 * weight + scale  # of the digit's last figure
    return weight, size // 10**place if place >= 0 else size * 10**-place


def _words(found: tuple[int, int] | None) -> tuple[tuple[int, int], int]:
    """An answer as words, and its scale."""
    if found is None or abs(found[0]) >> 2 * _WORD - 1:
        return (0, 0), LEFT
    units, scale = found
    low = units & (1 << _WORD) - 1
    return (units >> _WORD, low - (low >> _WORD - 1 << _WORD)), scale
