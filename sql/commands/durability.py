"""CHECKPOINT and BACKUP DATABASE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command
from sql.reading import Reader
from storage.errors import FeatureNotSupported

BACKUP_COLUMNS = ("files", "bytes", "copied", "copied_bytes")
"""The result of BACKUP DATABASE: what the backup is made of, and what had to be copied."""


@dataclass(frozen=True)
class Checkpoint(Command):
    """CHECKPOINT says no more."""


@dataclass(frozen=True)
class Backup(Command):
    """BACKUP DATABASE [name] TO 'folder'; no name: the database that one is connected to."""

    database: str | None
    folder: str


def _checkpoint(reader: Reader) -> Command:
    return Checkpoint()


def _backup(reader: Reader) -> Command:
    reader.must_word("database")
    name = None
    if reader.token is not None and not reader.token.is_word("to", "with"):
        name = reader.name()
    if reader.word("with"):
        kind = reader.name().upper()
        raise FeatureNotSupported(
            f"BACKUP DATABASE ... WITH {kind} is not supported",
            hint="Every backup into a folder is whole, and copies only what the folder does not have yet.",
        )
    reader.must_word("to")
    folder = reader.string()
    if reader.word("timeout"):
        raise FeatureNotSupported(
            "BACKUP DATABASE ... TIMEOUT is not supported", hint="Set statement_timeout."
        )
    return Backup(name, folder)


READERS: dict[str, Callable[[Reader], Command]] = {"checkpoint": _checkpoint, "backup": _backup}
