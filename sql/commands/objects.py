"""CREATE, ALTER, DROP and COMMENT ON: one table each, by the kind of object.

A new kind of object is a row in CREATES, ALTERS, DROPS and COMMENTS, and a file of its own for what stands
behind its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command, Name, name_list, unsupported
from sql.commands.roles import alter_role, create_role, create_user
from sql.commands.schemas import create_schema
from sql.commands.sequences import create_sequence
from sql.commands.tables import create_table
from sql.reading import Reader


@dataclass(frozen=True)
class Drop(Command):
    kind: str  # table, sequence, schema, role
    names: tuple[Name, ...]
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class Comment(Command):
    kind: str
    name: Name
    text: str | None


CREATES: dict[str, Callable[[Reader], Command]] = {
    "table": create_table,
    "schema": create_schema,
    "sequence": create_sequence,
    "role": create_role,
    "user": create_user,
}
ALTERS: dict[str, Callable[[Reader], Command]] = {"role": alter_role, "user": alter_role}
DROPS = {"table": "table", "sequence": "sequence", "schema": "schema", "role": "role", "user": "role"}
COMMENTS = ("table",)


def _create(reader: Reader) -> Command:
    if reader.word("columnstore", "table"):  # every table is one
        return create_table(reader)
    kind = reader.one_of(*CREATES)
    if not kind:
        raise unsupported(reader, "CREATE")
    return CREATES[kind](reader)


def _alter(reader: Reader) -> Command:
    kind = reader.one_of(*ALTERS)
    if not kind:
        raise unsupported(reader, "ALTER")
    return ALTERS[kind](reader)


def _drop(reader: Reader) -> Command:
    kind = reader.one_of(*DROPS)
    if not kind:
        raise unsupported(reader, "DROP")
    if_exists = reader.word("if", "exists")
    names = name_list(reader)
    cascade = reader.one_of("cascade", "restrict") == "cascade"
    return Drop(DROPS[kind], names, if_exists, cascade)


def _comment(reader: Reader) -> Command:
    reader.must_word("on")
    kind = reader.one_of(*COMMENTS)
    if not kind:
        raise unsupported(reader, "COMMENT ON")
    name = reader.qualified()
    reader.must_word("is")
    return Comment(kind, name, None if reader.word("null") else reader.string())


READERS: dict[str, Callable[[Reader], Command]] = {
    "create": _create,
    "alter": _alter,
    "drop": _drop,
    "comment": _comment,
}
