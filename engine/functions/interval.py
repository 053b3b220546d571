"""Intervals: months, days and microseconds apart, and their arithmetic with each other and with numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.functions.registry import operator, scalar
from engine.values.calendar import DAY
from engine.values.intervals import divided, fields, interval, scaled
from storage.column import Array, Column
from storage.errors import DatetimeFieldOverflow, FeatureNotSupported
from storage.types import BOOL, FLOAT8, INT4, INTERVAL


def _micros(function: Callable[[Array, Array], Array], left: Array, right: Array) -> Array:
    result = function(left, right)
    rough = function(left.astype(np.float64), right.astype(np.float64))
    if len(rough) and np.abs(rough).max() >= 2.0**63:
        raise DatetimeFieldOverflow("interval out of range")
    return result


def _combined(function: Callable[[Array, Array], Array]) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        """Field by field."""
        (a, b, c), (x, y, z) = fields(left.values), fields(right.values)
        return Column(INTERVAL, interval(function(a, x), function(b, y), _micros(function, c, z)))

    return apply


operator("+", [INTERVAL, INTERVAL], INTERVAL)(_combined(np.add))
operator("-", [INTERVAL, INTERVAL], INTERVAL)(_combined(np.subtract))


@operator("-", [INTERVAL], INTERVAL)
def negate(column: Column) -> Column:
    """The interval backwards."""
    months, days, micros = fields(column.values)
    return Column(INTERVAL, interval(-months, -days, -micros))


@operator("*", [INTERVAL, FLOAT8], INTERVAL)
def times(column: Column, factor: Column) -> Column:
    """So many times the interval."""
    return Column(INTERVAL, scaled(column.values, factor.values))


@operator("*", [FLOAT8, INTERVAL], INTERVAL)
def times_reversed(factor: Column, column: Column) -> Column:
    """So many times the interval."""
    return times(column, factor)


@operator("/", [INTERVAL, FLOAT8], INTERVAL)
def over(column: Column, divisor: Column) -> Column:
    """The interval in so many parts."""
    return Column(INTERVAL, divided(column.values, divisor.values))


@scalar("justify_hours", [INTERVAL], INTERVAL)
def justify_hours(column: Column) -> Column:
    """24 hours as a day."""
    months, days, micros = fields(column.values)
    days, micros = _carry(days, micros, DAY)
    return Column(INTERVAL, interval(months, days, micros))


@scalar("justify_days", [INTERVAL], INTERVAL)
def justify_days(column: Column) -> Column:
    """30 days as a month."""
    months, days, micros = fields(column.values)
    months, days = _carry(months, days, 30)
    return Column(INTERVAL, interval(months, days, micros))


def _moved(high: Array, low: Array, unit: int) -> tuple[Array, Array]:
    """Whole units of the lower field moved up."""
    whole = np.sign(low) * (np.abs(low) // unit)
    return high + whole, low - whole * unit


def _carry(high: Array, low: Array, unit: int) -> tuple[Array, Array]:
    """Whole units of the lower field moved up, so that both have one sign."""
    high, low = _moved(high, low, unit)
    up = (high > 0) & (low < 0)
    down = (high < 0) & (low > 0)
    return high - up + down, low + unit * up - unit * down


@scalar("justify_interval", [INTERVAL], INTERVAL)
def justify_interval(column: Column) -> Column:
    """Days and months out of hours and days, all of one sign."""
    months, days, micros = fields(column.values)
    days, micros = _moved(days, micros, DAY)
    months, days = _moved(months, days, 30)
    # what is left of a sign of its own borrows from the field above: months first, for days and time alike
    under = (days < 0) | ((days == 0) & (micros < 0))
    over = (days > 0) | ((days == 0) & (micros > 0))
    down, up = (months > 0) & under, (months < 0) & over
    months, days = months - down + up, days + 30 * down - 30 * up
    down, up = (days > 0) & (micros < 0), (days < 0) & (micros > 0)
    return Column(INTERVAL, interval(months, days - down + up, micros + DAY * down - DAY * up))


@scalar("make_interval", [INT4] * 6 + [FLOAT8], INTERVAL)
def make_interval(years: Column, months: Column, weeks: Column, days: Column, *time: Column) -> Column:
    """An interval of years, months, weeks, days, hours, minutes and seconds."""
    hours, minutes, seconds = (column.values for column in time)
    if not np.isfinite(seconds).all():
        raise DatetimeFieldOverflow("interval out of range")
    month = years.values.astype(np.int64) * 12 + months.values
    day = weeks.values.astype(np.int64) * 7 + days.values
    whole = hours.astype(np.int64) * 3_600_000_000 + minutes.astype(np.int64) * 60_000_000
    return Column(INTERVAL, interval(month, day, whole + np.rint(seconds * 1e6).astype(np.int64)))


@scalar("isfinite", [INTERVAL], BOOL)
def isfinite(column: Column) -> Column:
    """True: there is no infinite interval."""
    return Column(BOOL, np.ones(len(column), np.bool_))


def single_unit(values: Array) -> Array:
    """Microseconds of intervals without months, for date_bin."""
    months, days, micros = fields(values)
    if months.any():
        raise FeatureNotSupported("timestamps cannot be binned into intervals containing months or years")
    return np.asarray(days * DAY + micros)
