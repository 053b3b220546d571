"""Twins of plain.moments: a group at a time, in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from storage.kernels.compiled.wide import (
    AT_ONCE,
    HALF,
    LOW,
    ONE,
    TENS,
    ZERO,
    divide,
    leading_zeros,
    less,
    negative,
    plus,
    product,
    scaled_up,
    squared,
)
from storage.kernels.plain.moments import LEFT, MOST_ROWS, NULL, ROOT_SCALE, SIGNIFICANT, Integers, Scales

_U = np.uint64
_POWERS = np.array(
    [[10**power >> shift & (1 << 64) - 1 for shift in (128, 64, 0)] for power in range(58)], np.uint64
)
"""Powers of ten below 2^192, three words each."""
_SIGN = _U(63)
_WORD = 2.0**64
_GROUPS = types.Array(types.int64, 1, "C", readonly=True)
_OUT = types.int64[::1]
_SQUARES = types.Array(types.int64, 2, "C", readonly=True)
_LOW, _HALF = np.int64((1 << 32) - 1), np.int64(32)


@njit(
    [
        types.void(_GROUPS, types.Array(form, 1, "C", readonly=True), _OUT, _OUT, _OUT, types.int64[:, ::1])
        for form in (types.int16, types.int32, types.int64)
    ],
    nogil=True,
    cache=True,
)
def _squares(groups, values, counts, high, low, squares):  # type: ignore[no-untyped-def]
    for i in range(_U(len(groups))):
        value, at = np.int64(values[i]), _U(groups[i])
        counts[at] += 1
        high[at] += value >> _HALF
        low[at] += value & _LOW
        size = _U(value)
        if value < 0:
            size = ZERO - size
        upper, lower = product(size, size)
        squares[at, 0] += np.int64(lower & LOW)
        squares[at, 1] += np.int64(lower >> HALF)
        if upper != ZERO:
            squares[at, 2] += np.int64(upper & LOW)
            squares[at, 3] += np.int64(upper >> HALF)


@njit(nogil=True)
def _total(high, low):  # type: ignore[no-untyped-def]
    """(whether it is negative, two words of its size): a sum of its halves."""
    lower, carry = plus(_U(high) << HALF, _U(low), ZERO)
    upper, _ = plus(_U(high >> _HALF), _U(low >> np.int64(63)), carry)
    minus = upper >> _SIGN != ZERO
    if minus:
        upper, lower = negative(upper, lower)
    return minus, upper, lower


@njit(nogil=True)
def _digits(first, second, third):  # type: ignore[no-untyped-def]
    """How many decimal digits a number of three words has, not 0."""
    if first != ZERO:
        bits = np.int64(192) - np.int64(leading_zeros(first))
    elif second != ZERO:
        bits = np.int64(128) - np.int64(leading_zeros(second))
    else:
        bits = np.int64(64) - np.int64(leading_zeros(third))
    about = bits * 1233 >> 12  # of log10(2)
    power = _POWERS[about]
    below = first < power[0] or (
        first == power[0] and (second < power[1] or (second == power[1] and third < power[2]))
    )
    return about if below else about + 1


@njit(nogil=True, error_model="numpy")
def _quotient_scale(first, second, third, scale, under):  # type: ignore[no-untyped-def]
    """The scale of a quotient of three words of 10^-scale over one."""
    digits = _digits(ZERO, ZERO, under)
    under_weight = (digits - 1) >> 2
    under_first = under // TENS[4 * under_weight]
    if first == ZERO and second == ZERO and third == ZERO:
        return max(SIGNIFICANT + 4 * (under_weight + 1), scale)
    weight = (_digits(first, second, third) - 1 - scale) >> 2
    place = 4 * weight + scale
    if place < 0:
        smaller = third * TENS[-place] <= under_first
    else:
        # the first digit is at most the other's where the number is below one more of it
        power, factor = _POWERS[place], under_first + ONE
        more, low = product(power[2], factor)
        upper, middle = product(power[1], factor)
        middle, carry = plus(middle, more, ZERO)
        beyond, high = product(power[0], factor)
        high, carry = plus(high, upper, carry)
        beyond += carry
        smaller = beyond != ZERO or first < high
        smaller |= first == high and (second < middle or (second == middle and third < low))
    return max(SIGNIFICANT - 4 * (weight - under_weight - (1 if smaller else 0)), scale)


@njit(nogil=True, error_model="numpy")
def _quotient(first, second, third, under, digits):  # type: ignore[no-untyped-def]
    """(whether two words have room, these): three words 10^digits over one, rounded half up."""
    if first >= under:
        return False, ZERO, ZERO
    if first == ZERO and second < under:
        high, rest = ZERO, second
    else:
        high, rest = divide(first, second, under)
    low, rest = divide(rest, third, under)
    while digits > 0:
        step = TENS[min(digits, AT_ONCE)]
        digits -= AT_ONCE
        upper, lower = product(rest, step)
        more, rest = divide(upper, lower, under)
        fits, high, low = scaled_up(high, low, step, more)
        if not fits:
            return False, ZERO, ZERO
    if rest >= under - rest:
        low += ONE
        high += ONE if low == ZERO else ZERO
    return high >> _SIGN == ZERO, high, low


@njit(types.int16[::1](_GROUPS, _GROUPS, _GROUPS, types.int64, types.int64[:, ::1]), nogil=True, cache=True)
def _means(rows, highs, lows, scale, words):  # type: ignore[no-untyped-def]
    scales = np.empty(len(rows), np.int16)
    for i in range(_U(len(rows))):
        words[i, 0] = words[i, 1] = 0
        if rows[i] <= 0:
            scales[i] = NULL
            continue
        scales[i] = LEFT
        if rows[i] >= MOST_ROWS:
            continue
        minus, upper, lower = _total(highs[i], lows[i])
        under = _U(rows[i])
        finer = _quotient_scale(ZERO, upper, lower, scale, under)
        fits, high, low = _quotient(ZERO, upper, lower, under, finer - scale)
        if fits:
            if minus:
                high, low = negative(high, low)
            words[i, 0], words[i, 1] = np.int64(high), np.int64(low)
            scales[i] = finer
    return scales


@njit(nogil=True)
def _deviation(rows, high, low, digits):  # type: ignore[no-untyped-def]
    """(whether three words have room, these): rows times the sum of squares, less the square of the sum."""
    _, beyond, total = _total(high, low)
    carry = _U(digits[0])
    first = carry & LOW
    carry = (carry >> HALF) + _U(digits[1])
    second = carry & LOW
    carry = (carry >> HALF) + _U(digits[2])
    third = carry & LOW
    carry = (carry >> HALF) + _U(digits[3])
    if beyond != ZERO or carry >> HALF != ZERO:
        return False, ZERO, ZERO, ZERO
    more, low = product((second << HALF) | first, rows)
    high, middle = product((carry << HALF) | third, rows)
    middle, carry = plus(middle, more, ZERO)
    high += carry
    upper, lower = product(total, total)
    low, borrow = less(low, lower, ZERO)
    middle, borrow = less(middle, upper, borrow)
    return True, high - borrow, middle, low


@njit(nogil=True)
def _beyond(words, square):  # type: ignore[no-untyped-def]
    """Four words less four others, as a double."""
    fourth, borrow = less(words[3], square[3], ZERO)
    third, borrow = less(words[2], square[2], borrow)
    second, borrow = less(words[1], square[1], borrow)
    first, borrow = less(words[0], square[0], borrow)
    if borrow == ZERO:
        return ((float(first) * _WORD + float(second)) * _WORD + float(third)) * _WORD + float(fourth)
    # the size of what is negative, less 1
    return -(
        ((float(~first) * _WORD + float(~second)) * _WORD + float(~third)) * _WORD + float(~fourth) + 1.0
    )


@njit(nogil=True)
def _moved(high, low, distance):  # type: ignore[no-untyped-def]
    """Two words and a whole double."""
    size = abs(distance)
    upper = _U(size / _WORD)
    lower = _U(size - float(upper) * _WORD)
    if distance < 0:
        upper, lower = negative(upper, lower)
    lower, carry = plus(low, lower, ZERO)
    return plus(high, upper, carry)[0], lower


@njit(nogil=True)
def _root(high, low, scale):  # type: ignore[no-untyped-def]
    """Two words: the root of two words 10^scale, rounded.

    From the root of a double on by Newton's method, whose steps are doubles; at last by one.
    """
    left = min(scale, AT_ONCE)
    power, factor = TENS[left], TENS[scale - left]
    upper, lower = product(power, factor)
    third, fourth = product(low, lower)
    more, carried = product(low, upper)
    third, carry = plus(third, carried, ZERO)
    second, carry = plus(more, ZERO, carry)
    more, carried = product(high, lower)
    third, over = plus(third, carried, ZERO)
    second, over = plus(second, more, over)
    first = carry + over
    more, carried = product(high, upper)
    second, carry = plus(second, carried, ZERO)
    first += more + carry
    words = (first, second, third, fourth)
    size = ((float(first) * _WORD + float(second)) * _WORD + float(third)) * _WORD + float(fourth)
    root = np.sqrt(size)
    upper, lower = _moved(ZERO, ZERO, np.floor(root))
    for _ in range(8):
        step = np.rint(_beyond(words, squared(upper, lower)) / (2 * root))
        if step == 0:
            break
        upper, lower = _moved(upper, lower, step)
    # rounded, a root is as near to the square as half of its double and a quarter
    for _ in range(4):
        beyond = _beyond_exact(words, squared(upper, lower), upper, lower)
        if beyond == 0:
            break
        upper, lower = _moved(upper, lower, float(beyond))
    return upper, lower


@njit(nogil=True)
def _beyond_exact(words, square, high, low):  # type: ignore[no-untyped-def]
    """1 where a root is too small to be the rounded one of four words, -1 where it is too large, else 0."""
    fourth, borrow = less(words[3], square[3], ZERO)
    third, borrow = less(words[2], square[2], borrow)
    second, borrow = less(words[1], square[1], borrow)
    first, borrow = less(words[0], square[0], borrow)
    if borrow == ZERO:
        # too small: more than root is left
        return 1 if first != ZERO or second != ZERO or third > high or (third == high and fourth > low) else 0
    # too large: as much as root is missing
    fourth, carry = plus(~fourth, ONE, ZERO)
    third, carry = plus(~third, ZERO, carry)
    second, carry = plus(~second, ZERO, carry)
    first = ~first + carry
    return -1 if first != ZERO or second != ZERO or third > high or (third == high and fourth >= low) else 0


@njit(
    types.int16[::1](
        _GROUPS, _GROUPS, _GROUPS, _SQUARES, types.int64, types.int64, types.boolean, types.int64[:, ::1]
    ),
    nogil=True,
    cache=True,
)
def _variances(rows, highs, lows, squares, scale, sample, root, words):  # type: ignore[no-untyped-def]
    scales = np.empty(len(rows), np.int16)
    for i in range(_U(len(rows))):
        words[i, 0] = words[i, 1] = 0
        if rows[i] <= sample:
            scales[i] = NULL
            continue
        scales[i] = LEFT
        if rows[i] >= MOST_ROWS:
            continue
        fits, first, second, third = _deviation(_U(rows[i]), highs[i], lows[i], squares[i])
        if not fits:
            continue
        if first == ZERO and second == ZERO and third == ZERO:
            scales[i] = 0
            continue
        under = _U(rows[i]) * _U(rows[i] - sample)
        finer = _quotient_scale(first, second, third, 2 * scale, under)
        fits, high, low = _quotient(first, second, third, under, finer - 2 * scale)
        if not fits or (root and finer > ROOT_SCALE):
            continue
        if root:
            high, low = _root(high, low, finer)
        words[i, 0], words[i, 1] = np.int64(high), np.int64(low)
        scales[i] = finer
    return scales


def sum_squares(
    groups: Integers, values: npt.NDArray[np.signedinteger], counts: Integers, high: Integers, low: Integers,
    squares: Integers,
) -> None:  # fmt: skip
    """See plain.moments.sum_squares."""
    _squares(np.ascontiguousarray(groups), np.ascontiguousarray(values), counts, high, low, squares)


def mean_words(rows: Integers, high: Integers, low: Integers, scale: int) -> tuple[Integers, Scales]:
    """See plain.moments.mean_words."""
    words = np.empty((len(rows), 2), np.int64)
    given = (np.ascontiguousarray(each) for each in (rows, high, low))
    return words, _means(*given, scale, words)


def variance_words(
    rows: Integers, high: Integers, low: Integers, squares: Integers, scale: int, sample: bool, root: bool
) -> tuple[Integers, Scales]:
    """See plain.moments.variance_words."""
    words = np.empty((len(rows), 2), np.int64)
    given = (np.ascontiguousarray(each) for each in (rows, high, low, squares))
    return words, _variances(*given, scale, int(sample), root, words)
