"""Dates and times: now, arithmetic, comparison across types, time zones, making and splitting them.

A date or timestamp that is infinite stays so whatever finite is added to it. Arithmetic of timestamptz
with months and days goes by the clock of the session's TimeZone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.forms import text_of
from engine.forms.dayspellings import MONTHS
from engine.functions.compare import SYMBOLS
from engine.functions.interval import single_unit
from engine.functions.registry import Volatility, operator, scalar
from engine.functions.session import clock
from engine.functions.sets import check_rows, step_zero
from engine.run import Run
from engine.values import calendar
from engine.values.calendar import DAY, SECOND, TIME_INFINITIES, Zone, finite, session_zone, zone
from engine.values.intervals import fields, interval
from storage.column import Array, Column
from storage.errors import DatetimeFieldOverflow, InvalidParameterValue
from storage.types import (
    BOOL,
    DATE,
    FLOAT8,
    INT4,
    INTERVAL,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    Type,
)

for _name in ("now", "transaction_timestamp", "current_timestamp"):

    @scalar(_name, [], TIMESTAMPTZ, volatility="s", run=True)
    def now(run: Run) -> Column:
        """When the transaction started."""
        return Column.of(TIMESTAMPTZ, [run.now])


@scalar("statement_timestamp", [], TIMESTAMPTZ, volatility="s", run=True)
def statement_timestamp(run: Run) -> Column:
    """When the statement started, or first asked."""
    return Column.of(TIMESTAMPTZ, [run.memo.setdefault("statement_timestamp", clock())])


@scalar("clock_timestamp", [], TIMESTAMPTZ, volatility="v", rows=True)
def clock_timestamp(rows: int) -> Column:
    """Now."""
    return Column.of(TIMESTAMPTZ, [clock()] * rows)


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@scalar("timeofday", [], TEXT, volatility="v", run=True)
def timeofday(run: Run) -> Column:
    """Now as a text: Wed Feb 26 13:59:10.123456 2020 EST."""
    now, zone = np.array([clock()], np.int64), session_zone(run)
    days, micros = divmod(int(zone.local(now)[0]), DAY)
    year, month, day = (int(part[0]) for part in calendar.civil(np.array([days])))
    seconds, rest = divmod(micros, SECOND)
    shown = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:06d}"
    name = MONTHS[month - 1].capitalize()
    text = f"{_WEEKDAYS[(days + 5) % 7]} {name} {day:02d} {shown} {year} {zone.abbreviation(now)[0]}"
    return Column.of(TEXT, [text])


def _local_now(run: Run) -> int:
    return int(session_zone(run).local(np.array([run.now], np.int64))[0])


@scalar("localtimestamp", [], TIMESTAMP, volatility="s", run=True)
def localtimestamp(run: Run) -> Column:
    """When the transaction started, by the session's clock."""
    return Column.of(TIMESTAMP, [_local_now(run)])


