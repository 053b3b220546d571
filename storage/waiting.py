"""Work that may not wait: what the event loop does for a statement before it gives it a thread.

A short statement costs less than the way to a thread and back, so it is begun on the event loop, which
serves everybody and must not stand still. The rule that keeps it going:

    whoever is about to wait (for a lock, the disk, a worker), or to work for long, calls `about_to_wait`
    first, before he has done anything that cannot be done twice or taken back

What has been begun and cannot is done `to_the_end`, whether or not something in it waits. Inside `at_once`
`about_to_wait` raises WouldBlock, and the work is done again from its beginning, on a thread, where it does
nothing. WouldBlock is no Exception: nothing on its way takes it for an error of the statement's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONG = 4096
"""Rows of which a look at each is work for long."""
FEW = 64
"""Rows that may be put together at once."""


class WouldBlock(BaseException):
    """What is being done at once would wait."""


class _Thread(threading.local):
    at_once = False


_thread = _Thread()


def about_to_wait() -> None:
    """Raise WouldBlock where this thread is inside of `at_once`."""
    if _thread.at_once:
        raise WouldBlock


def is_at_once() -> bool:
    """Whether this thread is inside of `at_once`."""
    return _thread.at_once


class AtOnce:
    """`with at_once:` nothing in here waits."""

    __slots__ = ()

    def __enter__(self) -> None:
        _thread.at_once = True

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        _thread.at_once = False


at_once = AtOnce()


@contextmanager
def to_the_end() -> Iterator[None]:
    """What is done in here cannot be done twice: nothing in it is given up, even where it waits a little."""
    before, _thread.at_once = _thread.at_once, False
    try:
        yield
    finally:
        _thread.at_once = before
