"""Twins of plain.fields: a field at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from storage.kernels.plain.fields import (
    DAY,
    DIGITS,
    EXACT,
    LONGEST,
    Bytes,
    Floats,
    Integers,
    Mask,
)

_READ = "Array(uint8, 1, 'C', readonly=True)"
_SPANS = f"{_READ}, int64[::1], int64[::1]"
_POWERS = np.array([10**power for power in range(19)], np.int64)
_TENS = np.array([10.0**power for power in range(23)])
_SIZES = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
"""Days of each month, from 1 on."""
_MONTHS = np.concatenate([[0], np.cumsum(_SIZES)[:-1]])
"""Days of the months before it, in a year that is no leap year."""
_YEARS = np.array([365 * y + y // 4 - y // 100 + y // 400 for y in range(-1, 10_000)], np.int64) - 730_119
"""Days from 2000-01-01 to the first of each year."""


@njit(f"int64({_SPANS}, int64, int64, int64[::1], boolean[::1])", nogil=True, cache=True)
def _integers(data, starts, lengths, low, high, out, odd):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(starts)):
        out[i] = 0
        odd[i] = False
        if lengths[i] < 0:
            continue
        at, end = starts[i], starts[i] + lengths[i]
        negative = at < end and data[at] == 45
        if at < end and (data[at] == 43 or negative):
            at += 1
        good = 1 <= end - at <= DIGITS
        value = np.int64(0)
        if good:
            for place in range(at, end):
                digit = np.int64(data[place]) - 48
                good &= 0 <= digit <= 9
                value = value * 10 + digit
        if negative:
            value = -value
        if good and low <= value <= high:
            out[i] = value
        else:
            odd[i] = True
            count += 1
    return count


@njit(cache=True, nogil=True)
def _pointed(data, at, end, scale):  # type: ignore[no-untyped-def]
    """(digits up to `scale` behind the point, how many before it, behind it, the next one, good)."""
    value, before, behind, spare = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    pointed = False
    for place in range(at, end):
        byte = data[place]
        if byte == 46 and not pointed:
            pointed = True
            continue
        digit = np.int64(byte) - 48
        if digit < 0 or digit > 9:
            return value, before, behind, spare, False
        if not pointed:
            if before < DIGITS:
                value = value * 10 + digit
            before += 1
        else:
            if behind < scale:
                value = value * 10 + digit
            elif behind == scale:
                spare = digit
            behind += 1
    return value, before, behind, spare, True


@njit(f"int64({_SPANS}, int64, int64, int64[::1], boolean[::1])", nogil=True, cache=True)
def _decimals(data, starts, lengths, precision, scale, out, odd):  # type: ignore[no-untyped-def]
    count = 0
    limit = _POWERS[precision]
    for i in range(len(starts)):
        out[i] = 0
        odd[i] = False
        if lengths[i] < 0:
            continue
        at, end = starts[i], starts[i] + lengths[i]
        negative = at < end and data[at] == 45
        if at < end and (data[at] == 43 or negative):
            at += 1
        good = lengths[i] <= LONGEST
        if good:
            value, before, behind, spare, good = _pointed(data, at, end, scale)
            good &= before <= DIGITS - scale and before + behind > 0
            if good:
                value = value * _POWERS[scale - min(behind, scale)] + (1 if spare >= 5 else 0)
                good &= value < limit
                out[i] = -value if negative else value
        if not good:
            out[i] = 0
            odd[i] = True
            count += 1
    return count


@njit(f"int64({_SPANS}, float64[::1], boolean[::1])", nogil=True, cache=True)
def _floats(data, starts, lengths, out, odd):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(starts)):
        out[i] = 0
        odd[i] = False
        if lengths[i] < 0:
            continue
        at, end = starts[i], starts[i] + lengths[i]
        negative = at < end and data[at] == 45
        if at < end and (data[at] == 43 or negative):
            at += 1
        good = lengths[i] <= LONGEST
        if good:
            value, before, behind, _, good = _pointed(data, at, end, EXACT)
            good &= 0 < before + behind <= EXACT
            if good:
                number = np.float64(value) / _TENS[behind]
                out[i] = -number if negative else number
        if not good:
            odd[i] = True
            count += 1
    return count


@njit(cache=True, nogil=True)
def _number(data, at, digits):  # type: ignore[no-untyped-def]
    """The number that so many digits make; -1 where they are none."""
    value = np.int64(0)
    for place in range(at, at + digits):
        digit = np.int64(data[place]) - 48
        if digit < 0 or digit > 9:
            return np.int64(-1)
        value = value * 10 + digit
    return value


@njit(cache=True, nogil=True)
def _two(data, at):  # type: ignore[no-untyped-def]
    """(the number that two bytes make, whether they are digits)."""
    tens, ones = np.int64(data[at]) - 48, np.int64(data[at + np.uint64(1)]) - 48
    return 10 * tens + ones, (tens >= 0) & (tens <= 9) & (ones >= 0) & (ones <= 9)


@njit(cache=True, nogil=True)
def _day(data, at):  # type: ignore[no-untyped-def]
    """(days since 2000-01-01 of the ten bytes at `at`, whether there is such a day)."""
    first = np.uint64(at)  # of signed places numba would ask whether they wrap
    century, good = _two(data, first)
    year, more = _two(data, first + np.uint64(2))
    month, right = _two(data, first + np.uint64(5))
    day, true = _two(data, first + np.uint64(8))
    good &= more & right & true & (data[first + np.uint64(4)] == 45) & (data[first + np.uint64(7)] == 45)
    year += 100 * century
    if not good or year < 1 or month < 1 or month > 12 or day < 1:
        return np.int64(0), False
    days = _YEARS[year] + _MONTHS[month]
    size = _SIZES[month]
    if month >= 2 and _YEARS[year + 1] - _YEARS[year] == 366:
        if month == 2:
            size += 1
        else:
            days += 1
    if day > size:
        return np.int64(0), False
    return days + day - 1, True


@njit(f"int64({_SPANS}, int64[::1], boolean[::1])", nogil=True, cache=True)
def _dates(data, starts, lengths, out, odd):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(starts)):
        out[i] = 0
        odd[i] = False
        if lengths[i] < 0:
            continue
        good = lengths[i] == 10
        if good:
            out[i], good = _day(data, starts[i])
        if not good:
            odd[i] = True
            count += 1
    return count


@njit(cache=True, nogil=True)
def _stamp(data, at, length, zone):  # type: ignore[no-untyped-def]
    """(microseconds since 2000-01-01, whether they are spelled as expected)."""
    if length < 19 or length > 29:
        return np.int64(0), False
    days, good = _day(data, at)
    hours, minutes, seconds = _number(data, at + 11, 2), _number(data, at + 14, 2), _number(data, at + 17, 2)
    good &= data[at + 10] == 32 and data[at + 13] == 58 and data[at + 16] == 58
    good &= 0 <= hours <= 23 and 0 <= minutes <= 59 and 0 <= seconds <= 59
    if not good:
        return np.int64(0), False
    if zone and length >= 22:
        sign, shift = data[at + length - 3], _number(data, at + length - 2, 2)
        if (sign == 43 or sign == 45) and 0 <= shift <= 15:
            hours -= shift if sign == 43 else -shift
            length -= 3
        elif zone == 2:
            return np.int64(0), False
    elif zone == 2:
        return np.int64(0), False
    fraction = np.int64(0)
    if length != 19:
        digits = length - 20
        if digits < 1 or digits > 6 or data[at + 19] != 46:
            return np.int64(0), False
        fraction = _number(data, at + 20, digits)
        if fraction < 0:
            return np.int64(0), False
        fraction *= _POWERS[6 - digits]
    return days * DAY + ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction, True


@njit(f"int64({_SPANS}, int64, int64[::1], boolean[::1])", nogil=True, cache=True)
def _stamps(data, starts, lengths, zone, out, odd):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(starts)):
        out[i] = 0
        odd[i] = False
        if lengths[i] < 0:
            continue
        out[i], good = _stamp(data, starts[i], lengths[i], zone)
        if not good:
            odd[i] = True
            count += 1
    return count


def parse_integers(
    data: Bytes, starts: Integers, lengths: Integers, low: int, high: int, out: Integers, odd: Mask
) -> int:
    """See plain.fields.parse_integers."""
    return int(_integers(_read(data), starts, lengths, low, high, out, odd))


def parse_decimals(
    data: Bytes, starts: Integers, lengths: Integers, precision: int, scale: int, out: Integers, odd: Mask
) -> int:
    """See plain.fields.parse_decimals."""
    return int(_decimals(_read(data), starts, lengths, precision, scale, out, odd))


def parse_floats(data: Bytes, starts: Integers, lengths: Integers, out: Floats, odd: Mask) -> int:
    """See plain.fields.parse_floats."""
    return int(_floats(_read(data), starts, lengths, out, odd))


def parse_dates(data: Bytes, starts: Integers, lengths: Integers, out: Integers, odd: Mask) -> int:
    """See plain.fields.parse_dates."""
    return int(_dates(_read(data), starts, lengths, out, odd))


def parse_stamps(
    data: Bytes, starts: Integers, lengths: Integers, zone: int, out: Integers, odd: Mask
) -> int:
    """See plain.fields.parse_stamps."""
    return int(_stamps(_read(data), starts, lengths, zone, out, odd))


def _read(data: Bytes) -> Bytes:
    view = np.ascontiguousarray(data).view()
    view.flags.writeable = False
    return view
