"""Statements, one kind a file, and the table that says which one runs a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sql import commands
from sql.commands import Command
from sql.outcome import Outcome
from sql.planned import Planned
from sql.statements import control, copies, explains, prepared, queries, roles, tables
from sql.statements.host import Host
from storage.column import Column


def _plain(start: Callable[[Host, Any], Outcome]) -> Callable[[Host, Any, str], Outcome]:
    """A statement that does not look at its text."""
    return lambda host, command, text: start(host, command)


def _drop(host: Host, command: commands.Drop, text: str) -> Outcome:
    run = roles.drop_role if command.kind == "role" else tables.drop
    return run(host, command, text)


RUN: dict[type[Command], Callable[[Host, Any, str], Outcome]] = {
    commands.Begin: _plain(control.begin),
    commands.Commit: _plain(control.commit),
    commands.Rollback: _plain(control.rollback),
    commands.Savepoint: _plain(control.savepoint),
    commands.Release: _plain(control.release),
    commands.RollbackTo: _plain(control.rollback_to),
    commands.SetTransaction: _plain(control.set_transaction),
    commands.SetSetting: _plain(control.set_setting),
    commands.Show: _plain(control.show),
    commands.Reset: _plain(control.reset),
    commands.Discard: _plain(control.discard),
    commands.Listen: _plain(control.listen),
    commands.Unlisten: _plain(control.unlisten),
    commands.Notify: _plain(control.notify),
    commands.Prepare: prepared.prepare,
    commands.Execute: prepared.execute,
    commands.Deallocate: prepared.deallocate,
    commands.Declare: prepared.declare,
    commands.Fetch: prepared.fetch,
    commands.CloseCursor: prepared.close,
    commands.Explain: explains.run,
    commands.Copy: copies.run,
    commands.CreateTable: tables.create_table,
    commands.CreateSequence: tables.create_sequence,
    commands.CreateSchema: tables.create_schema,
    commands.CreateRole: roles.create_role,
    commands.Drop: _drop,
    commands.Truncate: tables.truncate,
    commands.Comment: tables.comment,
    commands.Maintain: tables.maintain,
}
"""What runs each command."""


def run(host: Host, planned: Planned, parameters: Sequence[Column]) -> Outcome:
    """Run a statement."""
    command = planned.command
    if command is None:
        return queries.run(host, planned, parameters)
    return RUN[type(command)](host, command, planned.text)
