"""to_char, to_timestamp and to_date: times as texts of a template, and back (engine.values.timetemplates)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.functions.registry import scalar
from engine.run import Run
from engine.values import calendar
from engine.values.calendar import DAY, HOUR, JULIAN, MINUTE, SECOND, Zone, session_zone
from engine.values.intervals import fields
from engine.values.timereading import in_precision, read
from engine.values.timewriting import Moment, written
from storage.column import Array, Column
from storage.errors import DatetimeFieldOverflow
from storage.types import DATE, INTERVAL, TEXT, TIMESTAMP, TIMESTAMPTZ


def moments(values: Array, zone: Zone | None) -> list[Moment]:
    """The fields of timestamps, by a zone's clock where there is one."""
    local = values if zone is None else zone.local(values)
    days, time = local // DAY, local % DAY
    columns = (
        *calendar.civil(days),
        time // HOUR,
        time % HOUR // MINUTE,
        time % MINUTE // SECOND,
        time % SECOND,
    )
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
    rows = zip(months, days, micros, template.tolist(), strict=True)
    return Column.of(TEXT, [written(_counts(*row), text) if text else None for *row, text in rows])


def _counts(months: int, days: int, micros: int) -> Moment:
    """An interval's fields, each with the sign of what it is part of."""
    years, left = (
        (abs(months) // 12, abs(months) % 12) if months >= 0 else (-(-months // 12), -(-months % 12))
    )
    sign, time = (1, micros) if micros >= 0 else (-1, -micros)
    hour, minute, second = time // HOUR, time % HOUR // MINUTE, time % MINUTE // SECOND
    clock = (sign * hour, sign * minute, sign * second, sign * (time % SECOND))
    return Moment(years, left, days, *clock, interval=True)


def _each(column: Column, template: Column, one: Callable[[str, str], int]) -> list[int]:
    return [one(text, form) for text, form in zip(column.tolist(), template.tolist(), strict=True)]


@scalar("to_date", [TEXT, TEXT], DATE)
def to_date(column: Column, template: Column) -> Column:
    """The date that a text of a template names."""

    def one(text: str, form: str) -> int:
        days = read(text, form).days - JULIAN
        if not calendar.MIN_DAYS <= days <= calendar.MAX_DAYS:
            raise DatetimeFieldOverflow(f'date out of range: "{text}"')
        return days

    return Column(DATE, np.array(_each(column, template, one), np.int64).astype(np.int32))


@scalar("to_timestamp", [TEXT, TEXT], TIMESTAMPTZ, volatility="s", run=True)
def to_timestamp(column: Column, template: Column, run: Run) -> Column:
    """The instant that a text of a template names."""
    zone = session_zone(run)

    def one(text: str, form: str) -> int:
        found = read(text, form)
        local = in_precision((found.days - JULIAN) * DAY + found.time, found.precision)
        if not calendar.MIN_MICROS - DAY <= local <= calendar.MAX_MICROS:
            raise DatetimeFieldOverflow("timestamp out of range")
        if found.offset is not None:
            return local - found.offset * SECOND
        return int(zone.utc(np.array([local], np.int64))[0])

    return Column(TIMESTAMPTZ, calendar.check_micros(np.array(_each(column, template, one), np.int64)))
