"""Dates and times as DateStyle has them where it is not ISO.

    SQL        12/17/1997 07:37:16.00 PST    17/12/1997 ... where days come before months
    Postgres   Wed Dec 17 07:37:16 1997 PST  Wed 17 Dec ...; dates alone: 12-17-1997, 17-12-1997
    German     17.12.1997 07:37:16.00 PST

Years before 1 have BC at the end of all.
"""

from __future__ import annotations

from typing import Literal

DateStyle = Literal["ISO", "SQL", "Postgres", "German"]
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Day = tuple[int, int, int]
"""(year, month, day); year 0 is 1 BC."""


def _year(day: Day) -> tuple[str, str]:
    """(the year as it is written, its era)."""
    return (f"{day[0]:04d}", "") if day[0] > 0 else (f"{1 - day[0]:04d}", " BC")


def _numbers(day: Day, style: DateStyle, order: str) -> str:
    """A day in numbers, without its era."""
    mark = {"SQL": "/", "German": ".", "Postgres": "-"}[style]
    first, second = (day[2], day[1]) if style == "German" or order == "DMY" else (day[1], day[2])
    return f"{first:02d}{mark}{second:02d}{mark}{_year(day)[0]}"


def date_text(day: Day, style: DateStyle, order: str) -> str:
    """A date."""
    return _numbers(day, style, order) + _year(day)[1]


def stamp_text(
    day: Day, weekday: int, clock: str, zone: str | None, offset: str, style: DateStyle, order: str
) -> str:
    """A timestamp: its day (Monday is 0), what a clock shows, and the zone's short name, where it has none
    its offset; without a zone both are empty.
    """
    year, era = _year(day)
    behind = f" {zone}" if zone else offset
    if style != "Postgres":
        return f"{_numbers(day, style, order)} {clock}{behind}{era}"
    name = _MONTHS[day[1] - 1]
    parts = f"{day[2]:02d} {name}" if order == "DMY" else f"{name} {day[2]:02d}"
    if not zone and offset:
        behind = " " + offset  # or it would be read as a part of the year
    return f"{_WEEKDAYS[weekday]} {parts} {clock} {year}{behind}{era}"
