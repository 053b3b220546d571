"""LISTEN, UNLISTEN and NOTIFY."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command
from sql.reading import Reader


@dataclass(frozen=True)
class Listen(Command):
    channel: str


@dataclass(frozen=True)
class Unlisten(Command):
    channel: str | None  # None: *


@dataclass(frozen=True)
class Notify(Command):
    channel: str
    payload: str = ""


def _listen(reader: Reader) -> Command:
    return Listen(reader.name())


def _unlisten(reader: Reader) -> Command:
    return Unlisten(None if reader.mark("*") else reader.name())


def _notify(reader: Reader) -> Command:
    channel = reader.name()
    return Notify(channel, reader.string() if reader.mark(",") else "")


READERS: dict[str, Callable[[Reader], Command]] = {
    "listen": _listen,
    "unlisten": _unlisten,
    "notify": _notify,
}
