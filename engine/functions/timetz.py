"""Times of day in a zone: now, arithmetic, dates beside them, other zones.

Arithmetic goes by the clock, around it, and stays in the zone. See storage.timetz for the values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.functions.datetime import offset_of
from engine.functions.registry import operator, scalar
from engine.run import Run
from engine.values import calendar
from engine.values.calendar import DAY, SECOND, Zone, finite, session_zone, zone
from storage.column import Array, Column
from storage.timetz import clock_of, instant_of, packed, west_of
from storage.types import DATE, INTERVAL, TEXT, TIMESTAMPTZ, TIMETZ


@scalar("current_time", [], TIMETZ, volatility="s", run=True)
def current_time(run: Run) -> Column:
    """The time of day at which the transaction started, in the session's zone."""
    west = _west(session_zone(run), run)
    return Column.of(TIMETZ, [packed((run.now - west * SECOND) % DAY, west)])


def _west(zone: Zone, run: Run) -> int:
    """Seconds west of Greenwich of a zone, when the transaction started."""
    return -int(zone.offset(np.array([run.now], np.int64))[0]) // SECOND


def _turned(sign: int) -> Callable[[Column, Column], Column]:
    def apply(column: Column, length: Column) -> Column:
        """The time of day so much later or earlier, around the clock."""
        clock = clock_of(column.values) + sign * (length.values["micros"] % DAY)
        return Column(TIMETZ, packed(clock % DAY, west_of(column.values)))

    return apply


operator("+", [TIMETZ, INTERVAL], TIMETZ)(_turned(1))
operator("-", [TIMETZ, INTERVAL], TIMETZ)(_turned(-1))
operator("+", [INTERVAL, TIMETZ], TIMETZ)(lambda length, column: _turned(1)(column, length))


@scalar("timestamptz", [DATE, TIMETZ], TIMESTAMPTZ)
@operator("+", [DATE, TIMETZ], TIMESTAMPTZ)
def date_plus_timetz(column: Column, time: Column) -> Column:
    """The instant of a time of that day in its zone."""
    midnight = calendar.date_micros(column.values)
    ok = finite(midnight)
    moved = calendar.check_micros(np.where(ok, midnight, 0) + instant_of(time.values))
    return Column(TIMESTAMPTZ, np.where(ok, moved, midnight))


@operator("+", [TIMETZ, DATE], TIMESTAMPTZ)
def timetz_plus_date(time: Column, column: Column) -> Column:
    """The instant of a time of that day in its zone."""
    return date_plus_timetz(column, time)


def _moved(column: Column, west: Array) -> Column:
    """The same instants in other zones."""
    clock = (instant_of(column.values) - west * SECOND) % DAY
    return Column(TIMETZ, packed(clock, west))


@scalar("timezone", [TEXT, TIMETZ], TIMETZ, volatility="s", run=True)
def at_zone(name: Column, column: Column, run: Run) -> Column:
    """AT TIME ZONE: what clocks show there, where it is as early or late as at the transaction's start."""
    known = {text: _west(zone(text), run) for text in set(name.tolist())}
    return _moved(column, np.array([known[text] for text in name.tolist()], np.int64))


@scalar("timezone", [INTERVAL, TIMETZ], TIMETZ)
def at_offset(length: Column, column: Column) -> Column:
    """AT TIME ZONE an offset east of Greenwich."""
    return _moved(column, -np.trunc(offset_of(length) / SECOND).astype(np.int64))
