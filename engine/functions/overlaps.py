"""overlaps: whether two spans of time have a moment in common, as (a, b) OVERLAPS (c, d) asks.

The ends of a span may stand in either order. A span holds its first moment and not its last, except where it
is that moment alone. Null decides only where it matters: one end of a span may be unknown if the other is
enough.
"""

from __future__ import annotations

from engine.functions.calls import call
from engine.functions.registry import BY_ID, scalar
from engine.run import Run
from storage.column import Column
from storage.types import BOOL, INTERVAL, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ, Type


def _overlap(a: int | None, b: int | None, c: int | None, d: int | None) -> bool | None:
    """PostgreSQL's overlaps_timestamp: by SQL's rules for nulls."""
    first, second = _ordered(a, b), _ordered(c, d)
    if first is None or second is None:
        return None
    (start, end), (other, other_end) = first, second
    if start == other:
        return None if end is None or other_end is None else True
    if start < other:
        start, end, other, other_end = other, other_end, start, end
    # the one that begins later begins within the other
    if other_end is not None and start < other_end:
        return True
    return None if end is None or other_end is None else False


def _ordered(a: int | None, b: int | None) -> tuple[int, int | None] | None:
    """(the first end, the last, if that is known); None where none is."""
    if a is None or b is None:
        known = b if a is None else a
        return None if known is None else (known, None)
    return min(a, b), max(a, b)


def _declare(type: Type, ends: tuple[bool, bool]) -> None:
    """overlaps of spans of `type`; whose span has an interval in place of its last end."""
    spans = (INTERVAL if ends[0] else type, INTERVAL if ends[1] else type)

    @scalar("overlaps", [type, spans[0], type, spans[1]], BOOL, strict=False, volatility="s", run=True)
    def overlaps(a: Column, b: Column, c: Column, d: Column, run: Run) -> Column:
        """Whether two spans of time have a moment in common."""
        lasts = [_last(x, y, run) for x, y in ((a, b), (c, d))]
        columns = [column.tolist() for column in (a, lasts[0], c, lasts[1])]
        return Column.of(BOOL, [_overlap(*row) for row in zip(*columns, strict=True)])


def _last(first: Column, span: Column, run: Run) -> Column:
    if span.type.oid != INTERVAL.oid:
        return span
    id = f"operator +({first.type.name},interval)"
    assert id in BY_ID
    return call(id, [first, span], len(first), run, BY_ID[id].result)


for _type in (TIMESTAMP, TIMESTAMPTZ, TIME):
    for _ends in ((False, False), (False, True), (True, False), (True, True)):
        _declare(_type, _ends)
_declare(TIMETZ, (False, False))
