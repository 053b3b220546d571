"""CREATE SCHEMA."""

from __future__ import annotations

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner
from storage.catalog import Schema
from storage.errors import DuplicateSchema, ReservedName


def create_schema(host: Host, command: commands.CreateSchema, text: str) -> Outcome:
    """CREATE SCHEMA."""
    if host.catalog.schema(command.name) is not None:
        if command.if_not_exists:
            host.notice("NOTICE", "42P06", f'schema "{command.name}" already exists, skipping')
            return done("CREATE SCHEMA")
        raise DuplicateSchema(f'schema "{command.name}" already exists')
    if command.name.startswith("pg_"):
        raise ReservedName(
            f'unacceptable schema name "{command.name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    host.transaction.define(Schema(host.transaction.allocate_oid(), command.name, owner(host)))
    return done("CREATE SCHEMA")
