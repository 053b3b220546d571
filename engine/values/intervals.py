"""Intervals as fields: months, days and microseconds apart; fractions of one go down into the next."""

from __future__ import annotations

import numpy as np

from storage.column import Array
from storage.errors import DatetimeFieldOverflow, DivisionByZero
from storage.types import INTERVAL_DTYPE


def interval(months: Array, days: Array, micros: Array) -> Array:
    """Interval values of integer fields; 22008 where one does not fit."""
    limit = np.iinfo(np.int32).max
    for field in (months, days):
        if len(field) and (field.min() < -limit - 1 or field.max() > limit):
            raise DatetimeFieldOverflow("interval out of range")
    values = np.zeros(len(micros), INTERVAL_DTYPE)
    values["months"], values["days"], values["micros"] = months, days, micros
    return values


def fields(values: Array) -> tuple[Array, Array, Array]:
    """(months, days, microseconds) as int64."""
    return tuple(values[name].astype(np.int64) for name in ("months", "days", "micros"))  # type: ignore[return-value]


def scaled(values: Array, factor: Array) -> Array:
    """Intervals times numbers: fractions of months go down into days of 30, of days into time."""
    months, days, micros = (field.astype(np.float64) for field in fields(values))
    with np.errstate(all="ignore"):
        return _carried(months * factor, days * factor, micros * factor)


def divided(values: Array, divisor: Array) -> Array:
    """Intervals over numbers, as `scaled` does it."""
    if (divisor == 0).any():
        raise DivisionByZero("division by zero")
    months, days, micros = (field.astype(np.float64) for field in fields(values))
    with np.errstate(all="ignore"):
        return _carried(months / divisor, days / divisor, micros / divisor)


def _carried(month: Array, day: Array, micros: Array) -> Array:
    """Intervals of float64 fields, each in its own unit; 22008 where one is not finite or does not fit."""
    if not (np.isfinite(month) & np.isfinite(day) & np.isfinite(micros)).all():
        raise DatetimeFieldOverflow("interval out of range")
    whole_months, whole_days = np.trunc(month), np.trunc(day)
    rest_days = _to_micro((month - whole_months) * 30)
    rest_seconds = _to_micro((day - whole_days + rest_days - np.trunc(rest_days)) * 86_400)
    over = np.abs(rest_seconds) >= 86_400
    carried = np.where(over, np.trunc(rest_seconds / 86_400), 0)
    time = np.rint(micros + (rest_seconds - carried * 86_400) * 1e6)
    total = whole_days + np.trunc(rest_days) + carried
    for field, limit in ((whole_months, 2.0**31), (total, 2.0**31), (time, 2.0**63)):
        if ((field < -limit) | (field >= limit)).any():
            raise DatetimeFieldOverflow("interval out of range")
    return interval(whole_months.astype(np.int64), total.astype(np.int64), time.astype(np.int64))


def _to_micro(values: Array) -> Array:
    return np.asarray(np.rint(values * 1e6) / 1e6)
