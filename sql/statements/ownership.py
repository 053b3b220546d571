"""Who may run a command: what of the objects that it names has to be the user's, or granted to him.

One table by the class of the command. A command that names what is not there says so itself, so nothing is
raised for that here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sql import commands, names
from sql.commands import Command
from sql.commands.functions import Signature
from sql.needs import Need, need_of, word_of
from sql.statements import functions
from sql.statements.host import Host
from sql.typenames import named
from storage.catalog import Catalog
from storage.definitions import Function, Relation, Schema, Table
from storage.errors import DatabaseError, InsufficientPrivilege
from storage.rights import DATABASE, Subject, held, owns
from storage.transactions.locks import TableMode
from storage.usertypes import UserType

Owned = Relation | Function | UserType | Schema
Checked = Callable[[Host, Any, str], None]


def must_own(host: Host, item: Owned, word: str = "", name: str = "") -> None:
    """Raise InsufficientPrivilege where an object, and the schema it is dropped with, is another's."""
    if owns(host.catalog, host.identity.role, item.owner):
        return
    if not word:
        word = word_of(item) if isinstance(item, Relation | Function) else _word(item)
    raise InsufficientPrivilege(f"must be owner of {word} {name or item.name}")


def _word(item: UserType | Schema) -> str:
    return "schema" if isinstance(item, Schema) else "type"


def must_create_in(host: Host, schema: Schema) -> None:
    """Raise InsufficientPrivilege where the user may not make anything in a schema."""
    about = Subject("n", schema.oid, schema.owner)
    if not host.superuser and "C" not in held(host.catalog, host.identity.role, about):
        raise InsufficientPrivilege(f"permission denied for schema {schema.name}")


def must_create_in_database(host: Host) -> None:
    """Raise InsufficientPrivilege where the user may not make schemas and their like."""
    if "C" not in held(host.catalog, host.identity.role, DATABASE):
        raise InsufficientPrivilege(f"permission denied for database {host.database}")


def must_have(host: Host, item: Relation, letters: str) -> None:
    """Raise InsufficientPrivilege where the user has none of these rights on a relation."""
    need = need_of(item)
    if not host.superuser and not set(letters) & set(held(host.catalog, host.identity.role, need.about)):
        raise need.refused()


def must_reference(host: Host, table: Table, numbers: tuple[int, ...]) -> None:
    """Raise InsufficientPrivilege where a foreign key of the user's may not point to these columns."""
    need: Need = need_of(table)
    role, catalog = host.identity.role, host.catalog
    if host.superuser or "x" in held(catalog, role, need.about):
        return
    if not all("x" in held(catalog, role, need.about, number) for number in numbers):
        raise need.refused()


def check_command(host: Host, command: Command, text: str) -> None:
    """Raise InsufficientPrivilege where the user may not run a command."""
    if host.superuser:
        return
    check = _CHECKS.get(type(command))
    if check is not None:
        check(host, command, text)


# what commands name


def _relation(host: Host, parts: tuple[str, ...]) -> Relation | None:
    found = names.find(host.catalog, host.search_path(True), parts)
    return found if isinstance(found, Relation) else None


def _type(host: Host, parts: tuple[str, ...]) -> UserType | None:
    found = named(host.catalog, host.search_path(True))(parts)
    return None if found is None else host.catalog.types.get(found.catalog_oid)


def _indexed(catalog: Catalog, host: Host, parts: tuple[str, ...]) -> Table | None:
    """The table of an index."""
    oid = names.find(catalog, host.search_path(True), parts)
    if not isinstance(oid, int):
        return None
    return next((t for t in catalog.tables() if any(i.oid == oid for i in t.every_index)), None)


def _own_relation(host: Host, parts: tuple[str, ...]) -> None:
    found = _relation(host, parts)
    if found is not None:
        must_own(host, found)


def _own_index(host: Host, parts: tuple[str, ...]) -> None:
    table = _indexed(host.catalog, host, parts)
    if table is not None:
        must_own(host, table, "index", parts[-1])


def _own_type(host: Host, parts: tuple[str, ...]) -> None:
    made = _type(host, parts)
    if made is not None:
        must_own(host, made)


def _own_schema(host: Host, parts: tuple[str, ...]) -> None:
    schema = host.catalog.schema(parts[-1])
    if schema is not None:
        must_own(host, schema)


def _own_function(host: Host, kind: str, signature: Signature, text: str) -> Function | None:
    try:
        function = functions.find(host, kind, signature, text, TableMode.AccessShareLock)
    except DatabaseError:
        return None  # the command raises it
    if function is not None:
        must_own(host, function, name=".".join(signature.name))
    return function


_BY_KIND: dict[str, Callable[[Host, tuple[str, ...]], None]] = {
    "schema": _own_schema,
    "type": _own_type,
    "domain": _own_type,
    "index": _own_index,
    "extension": lambda host, parts: None,
    "role": lambda host, parts: None,
}


def _own(host: Host, kind: str, parts: tuple[str, ...]) -> None:
    _BY_KIND.get(kind, _own_relation)(host, parts)


