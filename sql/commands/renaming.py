"""ALTER ... RENAME, SET SCHEMA, OWNER TO: what tables, views, sequences and schemas have in common."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name
from sql.reading import Reader


@dataclass(frozen=True)
class Rename(Command):
    """RENAME TO, and RENAME of a column or constraint: `part` is '', 'column' or 'constraint'."""

    kind: str
    name: Name
    if_exists: bool
    new: str
    part: str = ""
    old: str = ""


@dataclass(frozen=True)
class SetSchema(Command):
    kind: str
    name: Name
    if_exists: bool
    schema: str


@dataclass(frozen=True)
class ChangeOwner(Command):
    kind: str
    name: Name
    if_exists: bool
    owner: str


def renamed(reader: Reader, kind: str) -> Command | None:
    """[IF EXISTS] [ONLY] name, then one of these; None where something else comes, with nothing taken."""
    start = reader.index
    if_exists = reader.word("if", "exists")
    reader.word("only")
    name = reader.qualified()
    reader.mark("*")
    if reader.word("rename"):
        return _rename(reader, kind, name, if_exists)
    if reader.word("set", "schema"):
        return SetSchema(kind, name, if_exists, reader.name())
    if reader.word("owner", "to"):
        return ChangeOwner(kind, name, if_exists, reader.role())
    reader.index = start
    return None


def _rename(reader: Reader, kind: str, name: Name, if_exists: bool) -> Command:
    if reader.word("to"):
        return Rename(kind, name, if_exists, reader.name())
    if kind in ("sequence", "schema"):
        raise reader.wrong()
    part = "constraint" if kind == "table" and reader.word("constraint") else "column"
    if part == "column":
        reader.word("column")
    old = reader.name()
    reader.must_word("to")
    return Rename(kind, name, if_exists, reader.name(), part, old)
