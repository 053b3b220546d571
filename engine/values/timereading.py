"""to_timestamp, to_date and jsonpath's .datetime(): a text read along a template, and what it comes to.

Without FX, spaces before fields are passed over, and a separator of the template takes one of the text or
none. Standard reading, of jsonpath, takes every separator and character for itself, and the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.values import julian
from engine.values.timetemplates import Node, is_separator, nodes_of
from engine.values.timewriting import DAYS, MONTHS, ROMAN
from storage.errors import DatetimeFieldOverflow, FeatureNotSupported, InvalidDatetimeFormat, InvalidTimeZone

_NUMBER = re.compile(r"\s*[+-]?\d+")
_COMMA = re.compile(r"\s*([+-]?\d+),(\s*[+-]?\d{1,3})")
_SHORT = 'If your source string is not fixed-width, try using the "FM" modifier.'
_WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "A.M.": ("half", ("a.m.", "p.m.")),
    "P.M.": ("half", ("a.m.", "p.m.")),
    "AM": ("half", ("am", "pm")),
    "PM": ("half", ("am", "pm")),
    "A.D.": ("era", ("a.d.", "b.c.")),
    "B.C.": ("era", ("a.d.", "b.c.")),
    "AD": ("era", ("ad", "bc")),
    "BC": ("era", ("ad", "bc")),
    "MONTH": ("month", tuple(name.lower() for name in MONTHS)),
    "MON": ("month", tuple(name[:3].lower() for name in MONTHS)),
    "DAY": ("weekday", tuple(name.lower() for name in DAYS)),
    "DY": ("weekday", tuple(name[:3].lower() for name in DAYS)),
    "RM": ("month", tuple(name.lower() for name in reversed(ROMAN))),
}
# The setting of each field of digits, and how many there are at most.
_DIGITS: dict[str, tuple[str, int]] = {
    "HH24": ("hour", 2), "HH": ("hour", 2), "MI": ("minute", 2), "SS": ("second", 2), "SSSS": ("seconds", 4),
    "MS": ("millis", 3), "US": ("micros", 6), "MM": ("month", 2), "DD": ("day", 2), "DDD": ("yearday", 3),
    "IDDD": ("yearday", 3), "D": ("weekday", 1), "ID": ("weekday", 1), "WW": ("week", 2), "IW": ("week", 2),
    "W": ("monthweek", 1), "Q": ("", 1), "CC": ("century", 2), "J": ("julian", 1), "YYYY": ("year", 4),
    "IYYY": ("year", 4), "YYY": ("year", 3), "IYY": ("year", 3), "YY": ("year", 2), "IY": ("year", 2),
    "Y": ("year", 1), "I": ("year", 1), "TZH": ("zonehours", 2), "TZM": ("zoneminutes", 2),
}  # fmt: skip


@dataclass
class Read:
    """The date, time of day and zone that a text comes to. `offset`: seconds east, None without a zone."""

    year: int = 0
    month: int = 1
    day: int = 1
    hour: int = 0
    minute: int = 0
    second: int = 0
    micros: int = 0
    offset: int | None = None
    precision: int | None = None  # digits of a second, where FF said so

    @property
    def time(self) -> int:
        """Microseconds of the day."""
        return ((self.hour * 60 + self.minute) * 60 + self.second) * 1_000_000 + self.micros

    @property
    def days(self) -> int:
        """Julian day."""
        return julian.day_of(self.year, self.month, self.day)


def read(text: str, template: str, *, standard: bool = False) -> Read:
    """A text by a template. Raises InvalidDatetimeFormat, DatetimeFieldOverflow, FeatureNotSupported."""
    return _settled(_Reader(text, nodes_of(template, standard=standard), standard).settings(), text)


def in_precision(micros: int, digits: int | None) -> int:
    """Microseconds rounded to so many digits of a second; None: as they are."""
    if digits is None:
        return micros
    unit: int = 10 ** (6 - digits)
    return (micros + unit // 2) // unit * unit


@dataclass
class _Settings:
    values: dict[str, int] = field(default_factory=dict)
    iso: bool = False
    half_day: bool = False  # hours are those of a clock of twelve
    year_digits: int = 0
    zone_sign: int = 0
    precision: int | None = None

    def get(self, name: str) -> int:
        return self.values.get(name, 0)


class _Reader:
    def __init__(self, text: str, nodes: Sequence[Node], standard: bool) -> None:
        self.text = text
        self.nodes = nodes
        self.standard = standard
        self.fixed = standard
        self.at = 0
        self.skipped = 0  # characters passed over, more than the template has
        self.found = _Settings()
        self.convention = ""

    def settings(self) -> _Settings:
        """What the text sets."""
        number = 0
        for number, node in enumerate(self.nodes):
            if self.at >= len(self.text):
                break
            if not self.fixed and node.name != "FX" and (number == 0 or node.kind == "field"):
                self._spaces()
            if node.kind in ("space", "separator"):
                self._separator(node)
            elif node.kind == "text":
                self._character(node)
            else:
                self._field(number, node)
                if not self.fixed:
                    self.skipped = 0
                    self._spaces()
        else:
            number = len(self.nodes)
        if self.standard and self.nodes:
            if number < len(self.nodes):
                raise InvalidDatetimeFormat("input string is too short for datetime format")
            if self.text[self.at :].strip():
                raise InvalidDatetimeFormat(
                    "trailing characters remain in input string after datetime format"
                )
        return self.found

    def _spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
            self.skipped += 1

    def _separator(self, node: Node) -> None:
        letter = self.text[self.at : self.at + 1]
        if self.standard:
            if letter != node.text:
                raise InvalidDatetimeFormat(f'unmatched format separator "{node.text}"')
            self.at += 1
        elif self.fixed:
            self.at += 1
        else:
            self.skipped -= 1
            if letter.isspace() or (letter and is_separator(letter)):
                self.at += 1
                self.skipped += 1

    def _character(self, node: Node) -> None:
        if self.standard and self.text[self.at] != node.text:
            raise InvalidDatetimeFormat(f'unmatched format character "{node.text}"')
        if not self.fixed and self.skipped > 0:
            self.skipped -= 1
        else:
            self.at += 1

    def _field(self, number: int, node: Node) -> None:
        if node.convention and self.convention not in ("", node.convention):
            raise InvalidDatetimeFormat(
                "invalid combination of date conventions",
                hint="Do not mix Gregorian and ISO week date conventions in a formatting template.",
            )
        self.convention = node.convention or self.convention
        self.found.iso = self.convention == "iso"
        name = node.name
        if name == "FX":
            self.fixed = True
            return
        if name in ("TZ", "OF"):
            raise FeatureNotSupported(f'formatting field "{node.text}" is only supported in to_char')
        if name in _WORDS:
            self._word(node)
            return
        if name == "Y,YYY":
            self._comma(node)
        elif name.startswith("FF"):
            self.found.precision = int(name[2])
            self._digits(number, node, "micros", int(name[2]))
        else:
            if name == "TZH":
                self._zone_sign()
            elif name == "TZM":
                self.found.zone_sign = self.found.zone_sign or 1
            setting, most = _DIGITS[name]
            self._digits(number, node, setting, len(node.text) if name == "SSSS" else most)
        if node.ordinal and name not in ("TZH", "TZM"):
            self.at = min(self.at + 2, len(self.text))

    def _set(self, node: Node, setting: str, value: int) -> None:
        before = self.found.get(setting)
        if before not in (0, value):
            raise InvalidDatetimeFormat(
                f'conflicting values for "{node.text}" field in formatting string',
                detail="This value contradicts a previous setting for the same field type.",
            )
        self.found.values[setting] = value

    def _word(self, node: Node) -> None:
        setting, words = _WORDS[node.name]
        rest = self.text[self.at :].lower()
        place = next((at for at, word in enumerate(words) if rest.startswith(word)), None)
        if place is None:
            shown = re.split(r"[ \t\n\r\f]", self.text[self.at :])[0]
            raise InvalidDatetimeFormat(
                f'invalid value "{shown}" for "{node.text}"',
                detail="The given value did not match any of the allowed values for this field.",
            )
        self.at += len(words[place])
        value = place if setting in ("half", "era") else place + 1
        self._set(node, setting, 13 - value if node.name == "RM" else value)
        self.found.half_day = self.found.half_day or setting == "half"

    def _comma(self, node: Node) -> None:
        match = _COMMA.match(self.text, self.at)
        if match is None:
            raise InvalidDatetimeFormat('invalid input string for "Y,YYY"')
        self._set(node, "year", int(match[1]) * 1000 + int(match[2]))
        self.found.year_digits = 4
        self.at = match.end()

    def _zone_sign(self) -> None:
        letter = self.text[self.at : self.at + 1]
        if letter and letter in "+- ":
            self.found.zone_sign = -1 if letter == "-" else 1
            self.at += 1
        else:
            # the minus may have been taken for a separator
            minus = self.skipped > 0 and self.text[self.at - 1] == "-"
            self.found.zone_sign = -1 if minus else 1

    def _digits(self, number: int, node: Node, setting: str, most: int) -> None:
        value, length = self._integer(number, node, most)
        if not setting:
            return
        self._set(node, setting, value)
        match node.name:
            case "MS":
                value *= 10 ** max(3 - length, 0)
            case "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6":
                value *= 10 ** max(6 - length, 0)
            case "HH":
                self.found.half_day = True
            case "ID":
                value = value + 1 if value < 7 else 1
            case "YYYY" | "IYYY":
                self.found.year_digits = 4
            case "YYY" | "IYY" | "YY" | "IY" | "Y" | "I":
                self.found.year_digits = most
                value = _near_2020(value) if length < 4 else value
        self.found.values[setting] = value

    def _integer(self, number: int, node: Node, most: int) -> tuple[int, int]:
        """(value, characters) of a number of at most so many digits, or as many as there are."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        copy = self.text[self.at : self.at + most]
        if not node.fill or self._open_ended(number, node):
            match = _NUMBER.match(self.text, start)
            self.at = start if match is None else match.end()
        else:
            left = len(self.text) - self.at
            if left < most:
                raise InvalidDatetimeFormat(
                    f'source string too short for "{node.text}" formatting field',
                    detail=f"Field requires {most} characters, but only {left} remain.",
                    hint=_SHORT,
                )
            match = _NUMBER.match(copy)
            used = 0 if match is None else match.end()
            if 0 < used < most:
                raise InvalidDatetimeFormat(
                    f'invalid value "{copy}" for "{node.text}"',
                    detail=f"Field requires {most} characters, but only {used} could be parsed.",
                    hint=_SHORT,
                )
            self.at += used
        if self.at == start or match is None:
            raise InvalidDatetimeFormat(
                f'invalid value "{copy}" for "{node.text}"', detail="Value must be an integer."
            )
        value = int(match[0])
        if not -(2**31) <= value < 2**31:
            raise DatetimeFieldOverflow(
                f'value for "{node.text}" in source string is out of range',
                detail=f"Value must be in the range {-(2**31)} to {2**31 - 1}.",
            )
        return value, self.at - start

    def _open_ended(self, number: int, node: Node) -> bool:
        """Whether what follows a number in the template is no digit."""
        if node.ordinal or number + 1 == len(self.nodes):
            return True
        following = self.nodes[number + 1]
        return not following.digits if following.kind == "field" else not following.text.isdigit()


