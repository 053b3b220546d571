"""Spellings of days in texts: with month names, years first or last, Julian days, days of the year.

    2024-02-29  2024/02/29  29/02/2024  20240229  240229  29-Feb-24  Feb 29, 2024  Thu Feb 29 2024
    2024.060  J2460370

Each gives (year, month, day) as it is written, and where it ends. A year of two digits is one near 2000,
unless an era stands behind the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = rf"(?P<name>{'|'.join(MONTHS)})[a-z]*\.?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
_YEAR, _DAY = r"(?P<year>\d{1,7})(?![\d:])", r"(?P<day>\d{1,2})(?![\d:])"
_JULIAN_2000 = 2_451_545

Found = tuple[int, int, int, int]
Reader = Callable[[re.Match[str], str, bool], Found]


def _near(year: str, era: bool) -> int:
    """A year that is written with two digits or more."""
    number = int(year)
    return number if era or len(year) > 2 else number + (2000 if number < 70 else 1900)


def _named(match: re.Match[str], order: str, era: bool) -> Found:
    month = MONTHS.index(match["name"].lower()) + 1
    return _near(match["year"], era), month, int(match["day"]), match.end()


def _year_first(match: re.Match[str], order: str, era: bool) -> Found:
    return int(match[1]), int(match[2]), int(match[3]), match.end()


def _ordered(match: re.Match[str], order: str, era: bool) -> Found:
    a, b, c = match.groups()
    year, month, day = {"MDY": (c, a, b), "DMY": (c, b, a), "YMD": (a, b, c)}[order]
    return _near(year, era), int(month), int(day), match.end()


def _short(match: re.Match[str], order: str, era: bool) -> Found:
    return _near(match[1], era), int(match[2]), int(match[3]), match.end()


def _day_of_year(match: re.Match[str], order: str, era: bool) -> Found:
    year, number = int(match[1]), int(match[2])
    found = date(2000 + year % 400, 1, 1) + timedelta(days=number - 1)
    inside = found.year == 2000 + year % 400 and number
    return year, found.month if inside else 13, found.day, match.end()


def _julian(match: re.Match[str], order: str, era: bool) -> Found:
    cycles, rest = divmod(int(match[1]) - _JULIAN_2000, 146_097)
    found = date(2000, 1, 1) + timedelta(days=rest)
    return found.year + 400 * cycles, found.month, found.day, match.end()


_SPELLINGS: tuple[tuple[re.Pattern[str], Reader], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reader)
    for pattern, reader in (
        (r"(\d{3,7})-(\d{1,2})-(\d{1,2})(?!\d)", _year_first),
        (r"(\d{4})(\d{2})(\d{2})(?!\d)", _year_first),
        (r"(\d{3,7})[/.](\d{1,2})[/.](\d{1,2})(?!\d)", _year_first),
        (r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{1,7})(?!\d)", _ordered),
        (r"(\d{3,7})\s(\d{1,2})\s(\d{1,2})(?![\d:])", _year_first),
        (rf"{_WEEKDAY}{_NAME}[\s-]*{_DAY}[\s,-]+{_YEAR}", _named),
        (rf"{_WEEKDAY}{_DAY}[\s-]*{_NAME}[\s,-]+{_YEAR}", _named),
        (rf"(?P<year>\d{{3,7}})[\s-]+{_NAME}[\s-]+{_DAY}", _named),
        (r"(\d{2})(\d{2})(\d{2})(?![\d:.])", _short),
        (r"(\d{4})[.-](\d{3})(?!\d)", _day_of_year),
        (r"j(\d{1,8})(?!\d)", _julian),
    )
)


def day_of(word: str, order: str, *, era: bool) -> Found | None:
    """(year, month, day, where it ends) of the day that a text begins with; None where there is none.

    `order` is DateStyle's. The month is 13 for a day of the year that the year has not.
    """
    for pattern, reader in _SPELLINGS:
        match = pattern.match(word)
        if match is not None:
            return reader(match, order, era)
    return None


_CLOCK_INSIDE = re.compile(
    rf"({_WEEKDAY}{_NAME}\s+\d{{1,2}})\s+(\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d*)?)?)\s+(\d{{4,7}})(.*)",
    re.IGNORECASE,
)


def clock_last(word: str) -> str:
    """'Thu Feb 29 13:04:05 2024 PST' with the time behind the year."""
    match = _CLOCK_INSIDE.fullmatch(word)
    return word if match is None else f"{match[1]} {match[4]} {match[3]}{match[5]}"
