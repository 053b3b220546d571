"""A process that measures in itself begins as the server does."""

from __future__ import annotations

from storage import kernels
from storage.memory import settle


def ready() -> None:
    """Have malloc settled and the compiled kernels in place."""
    settle()
    kernels.warm(wait=True)
