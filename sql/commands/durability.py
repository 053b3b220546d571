"""CHECKPOINT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command
from sql.reading import Reader


@dataclass(frozen=True)
class Checkpoint(Command):
    """CHECKPOINT says no more."""


def _checkpoint(reader: Reader) -> Command:
    return Checkpoint()


READERS: dict[str, Callable[[Reader], Command]] = {"checkpoint": _checkpoint}
