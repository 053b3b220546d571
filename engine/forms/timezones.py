"""Time zones by what TimeZone and AT TIME ZONE call them: of the time zone database, or POSIX strings.

    Europe/Berlin                       any case
    FOO-3:30    <+0330>-3:30    -3:30   one offset; its sign counts west of Greenwich
    EST5EDT,M3.2.0,M11.1.0              with daylight time; without rules those of the United States

A string with daylight time is read by zoneinfo: it is the foot of a time zone file without transitions.
"""

from __future__ import annotations

import re
import struct
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache
from io import BytesIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from storage.errors import FeatureNotSupported

_NAME = r"<[^>]*>|[^\d,+-]*"
_OFFSET = r"[+-]?\d{1,3}(?::\d{1,2}){0,2}"
_POSIX = re.compile(rf"({_NAME})({_OFFSET})(?:({_NAME})({_OFFSET})?(,.+)?)?\Z", re.DOTALL)
_RULES = ",M3.2.0,M11.1.0"
_DAY = 86_400
_MOST_HOURS = 167


@lru_cache(1)
def _names() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}


@lru_cache(1_000)
def zone_named(name: str) -> tuple[str, tzinfo]:
    """(the name as it is written, the zone).

    Raises LookupError where there is none, FeatureNotSupported for one a day or more from Greenwich.
    """
    known = _names().get(name.lower())
    if known is not None:
        try:
            return known, ZoneInfo(known)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise LookupError(name) from None
    return name.upper(), _posix(name.upper())


def _posix(name: str) -> tzinfo:
    found = _POSIX.match(name)
    if found is None:
        raise LookupError(name)
    standard, west, daylight, daylight_west, rules = found.groups()
    offset = -_seconds(west)
    if not daylight:
        if daylight_west or rules:
            raise LookupError(name)
        return timezone(timedelta(seconds=offset), standard.strip("<>"))
    later = -_seconds(daylight_west) if daylight_west else offset + 3600
    foot = f"{_quoted(standard)}{_clock(-offset)}{_quoted(daylight)}{_clock(-later)}{rules or _RULES}"
    block = struct.pack(">4sc15x6l", b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    block += struct.pack(">lbb", offset, 0, 0) + b"STD\0"
    try:
        return ZoneInfo.from_file(BytesIO(block + block + f"\n{foot}\n".encode()), key=name)
    except ValueError:
        raise LookupError(name) from None


def _seconds(text: str) -> int:
    """Of an offset as it is written. Raises LookupError, FeatureNotSupported."""
    hours, minutes, seconds = ([int(part) for part in text.lstrip("+-").split(":")] + [0, 0])[:3]
    if hours > _MOST_HOURS or minutes > 59 or seconds > 59:
        raise LookupError(text)
    total = hours * 3600 + minutes * 60 + seconds
    if total >= _DAY:
        raise FeatureNotSupported("time zones a day or more from UTC are not supported")
    return -total if text.startswith("-") else total


def _quoted(name: str) -> str:
    """A name as the foot of a file has it: three letters or more, or in angle brackets."""
    bare = re.sub(r"[^A-Za-z0-9+-]", "", name)
    return f"<{bare:->3}>"


def _clock(seconds: int) -> str:
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(abs(seconds), 60)
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{rest:02}"
