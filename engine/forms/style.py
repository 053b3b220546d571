"""How values are written and read: the settings that text forms obey, and the names of objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.forms.datestyles import DateStyle
from engine.run import Run
from engine.seams import SessionInfo

FEW = 16
"""So many values are written one by one: calls of array functions cost more than they do."""


_POSIX = re.compile(r"(?:<[^>]*>|[A-Za-z]{3,}|(?=[+-]))([+-]?)(\d{1,2})(?::(\d{2}))?")


_STYLES: dict[str, DateStyle] = {"SQL": "SQL", "Postgres": "Postgres", "German": "German"}


@lru_cache(100)
def _zone(name: str) -> tzinfo:
    """The zone of a TimeZone that the settings took: of a name, or so many hours west of Greenwich."""
    posix = _POSIX.fullmatch(name)
    if posix is None:
        return ZoneInfo(name)
    east = timedelta(hours=int(posix[2]), minutes=int(posix[3] or 0))
    offset = east if posix[1] == "-" else -east
    named = re.match("<(.+)>", name)
    return timezone(offset) if named is None else timezone(offset, named[1])


@dataclass(frozen=True)
class Style:
    """DateStyle and its field order, TimeZone, IntervalStyle, bytea_output, extra_float_digits.

    `names` resolves reg types; without it they are numbers. `now` is the transaction's start, for
    'now' and 'today', in microseconds since 2000-01-01 UTC.
    """

    date_order: str = "MDY"
    time_zone: str = "UTC"
    interval_style: str = "postgres"
    bytea_output: str = "hex"
    extra_float_digits: int = 1
    names: SessionInfo | None = None
    now: int = 0
    date_style: DateStyle = "ISO"

    @property
    def zone(self) -> tzinfo:
        """The session's time zone."""
        return _zone(self.time_zone)

    @classmethod
    def of(cls, settings: Mapping[str, str], names: SessionInfo | None = None, now: int = 0) -> Style:
        """The style of a session's settings, by their names in lower case."""
        style, _, order = settings.get("datestyle", "ISO, MDY").partition(", ")
        return cls(
            order if order in ("MDY", "DMY", "YMD") else "MDY",
            settings.get("timezone", "UTC"),
            settings.get("intervalstyle", "postgres"),
            settings.get("bytea_output", "hex"),
            int(settings.get("extra_float_digits", "1")),
            names,
            now,
            _STYLES.get(style, "ISO"),
        )

    @property
    def iso(self) -> Style:
        """The same with dates as ISO 8601 has them."""
        return self if self.date_style == "ISO" else replace(self, date_style="ISO")

    def at(self, now: int) -> Style:
        """The same at another time; asked once a statement, so without dataclasses' ceremony."""
        style = object.__new__(Style)
        style.__dict__.update(self.__dict__)
        style.__dict__["now"] = now
        return style


PLAIN = Style()


def style_of(how: Run | Style | None) -> Style:
    """The style of a run: made once a run."""
    if how is None:
        return PLAIN
    if isinstance(how, Style):
        return how
    memo: dict[Any, Any] = how.memo
    style = memo.get(Style)
    if style is None:
        style = memo[Style] = Style.of(how.settings, how.session, how.now)
    kept: Style = style
    return kept
