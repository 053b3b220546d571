"""Times of day in a zone (timetz) as one int64, which orders as SQL orders them.

    bits 17 to 62    the instant: what the clock shows plus `west`, in microseconds; negative east of midnight
    bits 0 to 16     `west` + 65536; `west` is the zone's seconds west of Greenwich, between -57599 and 57599

So one comparison of integers compares the instants and then the zones, the more western one being greater:
PostgreSQL's rule, by which 10:00+01 and 09:00+00 are two values.
"""

from __future__ import annotations

from typing import Any

LIMIT = 16 * 3600
"""Zones are less than so many seconds away from Greenwich."""
SHIFT = 17
_MIDDLE = 1 << (SHIFT - 1)
_MASK = (1 << SHIFT) - 1


def packed(clock: Any, west: Any) -> Any:
    """The value of microseconds since midnight and seconds west: of ints, or of int64 arrays."""
    return ((clock + west * 1_000_000) << SHIFT) | (west + _MIDDLE)


def west_of(value: Any) -> Any:
    """Seconds west of Greenwich."""
    return (value & _MASK) - _MIDDLE


def clock_of(value: Any) -> Any:
    """Microseconds since midnight, as the zone's clocks show them."""
    return instant_of(value) - west_of(value) * 1_000_000


def instant_of(value: Any) -> Any:
    """Microseconds since midnight in Greenwich; of the day before or after where it lies there."""
    return value >> SHIFT
