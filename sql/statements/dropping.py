"""DROP TABLE, VIEW, SEQUENCE, SCHEMA, and what goes with them."""

from __future__ import annotations

from sql import commands, names
from sql.dependencies import Object, describe, relation
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.removing import remove
from storage.definitions import INFORMATION_SCHEMA, PG_CATALOG, Relation, Sequence, Table, View
from storage.errors import (
    DependentObjectsStillExist,
    InsufficientPrivilege,
    InvalidSchemaName,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode


def kind_of(item: Relation) -> str:
    """'table', 'materialized view', 'view' or 'sequence'."""
    if isinstance(item, Table):
        return "table" if item.materialized is None else "materialized view"
    return "view" if isinstance(item, View) else "sequence"


def find(host: Host, parts: tuple[str, ...]) -> Relation | None:
    """The relation of this name; None where there is none. The system's are refused."""
    found = names.find(host.catalog, host.search_path(True), parts)
    if isinstance(found, Relation):
        return found
    if found is None:
        return None
    if isinstance(found, int):
        raise WrongObjectType(f'"{parts[-1]}" is an index')
    raise InsufficientPrivilege(f'permission denied: "{parts[-1]}" is a system catalog')


def locked(host: Host, parts: tuple[str, ...], mode: TableMode, refusal: str = "") -> Relation | None:
    """The relation of this name, locked until the transaction's end: what it is by then.

    With a `refusal`, LockNotAvailable rather than a wait.
    """
    while True:
        found = find(host, parts)
        if found is None:
            return None
        host.transaction.lock_table(found.oid, mode, refusal)
        again = find(host, parts)
        if again is not None and again.oid == found.oid:
            return again


def must_table(host: Host, parts: tuple[str, ...], mode: TableMode = TableMode.AccessShareLock) -> Table:
    """The table of this name, locked. Raises UndefinedTable, WrongObjectType."""
    found = must_hold_rows(host, parts, mode)
    if found.materialized is not None:
        raise WrongObjectType(f'"{parts[-1]}" is not a table')
    return found


def must_hold_rows(host: Host, parts: tuple[str, ...], mode: TableMode = TableMode.AccessShareLock) -> Table:
    """The table or materialized view of this name, locked. Raises UndefinedTable, WrongObjectType."""
    found = locked(host, parts, mode)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
    if not isinstance(found, Table):
        raise WrongObjectType(f'"{parts[-1]}" is not a table')
    return found


def drop(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP TABLE, VIEW, MATERIALIZED VIEW, INDEX, SEQUENCE, SCHEMA."""
    targets: list[Object] = []
    for parts in command.names:
        named = {"schema": _schema, "index": _index}.get(command.kind, _relation)
        found = named(host, parts, command)
        if found is not None and found not in targets:
            targets.append(found)
    remove(host, targets, command.cascade)
    return done(f"DROP {command.kind.upper()}")


def _relation(host: Host, parts: tuple[str, ...], command: commands.Drop) -> Object | None:
    place = names.own_schema(parts[-2], host.search_path(True)) if len(parts) > 1 else ""
    if place and host.catalog.schema(place) is None:
        message = f'schema "{parts[-2]}" does not exist'
        if not command.if_exists:
            raise InvalidSchemaName(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return None
    if isinstance(names.find(host.catalog, host.search_path(True), parts), int):
        message = f'"{parts[-1]}" is not a {command.kind}'
        raise WrongObjectType(message, hint="Use DROP INDEX to remove an index.")
    found = locked(host, parts, TableMode.AccessExclusiveLock)
    if found is None:
        message = f'{command.kind} "{parts[-1]}" does not exist'
        if not command.if_exists:
            raise UndefinedTable(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return None
    kind = kind_of(found)
    if kind != command.kind:
        article = "an" if command.kind[0] in "aeiou" else "a"
        raise WrongObjectType(
            f'"{parts[-1]}" is not {article} {command.kind}',
            hint=f"Use DROP {kind.upper()} to remove a {kind}.",
        )
    if isinstance(found, Sequence) and found.owned_by is not None:
        _refuse_identity(host, found, *found.owned_by)
    return relation(host.catalog, found.oid)


def _refuse_identity(host: Host, sequence: Sequence, oid: int, number: int) -> None:
    """An identity column's sequence goes with the column alone."""
    table = host.catalog.table(oid)
    if table.definition(number).identity:
        shown = describe(host.catalog, host.search_path(True), Object("column", oid, number))
        raise DependentObjectsStillExist(
            f"cannot drop sequence {names.quoted(sequence.name)} because {shown} requires it",
            hint=f"You can drop {shown} instead.",
        )


def _index(host: Host, parts: tuple[str, ...], command: commands.Drop) -> Object | None:
    while True:
        found = names.find(host.catalog, host.search_path(True), parts)
        if found is None:
            if not command.if_exists:
                raise UndefinedObject(f'index "{".".join(parts)}" does not exist')
            host.notice("NOTICE", "00000", f'index "{parts[-1]}" does not exist, skipping')
            return None
        if not isinstance(found, int):
            kind = kind_of(found) if isinstance(found, Relation) else "view"
            raise WrongObjectType(
                f'"{parts[-1]}" is not an index', hint=f"Use DROP {kind.upper()} to remove a {kind}."
            )
        tables = (t for t in host.catalog.tables() if any(i.oid == found for i in t.every_index))
        table = next(tables)
        host.transaction.lock_table(table.oid, TableMode.AccessExclusiveLock)
        if host.catalog.relations.get(table.oid) is table:
            break
    owner = next((key for key in table.keys if key.index == found), None)
    if owner is not None:
        what = f"constraint {names.quoted(owner.name)} on table {names.quoted(table.name)}"
        raise DependentObjectsStillExist(
            f"cannot drop index {names.quoted(parts[-1])} because {what} requires it",
            hint=f"You can drop {what} instead.",
        )
    return Object("index", table.oid, found)


def _schema(host: Host, parts: tuple[str, ...], command: commands.Drop) -> Object | None:
    name = parts[-1]
    while True:
        schema = host.catalog.schema(name)
        if schema is None:
            if not command.if_exists:
                raise InvalidSchemaName(f'schema "{name}" does not exist')
            host.notice("NOTICE", "00000", f'schema "{name}" does not exist, skipping')
            return None
        if schema.oid in (PG_CATALOG, INFORMATION_SCHEMA):
            raise DependentObjectsStillExist(
                f"cannot drop schema {name} because it is required by the database system"
            )
        host.transaction.lock_table(schema.oid, TableMode.AccessExclusiveLock)
        if host.catalog.schema(name) == schema:
            return Object("schema", schema.oid)
