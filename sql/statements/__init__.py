"""Statements, one kind a file, and the table that says which one runs a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sql import commands, databases
from sql.commands import Command
from sql.outcome import Outcome
from sql.planned import Planned
from sql.statements import (
    altering,
    comments,
    composites,
    control,
    copies,
    deferring,
    domains,
    dropping,
    durability,
    enums,
    explains,
    extensions,
    functions,
    grants,
    indexes,
    locktables,
    maintaining,
    materialized,
    owned,
    prepared,
    queries,
    reindexing,
    renaming,
    roles,
    schemas,
    sequences,
    tables,
    tablesas,
    types,
    views,
)
from sql.statements.host import Host
from sql.statements.ownership import check_command
from storage.column import Column
from storage.waiting import about_to_wait


def _plain(start: Callable[[Host, Any], Outcome]) -> Callable[[Host, Any, str], Outcome]:
    """A statement that does not look at its text."""
    return lambda host, command, text: start(host, command)


def _drop(host: Host, command: commands.Drop, text: str) -> Outcome:
    runs = {
        "role": roles.drop_role,
        "extension": extensions.drop_extension,
        "type": types.drop_type,
        "domain": types.drop_type,
    }
    run = runs.get(command.kind, dropping.drop)
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
    commands.Fetch: prepared.fetch,
    commands.CloseCursor: prepared.close,
    commands.Copy: copies.run,
    commands.CreateTable: tables.create_table,
    commands.AlterTable: altering.alter_table,
    commands.CreateIndex: indexes.create_index,
    commands.RenameIndex: indexes.rename_index,
    commands.SetConstraints: deferring.set_constraints,
    commands.CreateView: views.create_view,
    commands.CreateFunction: functions.create_function,
    commands.AlterFunction: functions.alter_function,
    commands.RenameFunction: functions.rename_function,
    commands.DropFunctions: functions.drop_functions,
    commands.CommentOnFunction: functions.comment,
    commands.CreateMaterializedView: materialized.create_materialized_view,
    commands.RefreshMaterializedView: materialized.refresh,
    commands.Rename: renaming.rename,
    commands.SetSchema: renaming.set_schema,
    commands.ChangeOwner: renaming.change_owner,
    commands.AlterSequence: sequences.alter_sequence,
    commands.CreateSequence: sequences.create_sequence,
    commands.CreateSchema: schemas.create_schema,
    commands.CreateEnum: enums.create_enum,
    commands.AddLabel: enums.add_label,
    commands.RenameLabel: enums.rename_label,
    commands.CreateComposite: composites.create_composite,
    commands.AlterComposite: composites.alter_composite,
    commands.RenameAttribute: composites.rename_attribute,
    commands.CreateDomain: domains.create_domain,
    commands.DomainDefault: domains.set_default,
    commands.DomainNotNull: domains.set_not_null,
    commands.AddDomainCheck: domains.add_check,
    commands.DropDomainCheck: domains.drop_check,
    commands.RenameDomainCheck: domains.rename_check,
    commands.ValidateDomainCheck: domains.validate_check,
    commands.AlterRoleSetting: roles.alter_role_setting,
    commands.CreateRole: roles.create_role,
    commands.Grant: grants.grant,
    commands.GrantRole: roles.grant_role,
    commands.DefaultPrivileges: grants.alter_default,
    commands.ReassignOwned: owned.reassign_owned,
    commands.CreateExtension: extensions.create_extension,
    commands.UpdateExtension: extensions.update_extension,
    commands.Drop: _drop,
    commands.LockTables: _plain(locktables.lock),
    commands.Truncate: maintaining.truncate,
    commands.Backup: _plain(durability.back_up),
    commands.Checkpoint: _plain(durability.checkpoint),
    commands.Comment: comments.comment,
    commands.Maintain: maintaining.maintain,
    commands.Reindex: reindexing.reindex,
    commands.Cluster: reindexing.cluster,
    commands.MergeStatus: maintaining.merge_status,
    commands.ShowPlancache: maintaining.plan_cache,
    commands.Optimize: maintaining.optimize,
}
"""What runs each command that has no query in it."""

RUN_QUERY: dict[type[Command], Callable[[Host, Any, Planned, Sequence[Column]], Outcome]] = {
    commands.Explain: explains.run,
    commands.Declare: prepared.declare,
    commands.CreateTableAs: tablesas.create_table_as,
    commands.Call: functions.call,
}
"""What runs each command whose query may have parameters."""


def _writes(command: Command) -> str:
    """The statement's name if it writes, '' if not."""
    match command:
        case commands.CreateTable():
            return "CREATE TABLE"
        case commands.CreateTableAs():
            return "CREATE TABLE AS"
        case commands.Rename(kind) | commands.SetSchema(kind) | commands.ChangeOwner(kind):
            return f"ALTER {kind.upper()}"
        case commands.AlterSequence():
            return "ALTER SEQUENCE"
        case commands.CreateView():
            return "CREATE VIEW"
        case commands.CreateFunction(kind):
            return f"CREATE {kind.upper()}"
        case commands.AlterFunction(kind) | commands.RenameFunction(kind):
            return f"ALTER {kind.upper()}"
        case commands.DropFunctions(kind):
            return f"DROP {kind.upper()}"
        case commands.CreateMaterializedView():
            return "CREATE MATERIALIZED VIEW"
        case commands.RefreshMaterializedView():
            return "REFRESH MATERIALIZED VIEW"
        case commands.AlterTable():
            return "ALTER TABLE"
        case commands.CreateIndex():
            return "CREATE INDEX"
        case commands.RenameIndex():
            return "ALTER INDEX"
        case commands.CreateSequence():
            return "CREATE SEQUENCE"
        case commands.CreateEnum():
            return "CREATE TYPE"
        case commands.AddLabel() | commands.RenameLabel():
            return "ALTER TYPE"
        case commands.CreateSchema():
            return "CREATE SCHEMA"
        case commands.CreateExtension():
            return "CREATE EXTENSION"
        case commands.UpdateExtension():
            return "ALTER EXTENSION"
        case commands.CreateRole(alter=alter):
            return "ALTER ROLE" if alter else "CREATE ROLE"
        case commands.AlterRoleSetting(whole=whole):
            return "ALTER DATABASE" if whole else "ALTER ROLE"
        case commands.Grant(revoke=revoke):
            return "REVOKE" if revoke else "GRANT"
        case commands.GrantRole(revoke=revoke):
            return "REVOKE ROLE" if revoke else "GRANT ROLE"
        case commands.DefaultPrivileges():
            return "ALTER DEFAULT PRIVILEGES"
        case commands.ReassignOwned(to=to):
            return "REASSIGN OWNED" if to else "DROP OWNED"
        case commands.Drop(kind):
            return f"DROP {kind.upper()}"
        case commands.Truncate():
            return "TRUNCATE TABLE"
        case commands.Comment() | commands.CommentOnFunction():
            return "COMMENT"
        case commands.Copy(to=False):
            return "COPY FROM"
    return ""


def run(host: Host, planned: Planned, parameters: Sequence[Column]) -> Outcome:
    """Run a statement."""
    command = planned.command
    if command is None:
        return queries.run(host, planned, parameters)
    if type(command) not in commands.SHORT:
        about_to_wait()
    verb = _writes(command)
    if verb:
        queries.refuse_read_only(host, verb)
    databases.of_command(command, host.database)
    check_command(host, command, planned.text)
    if type(command) in RUN_QUERY:
        return RUN_QUERY[type(command)](host, command, planned, parameters)
    return RUN[type(command)](host, command, planned.text)
