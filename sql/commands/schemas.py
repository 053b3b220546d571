"""CREATE SCHEMA."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command
from sql.reading import Reader


@dataclass(frozen=True)
class CreateSchema(Command):
    name: str
    if_not_exists: bool


def create_schema(reader: Reader) -> Command:
    """CREATE SCHEMA, from the name on."""
    if_not_exists = reader.word("if", "not", "exists")
    name = reader.name()
    if reader.word("authorization"):
        reader.name()
    return CreateSchema(name, if_not_exists)
