"""TRUNCATE, ANALYZE, VACUUM, OPTIMIZE TABLE, COMMENT."""

from __future__ import annotations

from dataclasses import replace

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.dropping import must_table
from sql.statements.host import Host
from storage.errors import ActiveSqlTransaction
from storage.locks import TableMode


def truncate(host: Host, command: commands.Truncate, text: str) -> Outcome:
    """TRUNCATE [RESTART IDENTITY]."""
    for parts in command.names:
        table = must_table(host, parts, TableMode.AccessExclusiveLock)
        host.transaction.truncate(table.oid)
        if command.restart:
            for sequence in host.catalog.sequences():
                if sequence.owned_by is not None and sequence.owned_by[0] == table.oid:
                    host.transaction.set_value(sequence.oid, sequence.start, False)
    return done("TRUNCATE TABLE")


def comment(host: Host, command: commands.Comment, text: str) -> Outcome:
    """COMMENT ON TABLE."""
    table = must_table(host, command.name, TableMode.ShareUpdateExclusiveLock)
    host.transaction.define(replace(table, comment=command.text or ""))
    return done("COMMENT")


def maintain(host: Host, command: commands.Maintain, text: str) -> Outcome:
    """ANALYZE, VACUUM: there is nothing to do by hand."""
    if command.tag == "VACUUM" and host.explicit:
        raise ActiveSqlTransaction("VACUUM cannot run inside a transaction block")
    for parts in command.names:
        must_table(host, parts)
    return done(command.tag)


def optimize(host: Host, command: commands.Optimize, text: str) -> Outcome:
    """OPTIMIZE TABLE: seal and merge its segments now."""
    host.store.optimize(must_table(host, command.name).oid, command.mode or "some")
    return done("OPTIMIZE TABLE")
