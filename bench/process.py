"""A process that measures in itself begins as the server does."""

from __future__ import annotations

from storage import kernels
from storage.memory import settle
from storage.segments.cache import cache


def ready() -> None:
    """Have malloc settled, for the buffer cache as it is, and the compiled kernels in place."""
    settle(cache.limit)
    kernels.warm(wait=True)