@scalar("current_date", [], DATE, volatility="s", run=True)
def current_date(run: Run) -> Column:
    """The day on which the transaction started."""
    return Column.of(DATE, [_local_now(run) // DAY])


@scalar("localtime", [], TIME, volatility="s", run=True)
def localtime(run: Run) -> Column:
    """The time of day at which the transaction started."""
    return Column.of(TIME, [_local_now(run) % DAY])


def plus_interval(micros: Array, months: Array, days: Array, time: Array) -> Array:
    """Timestamps and an interval's fields: months first, then days, then time."""
    ok = finite(micros)
    values = np.where(ok, micros, 0)
    if months.any():
        day = values // DAY
        values = calendar.add_months(day, months) * DAY + (values - day * DAY)
    rough = values.astype(np.float64) + days.astype(np.float64) * DAY + time.astype(np.float64)
    if len(rough) and np.abs(rough).max() >= 2.0**63:
        raise DatetimeFieldOverflow("timestamp out of range")
    return np.where(ok, calendar.check_micros(values + days * DAY + time), micros)


def plus_by_clock(micros: Array, months: Array, days: Array, time: Array, zone: Zone) -> Array:
    """The same of instants: months and days by the zone's clock, time as it passes."""
    if months.any() or days.any():
        nothing = np.zeros_like(months)
        micros = zone.utc(plus_interval(zone.local(micros), months, days, nothing))
    nothing = np.zeros(len(micros), np.int64)
    return plus_interval(micros, nothing, nothing, time)


def _moved(micros: Array, length: Column, sign: int, zone: Zone | None = None) -> Array:
    months, days, time = (sign * field for field in fields(length.values))
    if zone is None:
        return plus_interval(micros, months, days, time)
    return plus_by_clock(micros, months, days, time, zone)


def _moving(type: Type, sign: int) -> None:
    symbol = "+" if sign > 0 else "-"
    result = TIMESTAMP if type is DATE else type

    def apply(column: Column, length: Column) -> Column:
        """A time so much later or earlier."""
        micros = calendar.date_micros(column.values) if type is DATE else column.values
        return Column(result, _moved(micros, length, sign))

    def by_clock(column: Column, length: Column, run: Run) -> Column:
        """An instant so much later or earlier, by the session's clock."""
        return Column(result, _moved(column.values, length, sign, session_zone(run)))

    zoned = type is TIMESTAMPTZ
    volatility: Volatility = "s" if zoned else "i"
    moved: Callable[..., Column] = by_clock if zoned else apply
    operator(symbol, [type, INTERVAL], result, volatility=volatility, run=zoned)(moved)
    if sign > 0:

        def reverse(length: Column, column: Column, **run: Run) -> Column:
            """A time so much later."""
            return moved(column, length, **run)

        operator(symbol, [INTERVAL, type], result, volatility=volatility, run=zoned)(reverse)


for _type in (DATE, TIMESTAMP, TIMESTAMPTZ):
    _moving(_type, 1)
    _moving(_type, -1)


def _date_plus(days: Array, count: Array) -> Array:
    ok = finite(days)
    moved = np.where(ok, days.astype(np.int64) + count, 0)
    return np.where(ok, calendar.check_days(moved), days).astype(np.int32)


@operator("+", [DATE, INT4], DATE)
def date_plus_days(column: Column, days: Column) -> Column:
    """The date so many days later."""
    return Column(DATE, _date_plus(column.values, days.values.astype(np.int64)))


@operator("+", [INT4, DATE], DATE)
def days_plus_date(days: Column, column: Column) -> Column:
    """The date so many days later."""
    return date_plus_days(column, days)


@operator("-", [DATE, INT4], DATE)
def date_minus_days(column: Column, days: Column) -> Column:
    """The date so many days earlier."""
    return Column(DATE, _date_plus(column.values, -days.values.astype(np.int64)))


@operator("-", [DATE, DATE], INT4)
def date_minus_date(left: Column, right: Column) -> Column:
    """The days between."""
    if not (finite(left.values) & finite(right.values)).all():
        raise DatetimeFieldOverflow("cannot subtract infinite dates")
    return Column(INT4, (left.values.astype(np.int64) - right.values).astype(np.int32))


@operator("+", [DATE, TIME], TIMESTAMP)
def date_plus_time(column: Column, time: Column) -> Column:
    """The date at a time of day."""
    midnight = calendar.date_micros(column.values)
    return Column(TIMESTAMP, np.where(finite(midnight), midnight + time.values, midnight))


@operator("+", [TIME, DATE], TIMESTAMP)
def time_plus_date(time: Column, column: Column) -> Column:
    """The date at a time of day."""
    return date_plus_time(column, time)


def _between(left: Column, right: Column) -> Column:
    """The days and time between."""
    if not (finite(left.values) & finite(right.values)).all():
        raise DatetimeFieldOverflow("cannot subtract infinite timestamps")
    micros = left.values - right.values
    days = np.trunc(micros / DAY).astype(np.int64)
    rest = micros - days * DAY
    wrong = (np.abs(rest) >= DAY).astype(np.int64) * np.sign(rest)
    days, rest = days + wrong, rest - wrong * DAY
    opposite = ((days > 0) & (rest < 0)).astype(np.int64) - ((days < 0) & (rest > 0)).astype(np.int64)
    days, rest = days - opposite, rest + opposite * DAY
    return Column(INTERVAL, interval(np.zeros_like(days), days, rest))


operator("-", [TIMESTAMP, TIMESTAMP], INTERVAL)(_between)
operator("-", [TIMESTAMPTZ, TIMESTAMPTZ], INTERVAL)(_between)


@operator("-", [TIME, TIME], INTERVAL)
def time_minus_time(left: Column, right: Column) -> Column:
    """The time between."""
    nothing = np.zeros(len(left), np.int64)
    return Column(INTERVAL, interval(nothing, nothing, left.values - right.values))


def _turned(sign: int) -> Callable[[Column, Column], Column]:
    def apply(column: Column, length: Column) -> Column:
        """The time of day so much later or earlier, around the clock."""
        return Column(TIME, (column.values + sign * (length.values["micros"] % DAY)) % DAY)

    return apply


operator("+", [TIME, INTERVAL], TIME)(_turned(1))
operator("-", [TIME, INTERVAL], TIME)(_turned(-1))
operator("+", [INTERVAL, TIME], TIME)(lambda length, column: _turned(1)(column, length))

_TESTS = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def instants(column: Column, run: Run) -> Array:
    """Dates and timestamps as instants."""
    if column.type.oid == TIMESTAMPTZ.oid:
        return np.asarray(column.values)
    micros = calendar.date_micros(column.values) if column.type.oid == DATE.oid else column.values
    return session_zone(run).utc(micros)


def _compared(symbol: str, left: Type, right: Type) -> None:
    compare = _TESTS[symbol]
    zoned = TIMESTAMPTZ in (left, right) and left is not right

    def test(a: Column, b: Column, run: Run) -> Column:
        constant = a.constant and b.constant
        if zoned:
            x, y = instants(a, run), instants(b, run)
        else:
            x, y = (calendar.date_micros(c.values) if c.type.oid == DATE.oid else c.values for c in (a, b))
        return Column(BOOL, compare(x, y), constant=constant)

    volatility: Volatility = "s" if zoned else "i"
    operator(symbol, [left, right], BOOL, constants=True, volatility=volatility, run=True)(test)


_TIMES = (DATE, TIMESTAMP, TIMESTAMPTZ)
for _symbol in SYMBOLS:
    for _left in _TIMES:
        for _right in _TIMES:
            if _left is not _right:
                _compared(_symbol, _left, _right)


def _shifted(column: Column, zone: Zone) -> Column:
    """AT TIME ZONE: what clocks there show at an instant, or the instant at which they show this."""
    if column.type.oid == TIMESTAMP.oid:
        return Column(TIMESTAMPTZ, zone.utc(column.values))
    return Column(TIMESTAMP, zone.local(column.values))


def offset_of(length: Column) -> Array:
    """The microseconds of intervals that say how far east of Greenwich a zone is."""
    months, days, offset = fields(length.values)
    wrong = (months != 0) | (days != 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        text = text_of(length.slice(row, row + 1)).tolist()[0]
        raise InvalidParameterValue(f'interval time zone "{text}" must not include months or days')
    return offset


def _at_zone(type: Type, result: Type) -> None:
    @scalar("timezone", [TEXT, type], result)
    def at_zone(name: Column, column: Column) -> Column:
        """AT TIME ZONE."""
        names = name.tolist()
        if len(set(names)) <= 1:
            return _shifted(column, zone(names[0])) if names else Column(result, column.values)
        rows = [_shifted(column.slice(i, i + 1), zone(text)) for i, text in enumerate(names)]
        return Column.concat(rows)

    @scalar("timezone", [INTERVAL, type], result)
    def at_offset(length: Column, column: Column) -> Column:
        """AT TIME ZONE an offset east of Greenwich."""
        offset = offset_of(length)
        sign = -1 if type is TIMESTAMP else 1
        return Column(result, np.where(finite(column.values), column.values + sign * offset, column.values))


_at_zone(TIMESTAMP, TIMESTAMPTZ)
_at_zone(TIMESTAMPTZ, TIMESTAMP)


def _age(left: Array, right: Array) -> Array:
    """Years, months, days and time from right to left, by the calendar."""
    sign = np.where(left < right, -1, 1)
    a, b = np.maximum(left, right), np.minimum(left, right)
    (ya, ma, da), (yb, mb, db) = calendar.civil(a // DAY), calendar.civil(b // DAY)
    time = a % DAY - b % DAY
    days = da - db
    months = (ya - yb) * 12 + ma - mb
    days, time = days - (time < 0), time + DAY * (time < 0)
    # missing days are borrowed from the earlier time's month, as PostgreSQL does it
    short = days < 0
    months, days = months - short, days + calendar.month_length(yb, mb) * short
    return interval(sign * months, sign * days, sign * time)


def _ages(type: Type) -> None:
    @scalar("age", [type, type], INTERVAL, volatility="s" if type is TIMESTAMPTZ else "i", run=True)
    def age(left: Column, right: Column, run: Run) -> Column:
        """The time from the second to the first, in years, months, days."""
        if not (finite(left.values) & finite(right.values)).all():
            raise DatetimeFieldOverflow("timestamp out of range")
        a, b = left.values, right.values
        if type is TIMESTAMPTZ:
            a, b = session_zone(run).local(a), session_zone(run).local(b)
        return Column(INTERVAL, _age(a, b))

    @scalar("age", [type], INTERVAL, volatility="s", run=True)
    def age_today(column: Column, run: Run) -> Column:
        """The time from then to today's midnight."""
        today = np.full(len(column), _local_now(run) // DAY * DAY, np.int64)
        values = column.values if type is TIMESTAMP else session_zone(run).local(column.values)
        return Column(INTERVAL, _age(today, values))


_ages(TIMESTAMP)
_ages(TIMESTAMPTZ)


@scalar("isfinite", [DATE], BOOL, total=True)
@scalar("isfinite", [TIMESTAMP], BOOL, total=True)
@scalar("isfinite", [TIMESTAMPTZ], BOOL, total=True)
def isfinite(column: Column) -> Column:
    """Whether it is neither infinity nor -infinity."""
    return Column(BOOL, finite(column.values))


@scalar("to_timestamp", [FLOAT8], TIMESTAMPTZ)
def to_timestamp(column: Column) -> Column:
    """The instant so many seconds after 1970."""
    seconds = column.values
    if np.isnan(seconds).any():
        raise DatetimeFieldOverflow("timestamp cannot be NaN")
    infinite = np.isinf(seconds)
    micros = np.rint(np.where(infinite, 0, seconds) * 1e6) - calendar.UNIX_MICROS
    if len(micros) and (np.abs(micros).max() >= 2.0**63 or micros.min() < calendar.MIN_MICROS):
        worst = seconds[np.argmax(np.abs(micros))]
        raise DatetimeFieldOverflow(f'timestamp out of range: "{worst:g}"')
    limits = np.where(seconds > 0, TIME_INFINITIES[1], TIME_INFINITIES[0])
    return Column(TIMESTAMPTZ, np.where(infinite, limits, micros.astype(np.int64)))


def _valid_date(year: Array, month: Array, day: Array) -> Array:
    bad = (year == 0) | (month < 1) | (month > 12) | (day < 1)
    astronomical = np.where(year < 0, year + 1, year)
    length = calendar.month_length(astronomical, np.clip(month, 1, 12))
    bad |= day > length
    if bad.any():
        row = int(np.argmax(bad))
        raise DatetimeFieldOverflow(
            f"date field value out of range: {int(year[row])}-{int(month[row]):02d}-{int(day[row]):02d}"
        )
    return calendar.check_days(calendar.days_of(astronomical, month, day))


def _valid_time(hour: Array, minute: Array, second: Array) -> Array:
    micros = np.rint(second * 1e6)
    bad = (hour < 0) | (hour > 24) | (minute < 0) | (minute > 59) | ~(second >= 0) | (micros > 60 * SECOND)
    bad |= (hour == 24) & ((minute > 0) | (second > 0))
    if bad.any():
        row = int(np.argmax(bad))
        text = f"{int(hour[row])}:{int(minute[row]):02d}:{second[row]:02g}"
        raise DatetimeFieldOverflow(f"time field value out of range: {text}")
    whole = hour.astype(np.int64) * 3600 + minute.astype(np.int64) * 60
    return np.asarray(whole * SECOND + micros.astype(np.int64))


@scalar("make_date", [INT4, INT4, INT4], DATE)
def make_date(year: Column, month: Column, day: Column) -> Column:
    """The date of a year, month and day."""
    return Column(DATE, _valid_date(*(c.values.astype(np.int64) for c in (year, month, day))))


@scalar("make_time", [INT4, INT4, FLOAT8], TIME)
def make_time(hour: Column, minute: Column, second: Column) -> Column:
    """The time of day of an hour, minute and second."""
    return Column(TIME, _valid_time(hour.values, minute.values, second.values))


def _made(columns: tuple[Column, ...]) -> Array:
    year, month, day, hour, minute = (c.values.astype(np.int64) for c in columns[:5])
    days = _valid_date(year, month, day).astype(np.int64)
    return calendar.check_micros(days * DAY + _valid_time(hour, minute, columns[5].values))


_PARTS = [INT4] * 5 + [FLOAT8]


@scalar("make_timestamp", _PARTS, TIMESTAMP)
def make_timestamp(*columns: Column) -> Column:
    """The timestamp of its fields."""
    return Column(TIMESTAMP, _made(columns))


@scalar("make_timestamptz", _PARTS, TIMESTAMPTZ, volatility="s", run=True)
def make_timestamptz(*columns: Column, run: Run) -> Column:
    """The instant of fields by the session's clock."""
    return Column(TIMESTAMPTZ, session_zone(run).utc(_made(columns)))


@scalar("make_timestamptz", [*_PARTS, TEXT], TIMESTAMPTZ)
def make_timestamptz_at(*columns: Column) -> Column:
    """The instant of fields by a zone's clock."""
    local = _made(columns[:6])
    names = columns[6].tolist()
    instants = [_written_zone(name).utc(local[i : i + 1])[0] for i, name in enumerate(names)]
    return Column(TIMESTAMPTZ, np.array(instants, np.int64))


def _written_zone(name: str) -> Zone:
    """A zone as dates are written with it: the sign of an offset counts east, unlike in TimeZone."""
    if name[:1].isdigit():
        raise InvalidParameterValue(
            f'invalid input syntax for type numeric time zone: "{name}"',
            hint='Numeric time zones must have "-" or "+" as first character.',
        )
    opposite = {"+": "-", "-": "+"}.get(name[:1])
    return zone(name) if opposite is None else zone(opposite + name[1:])


def _bins(type: Type) -> None:
    @scalar("date_bin", [INTERVAL, type, type], type)
    def date_bin(length: Column, column: Column, origin: Column) -> Column:
        """The start of the bin of some length, counted from an origin, that holds a time."""
        step = single_unit(length.values)
        if (step <= 0).any():
            raise DatetimeFieldOverflow("stride must be greater than zero")
        values = column.values
        binned = values - (values - origin.values) % step
        return Column(type, np.where(finite(values), binned, values))


_bins(TIMESTAMP)
_bins(TIMESTAMPTZ)


def _series(type: Type) -> None:
    @scalar(
        "generate_series", [type, type, INTERVAL], type, returns_set=True, run=True,
        volatility="s" if type is TIMESTAMPTZ else "i",
    )  # fmt: skip
    def series(start: Column, stop: Column, step: Column, run: Run) -> Column:
        """The times from the first to the second, in steps."""
        months, days, time = (int(field[0]) for field in fields(step.values))
        length = (months * 30 + days) * DAY + time
        if length == 0:
            raise step_zero()
        first, last = int(start.values[0]), int(stop.values[0])
        check_rows(max((last - first) // length, 0))
        by_clock = session_zone(run) if type is TIMESTAMPTZ else None
        if not months and (not days or by_clock is None):
            count = max((last - first) // length + 1, 0)
            return Column(type, first + length * np.arange(count, dtype=np.int64))
        found = []
        value = start.values.astype(np.int64)
        while (value[0] <= last) if length > 0 else (value[0] >= last):
            found.append(int(value[0]))
            value = _moved(value, step, 1, by_clock)
        return Column.of(type, found)


_series(TIMESTAMP)
_series(TIMESTAMPTZ)
