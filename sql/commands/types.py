"""CREATE TYPE and ALTER TYPE, of enums."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name, unsupported
from sql.commands.renaming import renamed
from sql.reading import Reader
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class CreateEnum(Command):
    name: Name
    labels: tuple[str, ...]


@dataclass(frozen=True)
class AddLabel(Command):
    """ADD VALUE: `side` is 'before' or 'after' the label `beside`, '' at the end."""

    name: Name
    label: str
    if_not_exists: bool = False
    side: str = ""
    beside: str = ""


@dataclass(frozen=True)
class RenameLabel(Command):
    name: Name
    old: str
    new: str


def create_type(reader: Reader) -> Command:
    """CREATE TYPE, from the name on."""
    name = reader.qualified()
    position = 0 if reader.token is None else reader.token.position
    if not reader.word("as", "enum"):
        reader.word("as")
        what = "RANGE" if reader.word("range") else "(...)" if reader.mark("(") else ""
        if not what and reader.token is not None:
            raise reader.wrong()
        shown = f"CREATE TYPE ... AS {what}" if what else "CREATE TYPE of a type without a body"
        raise FeatureNotSupported(f"{shown} is not supported", position=position)
    reader.must_mark("(")
    labels: list[str] = []
    if not reader.mark(")"):
        labels.append(reader.string())
        while reader.mark(","):
            labels.append(reader.string())
        reader.must_mark(")")
    return CreateEnum(name, tuple(labels))


def alter_type(reader: Reader) -> Command:
    """ALTER TYPE, from the name on: its labels, names and owner."""
    start = reader.index
    name = reader.qualified()
    if reader.word("add", "value"):
        if_not_exists = reader.word("if", "not", "exists")
        label = reader.string()
        side = reader.one_of("before", "after")
        return AddLabel(name, label, if_not_exists, side, reader.string() if side else "")
    if reader.word("rename", "value"):
        old = reader.string()
        reader.must_word("to")
        return RenameLabel(name, old, reader.string())
    reader.index = start
    found = renamed(reader, "type")
    if found is None:
        reader.qualified()
        raise unsupported(reader, "ALTER TYPE ...")
    return found
