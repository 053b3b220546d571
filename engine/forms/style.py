"""How values are written and read: the settings that text forms obey, and the names of objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from engine.forms.datestyles import DateStyle
from engine.forms.timezones import zone_named
from engine.run import Run
from engine.seams import SessionInfo

FEW = 16
"""So many values are written one by one: calls of array functions cost more than they do."""


_STYLES: dict[str, DateStyle] = {"SQL": "SQL", "Postgres": "Postgres", "German": "German"}


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
        return zone_named(self.time_zone)[1]

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
