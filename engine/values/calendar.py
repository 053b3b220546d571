"""Dates, times and zones as numbers: whole columns between days, fields and instants.

Days count from 2000-01-01 and microseconds from its midnight. The smallest and the largest number of a
type are -infinity and infinity; functions here take finite values and leave the infinite to callers.
A zone is a table of the instants at which its offset changes, read once from the zone's rules.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.forms.times import ABBREVIATIONS
from engine.forms.timezones import zone_named
from engine.run import Run
from storage.column import Array, Mask
from storage.errors import DatetimeFieldOverflow, InvalidParameterValue

DAY = 86_400_000_000
SECOND = 1_000_000
HOUR, MINUTE = 3600 * SECOND, 60 * SECOND
UNIX_DAYS = 10_957  # from 1970-01-01 to 2000-01-01
UNIX_MICROS = UNIX_DAYS * DAY
JULIAN = 2_451_545  # of 2000-01-01
MIN_DAYS, MAX_DAYS = -2_451_545, 2_145_031_948  # 4713-11-24 BC to 5874897-12-31
MIN_MICROS, MAX_MICROS = -211_813_488_000_000_000, 9_223_371_331_199_999_999
DATE_INFINITIES = (np.iinfo(np.int32).min, np.iinfo(np.int32).max)
TIME_INFINITIES = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)


def finite(values: Array) -> Mask:
    """Where dates or timestamps are neither of the infinities."""
    limits = np.iinfo(values.dtype)
    return np.asarray((values != limits.min) & (values != limits.max))


def civil(days: Array) -> tuple[Array, Array, Array]:
    """(year, month, day of the month) of days; year 0 is 1 BC."""
    unix = days.astype(np.int64) + UNIX_DAYS
    months = unix.astype("M8[D]").astype("M8[M]")
    firsts = months.astype("M8[D]").astype(np.int64)
    number = months.astype(np.int64)
    return 1970 + number // 12, number % 12 + 1, unix - firsts + 1


def days_of(year: Array, month: Array, day: Array) -> Array:
    """The inverse of `civil`; the day may lie outside its month."""
    months = (year.astype(np.int64) - 1970) * 12 + month.astype(np.int64) - 1
    firsts = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    return np.asarray(firsts + day.astype(np.int64) - 1 - UNIX_DAYS)


def month_length(year: Array, month: Array) -> Array:
    """Days in a month."""
    one = np.ones_like(year)
    return np.asarray(days_of(year + (month == 12), month % 12 + 1, one) - days_of(year, month, one))


def add_months(days: Array, months: Array) -> Array:
    """Days some months later, on the month's last day where there is no such day."""
    year, month, day = civil(days)
    number = year * 12 + month - 1 + months
    year, month = number // 12, number % 12 + 1
    return days_of(year, month, np.minimum(day, month_length(year, month)))


def check_days(days: Array) -> Array:
    """Days as a date's int32, or the error where PostgreSQL has no such date."""
    if len(days) and (days.min() < MIN_DAYS or days.max() > MAX_DAYS):
        raise DatetimeFieldOverflow("date out of range")
    return days.astype(np.int32)


def check_micros(micros: Array) -> Array:
    """Microseconds of a timestamp, or the error where PostgreSQL has no such timestamp."""
    if len(micros) and (micros.min() < MIN_MICROS or micros.max() > MAX_MICROS):
        raise DatetimeFieldOverflow("timestamp out of range")
    return micros


def date_micros(days: Array) -> Array:
    """Dates as timestamps at midnight; infinities stay infinite."""
    wide = days.astype(np.int64)
    ok = finite(days)
    inside = wide[ok]
    if len(inside) and (inside.min() * DAY < MIN_MICROS or inside.max() > MAX_MICROS // DAY):
        raise DatetimeFieldOverflow("date out of range for timestamp")
    limits = np.where(days == DATE_INFINITIES[0], TIME_INFINITIES[0], TIME_INFINITIES[1])
    return np.where(ok, np.where(ok, wide, 0) * DAY, limits)


@dataclass(frozen=True)
class Zone:
    """Offsets in microseconds east of UTC: offsets[i] holds from starts[i] on."""

    name: str
    starts: Array  # int64 microseconds, UTC
    offsets: Array
    names: tuple[str, ...]  # abbreviations

    def index(self, utc: Array) -> Array:
        """Which of the periods holds each instant."""
        return np.maximum(np.searchsorted(self.starts, utc, side="right") - 1, 0)

    def offset(self, utc: Array) -> Array:
        """Microseconds east of UTC at each instant."""
        return np.asarray(self.offsets[self.index(utc)])

    def local(self, utc: Array) -> Array:
        """What clocks show at instants."""
        ok = finite(utc)
        return np.where(ok, utc + np.where(ok, self.offset(utc), 0), utc)

    def utc(self, local: Array) -> Array:
        """When clocks show this: standard time where twice, the hour before's offset where never."""
        ok = finite(local)
        inside = np.where(ok, local, 0)
        before, after = self.offset(inside - DAY), self.offset(inside + DAY)
        late = self.offset(inside - after) == after
        return np.where(ok, inside - np.where(late, after, before), local)

    def abbreviation(self, utc: Array) -> list[str]:
        """The zone's short name at instants: EST, EDT."""
        return [self.names[i] for i in self.index(utc).tolist()]


def fixed(name: str, seconds: int) -> Zone:
    """A zone of one offset."""
    return Zone(name, np.array([TIME_INFINITIES[0]]), np.array([seconds * SECOND]), (name,))


@lru_cache(1_000)
def zone(name: str) -> Zone:
    """The zone of a name, an abbreviation or a POSIX offset (whose sign counts west of Greenwich)."""
    known = ABBREVIATIONS.get(name.lower())
    if known is not None:
        return fixed(name.upper(), known * 3600)
    try:
        proper, info = zone_named(name)
    except LookupError:
        raise InvalidParameterValue(f'time zone "{name}" not recognized') from None
    if isinstance(info, datetime.timezone):
        return fixed(info.tzname(None), round(info.utcoffset(None).total_seconds()))
    return _read(proper)


_FIRST_YEAR, _LAST_YEAR = 1850, 2140
_STEP = 7 * 86_400


@lru_cache(1_000)
def _read(name: str) -> Zone:
    """The periods of a zone between 1850 and 2140, found to the second."""
    _, info = zone_named(name)
    epoch = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)

    def at(second: int) -> tuple[int, str]:
        local = (epoch + datetime.timedelta(seconds=second)).astimezone(info)
        offset = local.utcoffset()
        assert offset is not None
        return int(offset.total_seconds()), local.tzname() or name

    low = (_FIRST_YEAR - 2000) * 31_556_952
    high = (_LAST_YEAR - 2000) * 31_556_952
    now = at(low)
    starts, periods = [TIME_INFINITIES[0]], [now]
    for second in range(low + _STEP, high, _STEP):
        then = at(second)
        if then == now:
            continue
        left, right = second - _STEP, second
        while right - left > 1:
            middle = (left + right) // 2
            if at(middle) == now:
                left = middle
            else:
                right = middle
        starts.append(right * SECOND)
        periods.append(then)
        now = then
    offsets = np.array([seconds * SECOND for seconds, _ in periods])
    return Zone(name, np.array(starts), offsets, tuple(text for _, text in periods))


def session_zone(run: Run) -> Zone:
    """The zone of the run's TimeZone."""
    settings = run.settings
    return zone(settings.get("timezone") or settings.get("TimeZone") or "UTC")
