"""Text forms of dates and times: ISO out, PostgreSQL's common spellings in.

Dates are days since 2000-01-01, timestamps microseconds since 2000-01-01 00:00 (UTC where they carry a
zone); the smallest and largest integers stand for -infinity and infinity.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms import datestyles
from engine.forms.dayspellings import clock_last, day_of
from engine.forms.intervals import rounded
from engine.forms.style import FEW, Style
from storage import kernels
from storage.column import Array, Column
from storage.errors import (
    DatetimeFieldOverflow,
    InvalidDatetimeFormat,
    InvalidParameterValue,
    InvalidTimeZone,
)
from storage.timetz import LIMIT, clock_of, packed, west_of
from storage.types import DATE, TIMESTAMPTZ, Type

DAY = 86_400_000_000
EPOCH_DAYS = 10_957  # from 1970-01-01 to 2000-01-01
MIN_DAYS, MAX_DAYS = -2_451_545, 2_145_031_948  # 4714-11-24 BC to 5874897-12-31
MIN_MICROS, MAX_MICROS = MIN_DAYS * DAY, 9_223_371_331_199_999_999  # to the end of 294276
DATE_LOW, DATE_HIGH = -(2**31), 2**31 - 1
STAMP_LOW, STAMP_HIGH = -(2**63), 2**63 - 1
ABBREVIATIONS = {
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
    "utc": 0, "gmt": 0, "z": 0, "zulu": 0, "ut": 0, "wet": 0, "cet": 1, "cest": 2, "eet": 2, "eest": 3,
    "msk": 3, "bst": 1, "jst": 9, "kst": 9, "hst": -10, "akst": -9, "akdt": -8, "aest": 10, "aedt": 11,
}  # fmt: skip
"""Hours east of Greenwich of zones' short names."""
WIRE_TIMETZ = np.dtype([("clock", ">i8"), ("west", ">i4")])
_SPECIAL = frozenset(("epoch", "now", "today", "tomorrow", "yesterday"))


def civil(days: int) -> tuple[int, int, int]:
    """(year, month, day) of days since 2000-01-01, in the Gregorian calendar at any distance."""
    cycles, rest = divmod(days, 146_097)
    day = date(2000, 1, 1) + timedelta(days=rest)
    return day.year + 400 * cycles, day.month, day.day


def days_of(year: int, month: int, day: int) -> int:
    """The inverse of civil. Raises ValueError where there is no such day."""
    cycles, rest = divmod(year - 2000, 400)
    return cycles * 146_097 + (date(2000 + rest, month, day) - date(2000, 1, 1)).days


def _date_text(days: int) -> str:
    year, month, day = civil(days)
    shown = year if year > 0 else 1 - year
    return f"{shown:04d}-{month:02d}-{day:02d}" + ("" if year > 0 else " BC")


def write_date(column: Column, style: Style) -> pa.Array:
    """YYYY-MM-DD, or as DateStyle says; years before 1 and infinity one by one."""
    values = column.values
    if style.date_style != "ISO":
        return _each(column, partial(_styled_date, style))
    if len(values) <= FEW:
        return _each(column, _any_date)
    usual = (values > -730_000) & (values < 2_900_000)
    shifted = np.where(usual, values, 0) + EPOCH_DAYS
    texts = pa.array(shifted.astype(np.int32), pa.date32()).cast(pa.large_string())
    return _patched(texts, column, usual, _any_date)


def _each(column: Column, write: Callable[[int], str]) -> pa.Array:
    return pa.array([None if value is None else write(value) for value in column.tolist()], pa.large_string())


def _any_date(value: int) -> str:
    return _infinite(value, DATE_LOW, DATE_HIGH) or _date_text(value)


def _any_stamp(value: int) -> str:
    return _infinite(value, STAMP_LOW, STAMP_HIGH) or _stamp_text(value)


def _infinite(value: int, low: int, high: int) -> str | None:
    return "-infinity" if value == low else "infinity" if value == high else None


def _patched(texts: pa.Array, column: Column, usual: Array, write: object) -> pa.Array:
    """`texts` with the unusual rows written one by one, and nulls."""
    if not usual.all():
        odd = ~usual
        assert callable(write)
        replacements = [write(int(value)) for value in column.values[odd]]
        texts = pc.replace_with_mask(texts, pa.array(odd), pa.array(replacements, pa.large_string()))
    return texts if column.valid is None else pc.if_else(pa.array(column.valid), texts, None)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _stamps(micros: Array) -> pa.Array:
    """'YYYY-MM-DD HH:MM:SS[.f]' of timestamps in years 1 to 9999."""
    texts, lengths = kernels.stamp_texts(micros)
    ends = np.cumsum(lengths)
    starts = np.arange(len(micros), dtype=np.int64) * texts.shape[1]
    content = kernels.gather_bytes(texts.reshape(-1), starts, lengths)
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_string(), len(micros), buffers)


