"""SET CONSTRAINTS: when deferrable constraints are checked, for the rest of the transaction."""

from __future__ import annotations

from engine.operators.references import settle
from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from storage.definitions import Constraint
from storage.errors import UndefinedObject, WrongObjectType


def set_constraints(host: Host, command: commands.SetConstraints, text: str) -> Outcome:
    """SET CONSTRAINTS; what becomes immediate is checked now."""
    if not host.explicit:
        host.notice("WARNING", "25P01", "SET CONSTRAINTS can only be used in transaction blocks")
    transaction = host.transaction
    oids = {constraint.oid for parts in command.names for constraint in _named(host, parts)}
    if not command.names:
        transaction.deferring.clear()
    for oid in oids or {0}:
        transaction.deferring[oid] = command.deferred
    if not command.deferred:
        settle(host.new_run(()), oids if command.names else None)
    return done("SET CONSTRAINTS")


def _named(host: Host, parts: tuple[str, ...]) -> list[Constraint]:
    """The constraints of this name in the first schema of the path that has some. Raises UndefinedObject."""
    for schema in parts[-2:-1] or host.search_path(False):
        known = host.catalog.must_schema(schema) if len(parts) > 1 else host.catalog.schema(schema)
        tables = (t for t in host.catalog.tables() if known is not None and t.schema == known.oid)
        found = [c for table in tables for c in table.constraints if c.name == parts[-1]]
        if found:
            if not any(constraint.deferrable for constraint in found):
                raise WrongObjectType(f'constraint "{parts[-1]}" is not deferrable')
            return [constraint for constraint in found if constraint.deferrable]
    raise UndefinedObject(f'constraint "{".".join(parts)}" does not exist')
