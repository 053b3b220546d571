"""Fields of text as values: numbers, dates and timestamps in their usual spelling, read where they lie.

Every reader takes `data`, and where the fields lie in it (`starts`, `lengths`; a length of -1 is a null),
fills `out` (0 under a null) and marks in `odd` what is not spelled as it expects or does not fit. What is
odd is no error yet: the type's input function decides. Gives the number of odd fields.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DIGITS = 18  # of an integer or of units: so many always fit
LONGEST = 40  # bytes of a number
EXACT = 15  # digits that a double holds exactly
POWER = 22  # 10^22 is the largest power of ten that a double holds exactly
DAY = 86_400_000_000
_POWERS = np.array([10**power for power in range(19)], np.int64)
EPOCH = 10_957  # days from 1970-01-01 to 2000-01-01


def parse_integers(
    data: Bytes, starts: Integers, lengths: Integers, low: int, high: int, out: Integers, odd: Mask
) -> int:
    """A sign or none and 1 to 18 digits, from `low` to `high`."""
    chars, negative, good = _signed(data, starts, lengths)
    value = np.zeros(len(starts), np.int64)
    count = np.zeros(len(starts), np.int64)
    for column in chars.T:
        there, digit = column != 0, column.astype(np.int64) - 48
        good &= ~there | ((digit >= 0) & (digit <= 9))
        count += there
        take = there & (count <= DIGITS)
        value = np.where(take, value * 10 + digit, value)
    value = np.where(negative, -value, value)
    good &= (count >= 1) & (count <= DIGITS) & (value >= low) & (value <= high)
    return _finish(out, odd, lengths, value, good)


def parse_decimals(
    data: Bytes, starts: Integers, lengths: Integers, precision: int, scale: int, out: Integers, odd: Mask
) -> int:
    """Digits with a point or none, as units of 10^-scale, rounded half away from zero, below 10^precision.

    At most 18 - scale digits stand before the point.
    """
    value, before, behind, spare, negative, good = _pointed(data, starts, lengths, scale)
    good &= (before <= DIGITS - scale) & (before + behind > 0)
    kept = np.minimum(behind, scale)
    value = value * _POWERS[scale - kept] + (spare >= 5)
    good &= value < 10**precision
    return _finish(out, odd, lengths, np.where(negative, -value, value), good)


def parse_floats(data: Bytes, starts: Integers, lengths: Integers, out: Floats, odd: Mask) -> int:
    """Up to 15 digits with a point or none: what one exact multiplication or division rounds correctly."""
    value, before, behind, _, negative, good = _pointed(data, starts, lengths, EXACT)
    good &= (before + behind <= EXACT) & (before + behind > 0)
    number = value.astype(np.float64) / 10.0 ** np.minimum(behind, POWER)
    number = np.where(negative, -number, number)
    good |= lengths < 0
    out[:] = np.where(good & (lengths >= 0), number, 0.0)
    odd[:] = ~good
    return int(odd.sum())


def parse_dates(data: Bytes, starts: Integers, lengths: Integers, out: Integers, odd: Mask) -> int:
    """YYYY-MM-DD as days since 2000-01-01; from year 1 on."""
    chars = _chars(data, starts, lengths, 10)
    days, good = _days(chars)
    return _finish(out, odd, lengths, days, good & (lengths == 10))


def parse_stamps(
    data: Bytes, starts: Integers, lengths: Integers, zone: int, out: Integers, odd: Mask
) -> int:
    """YYYY-MM-DD HH:MM:SS with up to 6 digits of a second, as microseconds since 2000-01-01.

    `zone` 0: none is written; 1: +HH or -HH may be, the time is UTC without; 2: it must be.
    """
    chars = _chars(data, starts, lengths, 29)
    days, good = _days(chars)
    good &= (chars[:, 10] == 32) & (chars[:, 13] == 58) & (chars[:, 16] == 58)
    hours, minutes, seconds = (_two(chars, at) for at in (11, 14, 17))
    for part, most in ((hours, 23), (minutes, 59), (seconds, 59)):
        good &= (part >= 0) & (part <= most)
    size = lengths.copy()
    offset = np.zeros(len(starts), np.int64)
    if zone:
        rows = np.arange(len(starts))
        at = np.clip(lengths - 3, 19, 26)
        sign = chars[rows, at]
        hour = chars[rows, at + 1].astype(np.int64) * 10 + chars[rows, at + 2] - 528
        digits = (_digit(chars[rows, at + 1]) >= 0) & (_digit(chars[rows, at + 2]) >= 0)
        zoned = ((sign == 43) | (sign == 45)) & (lengths - 3 == at) & digits & (hour <= 15)
        offset = np.where(zoned, np.where(sign == 45, -hour, hour), 0)
        size = np.where(zoned, lengths - 3, lengths)
        if zone == 2:
            good &= zoned
    fraction = np.zeros(len(starts), np.int64)
    good &= (size == 19) | ((size >= 21) & (size <= 26) & (chars[:, 19] == 46))
    for place in range(6):
        there = size > 20 + place
        digit = _digit(chars[:, 20 + place])
        good &= ~there | (digit >= 0)
        fraction = fraction * 10 + np.where(there, digit, 0)
    time = ((hours - offset) * 60 + minutes) * 60 + seconds
    return _finish(out, odd, lengths, days * DAY + time * 1_000_000 + fraction, good)


def _finish(out: Integers, odd: Mask, lengths: Integers, value: Integers, good: Mask) -> int:
    good = good | (lengths < 0)
    out[:] = np.where(good & (lengths >= 0), value, 0)
    odd[:] = ~good
    return int(odd.sum())


def _chars(data: Bytes, starts: Integers, lengths: Integers, width: int) -> Bytes:
    """(rows, width) the first bytes of each field, zeros behind its end."""
    places = starts[:, None] + np.arange(width)
    inside = np.arange(width) < lengths[:, None]
    if not len(data):
        return np.zeros(inside.shape, np.uint8)
    chars: Bytes = np.where(inside, data[np.minimum(places, len(data) - 1)], 0).astype(np.uint8)
    return chars


def _signed(data: Bytes, starts: Integers, lengths: Integers) -> tuple[Bytes, Mask, Mask]:
    """(the bytes behind the sign, whether it is a minus, whether there are not too many)."""
    first = _chars(data, starts, lengths, 1)[:, 0]
    sign = (first == 43) | (first == 45)
    chars = _chars(data, starts + sign, lengths - sign, LONGEST)
    return chars, first == 45, (lengths <= LONGEST) & ~((lengths > 0) & (_zeros(data, starts, lengths)))


def _zeros(data: Bytes, starts: Integers, lengths: Integers) -> Mask:
    """Whether a field holds a zero byte, which is no digit and no end either."""
    chars = _chars(data, starts, lengths, LONGEST)
    inside = np.arange(LONGEST) < lengths[:, None]
    return np.asarray(((chars == 0) & inside).any(axis=1))


def _pointed(
    data: Bytes, starts: Integers, lengths: Integers, scale: int
) -> tuple[Integers, Integers, Integers, Integers, Mask, Mask]:
    """(digits up to `scale` behind the point, how many before it, behind it, the next one, minus, good)."""
    chars, negative, good = _signed(data, starts, lengths)
    value, before, behind, spare = np.zeros((4, len(starts)), np.int64)
    pointed = np.zeros(len(starts), np.bool_)
    for column in chars.T:
        there, digit = column != 0, column.astype(np.int64) - 48
        point = there & (column == 46) & ~pointed
        good &= ~there | point | ((digit >= 0) & (digit <= 9))
        take = there & ~point
        spare = np.where(take & pointed & (behind == scale), digit, spare)
        kept = take & np.where(pointed, behind < scale, before < DIGITS)
        value = np.where(kept, value * 10 + digit, value)
        behind += take & pointed
        before += take & ~pointed
        pointed |= point
    return value, before, behind, spare, negative, good


def _digit(column: Bytes) -> Integers:
    """A digit's value; far below 0 for what is none."""
    digit = column.astype(np.int64) - 48
    return np.where((digit >= 0) & (digit <= 9), digit, -1000)


def _two(chars: Bytes, at: int) -> Integers:
    return 10 * _digit(chars[:, at]) + _digit(chars[:, at + 1])


def _days(chars: Bytes) -> tuple[Integers, Mask]:
    """Days since 2000-01-01 of YYYY-MM-DD, and where there is such a day."""
    year, month, day = 100 * _two(chars, 0) + _two(chars, 2), _two(chars, 5), _two(chars, 8)
    good = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (chars[:, 4] == 45) & (chars[:, 7] == 45)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    sizes = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    good &= day <= sizes[np.clip(month, 1, 12) - 1] + (leap & (month == 2))
    shifted = year - (month <= 2)  # years that begin in March, so that a leap day is the last
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * np.where(month > 2, month - 3, month + 9) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return days - EPOCH, good