def _time_text(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{rest:06d}".rstrip("0") if rest else "")


def write_time(column: Column, style: Style) -> pa.Array:
    """HH:MM:SS[.f]"""
    return pa.array([None if v is None else _time_text(v) for v in column.tolist()], pa.large_string())


def _stamp_text(value: int) -> str:
    days, micros = divmod(value, DAY)
    day, _, era = _date_text(days).partition(" ")
    return f"{day} {_time_text(micros)}" + (f" {era}" if era else "")


def _usual(values: Array) -> Array:
    usual: Array = (values > -730_000 * DAY) & (values < 2_900_000 * DAY)
    return usual


def write_timestamp(column: Column, style: Style) -> pa.Array:
    """YYYY-MM-DD HH:MM:SS[.f], or as DateStyle says."""
    if style.date_style != "ISO":
        return _each(column, lambda value: _styled_stamp(style, value, None, ""))
    if len(column) <= FEW:
        return _each(column, _any_stamp)
    usual = _usual(column.values)
    texts = _stamps(np.where(usual, column.values, 0))
    return _patched(texts, column, usual, _any_stamp)


def offset_at(micros: int, zone: tzinfo) -> int:
    """Seconds east of UTC in force in a zone at a moment."""
    offset = _moment_of(micros).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _moment_of(micros: int) -> datetime:
    """A moment of the same offsets as this one, of those that `datetime` reaches."""
    seconds = micros // 1_000_000 + EPOCH_DAYS * 86_400
    cycles, rest = divmod(seconds, 146_097 * 86_400)
    if cycles < -4:  # long before clocks were set by zones
        return datetime(2, 1, 1, tzinfo=UTC)
    # or as in the year some times 400 before, which has the same days
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=rest if cycles > 4 else seconds)


def offsets_at(micros: Array, zone: tzinfo) -> Array:
    """offset_at of many moments: asked once a quarter of an hour, for zones change on these."""
    quarters, places = np.unique(micros // 900_000_000, return_inverse=True)
    known = [offset_at(int(quarter) * 900_000_000, zone) for quarter in quarters]
    return np.array(known, np.int64)[places.reshape(-1)]


def _styled_date(style: Style, value: int) -> str:
    infinite = _infinite(value, DATE_LOW, DATE_HIGH)
    return infinite or datestyles.date_text(civil(value), style.date_style, style.date_order)


def _styled_stamp(style: Style, value: int, zone: str | None, offset: str) -> str:
    """A timestamp in a DateStyle that is not ISO; see datestyles.stamp_text."""
    infinite = _infinite(value, STAMP_LOW, STAMP_HIGH)
    if infinite is not None:
        return infinite
    days, micros = divmod(value, DAY)
    shown, weekday = _time_text(micros), (days + 5) % 7
    return datestyles.stamp_text(
        civil(days), weekday, shown, zone, offset, style.date_style, style.date_order
    )


def _styled_instant(style: Style, value: int) -> str:
    """A timestamptz in a DateStyle that is not ISO: with the zone's short name, if it has one."""
    if value in (STAMP_LOW, STAMP_HIGH):
        return _styled_stamp(style, value, None, "")
    offset = offset_at(value, style.zone)
    name = _moment_of(value).astimezone(style.zone).tzname()
    named = None if name is None or name.startswith(("UTC+", "UTC-")) else name
    return _styled_stamp(style, value + offset * 1_000_000, named, _offset_text(offset))


def _offset_text(seconds: int) -> str:
    sign, rest = "-" if seconds < 0 else "+", abs(seconds)
    text = f"{sign}{rest // 3600:02d}"
    if rest % 3600:
        text += f":{rest // 60 % 60:02d}"
    return text + (f":{rest % 60:02d}" if rest % 60 else "")


def write_timestamptz(column: Column, style: Style) -> pa.Array:
    """As the session's zone has it, with the offset: 2026-11-23 10:00:00+01, or as DateStyle says."""
    if style.date_style != "ISO":
        return _each(column, partial(_styled_instant, style))
    utc = style.time_zone.upper() in ("UTC", "ETC/UTC", "GMT")

    def any_stamp(value: int) -> str:
        infinite = _infinite(value, STAMP_LOW, STAMP_HIGH)
        if infinite is not None:
            return infinite
        offset = 0 if utc else offset_at(value, style.zone)
        text, bc, _ = _stamp_text(value + offset * 1_000_000).partition(" BC")
        return text + _offset_text(offset) + bc

    if len(column) <= FEW:
        return _each(column, any_stamp)
    usual = _usual(column.values)
    micros = np.where(usual, column.values, 0)
    if utc:
        texts = pc.binary_join_element_wise(_stamps(micros), _text("+00"), _text(""))
    else:
        offsets = offsets_at(micros, style.zone)
        known = {int(offset): _offset_text(int(offset)) for offset in np.unique(offsets)}
        suffixes = pa.array([known[offset] for offset in offsets.tolist()], pa.large_string())
        texts = pc.binary_join_element_wise(_stamps(micros + offsets * 1_000_000), suffixes, _text(""))
    return _patched(texts, column, usual, any_stamp)


def write_timetz(column: Column, style: Style) -> pa.Array:
    """HH:MM:SS[.f] and the zone's offset: 10:00:00+01"""
    return _each(column, lambda value: _time_text(clock_of(value)) + _offset_text(-west_of(value)))


_ISO_DATE = re.compile(r"(\d{4,6})-(\d{1,2})-(\d{1,2})")
_PACKED_TIME = re.compile(r"(\d{2})(\d{2})(?:(\d{2})(\.\d*)?)?(?![\d:])()")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(\.\d*)?)?(?:\s*([ap]m)\b)?", re.IGNORECASE)
_ZONE = re.compile(
    r"\s*([+-]\d{1,2}(?::?\d{2})?(?::?\d{2})?|[A-Za-z_]+/[A-Za-z_/+-]+\d*"
    rf"|(?:gmt|utc)[+-]\d{{1,2}}|[A-Za-z]{{3}}\d[A-Za-z]{{3}}(?![a-z])|(?:{'|'.join(ABBREVIATIONS)})(?![a-z]))",
    re.IGNORECASE,
)


