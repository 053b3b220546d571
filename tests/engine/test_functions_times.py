"""Dates, times, intervals and zones; the answers are PostgreSQL 15's."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.functions.numbertemplates import numeric as number_written
from engine.run import Run
from engine.values import calendar
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import DATE, FLOAT8, INT4, INTERVAL, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ
from tests.engine.calls import apply, days, micros, number, one, rows_of, run_with, stamp

NEW_YORK = run_with({"timezone": "America/New_York"})
HOUR, DAY = 3_600_000_000, 86_400_000_000


@given(st.dates())
def test_civil_dates_are_pythons(date: datetime.date) -> None:
    day = np.array([days(date.isoformat())])
    year, month, number = (int(v[0]) for v in calendar.civil(day))
    assert (year, month, number) == (date.year, date.month, date.day)
    assert calendar.days_of(*(np.array([v]) for v in (year, month, number))).tolist() == day.tolist()


_ZONES = st.sampled_from(
    ["America/New_York", "Asia/Tokyo", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"]
)


@given(_ZONES, st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2130, 1, 1)))
def test_offsets_are_those_of_the_zone(name: str, moment: datetime.datetime) -> None:
    utc = moment.replace(tzinfo=datetime.UTC)
    wanted = utc.astimezone(ZoneInfo(name)).utcoffset()
    assert wanted is not None
    got = calendar.zone(name).offset(np.array([micros(moment.isoformat())]))[0]
    assert got == wanted / datetime.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2024-03-10 02:30:00", "2024-03-10 07:30:00"),  # never: goes on with the hour before's offset
        ("2024-11-03 01:30:00", "2024-11-03 06:30:00"),  # twice: standard time
        ("2024-07-01 12:00:00", "2024-07-01 16:00:00"),
    ],
)
def test_local_times_that_never_or_twice_are(local: str, utc: str) -> None:
    got = calendar.zone("America/New_York").utc(np.array([micros(local)]))
    assert stamp(int(got[0])) == utc


def test_arithmetic() -> None:
    month, one_day = (1, 0, 0), (0, 1, 0)
    assert (
        stamp(one("operator +(date,interval)", (DATE, days("2024-01-31")), (INTERVAL, month)))
        == "2024-02-29 00:00:00"
    )
    assert one("operator -(date,date)", (DATE, days("2024-03-01")), (DATE, days("2024-01-01"))) == 60
    between = one(
        "operator -(timestamp,timestamp)",
        (TIMESTAMP, micros("2024-01-02 03:04")),
        (TIMESTAMP, micros("2023-12-31 05:00")),
    )
    assert between == (0, 1, 22 * HOUR + 4 * 60_000_000)
    noon = (TIMESTAMPTZ, micros("2024-03-09 17:00"))
    later = one("operator +(timestamptz,interval)", noon, (INTERVAL, one_day), run=NEW_YORK)
    assert stamp(later) == "2024-03-10 16:00:00"
    assert (
        stamp(one("operator +(timestamptz,interval)", noon, (INTERVAL, (0, 0, DAY)), run=NEW_YORK))
        == "2024-03-10 17:00:00"
    )
    assert one("operator +(time,interval)", (TIME, 23 * HOUR), (INTERVAL, (0, 0, 2 * HOUR))) == HOUR


@pytest.mark.parametrize(
    ("symbol", "value", "factor", "answer"),
    [
        ("*", (1, 1, 0), 1.5, (1, 16, 12 * HOUR)),
        ("*", (1, 0, 0), 0.123, (0, 3, 16 * HOUR + 33 * 60_000_000 + 36_000_000)),
        ("/", (1, 0, 0), 3.0, (0, 10, 0)),
        ("/", (0, 10, 0), 7.0, (0, 1, 37_028_571_429)),
    ],
)
def test_scaled_intervals(symbol: str, value: Any, factor: float, answer: Any) -> None:
    assert one(f"operator {symbol}(interval,float8)", (INTERVAL, value), (FLOAT8, factor)) == answer


_WHEN = (TIMESTAMP, micros("2024-01-02 03:04:05.678"))


@pytest.mark.parametrize(
    ("unit", "argument", "answer"),
    [
        ("epoch", _WHEN, "1704164645.678000"),
        ("second", _WHEN, "5.678000"),
        ("dow", (DATE, days("2024-01-07")), "0"),
        ("isodow", (DATE, days("2024-01-07")), "7"),
        ("doy", (DATE, days("2024-12-31")), "366"),
        ("week", (DATE, days("2021-01-01")), "53"),
        ("isoyear", (DATE, days("2021-01-01")), "2020"),
        ("quarter", (DATE, days("2024-05-01")), "2"),
        ("century", (DATE, days("2000-01-01")), "20"),
        ("millennium", (DATE, days("2001-01-01")), "3"),
        ("decade", (DATE, days("1999-01-01")), "199"),
        ("milliseconds", (TIME, HOUR + 123_500_000), "3500.000"),
        ("julian", (TIMESTAMP, micros("2024-01-01 12:00")), "2460311.50000000000000000000"),
        ("epoch", (INTERVAL, (12, 2, 0)), "31730400.000000"),
        ("epoch", (INTERVAL, (0, 0, -1_500_000)), "-1.500000"),
        ("month", (INTERVAL, (14, 0, 0)), "2"),
        ("hour", (INTERVAL, (0, 0, 30 * HOUR)), "30"),
        ("epoch", (DATE, days("2024-01-01")), "1704067200"),
        ("year", (TIMESTAMP, 2**63 - 1), "Infinity"),
        ("day", (TIMESTAMP, 2**63 - 1), "None"),
    ],
)
def test_extract(unit: str, argument: Any, answer: str) -> None:
    assert str(one(f"extract(text,{argument[0].name})", (TEXT, unit), argument)) == answer


def _words(id: str, *arguments: Any, run: Run | None = None) -> tuple[str, str]:
    with pytest.raises(DatabaseError) as caught:
        one(id, *arguments, run=run)
    return caught.value.sqlstate, caught.value.message


def test_errors() -> None:
    when = (TIMESTAMP, 0)
    assert _words("extract(text,timestamp)", (TEXT, "foo"), when) == (
        "22023",
        'unit "foo" not recognized for type timestamp without time zone',
    )
    assert _words("extract(text,date)", (TEXT, "hour"), (DATE, 0)) == (
        "0A000",
        'unit "hour" not supported for type date',
    )
    assert _words("make_date(int4,int4,int4)", (INT4, 2024), (INT4, 2), (INT4, 30)) == (
        "22008",
        "date field value out of range: 2024-02-30",
    )
    assert _words("timezone(text,timestamp)", (TEXT, "Nope/Zone"), when) == (
        "22023",
        'time zone "Nope/Zone" not recognized',
    )
    last = (TIMESTAMP, micros("2000-01-01") + 9_223_371_331_199_999_999)
    assert (
        _words("operator +(timestamp,interval)", last, (INTERVAL, (12, 0, 0)))[1] == "timestamp out of range"
    )


@pytest.mark.parametrize(
    ("unit", "when", "answer"),
    [
        ("week", "2024-01-07 10:00", "2024-01-01 00:00:00"),
        ("quarter", "2024-05-07 10:00", "2024-04-01 00:00:00"),
        ("decade", "1999-05-05", "1990-01-01 00:00:00"),
        ("century", "2000-05-05", "1901-01-01 00:00:00"),
        ("hour", "2024-05-07 10:59:59", "2024-05-07 10:00:00"),
    ],
)
def test_date_trunc(unit: str, when: str, answer: str) -> None:
    assert stamp(one("date_trunc(text,timestamp)", (TEXT, unit), (TIMESTAMP, micros(when)))) == answer


def test_date_trunc_by_the_sessions_clock() -> None:
    column = Column.of(TIMESTAMPTZ, [micros("2024-03-10 16:00"), None])
    got = apply("date_trunc(text,timestamptz)", (TEXT, "day"), column, rows=2, run=NEW_YORK)
    assert stamp(got[0]) == "2024-03-10 05:00:00"
    assert got[1] is None


def test_age() -> None:
    def age(left: str, right: str) -> Any:
        return one("age(timestamp,timestamp)", (TIMESTAMP, micros(left)), (TIMESTAMP, micros(right)))

    assert age("2024-03-01", "2023-01-31 12:00") == (13, 0, 12 * HOUR)
    assert age("2023-01-31", "2024-03-01") == (-13, -1, 0)
    assert age("2024-03-31", "2024-02-29") == (1, 2, 0)


def test_series_of_months_go_from_end_to_end() -> None:
    rows = rows_of(
        "generate_series(timestamp,timestamp,interval)",
        (TIMESTAMP, micros("2024-01-31")),
        (TIMESTAMP, micros("2024-04-30")),
        (INTERVAL, (1, 0, 0)),
    )
    assert [stamp(row)[:10] for row in rows] == ["2024-01-31", "2024-02-29", "2024-03-29", "2024-04-29"]


_TEMPLATE = (
    "YYYY-MM-DD HH24:MI:SS.MS US HH12 AM am Day Mon MONTH month D DD DDD Dy DY Q WW IW J YY Y,YYY CC FF3 "
    'SSSS "quoted" FMDay FMMM RM ID IYYY A.M. DDth FMDDTH'
)


def test_to_char() -> None:
    when = (TIMESTAMP, micros("2024-01-02 15:04:05.678901"))
    assert one("to_char(timestamp,text)", when, (TEXT, _TEMPLATE)) == (
        "2024-01-02 15:04:05.678 678901 03 PM pm Tuesday   Jan JANUARY   january   3 02 002 Tue TUE 1 01 01 "
        "2460312 24 2,024 21 678 54245 quoted Tuesday 1 I    2 2024 P.M. 02nd 2ND"
    )
    length = (INTERVAL, (0, 0, 26 * HOUR + 180_000_000))
    assert one("to_char(interval,text)", length, (TEXT, "HH24:MI:SS DD")) == "26:03:00 00"
    zoned = (TIMESTAMPTZ, micros("2024-01-02 20:04:05"))
    assert (
        one("to_char(timestamptz,text)", zoned, (TEXT, "HH24 TZ OF tz TZH:TZM"), run=NEW_YORK)
        == "15 EST -05 est -05:00"
    )


def test_from_texts() -> None:
    form = (TEXT, "YYYY-MM-DD HH24:MI:SS")
    assert (
        stamp(one("to_timestamp(text,text)", (TEXT, "2024-01-02 03:04:05"), form, run=NEW_YORK))
        == "2024-01-02 08:04:05"
    )
    assert one("to_date(text,text)", (TEXT, "02 Jan 2024"), (TEXT, "DD Mon YYYY")) == days("2024-01-02")
    assert stamp(one("to_timestamp(float8)", (FLOAT8, 1704164645.5))) == "2024-01-02 03:04:05.500000"


@pytest.mark.parametrize(
    ("value", "template", "answer"),
    [
        ("1234567.891", "9,999,999.99", " 1,234,567.89"),
        ("-5", "999", "  -5"),
        ("5", "FM000", "005"),
        ("0.5", "0.9", " 0.5"),
        ("5", "999PR", "   5 "),
        ("-5", "999PR", "  <5>"),
        ("12.3", "99.99MI", "12.30 "),
        ("123", "99", " ##"),
        ("1234", "FM9,999", "1,234"),
        ("0", "9.99", "  .00"),
        ("3.14159", "FM999.0099", "3.1416"),
        ("42", "99th", " 42nd"),
        ("12", "99V99", " 1200"),
        ("-1.5", "S9.9", "-1.5"),
        ("1234.5", "9G999D99", " 1,234.50"),
        ("0.0004", "9.99EEEE", " 4.00e-04"),
        ("15", "FMRN", "XV"),
        ("125.8", "999D9", " 125.8"),
        ("-125.8", "999.99S", "125.80-"),
    ],
)
def test_numbers_by_template(value: str, template: str, answer: str) -> None:
    assert number_written(number(value), template) == answer
