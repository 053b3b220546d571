"""CREATE SCHEMA and ALTER SCHEMA."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, unsupported
from sql.commands.renaming import renamed
from sql.reading import Reader
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class CreateSchema(Command):
    """`name` of '': that of `owner`."""

    name: str
    if_not_exists: bool
    owner: str = ""


def create_schema(reader: Reader) -> Command:
    """CREATE SCHEMA [name] [AUTHORIZATION role], from there on."""
    if_not_exists = reader.word("if", "not", "exists")
    name = "" if reader.token is not None and reader.token.is_word("authorization") else reader.name()
    owner = reader.role() if reader.word("authorization") else ""
    token = reader.token
    if token is not None and token.is_word("create", "grant"):
        raise FeatureNotSupported("CREATE SCHEMA with elements is not supported", position=token.position)
    return CreateSchema(name, if_not_exists, owner)


def alter_schema(reader: Reader) -> Command:
    """ALTER SCHEMA name RENAME TO, OWNER TO."""
    found = renamed(reader, "schema")
    if found is None:
        reader.name()
        raise unsupported(reader, "ALTER SCHEMA ...")
    return found
