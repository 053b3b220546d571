"""CREATE EXTENSION and ALTER EXTENSION."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, unsupported
from sql.reading import Reader
from sql.tokens import Kind


@dataclass(frozen=True)
class CreateExtension(Command):
    """`schema` and `version` of '': not said."""

    name: str
    if_not_exists: bool
    schema: str = ""
    version: str = ""


@dataclass(frozen=True)
class UpdateExtension(Command):
    """ALTER EXTENSION ... UPDATE; `version` of '': the newest."""

    name: str
    version: str = ""


def create_extension(reader: Reader) -> Command:
    """CREATE EXTENSION, from there on."""
    if_not_exists = reader.word("if", "not", "exists")
    name = reader.name()
    reader.word("with")
    schema = version = ""
    while word := reader.one_of("schema", "version", "cascade"):
        if word == "schema":
            schema = reader.name()
        elif word == "version":
            version = _version(reader)
    return CreateExtension(name, if_not_exists, schema, version)


def alter_extension(reader: Reader) -> Command:
    """ALTER EXTENSION, from the name on: UPDATE [TO version]."""
    name = reader.name()
    if not reader.word("update"):
        raise unsupported(reader, "ALTER EXTENSION ...")
    return UpdateExtension(name, _version(reader) if reader.word("to") else "")


def _version(reader: Reader) -> str:
    token = reader.token
    return reader.string() if token is not None and token.kind is Kind.STRING else reader.name()
