"""ALTER TABLE: one function an action, in the table RUN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sql import commands
from sql.commands import Action
from sql.dependencies import Object
from sql.outcome import Outcome
from sql.statements import altercolumns, views
from sql.statements.constraints import add_constraints, numbers_of, require_values, touch_referenced, validate
from sql.statements.control import done
from sql.statements.dropping import find, kind_of, locked
from sql.statements.host import Host
from sql.statements.reindexing import clustering
from sql.statements.removing import remove
from storage.definitions import Constraint, Table, View
from storage.errors import (
    FeatureNotSupported,
    InvalidTableDefinition,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode


def alter_table(host: Host, command: commands.AlterTable, text: str) -> Outcome:
    """ALTER TABLE: its actions in the order in which they are written."""
    tag = f"ALTER {command.kind.upper()}"
    if command.if_exists and find(host, command.name) is None:
        host.notice("NOTICE", "00000", f'relation "{".".join(command.name)}" does not exist, skipping')
        return done(tag)
    found = _altered(host, command)
    if isinstance(found, View):
        for action in command.actions:
            OF_VIEWS[type(action)](host, host.catalog.relations[found.oid], action, text)
        return done(tag)
    waiting = list(command.actions)
    while waiting:
        action = waiting.pop(0)
        more = RUN[type(action)](host, host.catalog.table(found.oid), action, text)
        waiting[:0] = more or ()
    return done(tag)


_POSSIBLE: dict[str, tuple[type[Action], ...]] = {
    "materialized view": (commands.SetOptions,),
    "view": (
        commands.SetDefault,
        commands.SetOptions,
        commands.AddIdentity,
        commands.SetIdentity,
        commands.DropIdentity,
    ),
    "sequence": (commands.SetLogged,),
}
"""Of relations that are no tables, the actions that ALTER TABLE may perform on them in PostgreSQL."""


def _altered(host: Host, command: commands.AlterTable) -> Table | View:
    """The table or view, locked, on which each of the actions may be performed."""
    found = locked(host, command.name, TableMode.AccessExclusiveLock)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(command.name)}" does not exist')
    kind = kind_of(found)
    if command.kind not in ("table", kind):
        raise WrongObjectType(f'"{found.name}" is not a {command.kind}')
    for action in command.actions if kind != "table" else ():
        if not isinstance(action, _POSSIBLE[kind]):
            raise WrongObjectType(
                f'ALTER action {action.words} cannot be performed on relation "{found.name}"',
                detail=f"This operation is not supported for {kind}s.",
            )
    if isinstance(found, Table):
        return found
    for action in command.actions:
        if not isinstance(found, View) or type(action) not in OF_VIEWS:
            raise FeatureNotSupported(f"ALTER TABLE ... {action.words} of a {kind} is not supported")
    assert isinstance(found, View)
    return found


def add_constraint(host: Host, table: Table, action: commands.AddConstraint, text: str) -> None:
    """ADD CONSTRAINT; the rows that are there have to meet it, unless NOT VALID says that they may not."""
    if action.clause.kind == "p":  # its columns become NOT NULL first
        missing = f'column "{{}}" of relation "{table.name}" does not exist'
        numbers_of(table, action.clause.columns, missing)
    changed = add_constraints(host, table, (action.clause,), text, set())
    made = changed.constraints[-1]
    if made.references is not None and made.references.table != table.oid:
        host.transaction.lock_table(made.references.table, TableMode.ShareRowExclusiveLock)
    if made.kind == "p":
        nullable = [number for number in made.columns if not table.definition(number).not_null]
        require_values(host, table, nullable)
    host.transaction.define(changed)
    touch_referenced(host, changed, [made] if made.kind == "f" else [])
    if made.validated:
        validate(host, host.catalog.table(table.oid), made)


def drop_constraint(host: Host, table: Table, action: commands.DropConstraint, text: str) -> None:
    """DROP CONSTRAINT, with what depends on it by CASCADE."""
    found = next((c for c in table.constraints if c.name == action.name), None)
    if found is None and action.if_exists:
        message = f'constraint "{action.name}" of relation "{table.name}" does not exist, skipping'
        host.notice("NOTICE", "00000", message)
        return
    constraint = _constraint(table, action.name)
    touch_referenced(host, table, [constraint])
    remove(host, [Object("constraint", table.oid, constraint.oid)], action.cascade)


def validate_constraint(host: Host, table: Table, action: commands.ValidateConstraint, text: str) -> None:
    """VALIDATE CONSTRAINT."""
    constraint = _constraint(table, action.name)
    if constraint.kind not in "cf":
        raise WrongObjectType(
            f'constraint "{action.name}" of relation "{table.name}" is not a foreign key or check constraint'
        )
    if not constraint.validated:
        validate(host, table, constraint)
        _replace(host, table, replace(constraint, validated=True))


def alter_constraint(host: Host, table: Table, action: commands.AlterConstraint, text: str) -> None:
    """ALTER CONSTRAINT: when a foreign key is checked."""
    constraint = _constraint(table, action.name)
    if constraint.kind != "f":
        raise WrongObjectType(
            f'constraint "{action.name}" of relation "{table.name}" is not a foreign key constraint'
        )
    clause = action.clause
    changed = replace(constraint, deferrable=clause.deferrable, deferred=clause.deferred)
    _replace(host, table, changed)
    touch_referenced(host, table, [changed])


def _constraint(table: Table, name: str) -> Constraint:
    found = next((constraint for constraint in table.constraints if constraint.name == name), None)
    if found is None:
        raise UndefinedObject(f'constraint "{name}" of relation "{table.name}" does not exist')
    return found


def _replace(host: Host, table: Table, constraint: Constraint) -> None:
    kept = (constraint if c.oid == constraint.oid else c for c in table.constraints)
    host.transaction.define(replace(table, constraints=tuple(kept)))


def set_logged(host: Host, table: Table, action: commands.SetLogged, text: str) -> None:
    """SET LOGGED, SET UNLOGGED: kept, with its sequences; rows are in the log either way."""
    if table.temporary:
        raise InvalidTableDefinition(
            f'cannot change logged status of table "{table.name}" because it is temporary'
        )
    if table.unlogged != action.logged:
        return
    _refuse_less_lasting(host, table, action.logged)
    host.transaction.define(replace(table, unlogged=not action.logged))
    for sequence in list(host.catalog.sequences()):
        if sequence.owned_by is not None and sequence.owned_by[0] == table.oid:
            host.transaction.define(replace(sequence, unlogged=not action.logged))


def _refuse_less_lasting(host: Host, table: Table, logged: bool) -> None:
    """Raise where a foreign key would point from a logged table to an unlogged one."""
    kind, other = ("logged", "unlogged") if logged else ("unlogged", "logged")
    if logged:
        keys = (c.references for c in table.foreign_keys if c.references is not None)
        others = [host.catalog.table(key.table) for key in keys]
    else:
        others = [pointing for pointing, _ in host.catalog.pointing_to(table.oid)]
    for one in others:
        if one.oid != table.oid and one.unlogged == logged:
            raise InvalidTableDefinition(
                f'could not change table "{table.name}" to {kind} because it references {other} table '
                f'"{one.name}"'
            )


def cluster_on(host: Host, table: Table, action: commands.ClusterOn, text: str) -> None:
    """CLUSTER ON, SET WITHOUT CLUSTER."""
    oid = 0
    if action.index:
        oid = clustering(host, table, action.index).oid
    host.transaction.define(replace(table, clustered=oid))


RUN: dict[type[Action], Callable[[Host, Table, Any, str], list[Action] | None]] = {
    commands.AddColumn: altercolumns.add_column,
    commands.AddIdentity: altercolumns.add_identity,
    commands.AlterType: altercolumns.alter_type,
    commands.DropColumn: altercolumns.drop_column,
    commands.DropExpression: altercolumns.drop_expression,
    commands.DropIdentity: altercolumns.drop_identity,
    commands.SetDefault: altercolumns.set_default,
    commands.SetIdentity: altercolumns.set_identity,
    commands.SetNotNull: altercolumns.set_not_null,
    commands.SetOptions: altercolumns.set_options,
    commands.SetLogged: set_logged,
    commands.ClusterOn: cluster_on,
    commands.AddConstraint: add_constraint,
    commands.AlterConstraint: alter_constraint,
    commands.DropConstraint: drop_constraint,
    commands.ValidateConstraint: validate_constraint,
}
"""What runs each action: it is given the table as the actions before have left it, and may ask for more."""

OF_VIEWS: dict[type[Action], Callable[[Host, Any, Any, str], None]] = {commands.SetOptions: views.set_options}
"""What is done to views."""