def _named(host: Host, command: Any, text: str) -> None:
    _own(host, getattr(command, "kind", "table"), command.name)


def _typed(host: Host, command: Any, text: str) -> None:
    _own_type(host, command.name)


def _signed(host: Host, command: Any, text: str) -> None:
    _own_function(host, command.kind, command.signature, text)


def _drop(host: Host, command: commands.Drop, text: str) -> None:
    """The owner of the schema may drop what is in it, too."""
    for parts in command.names:
        found = _relation(host, parts) if command.kind not in _BY_KIND else None
        schema = None if found is None else host.catalog.schemas[found.schema]
        if schema is None or not owns(host.catalog, host.identity.role, schema.owner):
            _own(host, command.kind, parts)
        extension = host.catalog.extension(parts[-1]) if command.kind == "extension" else None
        if extension is not None and not owns(host.catalog, host.identity.role, extension.owner):
            raise InsufficientPrivilege(f"must be owner of extension {parts[-1]}")


def _drop_functions(host: Host, command: commands.DropFunctions, text: str) -> None:
    for signature in command.signatures:
        _own_function(host, command.kind, signature, text)


def _move(host: Host, command: commands.SetSchema, text: str) -> None:
    _own(host, command.kind, command.name)
    schema = host.catalog.schema(command.schema)
    if schema is not None:
        must_create_in(host, schema)


def _give(host: Host, command: commands.ChangeOwner, text: str) -> None:
    _own(host, command.kind, command.name)
    _must_be_member(host, command.owner)


def _must_be_member(host: Host, name: str) -> None:
    """Raise where the user cannot become the new owner."""
    role = host.catalog.role(name)
    if role is not None and not owns(host.catalog, host.identity.role, role.oid):
        raise InsufficientPrivilege(f'must be member of role "{name}"')


def _change_function(host: Host, command: commands.RenameFunction, text: str) -> None:
    _own_function(host, command.kind, command.signature, text)
    if isinstance(command.change, commands.ChangeOwner):
        _must_be_member(host, command.change.owner)


def _comment(host: Host, command: commands.Comment, text: str) -> None:
    match command.kind:
        case "column":
            _own_relation(host, command.name[:-1])
        case "constraint":
            _own_relation(host, command.on)
        case kind:
            _own(host, kind, command.name)


def _replace_view(host: Host, command: commands.CreateView, text: str) -> None:
    if command.replace:
        _own_relation(host, command.name)


def _truncate(host: Host, command: commands.Truncate, text: str) -> None:
    for parts in command.names:
        found = _relation(host, parts)
        if found is not None:
            must_have(host, found, "D")


def _lock(host: Host, command: commands.LockTables, text: str) -> None:
    """Stronger locks are for those who change rows."""
    if not host.explicit:
        return  # the command is refused for that
    letters = {TableMode.AccessShareLock: "rwdD", TableMode.RowExclusiveLock: "awdD"}
    for parts in command.names:
        found = _relation(host, parts)
        if found is not None:
            must_have(host, found, letters.get(command.mode, "wdD"))


def _reindex(host: Host, command: commands.Reindex, text: str) -> None:
    if command.kind in ("database", "system"):
        if command.name in ((), (host.database,)):
            raise InsufficientPrivilege(f"must be owner of database {host.database}")
        return
    _own(host, command.kind, command.name)


def _create_schema(host: Host, command: commands.CreateSchema, text: str) -> None:
    must_create_in_database(host)
    if command.owner:
        _must_be_member(host, command.owner)


_CHECKS: dict[type[Command], Checked] = {
    commands.AlterTable: _named,
    commands.AlterSequence: lambda host, command, text: _own_relation(host, command.name),
    commands.CreateIndex: lambda host, command, text: _own_relation(host, command.table),
    commands.RenameIndex: lambda host, command, text: _own_index(host, command.index),
    commands.Rename: _named,
    commands.SetSchema: _move,
    commands.ChangeOwner: _give,
    commands.RefreshMaterializedView: lambda host, command, text: _own_relation(host, command.name),
    commands.Drop: _drop,
    commands.DropFunctions: _drop_functions,
    commands.Comment: _comment,
    commands.CommentOnFunction: _signed,
    commands.AlterFunction: _signed,
    commands.RenameFunction: _change_function,
    commands.AddLabel: _typed,
    commands.RenameLabel: _typed,
    commands.AlterComposite: _typed,
    commands.RenameAttribute: _typed,
    commands.DomainDefault: _typed,
    commands.DomainNotNull: _typed,
    commands.AddDomainCheck: _typed,
    commands.DropDomainCheck: _typed,
    commands.RenameDomainCheck: _typed,
    commands.ValidateDomainCheck: _typed,
    commands.CreateView: _replace_view,
    commands.CreateSchema: _create_schema,
    commands.CreateExtension: lambda host, command, text: must_create_in_database(host),
    commands.Truncate: _truncate,
    commands.LockTables: _lock,
    commands.Reindex: _reindex,
    commands.Cluster: lambda host, command, text: _own_relation(host, command.name) if command.name else None,
    commands.Optimize: lambda host, command, text: _own_relation(host, command.name),
}
