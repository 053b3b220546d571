"""Statements of our own small parser: what sqlglot does not read, or reads as something else.

One file a family. Each statement is a frozen dataclass that holds what it says, and a reader under its
first word in its family's READERS; CREATE, ALTER, DROP and COMMENT have tables of their own by the kind of
object (sql.commands.objects).
"""

from __future__ import annotations

from collections.abc import Callable

from sql.commands import (
    channels,
    copying,
    durability,
    explaining,
    functions,
    grants,
    maintaining,
    objects,
    prepared,
    settings,
    transactions,
)
from sql.commands.altercolumns import (
    AddColumn,
    AddIdentity,
    AlterType,
    DropColumn,
    DropExpression,
    DropIdentity,
    SetDefault,
    SetIdentity,
    SetNotNull,
    SetOptions,
)
from sql.commands.altering import (
    AddConstraint,
    AlterConstraint,
    AlterTable,
    ClusterOn,
    DropConstraint,
    SetLogged,
    ValidateConstraint,
)
from sql.commands.base import Action, Command
from sql.commands.channels import Listen, Notify, Unlisten
from sql.commands.copying import Copy
from sql.commands.domains import (
    AddDomainCheck,
    CreateDomain,
    DomainCheckClause,
    DomainDefault,
    DomainNotNull,
    DropDomainCheck,
    RenameDomainCheck,
    ValidateDomainCheck,
)
from sql.commands.durability import BACKUP_COLUMNS, Backup, Checkpoint
from sql.commands.explaining import Explain
from sql.commands.extensions import CreateExtension, UpdateExtension
from sql.commands.functions import (
    AlterFunction,
    Call,
    CommentOnFunction,
    CreateFunction,
    DropFunctions,
    RenameFunction,
)
from sql.commands.grants import DefaultPrivileges, Grant, GrantRole, ReassignOwned
from sql.commands.indexes import CreateIndex, RenameIndex
from sql.commands.maintaining import (
    Cluster,
    Maintain,
    MergeStatus,
    Optimize,
    Reindex,
    ShowPlancache,
    Truncate,
)
from sql.commands.objects import Comment, Drop
from sql.commands.prepared import CloseCursor, Deallocate, Declare, Direction, Execute, Fetch, Prepare
from sql.commands.renaming import ChangeOwner, Rename, SetSchema
from sql.commands.roles import AlterRoleSetting, CreateRole
from sql.commands.schemas import CreateSchema
from sql.commands.sequences import AlterSequence, CreateSequence
from sql.commands.settings import Discard, Reset, SetConstraints, SetSetting, SetTransaction, Show
from sql.commands.tables import CreateTable, CreateTableAs, select_into
from sql.commands.transactions import Begin, Commit, LockTables, Release, Rollback, RollbackTo, Savepoint
from sql.commands.types import (
    AddAttribute,
    AddLabel,
    AlterAttribute,
    AlterComposite,
    AttributeClause,
    CreateComposite,
    CreateEnum,
    DropAttribute,
    RenameAttribute,
    RenameLabel,
)
from sql.commands.views import CreateMaterializedView, CreateView, RefreshMaterializedView
from sql.reading import Reader
from sql.tokens import Kind, Token
from storage.errors import FeatureNotSupported

__all__ = [
    "BACKUP_COLUMNS",
    "SHORT",
    "Action",
    "AddAttribute",
    "AddColumn",
    "AddConstraint",
    "AddDomainCheck",
    "AddIdentity",
    "AddLabel",
    "AlterAttribute",
    "AlterComposite",
    "AlterConstraint",
    "AlterFunction",
    "AlterRoleSetting",
    "AlterSequence",
    "AlterTable",
    "AlterType",
    "AttributeClause",
    "Backup",
    "Begin",
    "Call",
    "ChangeOwner",
    "Checkpoint",
    "CloseCursor",
    "Cluster",
    "ClusterOn",
    "Command",
    "Comment",
    "CommentOnFunction",
    "Commit",
    "Copy",
    "CreateComposite",
    "CreateDomain",
    "CreateEnum",
    "CreateExtension",
    "CreateFunction",
    "CreateIndex",
    "CreateMaterializedView",
    "CreateRole",
    "CreateSchema",
    "CreateSequence",
    "CreateTable",
    "CreateTableAs",
    "CreateView",
    "Deallocate",
    "Declare",
    "DefaultPrivileges",
    "Direction",
    "Discard",
    "DomainCheckClause",
    "DomainDefault",
    "DomainNotNull",
    "Drop",
    "DropAttribute",
    "DropColumn",
    "DropConstraint",
    "DropDomainCheck",
    "DropExpression",
    "DropFunctions",
    "DropIdentity",
    "Execute",
    "Explain",
    "Fetch",
    "Grant",
    "GrantRole",
    "Listen",
    "LockTables",
    "Maintain",
    "MergeStatus",
    "Notify",
    "Optimize",
    "Prepare",
    "ReassignOwned",
    "RefreshMaterializedView",
    "Reindex",
    "Release",
    "Rename",
    "RenameAttribute",
    "RenameDomainCheck",
    "RenameFunction",
    "RenameIndex",
    "RenameLabel",
    "Reset",
    "Rollback",
    "RollbackTo",
    "Savepoint",
    "SetConstraints",
    "SetDefault",
    "SetIdentity",
    "SetLogged",
    "SetNotNull",
    "SetOptions",
    "SetSchema",
    "SetSetting",
    "SetTransaction",
    "Show",
    "ShowPlancache",
    "Truncate",
    "Unlisten",
    "UpdateExtension",
    "ValidateConstraint",
    "ValidateDomainCheck",
    "parse_command",
]

SHORT: frozenset[type[Command]] = frozenset(
    (
        Begin,
        CloseCursor,
        Commit,
        Deallocate,
        Listen,
        Notify,
        Release,
        Reset,
        Rollback,
        RollbackTo,
        Savepoint,
        SetSetting,
        SetTransaction,
        Show,
        Unlisten,
    )
)
"""Those that take microseconds: see storage.waiting."""

_FAMILIES = (
    channels,
    copying,
    durability,
    explaining,
    functions,
    grants,
    maintaining,
    objects,
    prepared,
    settings,
    transactions,
)
_READERS: dict[str, Callable[[Reader], Command]] = {
    word: read for family in _FAMILIES for word, read in family.READERS.items()
}


def parse_command(tokens: list[Token], text: str) -> Command | None:
    """The command that these tokens are, or None: sqlglot reads it. Raises SqlSyntaxError, 0A000."""
    first = tokens[0]
    if first.kind is not Kind.WORD:
        return None
    read = _READERS.get(first.text)
    if first.text in ("select", "with"):
        return select_into(tokens, text)
    if read is None:
        if first.text in _UNSUPPORTED:
            raise FeatureNotSupported(f"{_UNSUPPORTED[first.text]} is not supported", position=first.position)
        return None
    reader = Reader(tokens, text, 1)
    command = read(reader)
    reader.end()
    return command


_UNSUPPORTED = {
    "load": "LOAD",
    "import": "IMPORT FOREIGN SCHEMA",
    "security": "SECURITY LABEL",
}
