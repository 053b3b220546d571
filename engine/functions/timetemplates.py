"""to_char, to_timestamp and to_date: times as texts of a template, and back.

A template is cut once into pieces: literal texts and fields (YYYY, HH24, Mon, ...), each with its
modifiers FM (no padding) and TH (ordinal).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.functions.registry import scalar
from engine.functions.timefields import iso_week
from engine.run import Run
from engine.values import calendar
from engine.values.calendar import DAY, HOUR, JULIAN, MINUTE, SECOND, Zone, session_zone
from engine.values.intervals import fields
from storage.column import Column
from storage.errors import DatetimeFieldOverflow, InvalidDatetimeFormat
from storage.types import DATE, INTERVAL, TEXT, TIMESTAMP, TIMESTAMPTZ

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_FIELDS = [
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5",
    "FF6", "A.M.", "P.M.", "a.m.", "p.m.", "AM", "PM", "am", "pm", "Y,YYY", "YYYY", "YYY", "YY", "Y",
    "IYYY", "IYY", "IY", "I", "B.C.", "A.D.", "b.c.", "a.d.", "BC", "AD", "bc", "ad", "MONTH", "Month",
    "month", "MON", "Mon", "mon", "MM", "DAY", "Day", "day", "DY", "Dy", "dy", "DDD", "IDDD", "DD", "D",
    "ID", "WW", "W", "IW", "CC", "J", "Q", "RM", "rm", "TZH", "TZM", "TZ", "tz", "OF",
]  # fmt: skip
_CASED = {f for f in _FIELDS if f.lower() != f.upper()}
_PIECE = re.compile(
    r'(FM|fm|TM|tm|FX|fx)?(?:"((?:[^"\\]|\\.)*)"|('
    + "|".join(re.escape(f) for f in sorted(_FIELDS, key=len, reverse=True))
    + r")(TH|th)?)|(.)",
    re.DOTALL,
)
_INSENSITIVE = {f.lower(): f for f in _FIELDS if f.upper() == f and f not in ("AM", "PM", "TZ")}


@dataclass(frozen=True, slots=True)
class Piece:
    """A literal text (field ''), or a field with its modifiers."""

    field: str
    text: str = ""
    fill: bool = True
    ordinal: str = ""


@lru_cache(1_000)
def pieces(template: str) -> tuple[Piece, ...]:
    """A template's pieces."""
    found: list[Piece] = []
    at = 0
    while at < len(template):
        match = _PIECE.match(template, at) or _PIECE.match(template.upper(), at)
        assert match is not None
        modifier, quoted, field, ordinal, letter = match.groups()
        if letter is not None:
            # a field in another case: yyyy, Hh24
            upper = _PIECE.match(template.upper(), at)
            if upper is not None and upper.group(3) is not None and letter.isalpha():
                match, (modifier, quoted, field, ordinal, letter) = upper, upper.groups()
        at = match.end()
        fill = (modifier or "").upper() != "FM"
        if field is not None:
            found.append(Piece(field, fill=fill, ordinal=ordinal or ""))
        else:
            text = letter if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found.append(Piece("", text or ""))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Moment:
    """The fields of a time; of an interval, the calendar's fields are counts."""

    year: int
    month: int
    day: int
    micros: int  # of the day; of an interval, its time
    days: int  # since 2000-01-01
    iso_year: int
    iso_week: int
    zone: str = ""
    offset: int = 0  # seconds
    interval: bool = False

    def number(self, field: str) -> tuple[int, int] | None:
        """(value, width) of a field of digits."""
        hour = abs(self.micros) // HOUR * (1 if self.micros >= 0 else -1)
        micros = abs(self.micros)
        shown = self.year if self.year > 0 or self.interval else 1 - self.year
        match field:
            case "HH24":
                return hour, 2
            case "HH" | "HH12":
                return hour % 12 or 12, 2
            case "MI":
                return micros % HOUR // MINUTE, 2
            case "SS":
                return micros % MINUTE // SECOND, 2
            case "SSSS" | "SSSSS":
                return micros // SECOND, 1
            case "MS" | "FF3":
                return micros % SECOND // 1000, 3
            case "US" | "FF6":
                return micros % SECOND, 6
            case "FF1" | "FF2" | "FF4" | "FF5":
                return micros % SECOND // 10 ** (6 - int(field[2])), int(field[2])
            case "YYYY":
                return shown, 4
            case "YYY" | "YY" | "Y":
                return shown % 10 ** len(field), len(field)
            case "IYYY":
                return self.iso_year, 4
            case "IYY" | "IY" | "I":
                return self.iso_year % 10 ** len(field), len(field)
            case "MM":
                return self.month, 2
            case "DD":
                return self.day, 2
            case "DDD":
                return self.days - _first(self.year) + 1, 3
            case "D":
                return (self.days + 6) % 7 + 1, 1
            case "ID":
                return (self.days + 5) % 7 + 1, 1
            case "IDDD":
                return (self.iso_week - 1) * 7 + (self.days + 5) % 7 + 1, 3
            case "WW":
                return (self.days - _first(self.year)) // 7 + 1, 2
            case "W":
                return (self.day - 1) // 7 + 1, 1
            case "IW":
                return self.iso_week, 2
            case "CC":
                return (self.year + 99) // 100 if self.year > 0 else (self.year - 99) // 100, 2
            case "J":
                return self.days + JULIAN, 1
            case "Q":
                return (self.month + 2) // 3, 1
        return None

    def word(self, field: str, fill: bool) -> str:
        """A field of letters."""
        upper = field.upper()
        if upper in ("AM", "PM", "A.M.", "P.M."):
            text = "PM" if abs(self.micros) % DAY >= DAY // 2 else "AM"
            text = f"{text[0]}.M." if "." in field else text
            return text.lower() if field.islower() else text
        if upper in ("BC", "AD", "B.C.", "A.D."):
            text = "BC" if self.year <= 0 else "AD"
            text = f"{text[0]}.{text[1]}." if "." in field else text
            return text.lower() if field.islower() else text
        if upper in ("MONTH", "MON", "DAY", "DY"):
            names, at = (MONTHS, self.month - 1) if upper[0] == "M" else (DAYS, (self.days + 6) % 7)
            text = names[at] if upper in ("MONTH", "DAY") else names[at][:3]
            text = text.ljust(9) if fill and upper in ("MONTH", "DAY") else text
            return text.upper() if field.isupper() else text.lower() if field.islower() else text
        if upper == "RM":
            text = _ROMAN[self.month - 1] if self.month else ""
            text = text.ljust(4) if fill else text
            return text.lower() if field.islower() else text
        if upper == "Y,YYY":
            year = self.year if self.year > 0 else 1 - self.year
            return f"{year // 1000},{year % 1000:03d}"
        return self._zone(field)

    def _zone(self, field: str) -> str:
        sign = "-" if self.offset < 0 else "+"
        hours, minutes = divmod(abs(self.offset) // 60, 60)
        match field:
            case "TZH":
                return f"{sign}{hours:02d}"
            case "TZM":
                return f"{minutes:02d}"
            case "OF":
                return f"{sign}{hours:02d}" + (f":{minutes:02d}" if minutes else "")
        return self.zone.lower() if field == "tz" else self.zone


def _first(year: int) -> int:
    one = np.ones(1, np.int64)
    return int(calendar.days_of(one * year, one, one)[0])


def ordinal(number: int) -> str:
    """st, nd, rd or th."""
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def written(moment: Moment, template: str) -> str:
    """A time by a template."""
    out = []
    for piece in pieces(template):
        if not piece.field:
            out.append(piece.text)
            continue
        number = moment.number(piece.field)
        if number is None:
            out.append(moment.word(piece.field, piece.fill))
            continue
        value, width = number
        width = width if piece.fill or piece.field in ("MS", "US") or piece.field[:2] == "FF" else 0
        text = f"{value:0{width + (value < 0)}d}" if width else str(value)
        if piece.ordinal:
            text += ordinal(abs(value)).upper() if piece.ordinal.isupper() else ordinal(abs(value))
        out.append(text)
    return "".join(out)


def moments(values: np.ndarray, zone: Zone | None) -> list[Moment]:
    """The fields of timestamps, by a zone's clock where there is one."""
    local = values if zone is None else zone.local(values)
    days = local // DAY
    (year, month, day), (iso_year, week) = calendar.civil(days), iso_week(days)
    columns = (year, month, day, local % DAY, days, iso_year, week)
    names = [""] * len(values) if zone is None else zone.abbreviation(values)
    offsets = [0] * len(values) if zone is None else (zone.offset(values) // SECOND).tolist()
    rows = zip(*(column.tolist() for column in columns), names, offsets, strict=True)
    return [Moment(*row) for row in rows]


def _texts(column: Column, template: Column, zone: Zone | None) -> Column:
    ok = calendar.finite(column.values)
    safe = np.where(ok, column.values, 0)
    rows = zip(moments(safe, zone), template.tolist(), ok.tolist(), strict=True)
    return Column.of(TEXT, [written(m, t) if t and good else None for m, t, good in rows])


@scalar("to_char", [TIMESTAMP, TEXT], TEXT)
def timestamp_to_char(column: Column, template: Column) -> Column:
    """A timestamp by a template."""
    return _texts(column, template, None)


@scalar("to_char", [TIMESTAMPTZ, TEXT], TEXT, volatility="s", run=True)
def instant_to_char(column: Column, template: Column, run: Run) -> Column:
    """An instant by a template and the session's clock."""
    return _texts(column, template, session_zone(run))


@scalar("to_char", [INTERVAL, TEXT], TEXT)
def interval_to_char(column: Column, template: Column) -> Column:
    """An interval by a template."""
    months, days, micros = (field.tolist() for field in fields(column.values))
    out = []
    for month, day, micro, text in zip(months, days, micros, template.tolist(), strict=True):
        sign = -1 if month < 0 else 1
        total = month * 30 + day
        years, rest = sign * (abs(month) // 12), sign * (abs(month) % 12)
        moment = Moment(years, rest, day, micro, total, years, 0, interval=True)
        out.append(written(moment, text) if text else None)
    return Column.of(TEXT, out)


_LENGTHS = {
    "YYYY": 4,
    "IYYY": 4,
    "YYY": 3,
    "YY": 2,
    "Y": 1,
    "DDD": 3,
    "MS": 3,
    "US": 6,
    "J": 7,
    "SSSS": 5,
    "SSSSS": 5,
}


def _scanner(text: str, template: str) -> dict[str, int | str]:
    """The fields of a text that follows a template."""
    found: dict[str, int | str] = {}
    at = 0
    parts = pieces(template)
    for i, piece in enumerate(parts):
        while at < len(text) and text[at].isspace() and (piece.field or not piece.text.isspace()):
            at += 1
        if not piece.field:
            if at < len(text) and (not text[at].isalnum() or text[at] == piece.text[:1]):
                at += len(piece.text)
            continue
        if at >= len(text):
            break
        following = i + 1 < len(parts) and parts[i + 1].field[:1].isalnum()
        at = _scan_field(piece, text, at, found, bounded=following)
    return found


def _scan_field(piece: Piece, text: str, at: int, found: dict[str, int | str], *, bounded: bool) -> int:
    upper = piece.field.upper()
    if upper in ("MONTH", "MON", "DAY", "DY"):
        names = MONTHS if upper[0] == "M" else DAYS
        rest = text[at:].lower()
        for number, name in enumerate(names, 1):
            for word in (name.lower(), name[:3].lower()):
                if rest.startswith(word):
                    if upper[0] == "M":
                        found["MM"] = number
                    return at + len(word)
        raise InvalidDatetimeFormat(
            f'invalid value "{text[at:].split()[0]}" for "{piece.field}"',
            detail="The given value did not match any of the allowed values for this field.",
        )
    if upper in ("AM", "PM", "A.M.", "P.M.", "BC", "AD", "B.C.", "A.D."):
        word = text[at : at + len(upper)].upper().replace(".", "")
        found["half" if word in ("AM", "PM") else "era"] = word
        return at + len(upper)
    if upper in ("TZH", "TZM", "OF", "TZ"):
        zone = re.compile(r"[+-]?\d{1,2}(?::?\d{2})?|[A-Za-z]+").match(text, at)
        if zone:
            found[upper] = zone[0]
            return zone.end()
        return at
    length = _LENGTHS.get(upper, 2) if bounded or upper not in ("YYYY", "J", "US", "MS") else 9
    digits = re.compile(rf"[+-]?\d{{1,{length}}}").match(text, at)
    if digits is None:
        raise InvalidDatetimeFormat(
            f'invalid value "{text[at : at + 2]}" for "{piece.field}"', detail="Value must be an integer."
        )
    value = digits[0]
    if upper in ("MS", "US"):
        value = value.ljust(3 if upper == "MS" else 6, "0")
    found[upper.removesuffix("12") if upper.startswith("HH1") else upper] = int(value)
    return digits.end()


def _get(found: dict[str, int | str], field: str, default: int) -> int:
    value = found.get(field, default)
    assert isinstance(value, int)
    return value


def _year(found: dict[str, int | str]) -> int:
    if "YYYY" in found or "Y,YYY" in found:
        year = _get(found, "YYYY", 0)
    elif "YYY" in found:
        year = _get(found, "YYY", 0) + (1000 if _get(found, "YYY", 0) >= 520 else 2000)
    elif "YY" in found:
        year = _get(found, "YY", 0) + (1900 if _get(found, "YY", 0) >= 70 else 2000)
    elif "Y" in found:
        year = _get(found, "Y", 0) + 2000
    else:
        return 0
    return 1 - year if found.get("era") == "BC" else year


def _hour(found: dict[str, int | str], text: str) -> int:
    if "HH" not in found:
        return _get(found, "HH24", 0)
    hour = _get(found, "HH", 0)
    if not 1 <= hour <= 12:
        raise InvalidDatetimeFormat(
            f'hour "{hour}" is invalid for the 12-hour clock',
            hint="Use the 24-hour clock, or give an hour between 1 and 12.",
        )
    return hour % 12 + (12 if found.get("half") == "PM" else 0)


def scanned(text: str, template: str) -> tuple[int, int, dict[str, int | str]]:
    """(days, microseconds of the day, fields) of a text that follows a template."""
    found = _scanner(text, template)
    if "J" in found:
        days = _get(found, "J", 0) - JULIAN
    else:
        year, month, day = _year(found), _get(found, "MM", 1), _get(found, "DD", 1)
        year = year if "era" in found or year else 0
        one = np.ones(1, np.int64)
        if not 1 <= month <= 12 or not 1 <= day <= int(calendar.month_length(one * year, one * month)[0]):
            raise DatetimeFieldOverflow(f'date/time field value out of range: "{text}"')
        days = int(calendar.days_of(one * year, one * month, one * day)[0])
        if "DDD" in found and "MM" not in found:
            days = _first(year) + _get(found, "DDD", 1) - 1
    seconds = _get(found, "SSSS", _get(found, "SSSSS", -1))
    if seconds < 0:
        hour, minute, second = _hour(found, text), _get(found, "MI", 0), _get(found, "SS", 0)
        if not 0 <= hour < 24 or not 0 <= minute < 60 or not 0 <= second < 60:
            raise DatetimeFieldOverflow(f'date/time field value out of range: "{text}"')
        seconds = hour * 3600 + minute * 60 + second
    return days, seconds * SECOND + _get(found, "MS", 0) * 1000 + _get(found, "US", 0), found


def _offset(found: dict[str, int | str]) -> int | None:
    """Microseconds east of UTC that the text names; None where it names none."""
    text = found.get("TZH", found.get("OF"))
    if text is None:
        name = found.get("TZ")
        return None if name is None else int(calendar.zone(str(name)).offsets[-1])
    hours, _, minutes = str(text).partition(":")
    rest = int(minutes or found.get("TZM", 0))
    sign = -1 if hours.startswith("-") else 1
    return sign * (abs(int(hours)) * HOUR + rest * MINUTE)


def _each(column: Column, template: Column, one: Callable[[str, str], int]) -> list[int]:
    return [one(text, form) for text, form in zip(column.tolist(), template.tolist(), strict=True)]


@scalar("to_date", [TEXT, TEXT], DATE)
def to_date(column: Column, template: Column) -> Column:
    """The date that a text of a template names."""
    days = np.array(_each(column, template, lambda t, f: scanned(t, f)[0]), np.int64)
    return Column(DATE, calendar.check_days(days))


@scalar("to_timestamp", [TEXT, TEXT], TIMESTAMPTZ, volatility="s", run=True)
def to_timestamp(column: Column, template: Column, run: Run) -> Column:
    """The instant that a text of a template names."""
    zone = session_zone(run)

    def one(text: str, form: str) -> int:
        days, micros, found = scanned(text, form)
        local = days * DAY + micros
        offset = _offset(found)
        if offset is not None:
            return local - offset
        return int(zone.utc(np.array([local], np.int64))[0])

    return Column(TIMESTAMPTZ, calendar.check_micros(np.array(_each(column, template, one), np.int64)))
