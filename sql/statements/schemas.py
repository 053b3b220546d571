"""CREATE SCHEMA."""

from __future__ import annotations

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner
from storage.definitions import Schema
from storage.errors import DuplicateSchema, ReservedName, UndefinedObject


def create_schema(host: Host, command: commands.CreateSchema, text: str) -> Outcome:
    """CREATE SCHEMA."""
    role = host.catalog.role(command.owner) if command.owner else None
    if command.owner and role is None:
        raise UndefinedObject(f'role "{command.owner}" does not exist')
    name = command.name or command.owner
    if host.catalog.schema(name) is not None:
        if command.if_not_exists:
            host.notice("NOTICE", "42P06", f'schema "{name}" already exists, skipping')
            return done("CREATE SCHEMA")
        raise DuplicateSchema(f'schema "{name}" already exists')
    if name.startswith("pg_"):
        raise ReservedName(
            f'unacceptable schema name "{name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    made_by = owner(host) if role is None else role.oid
    host.transaction.define(Schema(host.transaction.allocate_oid(), name, made_by))
    return done("CREATE SCHEMA")
