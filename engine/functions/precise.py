"""current_timestamp(p) and its kin: the transaction's start, to so many decimals of a second."""

from __future__ import annotations

from collections.abc import Callable

from engine.forms.intervals import rounded
from engine.forms.times import rounded_timetz
from engine.functions.datetime import localtime, localtimestamp, now
from engine.functions.registry import scalar
from engine.functions.timetz import current_time
from engine.run import Run
from storage.column import Column
from storage.types import INT4, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ, Type


def _declare(name: str, type: Type, whole: Callable[[Run], Column]) -> None:
    @scalar(name, [INT4], type, volatility="s", run=True)
    def to_decimals(digits: Column, run: Run) -> Column:
        """When the transaction started, to so many decimals of a second."""
        if not len(digits):
            return Column.of(type, [])
        start, places = whole(run), int(digits.values[0])  # a literal, the same in all rows
        value = rounded_timetz(start.values, places)[0] if type is TIMETZ else rounded(start.item(0), places)
        return Column.of(type, [int(value)] * len(digits))


PRECISE = frozenset(("current_timestamp", "localtimestamp", "current_time", "localtime"))
"""Their names."""
_declare("current_timestamp", TIMESTAMPTZ, now)
_declare("localtimestamp", TIMESTAMP, localtimestamp)
_declare("current_time", TIMETZ, current_time)
_declare("localtime", TIME, localtime)
