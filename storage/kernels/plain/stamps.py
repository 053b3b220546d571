"""Timestamps as text, 'YYYY-MM-DD HH:MM:SS[.f]', for years 1 to 9999."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WIDTH = 26
DAY = 86_400_000_000
ERA = 10_957 + 719_468  # days from 0000-03-01 to 2000-01-01


def stamp_texts(
    micros: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(rows, WIDTH) characters of microseconds since 2000-01-01, and how many of each row count.

    The days are counted from a March, so that a leap day is the last of its year; 400 years are 146,097
    days, and the months from March on are the integer part of a line of slope 153/5 days.
    """
    days, rest = micros // DAY, micros % DAY
    shifted = days + ERA
    era, of_era = shifted // 146_097, shifted % 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = np.where(month < 10, month + 3, month - 9)
    year = year + era * 400 + (month <= 2)
    seconds, fraction = rest // 1_000_000, rest % 1_000_000
    out = np.empty((len(micros), WIDTH), np.uint8)
    out[:] = np.frombuffer(b"0000-00-00 00:00:00.000000", np.uint8)
    for value, at, digits in (
        (year, 0, 4),
        (month, 5, 2),
        (day, 8, 2),
        (seconds // 3600, 11, 2),
        (seconds // 60 % 60, 14, 2),
        (seconds % 60, 17, 2),
        (fraction, 20, 6),
    ):
        for place in range(digits):
            out[:, at + digits - 1 - place] += (value // 10**place % 10).astype(np.uint8)
    lengths = np.full(len(micros), WIDTH, np.int64)
    for place in range(6):
        lengths -= fraction % 10 ** (place + 1) == 0
    lengths -= fraction == 0  # and the point
    return out, lengths
