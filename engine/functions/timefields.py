"""extract, date_part and date_trunc: the fields of dates, times and intervals.

A field is computed for the whole column as an integer and a scale: seconds are microseconds of scale 6.
extract gives it as numeric, date_part as float8.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import numpy as np

from engine.functions.registry import Volatility, scalar
from engine.run import Run
from engine.values import calendar, decimals
from engine.values.calendar import (
    DAY,
    HOUR,
    JULIAN,
    MINUTE,
    SECOND,
    UNIX_MICROS,
    finite,
    session_zone,
    zone,
)
from engine.values.intervals import fields, interval
from storage.column import Array, Column
from storage.errors import FeatureNotSupported, InvalidParameterValue
from storage.timetz import clock_of, instant_of, west_of
from storage.types import (
    DATE,
    FLOAT8,
    INTERVAL,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    Type,
)

_ALIASES = {
    "microseconds": "us usec usecs usecond useconds microsecond microsecon",
    "milliseconds": "ms msec msecs msecond mseconds millisecond millisecon",
    "second": "s sec secs seconds",
    "minute": "m min mins minutes",
    "hour": "h hr hrs hours",
    "day": "d days",
    "week": "w weeks",
    "month": "mon mons months",
    "quarter": "qtr",
    "year": "y yr yrs years",
    "decade": "dec decs decades",
    "century": "c cent centuries",
    "millennium": "mil mils millennia",
    "julian": "j jd",
    "timezone_hour": "timezone_h",
    "timezone_minute": "timezone_m",
}
_UNITS = {alias: unit for unit, text in _ALIASES.items() for alias in (unit, *text.split())} | {
    unit: unit for unit in ("dow", "isodow", "doy", "isoyear", "epoch", "timezone")
}

_OF_TIME = frozenset(["microseconds", "milliseconds", "second", "minute", "hour"])
_ZONE_UNITS = frozenset(["timezone", "timezone_hour", "timezone_minute"])
# Fields that grow with time: of an infinite timestamp they are infinite, the others null.
_GROWING = frozenset(["year", "decade", "century", "millennium", "julian", "isoyear", "epoch"])
_NOT_OF_INTERVAL = frozenset(["week", "dow", "isodow", "doy", "isoyear", "julian"]) | _ZONE_UNITS


def unit_of(text: str, type: Type) -> str:
    """The unit that a word means."""
    unit = _UNITS.get(text.lower())
    if unit is None:
        raise InvalidParameterValue(f'unit "{text.lower()}" not recognized for type {type}')
    return unit


def _unsupported(unit: str, type: Type, detail: str = "") -> FeatureNotSupported:
    return FeatureNotSupported(f'unit "{unit}" not supported for type {type}', detail=detail)


def _ages(year: Array, size: int) -> Array:
    """Centuries and millennia: numbered from 1 on, and from -1 backwards."""
    return np.where(year > 0, (year + size - 1) // size, -((size - year) // size))


def iso_week(days: Array) -> tuple[Array, Array]:
    """(ISO year, week)."""
    thursday = days - (days + 5) % 7 + 3
    year, _, _ = calendar.civil(thursday)
    one = np.ones_like(year)
    return year, (thursday - calendar.days_of(year, one, one)) // 7 + 1


def _of_days(unit: str, days: Array) -> Array | None:
    """A field of the calendar; None where the unit is none. Many rows of few days are told day by day."""
    low, high = (int(days.min()), int(days.max())) if len(days) else (0, 0)
    if high - low < len(days) // 4:
        field = _of_each_day(unit, np.arange(low, high + 1))
        return None if field is None else field[days - low]
    return _of_each_day(unit, days)


def _of_each_day(unit: str, days: Array) -> Array | None:
    """The same, day by day."""
    year, month, day = calendar.civil(days)
    one = np.ones_like(year)
    makers: dict[str, Callable[[], Array]] = {
        "day": lambda: day,
        "month": lambda: month,
        "quarter": lambda: (month + 2) // 3,
        "year": lambda: np.where(year > 0, year, year - 1),
        "decade": lambda: year // 10,
        "century": partial(_ages, year, 100),
        "millennium": partial(_ages, year, 1000),
        "dow": lambda: (days + 6) % 7,
        "isodow": lambda: (days + 5) % 7 + 1,
        "doy": lambda: days - calendar.days_of(year, one, one) + 1,
        "week": lambda: iso_week(days)[1],
        "isoyear": lambda: np.where(iso_week(days)[0] > 0, iso_week(days)[0], iso_week(days)[0] - 1),
        "julian": lambda: days + JULIAN,
    }
    maker = makers.get(unit)
    return None if maker is None else maker()


def _of_time(unit: str, micros: Array) -> tuple[Array, int] | None:
    """(value, scale) of a field of the time of day, or of an interval's time."""

    def rest(size: int) -> Array:
        return np.fmod(micros, size)

    match unit:
        case "microseconds":
            return rest(MINUTE), 0
        case "milliseconds":
            return rest(MINUTE), 3
        case "second":
            return rest(MINUTE), 6
        case "minute":
            return np.trunc(rest(HOUR) / MINUTE).astype(np.int64), 0
        case "hour":
            return np.sign(micros) * (np.abs(micros) // HOUR), 0
    return None


def _zone_field(unit: str, offset: Array) -> Array:
    seconds = offset // SECOND
    if unit == "timezone":
        return seconds
    hours = np.trunc(seconds / 3600).astype(np.int64)
    return hours if unit == "timezone_hour" else np.fmod(seconds, 3600) // 60


def _timestamp_field(unit: str, column: Column, run: Run) -> tuple[Array, int]:
    values = np.where(finite(column.values), column.values, 0)
    zoned = column.type.oid == TIMESTAMPTZ.oid
    if unit == "epoch":
        return values + UNIX_MICROS, 6
    local = session_zone(run).local(values) if zoned else values
    if unit in _ZONE_UNITS:
        if not zoned:
            raise _unsupported(unit, column.type.base)
        return _zone_field(unit, local - values), 0
    found = _of_time(unit, local % DAY)
    if found is not None:
        return found
    field = _of_days(unit, local // DAY)
    assert field is not None
    return field, 0


def _date_field(unit: str, column: Column) -> tuple[Array, int]:
    days = np.where(finite(column.values), column.values, 0).astype(np.int64)
    if unit == "epoch":
        return (days + calendar.UNIX_DAYS) * 86_400, 0
    field = _of_days(unit, days)
    if field is None:
        raise _unsupported(unit, DATE)
    return field, 0


def _interval_field(unit: str, column: Column) -> tuple[Array, int]:
    months, days, micros = fields(column.values)
    years, month = np.sign(months) * (np.abs(months) // 12), np.fmod(months, 12)
    if unit in _NOT_OF_INTERVAL:
        raise _unsupported(unit, INTERVAL)
    if unit == "epoch":
        return (
            years * 365 * 86_400 + years * 21_600 + month * 30 * 86_400 + days * 86_400
        ) * SECOND + micros, 6
    found = _of_time(unit, micros)
    if found is not None:
        return found
    ages = {"decade": 10, "century": 100, "millennium": 1000}
    if unit in ages:
        return np.sign(years) * (np.abs(years) // ages[unit]), 0
    return {"day": days, "month": month, "quarter": np.sign(month) * (np.abs(month) // 3) + 1, "year": years}[
        unit
    ], 0


def _time_field(unit: str, column: Column) -> tuple[Array, int]:
    """Of a time of day, perhaps with a zone: its epoch is Greenwich's."""
    values, zoned = column.values, column.type.oid == TIMETZ.oid
    if unit == "epoch":
        return (instant_of(values) if zoned else values), 6
    if zoned and unit in _ZONE_UNITS:
        return _zone_field(unit, -west_of(values) * SECOND), 0
    found = _of_time(unit, clock_of(values) if zoned else values)
    if found is None:
        raise _unsupported(unit, column.type.base)
    return found


def _field(unit: str, column: Column, run: Run) -> tuple[Array, int]:
    match column.type.base:
        case type if type in (TIMESTAMP, TIMESTAMPTZ):
            return _timestamp_field(unit, column, run)
        case type if type is DATE or type == DATE:
            return _date_field(unit, column)
        case type if type == INTERVAL:
            return _interval_field(unit, column)
    return _time_field(unit, column)


def _julian(column: Column, run: Run, exact: bool) -> list[Decimal | float]:
    """Days since 4713 BC with the time as their fraction."""
    zoned = column.type.oid == TIMESTAMPTZ.oid
    values = session_zone(run).local(column.values) if zoned else column.values
    out: list[Decimal | float] = []
    for value in values.tolist():
        days, micros = divmod(value, DAY)
        if exact:
            part = decimals.divide(Decimal(micros), Decimal(DAY))
            out.append(decimals.add(Decimal(days + JULIAN), part))
        else:
            out.append(days + JULIAN + micros / DAY)
    return out


def _bounds(column: Column) -> Array | None:
    """The sign of infinite dates and timestamps, 0 for finite ones; None where none is infinite."""
    if column.type.oid not in (DATE.oid, TIMESTAMP.oid, TIMESTAMPTZ.oid):
        return None
    ok = finite(column.values)
    return None if ok.all() else np.where(ok, 0, np.sign(column.values.astype(np.float64)))


def _numeric(unit: str, column: Column, run: Run) -> Column:
    bounds = _bounds(column)
    if unit == "julian" and column.type.oid in (TIMESTAMP.oid, TIMESTAMPTZ.oid):
        items: list[Decimal | None] = [Decimal(v) for v in _julian(column, run, True)]
    else:
        values, scale = _field(unit, column, run)
        if bounds is None or unit not in _GROWING:
            units = values.astype(np.int64, copy=False)
            return Column.scaled(NUMERIC, units, scale, None if bounds is None else bounds == 0)
        items = [Decimal(v).scaleb(-scale, decimals.EXACT) for v in values.tolist()]
    if bounds is not None:
        for row in np.flatnonzero(bounds).tolist():
            infinite = Decimal("Infinity") if bounds[row] > 0 else Decimal("-Infinity")
            items[row] = infinite if unit in _GROWING else None
    return Column.of(NUMERIC, items)


def _float(unit: str, column: Column, run: Run) -> Column:
    if unit == "julian" and column.type.oid in (TIMESTAMP.oid, TIMESTAMPTZ.oid):
        values: Array = np.array(_julian(column, run, False), np.float64)
    else:
        whole, scale = _field(unit, column, run)
        values = whole / 10.0**scale if scale else whole.astype(np.float64)
    bounds = _bounds(column)
    if bounds is None:
        return Column(FLOAT8, values)
    with np.errstate(invalid="ignore"):
        values = np.where(bounds != 0, bounds * np.inf, values)
    return Column(FLOAT8, values, None if unit in _GROWING else bounds == 0)


def _by_unit(units: Column, column: Column, work: Callable[[str, Column], Column]) -> Column:
    """`work` for a constant unit at once, else row by row."""
    names = units.tolist()
    if units.constant or len(set(names)) == 1:
        result = work(unit_of(names[0], column.type.base), column)
        return result.with_valid(result.valid, constant=units.constant and column.constant)
    if not names:
        return work("day", column)
    rows = max(len(units), len(column))
    column = column.spread(rows)
    parts = [work(unit_of(n, column.type.base), column.slice(i, i + 1)) for i, n in enumerate(names)]
    return Column.concat(parts)


def _declare(type: Type) -> None:
    volatility: Volatility = "s" if type is TIMESTAMPTZ else "i"

    @scalar("extract", [TEXT, type], NUMERIC, volatility=volatility, constants=True, run=True)
    def extract(units: Column, column: Column, run: Run) -> Column:
        """A field of a date or time, as numeric."""
        return _by_unit(units, column, lambda unit, part: _numeric(unit, part, run))

    @scalar("date_part", [TEXT, type], FLOAT8, volatility=volatility, constants=True, run=True)
    def date_part(units: Column, column: Column, run: Run) -> Column:
        """A field of a date or time, as float8; a date has those of its midnight."""
        if type is DATE:
            column = Column(
                TIMESTAMP, calendar.date_micros(column.values), column.valid, constant=column.constant
            )
        return _by_unit(units, column, lambda unit, part: _float(unit, part, run))


for _type in (DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ, INTERVAL):
    _declare(_type)

_CLOCK = {
    "microseconds": 1,
    "milliseconds": 1000,
    "second": SECOND,
    "minute": MINUTE,
    "hour": HOUR,
    "day": DAY,
}


def _first_day(unit: str, days: Array) -> Array | None:
    """The first day of the week, month, ... that holds a day."""
    year, month, _ = calendar.civil(days)
    one = np.ones_like(year)
    match unit:
        case "week":
            return np.asarray(days - (days + 5) % 7)
        case "month":
            return calendar.days_of(year, month, one)
        case "quarter":
            return calendar.days_of(year, (month - 1) // 3 * 3 + 1, one)
        case "year":
            return calendar.days_of(year, one, one)
        case "decade":
            return calendar.days_of(year // 10 * 10, one, one)
        case "century":
            return calendar.days_of((year - 1) // 100 * 100 + 1, one, one)
        case "millennium":
            return calendar.days_of((year - 1) // 1000 * 1000 + 1, one, one)
    return None


def _truncated(unit: str, values: Array, type: Type) -> Array:
    if unit in _CLOCK:
        return np.asarray(values - values % _CLOCK[unit])
    days = _first_day(unit, values // DAY)
    if days is None:
        raise _unsupported(unit, type)
    return np.asarray(days * DAY)


def _truncate(unit: str, column: Column, of: calendar.Zone | None) -> Column:
    type = column.type.base
    ok = finite(column.values)
    values = np.where(ok, column.values, 0)
    if of is None:
        result = _truncated(unit, values, type)
    else:
        offset = of.offset(values)
        local = _truncated(unit, values + offset, type)
        result = local - offset if unit in _OF_TIME else of.utc(local)
    return Column(type, np.where(ok, result, column.values))


@scalar("date_trunc", [TEXT, TIMESTAMP], TIMESTAMP, constants=True)
def trunc_timestamp(units: Column, column: Column) -> Column:
    """The start of the hour, day, month, ... that holds a time."""
    return _by_unit(units, column, lambda unit, part: _truncate(unit, part, None))


@scalar("date_trunc", [TEXT, TIMESTAMPTZ], TIMESTAMPTZ, volatility="s", constants=True, run=True)
def trunc_instant(units: Column, column: Column, run: Run) -> Column:
    """The start of the hour, day, month, ... by the session's clock."""
    return _by_unit(units, column, lambda unit, part: _truncate(unit, part, session_zone(run)))


@scalar("date_trunc", [TEXT, TIMESTAMPTZ, TEXT], TIMESTAMPTZ)
def trunc_at(units: Column, column: Column, zones: Column) -> Column:
    """The start of the hour, day, month, ... by a zone's clock."""
    rows = zip(units.tolist(), zones.tolist(), strict=True)
    parts = [
        _truncate(unit_of(unit, TIMESTAMPTZ), column.slice(i, i + 1), zone(name))
        for i, (unit, name) in enumerate(rows)
    ]
    return Column.concat(parts) if parts else column


@scalar("date_trunc", [TEXT, INTERVAL], INTERVAL, constants=True)
def trunc_interval(units: Column, column: Column) -> Column:
    """The interval without what is smaller than a unit."""
    return _by_unit(units, column, _truncate_interval)


def _truncate_interval(unit: str, column: Column) -> Column:
    months, days, micros = fields(column.values)
    sizes = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12_000}
    nothing = np.zeros_like(micros)
    if unit in sizes:
        size = sizes[unit]
        return Column(INTERVAL, interval(np.sign(months) * (np.abs(months) // size * size), nothing, nothing))
    if unit == "day":
        return Column(INTERVAL, interval(months, days, nothing))
    if unit not in _CLOCK:
        detail = "Months usually have fractional weeks." if unit == "week" else ""
        raise _unsupported(unit, INTERVAL, detail)
    size = _CLOCK[unit]
    return Column(INTERVAL, interval(months, days, np.sign(micros) * (np.abs(micros) // size * size)))