def zone_of(name: str) -> tzinfo:
    """A time zone by name, abbreviation, or offset. Raises InvalidParameterValue, ValueError for an offset
    that no zone has.
    """
    lowered = name.strip().lower()
    if lowered in ABBREVIATIONS:
        return timezone(timedelta(hours=ABBREVIATIONS[lowered]))
    posix = re.fullmatch(r"(?:gmt|utc)([+-])(\d{1,2})", lowered)
    if posix:  # whose sign counts west of Greenwich
        return zone_of(("-" if posix[1] == "+" else "+") + posix[2])
    offset = re.fullmatch(r"([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?", lowered)
    if offset:
        seconds = int(offset[2]) * 3600 + int(offset[3] or 0) * 60 + int(offset[4] or 0)
        if max(int(offset[3] or 0), int(offset[4] or 0)) > 59 or seconds >= LIMIT:
            raise ValueError
        return timezone(timedelta(seconds=-seconds if offset[1] == "-" else seconds))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidParameterValue(f'time zone "{name.lower()}" not recognized') from None


def _zone(text: str, name: str) -> tzinfo:
    """The zone that is written in a text."""
    try:
        return zone_of(name)
    except ValueError:
        raise InvalidTimeZone(f'time zone displacement out of range: "{text}"') from None


def _overflow(text: str, hint: str = "") -> DatetimeFieldOverflow:
    return DatetimeFieldOverflow(f'date/time field value out of range: "{text}"', hint=hint)


def _days(type: Type, text: str, word: str, style: Style, era: str) -> tuple[int, str]:
    """The day that `word` begins with, and the rest. `era`: 'bc', 'ad' or ''."""
    found = day_of(word, style.date_order, era=bool(era))
    if found is None:
        raise invalid_time(type, text)
    year, month, day, end = found
    if era == "bc":
        year = 1 - year
    elif year == 0 and not word.lower().startswith("j"):
        raise _overflow(text)
    days = _checked_days(text, year, month, day)
    if not MIN_DAYS <= days <= MAX_DAYS:
        what = "date" if type.oid == DATE.oid else "timestamp"
        raise DatetimeFieldOverflow(f'{what} out of range: "{text}"')
    return days, word[end:]


def _checked_days(text: str, year: int, month: int, day: int) -> int:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise _overflow(text, 'Perhaps you need a different "datestyle" setting.')
    try:
        return days_of(year, month, day)
    except (ValueError, OverflowError):
        raise _overflow(text) from None


