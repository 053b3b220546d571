"""Where FETCH and MOVE take a cursor, and which rows they give on the way.

A cursor stands on a row, before the first (0), or beyond the last. Going on or back ends at the last row that
is given, or past the end where fewer are there than were asked for. PostgreSQL lets a cursor go back without
SCROLL where its plan happens to; here it must have been declared so, for its rows are kept for that.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.spool import Spool
from sql.commands import Direction
from sql.portals import BoundPortal
from storage.batch import Batch
from storage.errors import ObjectNotInPrerequisiteState
from storage.waiting import about_to_wait


def moved(portal: BoundPortal, direction: Direction, count: int | None) -> Iterator[Batch]:
    """The rows; where the cursor is afterwards is seen to at once. `count` of None: all.

    Raises ObjectNotInPrerequisiteState where the cursor only goes forward, and what reading raises.
    """
    if portal.spool is None or not portal.scroll:
        return _onward(portal, direction, count)
    about_to_wait()
    if direction is Direction.FORWARD and count != 0:
        return portal.take(count)
    with portal.dying():
        return _scrolled(portal, portal.spool, direction, count)


def _onward(portal: BoundPortal, direction: Direction, count: int | None) -> Iterator[Batch]:
    """Of a cursor that only goes forward."""
    if direction is Direction.FORWARD and count != 0:
        return portal.take(count)
    if direction is Direction.RELATIVE and count:
        direction, count = Direction.ABSOLUTE, portal.place + count
    if direction is Direction.ABSOLUTE and count is not None and count > portal.place:
        for _ in portal.take(count - portal.place - 1):
            pass
        return portal.take(1)
    nowhere = portal.place == 0 or portal.ended
    if nowhere and count == 0:
        return iter(())
    raise ObjectNotInPrerequisiteState(
        "cursor can only scan forward", hint="Declare it with SCROLL option to enable backward scan."
    )


def _scrolled(portal: BoundPortal, spool: Spool, direction: Direction, count: int | None) -> Iterator[Batch]:
    here = portal.place
    if direction is Direction.BACKWARD and count != 0:
        first = 0 if count is None else max(here - count, 0)
        portal.place = first
        return spool.backward(here - 1, max(first, 1))
    assert count is not None
    if direction is Direction.ABSOLUTE and count < 0:
        spool.reach(None)
        count += spool.rows + 1
    target = max(count if direction is Direction.ABSOLUTE else here + count, 0)
    if target == 0 or not spool.reach(target):
        portal.place = min(target, spool.rows + 1)
        return iter(())
    portal.place = target
    return spool.forward(target, target)
