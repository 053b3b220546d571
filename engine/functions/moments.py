"""Dates and times in JSON paths: what .datetime() reads, how they compare, and their text in JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from engine.forms import times
from engine.forms.style import Style
from engine.values import calendar, timereading
from engine.values.timetemplates import nodes_of, parts_of
from storage.column import Column
from storage.errors import DatabaseError, FeatureNotSupported, InvalidDatetimeArgument, InvalidDatetimeFormat
from storage.types import DATE, TIME, TIMESTAMP, Type

_ISO = re.compile(
    r"(?P<date>\d{4}-\d{1,2}-\d{1,2})?(?P<between>[ T])?"
    r"(?P<clock>\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d{1,6})?)?(?P<zone>[-+]\d{1,2}(?::\d{1,2})?)?"
)
_NAMES = {
    "date": "date",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}


@dataclass(frozen=True, slots=True)
class Zones:
    """Whether values without a zone may be compared with others, and which zone they are then in."""

    usable: bool
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or time: `micros` as it is stored (of a date at its midnight), of one with a zone in UTC."""

    kind: str
    micros: int
    offset: int = 0  # seconds east, of what has a zone

    @property
    def type_name(self) -> str:
        """What .type() says."""
        return _NAMES[self.kind]


def read(value: Any, template: str | None, zones: Zones) -> Moment:
    """.datetime(): the time that a string in one of ISO 8601's forms is, or in that of a template.

    Raises InvalidDatetimeArgument, and what reading along a template raises.
    """
    if not isinstance(value, str):
        raise InvalidDatetimeArgument("jsonpath item method .datetime() can only be applied to a string")
    if template is not None:
        return _templated(value, template)
    found = _ISO.fullmatch(value)
    if found is None or bool(found["date"] and found["clock"]) != bool(found["between"]):
        raise _unread(value)
    if not found["date"] and not found["clock"]:
        raise _unread(value)
    offset = _seconds(found["zone"])
    try:
        if not found["clock"]:
            if offset is not None:
                raise _unread(value)
            return Moment("date", _stored(DATE, found["date"]) * times.DAY)
        micros = _stored(TIME, found["clock"])
        kind = "time"
        if found["date"]:
            micros += _stored(DATE, found["date"]) * times.DAY
            kind = "timestamp"
    except DatabaseError as error:
        raise InvalidDatetimeArgument(error.message) from None
    if offset is None:
        return Moment(kind, micros)
    return Moment(kind + "tz", micros - offset * 1_000_000, offset)


def _templated(text: str, template: str) -> Moment:
    """A text along a template, which says by its fields what kind of time it is."""
    found = timereading.read(text, template, standard=True)
    parts = parts_of(nodes_of(template, standard=True))
    if not parts & {"date", "time"}:
        raise InvalidDatetimeFormat("datetime format is not dated and not timed")
    if "time" not in parts:
        if "zone" in parts:
            raise InvalidDatetimeFormat("datetime format is zoned but not timed")
        return Moment("date", (found.days - calendar.JULIAN) * times.DAY)
    kind, micros = "time", found.time
    if "date" in parts:
        kind, micros = "timestamp", micros + (found.days - calendar.JULIAN) * times.DAY
    micros = timereading.in_precision(micros, found.precision)
    if "zone" not in parts:
        return Moment(kind, micros)
    offset = found.offset or 0
    return Moment(kind + "tz", micros - offset * 1_000_000, offset)


def _unread(text: str) -> InvalidDatetimeArgument:
    return InvalidDatetimeArgument(
        f'datetime format is not recognized: "{text}"',
        hint="Use a datetime template argument to specify the input data format.",
    )


def _seconds(zone: str | None) -> int | None:
    if zone is None:
        return None
    hours, _, minutes = zone[1:].partition(":")
    seconds = int(hours) * 3600 + int(minutes or 0) * 60
    return -seconds if zone[0] == "-" else seconds


def _stored(type: Type, text: str) -> int:
    read_text = times.read_date if type is DATE else times.read_time
    return read_text(type, [text], Style())[0]


def compare(left: Moment, right: Moment, zones: Zones) -> int | None:
    """-1, 0 or 1; None where a date and a time of day meet. Raises FeatureNotSupported without zones."""
    clocks = [moment.kind in ("time", "timetz") for moment in (left, right)]
    if clocks[0] != clocks[1]:
        return None
    zoned = [moment.kind.endswith("tz") for moment in (left, right)]
    if zoned[0] == zoned[1]:
        return _order(_key(left), _key(right))
    if not zones.usable:
        plain, other = (right, left) if zoned[0] else (left, right)
        raise FeatureNotSupported(
            f"cannot convert value from {plain.kind} to {other.kind} without time zone usage",
            hint="Use *_tz() function for time zone support.",
        )
    return _order(*(_key(m if m.kind.endswith("tz") else _zoned(m, zones)) for m in (left, right)))


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _key(moment: Moment) -> tuple[int, int]:
    """What is compared: of times of day with equal moments the zone decides."""
    return moment.micros, -moment.offset if moment.kind == "timetz" else 0


def _zoned(moment: Moment, zones: Zones) -> Moment:
    """A time without a zone in the session's."""
    if moment.kind == "time":
        offset = times.offset_at(0, zones.zone)
        return Moment("timetz", moment.micros - offset * 1_000_000, offset)
    return Moment("timestamptz", times.to_utc(moment.micros, zones.zone))


def text(moment: Moment) -> str:
    """The time as JSON shows it: 2020-01-01T10:00:00+03:00."""
    if moment.kind == "date":
        shown: str = times.write_date(Column.of(DATE, [moment.micros // times.DAY]), Style())[0].as_py()
        return shown
    local = moment.micros + moment.offset * 1_000_000
    if moment.kind.startswith("timestamp"):
        shown = times.write_timestamp(Column.of(TIMESTAMP, [local]), Style())[0].as_py().replace(" ", "T", 1)
    else:
        shown = times.write_time(Column.of(TIME, [local % times.DAY]), Style())[0].as_py()
    return shown + _zone(moment.offset) if moment.kind.endswith("tz") else shown


def _zone(offset: int) -> str:
    minutes = abs(offset) // 60
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
