"""Days of the calendar one at a time: Julian days, of dates whose months and days may be out of range.

The formula is Fliegel's and Van Flandern's (CACM 11, 1968) in integers. For columns: engine.values.calendar.
"""

from __future__ import annotations

LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def leap(year: int) -> bool:
    """Whether a year has a 29th of February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def day_of(year: int, month: int, day: int) -> int:
    """The Julian day of a date; year 0 is 1 BC."""
    before = month <= 2
    years, months = year + 4800 - before, month + 1 + 12 * before
    return years * 365 - 32167 + years // 4 - years // 100 + years // 400 + 7834 * months // 256 + day


def date_of(julian: int) -> tuple[int, int, int]:
    """(year, month, day) of a Julian day."""
    shifted = julian + 32044
    century = (4 * shifted + 3) // 146097
    rest = shifted - 146097 * century // 4
    years = (4 * rest + 3) // 1461
    days = rest - 1461 * years // 4
    month = (5 * days + 2) // 153
    day = days - (153 * month + 2) // 5 + 1
    return 100 * century + years - 4800 + month // 10, month + 3 - 12 * (month // 10), day


def weekday(julian: int) -> int:
    """0 for a Sunday."""
    return (julian + 1) % 7


def first_of_week(year: int, week: int) -> int:
    """The Monday of an ISO week."""
    fourth = day_of(year, 1, 4)
    return fourth - (fourth % 7) + 7 * (week - 1)


def iso_week(julian: int) -> tuple[int, int]:
    """(ISO year, week) of a day."""
    thursday = julian - julian % 7 + 3
    year = date_of(thursday)[0]
    return year, (thursday - day_of(year, 1, 1)) // 7 + 1