def _near_2020(year: int) -> int:
    """The year near 2020 that ends with these digits."""
    if year >= 1000:
        return year
    return year + (2000 if year < 70 else 1900 if year < 100 else 2000 if year < 520 else 1000)


def _settled(found: _Settings, text: str) -> Read:
    """What settings come to, checked."""
    result = Read(micros=found.get("millis") * 1000 + found.get("micros"), precision=found.precision)
    _set_clock(result, found)
    known = _set_date(result, found)
    length = 29 if julian.leap(result.year) and result.month == 2 else 31
    if 1 <= result.month <= 12 and not (julian.leap(result.year) and result.month == 2):
        length = julian.LENGTHS[result.month - 1]
    if (
        ("month" in known and not 1 <= result.month <= 12)
        or ("day" in known and not 1 <= result.day <= 31)
        or (len(known) == 3 and result.day > length)
        or not (0 <= result.hour < 24 and 0 <= result.minute < 60 and 0 <= result.second < 60)
        or not 0 <= result.micros < 1_000_000
    ):
        raise DatetimeFieldOverflow(f'date/time field value out of range: "{text}"')
    if found.zone_sign:
        hours, minutes = found.get("zonehours"), found.get("zoneminutes")
        if not (0 <= hours <= 15 and 0 <= minutes < 60):
            raise InvalidTimeZone(f'time zone displacement out of range: "{text}"')
        result.offset = found.zone_sign * (hours * 3600 + minutes * 60)
    return result