def _clock(type: Type, text: str, word: str) -> tuple[int, str]:
    """Microseconds of the time that `word` begins with, and the rest."""
    found = _TIME.match(word) or _PACKED_TIME.match(word)
    if not found:
        raise invalid_time(type, text)
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if hour > 12:
            raise _overflow(text)
        hour = hour % 12 + (12 if found[5].lower() == "pm" else 0)
    micros = round(float(found[4]) * 1e6) if found[4] and found[4] != "." else 0
    total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    if minute > 59 or second > 60 or total > DAY:
        raise _overflow(text)
    return total, word[found.end() :]


def _moment(type: Type, text: str, style: Style) -> tuple[int, int | None]:
    """(local microseconds since 2000, seconds east of UTC if a zone is written)."""
    lowered = text.strip().lower()
    if lowered in _SPECIAL:
        return _special(lowered, style)
    days, clock, offset = _parts(type, text, style)
    return days * DAY + (clock or 0), offset


def _parts(type: Type, text: str, style: Style) -> tuple[int, int | None, int | None]:
    """(day, microseconds of the day if a time is written, seconds east of UTC if a zone is)."""
    word = text.strip()
    era = re.search(r"\s*\b(bc|ad)\b$", word, re.IGNORECASE)
    if era:
        word = word[: era.start()]
    days, rest = _days(type, text, clock_last(word), style, era[1].lower() if era else "")
    spaced, rest = rest[:1].isspace(), rest.lstrip()
    if rest[:1] in ("T", "t") and rest[1:2].isdigit():
        rest = rest[1:]
    elif spaced and re.match(r"at\s", rest, re.IGNORECASE):
        rest = rest[2:].lstrip()
    if rest.lower() == "allballs":
        return days, 0, 0
    clock, offset = None, None
    if rest:
        zone = (
            _ZONE.match(rest) if rest[0].isalpha() or rest[0] == "+" or (spaced and rest[0] == "-") else None
        )
        if zone is None:
            clock, rest = _clock(type, text, rest)
            zone = _ZONE.match(rest)
        if zone:
            offset = offset_at(days * DAY + (clock or 0), _zone(text, zone[1]))
            rest = rest[zone.end() :]
    if rest.strip():
        raise invalid_time(type, text)
    return days, clock, offset


def _clock_of_day(type: Type, text: str, style: Style) -> tuple[int, int, int | None]:
    """`_parts` of a text that must have a time."""
    days, clock, offset = _parts(type, text, style)
    if clock is None:
        raise invalid_time(type, text)
    return days, clock, offset


