"""Text forms of intervals: four styles out; PostgreSQL's, SQL's and ISO 8601's spellings in.

A text is a list of fields. They are read from the right, for a number without a unit is what stands
before the field to its right: '1 12:00' is a day and twelve hours. The rightmost one is in the last field
of the type's range (INTERVAL '5' MINUTE), seconds where it has none.
"""

from __future__ import annotations

import re

import pyarrow as pa

from engine.forms.style import Style
from storage.column import Column
from storage.errors import DatetimeFieldOverflow, IntervalFieldOverflow, InvalidDatetimeFormat
from storage.types import Type

_DAY = 86_400_000_000
_HOUR, _MINUTE, _SECOND = 3_600_000_000, 60_000_000, 1_000_000


def write_interval(column: Column, style: Style) -> pa.Array:
    """As IntervalStyle says."""
    write = _WRITERS[style.interval_style]
    return pa.array([None if v is None else write(*v) for v in column.tolist()], pa.large_string())


def _parts(months: int, micros: int) -> tuple[int, int, int, int, int]:
    """(years, months, hours, minutes, microseconds of a minute), each with its sign."""
    years = int(months / 12)
    sign = -1 if micros < 0 else 1
    hours, rest = divmod(abs(micros), _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    return years, months - 12 * years, sign * hours, sign * minutes, sign * rest


def _seconds(micros: int, width: int = 2) -> str:
    """Seconds with what fraction they have; no sign."""
    whole, rest = divmod(abs(micros), _SECOND)
    return f"{whole:0{width}d}" + (f".{rest:06d}".rstrip("0") if rest else "")


def interval_text(months: int, days: int, micros: int) -> str:
    """'1 year 2 mons 3 days 04:05:06'"""
    years, months, hours, minutes, rest = _parts(months, micros)
    parts, negative = [], False
    for value, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if value:
            sign = "+" if negative and value > 0 else ""
            parts.append(f"{sign}{value} {unit}{'' if value == 1 else 's'}")
            negative = value < 0
    if micros or not parts:
        sign = "-" if micros < 0 else "+" if negative else ""
        parts.append(f"{sign}{abs(hours):02d}:{abs(minutes):02d}:{_seconds(rest)}")
    return " ".join(parts)


def _verbose(months: int, days: int, micros: int) -> str:
    """'@ 1 year 2 mons -3 days 4 hours 5.5 secs', with 'ago' where the first part is negative."""
    years, months, hours, minutes, rest = _parts(months, micros)
    parts: list[str] = []
    ago = False
    named = ((years, "year"), (months, "mon"), (days, "day"), (hours, "hour"), (minutes, "min"))
    for value, unit in named:
        if not value:
            continue
        if not parts:
            ago = value < 0
        shown = -value if ago else value
        parts.append(f"{shown} {unit}{'' if shown == 1 else 's'}")
    if rest:
        if not parts:
            ago = rest < 0
        sign = "-" if (rest < 0) is not ago else ""
        parts.append(f"{sign}{_seconds(rest, 1)} sec{'' if abs(rest) == _SECOND else 's'}")
    return " ".join(["@", *(parts or ["0"]), *(["ago"] if ago else [])])


def _sql(months: int, days: int, micros: int) -> str:
    """'1-2' or '3 4:05:06'; with signs everywhere where the parts are mixed."""
    fields = [*_parts(months, micros), days]
    years, months, hours, minutes, rest, days = fields
    negative, positive = any(f < 0 for f in fields), any(f > 0 for f in fields)
    if not negative and not positive:
        return "0"
    time = f"{abs(hours)}:{abs(minutes):02d}:{_seconds(rest)}"
    long, short = bool(years or months), bool(days or micros)
    if (negative and positive) or (long and short):
        signs = ["-" if part < 0 else "+" for part in (years or months, days, micros)]
        return f"{signs[0]}{abs(years)}-{abs(months)} {signs[1]}{abs(days)} {signs[2]}{time}"
    sign = "-" if negative else ""
    if long:
        return f"{sign}{abs(years)}-{abs(months)}"
    return f"{sign}{abs(days)} {time}" if days else sign + time


def iso_interval(months: int, days: int, micros: int) -> str:
    """'P1Y2M3DT4H5M6S'"""
    years, months, hours, minutes, rest = _parts(months, micros)
    day = "".join(f"{v}{u}" for v, u in ((years, "Y"), (months, "M"), (days, "D")) if v)
    time = "".join(f"{v}{u}" for v, u in ((hours, "H"), (minutes, "M")) if v)
    time += f"{'-' if rest < 0 else ''}{_seconds(rest, 1)}S" if rest else ""
    if not day and not time:
        return "PT0S"
    return "P" + day + ("T" + time if time else "")


_WRITERS = {
    "postgres": interval_text,
    "postgres_verbose": _verbose,
    "sql_standard": _sql,
    "iso_8601": iso_interval,
}


# Reading

_NAMES = {
    "microsecond": "microseconds microsecond us usecs usec usecond useconds",
    "millisecond": "milliseconds millisecond ms msecs msec msecond mseconds",
    "second": "seconds second secs sec s",
    "minute": "minutes minute mins min m",
    "hour": "hours hour hrs hr h",
    "day": "days day d",
    "week": "weeks week w",
    "month": "months month mons mon",
    "year": "years year yrs yr y",
    "decade": "decades decade decs dec",
    "century": "centuries century cent c",
    "millennium": "millennia millennium mils mil",
}
_UNITS = {spelled: unit for unit, names in _NAMES.items() for spelled in names.split()}
_MONTHS = {"month": 1, "year": 12, "decade": 120, "century": 1_200, "millennium": 12_000}
_MICROS = {"microsecond": 1, "millisecond": 1_000, "second": _SECOND, "minute": _MINUTE, "hour": _HOUR}
_FIELD = re.compile(
    r"(?P<time>(?:[+-]\s*)?\d+:\d+(?::\d+)?(?:\.\d*)?)(?![\d:.])|(?P<years>(?:[+-]\s*)?\d+-\d+)(?![\d-])"
    r"|(?P<number>(?:[+-]\s*)?\d+(?:\.\d*)?|\.\d+)(?![\d.])|(?P<word>[a-z]+)",
)
_ISO = re.compile(
    r"P((?:[+-]?(?:\d+\.?\d*|\.\d+)[YMWD])*)(?:T((?:[+-]?(?:\d+\.?\d*|\.\d+)[HMS])*))?", re.ASCII
)
_ISO_PART = re.compile(r"([+-]?[\d.]+)([A-Z])")
# ISO 8601's other form: P0001-02-03T04:05:06, P00010203T040506
_ISO_OTHER = re.compile(
    r"P(?:(?P<year>[+-]?\d+)(?:-(?P<month>[+-]?\d+)(?:-(?P<day>[+-]?\d+))?)?)?"
    r"(?:T(?P<hour>[+-]?\d+)(?::(?P<minute>\d+)(?::(?P<second>\d+(?:\.\d*)?))?)?)?",
    re.ASCII,
)
_ISO_PACKED = re.compile(r"P(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2}(?:\.\d*)?))?", re.ASCII)
# The bits of a range in a type's modifier, and the field that a bare number is in.
_BITS = {
    1 << 1: "month",
    1 << 2: "year",
    1 << 3: "day",
    1 << 10: "hour",
    1 << 11: "minute",
    1 << 12: "second",
}
_FULL = 0x7FFF


def read_interval(type: Type, texts: list[str], style: Style) -> list[tuple[int, int, int]]:
    """'1 year 2 days 03:04:05', '1-2 3 4:05', '-1 day ago', '@ 1 hour', ISO 8601's P1DT2H."""
    return [_read(type, text, style) for text in texts]


class _Sum:
    """What the fields read so far add up to, and which have been seen."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.months = self.days = self.micros = 0
        self.seen: set[str] = set()

    def once(self, *units: str) -> None:
        """Raise where a unit is there already."""
        if not self.seen.isdisjoint(units):
            raise _invalid(self.text)
        self.seen.update(units)

    def add(self, unit: str, number: str) -> None:
        """A number of a unit; fractions of years become months, of months days, of days time."""
        sign = -1 if number.startswith("-") else 1
        whole, _, digits = number.lstrip("+-").partition(".")
        count = int(whole or 0)
        fraction = float(f"0.{digits}") if digits else 0.0
        if unit in ("day", "week"):
            each = 7 if unit == "week" else 1
            self.days += sign * count * each
            self._days(sign * fraction * each)
        elif unit == "month":
            self._fits(count)
            self.months += sign * count
            self._days(sign * fraction * 30)
        elif unit in _MONTHS:
            self._fits(count * _MONTHS[unit] // 12)
            self.months += sign * (count * _MONTHS[unit] + round(fraction * _MONTHS[unit]))
        else:
            self.micros += sign * (count * _MICROS[unit] + round(fraction * _MICROS[unit]))

    def _fits(self, count: int) -> None:
        """Years and months are each counted in 32 bits, before they are months together."""
        if count >= 1 << 31:
            raise _overflow(self.text)

    def _days(self, days: float) -> None:
        whole = int(days)
        self.days += whole
        self.micros += round((days - whole) * _DAY)

    def value(self, sign: int) -> tuple[int, int, int]:
        """(months, days, microseconds)."""
        months, days, micros = sign * self.months, sign * self.days, sign * self.micros
        if not -(2**31) <= months < 2**31:
            raise DatetimeFieldOverflow("interval out of range")
        if not (-(2**31) <= days < 2**31 and -(2**63) <= micros < 2**63):
            raise _overflow(self.text)
        return months, days, micros


def _invalid(text: str) -> InvalidDatetimeFormat:
    return InvalidDatetimeFormat(f'invalid input syntax for type interval: "{text}"')


def _overflow(text: str) -> IntervalFieldOverflow:
    return IntervalFieldOverflow(f'interval field value out of range: "{text}"')


def _read(type: Type, text: str, style: Style) -> tuple[int, int, int]:
    word = text.strip().lower()
    mask = type.modifier >> 16 if type.modifier >= 0 else _FULL
    if text.lstrip().startswith("P"):
        return fitted(type, _read_iso(text, text.strip()))
    fields = _fields(text, word)
    sign = 1
    if fields and fields[-1] == ("word", "ago"):
        fields.pop()
        sign = -1
    if not fields or (sign < 0 and fields[-1][0] != "word"):
        raise _invalid(text)
    if style.interval_style == "sql_standard" and fields[0][1].startswith("-"):
        fields = _all_negative(fields)
    total = _Sum(text)
    unit = ""  # of the number to be read next, where one was said or follows from what stands behind it
    for kind, field in reversed(fields):
        if kind == "word":
            unit = _UNITS.get(field, "")
            if not unit:
                raise _invalid(text)
        elif kind == "time":
            total.once("hour", "minute", "second")
            total.micros += _clock(text, field, mask)
            unit = "day"
        elif kind == "years":
            years, _, months = field.lstrip("+-").partition("-")
            if int(months) > 11:
                raise _overflow(text)
            total.once("year", "month")
            total.months += (-1 if field[0] == "-" else 1) * (int(years) * 12 + int(months))
            unit = "month"
        else:
            unit = unit or _last(mask)
            total.once(unit)
            total.add(unit, field)
            unit = "day" if unit == "hour" else unit
    if fields[0][0] == "word":
        raise _invalid(text)
    return fitted(type, total.value(sign))


def _all_negative(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """SQL's one leading minus is for all that follows, where nothing else has a sign."""
    if any(field[0] in "+-" for _, field in fields[1:]):
        return fields
    return [(kind, field if kind == "word" or field[0] == "-" else "-" + field) for kind, field in fields]


def _fields(text: str, word: str) -> list[tuple[str, str]]:
    """(kind, text) of each field. Raises InvalidDatetimeFormat."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(word):
        if word[at].isspace() or word[at] in ",@":
            at += 1
            continue
        match = _FIELD.match(word, at)
        if match is None:
            raise _invalid(text)
        kind = match.lastgroup or ""
        found.append((kind, "".join(match[0].split())))
        at = match.end()
    return found


def _clock(text: str, field: str, mask: int) -> int:
    """Microseconds of [+-]h:mm[:ss[.f]]; mm:ss where the range or a fraction says so."""
    sign = -1 if field[0] == "-" else 1
    parts = field.lstrip("+-").split(":")
    if len(parts) == 2 and ("." in parts[1] or mask == (1 << 11 | 1 << 12)):
        parts.insert(0, "0")
    hours, minutes = int(parts[0]), int(parts[1])
    seconds = float(parts[2] or 0) if len(parts) > 2 else 0.0
    if minutes > 59 or seconds > 60:
        raise _overflow(text)
    return sign * (hours * _HOUR + minutes * _MINUTE + round(seconds * 1e6))


def _last(mask: int) -> str:
    """The unit of a number without one: the smallest of the range."""
    if mask == _FULL:
        return "second"
    for bit in (1 << 12, 1 << 11, 1 << 10, 1 << 3, 1 << 1, 1 << 2):
        if mask & bit:
            return _BITS[bit]
    return "second"


def _read_iso(text: str, word: str) -> tuple[int, int, int]:
    total = _Sum(text)
    found = _ISO.fullmatch(word)
    if word == "P":
        raise _invalid(text)
    if found:
        days = {"Y": "year", "M": "month", "W": "week", "D": "day"}
        for group, names in ((found[1], days), (found[2] or "", {})):
            for number, letter in _ISO_PART.findall(group):
                total.add(names.get(letter) or _UNITS[letter.lower()], number)
        return total.value(1)
    packed, other = _ISO_PACKED.fullmatch(word), _ISO_OTHER.fullmatch(word)
    if packed:
        units = ("year", "month", "day", "hour", "minute", "second")
        parts = dict(zip(units, packed.groups(), strict=True))
    elif other:
        parts = other.groupdict()
    else:
        raise _invalid(text)
    for unit, number in parts.items():
        if number is not None:
            total.add(unit, number)
    return total.value(1)


def fitted(type: Type, value: tuple[int, int, int]) -> tuple[int, int, int]:
    """Cut to the range of the type (its larger fields stay), rounded to its precision."""
    if type.modifier < 0:
        return value
    months, days, micros = value
    mask = type.modifier >> 16
    if mask != _FULL:
        last = _last(mask)
        if last == "year":
            months, days, micros = int(months / 12) * 12, 0, 0
        elif last == "month":
            days = micros = 0
        elif last == "day":
            micros = 0
        elif last in ("hour", "minute"):
            unit = _MICROS[last]
            micros = abs(micros) // unit * unit * (-1 if micros < 0 else 1)
    return months, days, rounded(micros, type.modifier & 0xFFFF)


def rounded(micros: int, digits: int) -> int:
    """To `digits` decimals of a second, half away from zero; -1 or more than five: as it is."""
    if not 0 <= digits < 6:
        return micros
    unit: int = 10 ** (6 - digits)
    whole = (abs(micros) + unit // 2) // unit * unit
    return whole if micros >= 0 else -whole