def _set_clock(result: Read, found: _Settings) -> None:
    seconds = found.get("seconds")
    sign = -1 if seconds < 0 else 1
    minutes, result.second = divmod(abs(seconds), 60)
    result.hour, result.minute = divmod(minutes, 60)
    result.hour, result.minute, result.second = (
        found.get(name) or sign * value
        for name, value in (("hour", result.hour), ("minute", result.minute), ("second", result.second))
    )
    if not found.half_day:
        return
    if not 1 <= result.hour <= 12:
        raise InvalidDatetimeFormat(
            f'hour "{result.hour}" is invalid for the 12-hour clock',
            hint="Use the 24-hour clock, or give an hour between 1 and 12.",
        )
    result.hour = result.hour % 12 + 12 * found.get("half")


def _set_date(result: Read, found: _Settings) -> set[str]:
    """Put the date into the result; returns which of year, month and day are known."""
    known: set[str] = set()
    whole = {"year", "month", "day"}
    if found.get("year") or found.get("century"):
        result.year = _year(found)
        known.add("year")
    if found.get("julian"):
        result.year, result.month, result.day = julian.date_of(found.get("julian"))
        known |= whole
    yearday, week, weekday = found.get("yearday"), found.get("week"), found.get("weekday")
    if week and found.iso:
        first = julian.first_of_week(result.year, week)
        after = 0 if not weekday else weekday - 2 if weekday > 1 else 6
        result.year, result.month, result.day = julian.date_of(first + after)
        known |= whole
    elif week:
        yearday = (week - 1) * 7 + 1
    day = (found.get("monthweek") - 1) * 7 + 1 if found.get("monthweek") else found.get("day")
    if day:
        result.day = day
        known.add("day")
    if found.get("month"):
        result.month = found.get("month")
        known.add("month")
    if yearday and (result.month <= 1 or result.day <= 1):
        if not result.year and not found.get("era"):
            raise InvalidDatetimeFormat("cannot calculate day of year without year information")
        _set_yearday(result, yearday, found.iso)
        known |= whole if found.iso else {"month", "day"}
    return known


def _year(found: _Settings) -> int:
    year, century = found.get("year"), found.get("century")
    if found.get("era"):
        century = -century
    if not year:
        return (century - 1) * 100 + 1 if century >= 0 else century * 100 + 1
    if century and found.year_digits <= 2:
        short = year - 100 * int(year / 100)
        if not short:
            return century * 100 + (century < 0)
        return (century - 1) * 100 + short if century >= 0 else (century + 1) * 100 - short + 1
    if found.get("era"):
        year = -year
    return year + (year < 0)


def _set_yearday(result: Read, yearday: int, iso: bool) -> None:
    """The month and day that a day of the year is, as far as they are not set."""
    if iso:
        first = julian.first_of_week(result.year, 1)
        result.year, result.month, result.day = julian.date_of(first - 1 + yearday)
        return
    month, before = 1, 0
    while month <= 12:
        length = julian.LENGTHS[month - 1] + (month == 2 and julian.leap(result.year))
        if yearday <= before + length:
            break
        before += length
        month += 1
    if result.month <= 1:
        result.month = month
    if result.day <= 1:
        result.day = yearday - before