def _special(word: str, style: Style) -> tuple[int, int | None]:
    if word == "epoch":
        return -EPOCH_DAYS * DAY, 0
    local = style.now + offset_at(style.now, style.zone) * 1_000_000
    if word == "now":
        return local, None
    return (local // DAY + {"yesterday": -1, "today": 0, "tomorrow": 1}[word]) * DAY, None


def read_date(type: Type, texts: list[str], style: Style) -> list[int]:
    """A day; a time of day is read and dropped."""
    values = []
    for text in texts:
        word = text.strip().lower()
        if word in ("infinity", "-infinity"):
            values.append(DATE_HIGH if word[0] == "i" else DATE_LOW)
        else:
            values.append(
                _special(word, style)[0] // DAY if word in _SPECIAL else _parts(type, text, style)[0]
            )
    return values


def _now(style: Style) -> tuple[int, int]:
    """(microseconds since 2000, seconds east of UTC), as the session's clock shows them."""
    east = offset_at(style.now, style.zone)
    return style.now + east * 1_000_000, east


def read_time(type: Type, texts: list[str], style: Style) -> list[int]:
    """HH:MM[:SS[.f]] [am|pm]; a zone is read and dropped."""
    values = []
    for text in texts:
        word = text.strip()
        if word.lower() == "allballs":
            values.append(0)
            continue
        if word.lower() == "now":
            micros = _now(style)[0] % DAY
        elif _ISO_DATE.match(word):
            micros = _clock_of_day(type, text, style)[1]
        else:
            micros, zone = _clock_and_zone(type, text, word)
            if zone is not None and zone.utcoffset(None) is None:
                raise invalid_time(type, text)
        values.append(rounded(micros, type.modifier))
    return values


def _clock_and_zone(type: Type, text: str, word: str) -> tuple[int, tzinfo | None]:
    """Microseconds of a time of day, and the zone behind it if one is written."""
    if word[:1] in ("T", "t") and word[1:2].isdigit():
        word = word[1:]
    micros, rest = _clock(type, text, word)
    zone = _ZONE.fullmatch(rest) if rest.strip() else None
    if rest.strip() and zone is None:
        raise invalid_time(type, text)
    return micros, None if zone is None else _zone(text, zone[1])


def read_timetz(type: Type, texts: list[str], style: Style) -> list[int]:
    """A time of day and its zone, the session's where none is written; as storage.timetz packs them.

    What offset a zone with summer time has, a day before the time says: without one the text is refused,
    and the session's zone has today's.
    """
    values = []
    for text in texts:
        clock, east = _read_timetz(type, text, style)
        values.append(packed(rounded(clock, type.modifier), -east))
    return values


def _read_timetz(type: Type, text: str, style: Style) -> tuple[int, int]:
    """(microseconds since midnight, seconds east of UTC)."""
    word = text.strip()
    if word.lower() == "allballs":
        return 0, 0
    if word.lower() == "now":
        local, east = _now(style)
        return local % DAY, east
    if _ISO_DATE.match(word):
        days, clock, offset = _clock_of_day(type, text, style)
        return clock, east_of(days * DAY + clock, style.zone) if offset is None else offset
    clock, zone = _clock_and_zone(type, text, word)
    if zone is None:
        return clock, east_today(clock, style)
    fixed = zone.utcoffset(None)
    if fixed is None:
        raise invalid_time(type, text)
    return clock, int(fixed.total_seconds())


def east_today(clock: int, style: Style) -> int:
    """Seconds east of UTC of the session's zone at a time of today."""
    return east_of(_now(style)[0] // DAY * DAY + clock, style.zone)


def east_of(local: int, zone: tzinfo) -> int:
    """Seconds east of UTC when clocks in a zone show `local`."""
    return (local - to_utc(local, zone)) // 1_000_000


def write_wire(values: Array) -> Array:
    """timetz as WIRE_TIMETZ."""
    wire = np.empty(len(values), WIRE_TIMETZ)
    wire["clock"], wire["west"] = clock_of(values), west_of(values)
    return wire


def read_wire(wire: Array, digits: int) -> Array:
    """The inverse of write_wire, to `digits` decimals. Raises DatetimeFieldOverflow, InvalidTimeZone."""
    clock, west = wire["clock"].astype(np.int64), wire["west"].astype(np.int64)
    if ((clock < 0) | (clock > DAY)).any():
        raise DatetimeFieldOverflow("time out of range")
    if (np.abs(west) >= LIMIT).any():
        raise InvalidTimeZone("time zone displacement out of range")
    return rounded_timetz(packed(clock, west), digits)


def rounded_timetz(values: Array, digits: int) -> Array:
    """timetz to `digits` decimals of a second; -1: as it is."""
    if not 0 <= digits < 6:
        return values
    unit = 10 ** (6 - digits)
    rounded: Array = packed((clock_of(values) + unit // 2) // unit * unit, west_of(values))
    return rounded


def invalid_time(type: Type, text: str) -> InvalidDatetimeFormat:
    """PostgreSQL's words for text that is no date or time."""
    name = str(type.base).removesuffix(" without time zone")
    return InvalidDatetimeFormat(f'invalid input syntax for type {name}: "{text}"')


def read_timestamp(type: Type, texts: list[str], style: Style) -> list[int]:
    """A day and a time; in UTC for timestamptz, whose missing zone is the session's."""
    values = []
    for text in texts:
        word = text.strip().lower()
        if word in ("infinity", "-infinity"):
            values.append(STAMP_HIGH if word[0] == "i" else STAMP_LOW)
            continue
        local, offset = _moment(type, text, style)
        if type.oid == TIMESTAMPTZ.oid:
            local = to_utc(local, style.zone) if offset is None else local - offset * 1_000_000
        if not MIN_MICROS <= local <= MAX_MICROS:
            raise DatetimeFieldOverflow(f'timestamp out of range: "{text}"')
        values.append(rounded(local, type.modifier))
    return values


def to_utc(local: int, zone: tzinfo) -> int:
    """The moment when clocks in a zone show `local`; in a gap or a fold, by the offset before it."""
    before = offset_at(local - DAY, zone) * 1_000_000
    after = offset_at(local + DAY, zone) * 1_000_000
    candidates = [local - offset for offset in (before, after)]
    fitting = [c for c in candidates if c + offset_at(c, zone) * 1_000_000 == local]
    return fitting[-1] if fitting else candidates[0]
