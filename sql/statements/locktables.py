"""LOCK TABLE."""

from __future__ import annotations

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.dropping import locked
from sql.statements.host import Host
from storage.definitions import Table, View
from storage.errors import (
    FeatureNotSupported,
    NoActiveSqlTransaction,
    UndefinedTable,
    WrongObjectType,
)


def lock(host: Host, command: commands.LockTables) -> Outcome:
    """LOCK TABLE a, b IN ... MODE [NOWAIT]."""
    if not host.explicit:
        raise NoActiveSqlTransaction("LOCK TABLE can only be used in transaction blocks")
    for parts in command.names:
        name = parts[-1]
        refusal = f'could not obtain lock on relation "{name}"' if command.nowait else ""
        found = locked(host, parts, command.mode, refusal)
        if found is None:
            raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
        if isinstance(found, View):
            raise FeatureNotSupported("LOCK TABLE of a view is not supported")
        if isinstance(found, Table) and found.materialized is not None:
            raise WrongObjectType(f'"{name}" is not a table or view')
        if not isinstance(found, Table):
            raise WrongObjectType(
                f'cannot lock relation "{name}"',
                detail="This operation is not supported for sequences.",
            )
    return done("LOCK TABLE")
