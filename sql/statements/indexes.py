"""CREATE INDEX, ALTER INDEX. Every index is a hash index, whatever it is asked to be: it answers equality."""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.outcome import Outcome
from sql.statements.constraints import free_name, name_taken, numbers_of
from sql.statements.control import done
from sql.statements.dropping import must_table
from sql.statements.host import Host
from storage.catalog import Index, Table
from storage.errors import (
    ActiveSqlTransaction,
    DuplicateTable,
    FeatureNotSupported,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode

_METHODS = ("btree", "hash")
_OTHERS = ("gin", "gist", "spgist", "brin")


def create_index(host: Host, command: commands.CreateIndex, text: str) -> Outcome:
    """CREATE [UNIQUE] INDEX; the rows that are there are checked. Raises UniqueViolation."""
    if command.concurrently and host.explicit:
        raise ActiveSqlTransaction("CREATE INDEX CONCURRENTLY cannot run inside a transaction block")
    table = must_table(host, command.table, TableMode.ShareLock)
    _check(command)
    schema = host.catalog.schemas[table.schema]
    if command.name and name_taken(host, schema, command.name, set()):
        if command.if_not_exists:
            host.notice("NOTICE", "42P07", f'relation "{command.name}" already exists, skipping')
            return done("CREATE INDEX")
        raise DuplicateTable(f'relation "{command.name}" already exists')
    numbers = numbers_of(table, command.columns, 'column "{}" does not exist')
    included = numbers_of(table, command.included, 'column "{}" does not exist')
    name = command.name or free_name(
        host, schema, (table.name, *command.columns, *command.included, "idx"), set()
    )
    index = Index(
        host.transaction.allocate_oid(),
        name,
        numbers,
        command.unique,
        command.nulls,
        command.method,
        command.orders if any(command.orders) else (),
        included,
        command.options,
    )
    host.transaction.define(replace(table, indexes=(*table.indexes, index)))
    return done("CREATE INDEX")


def _check(command: commands.CreateIndex) -> None:
    """Whether an index can be as it is asked for."""
    method = command.method
    if method not in _METHODS:
        if method in _OTHERS:
            raise FeatureNotSupported(f'access method "{method}" is not supported: btree and hash are')
        raise UndefinedObject(f'access method "{method}" does not exist')
    if method == "hash":
        said = {
            "unique indexes": command.unique,
            "included columns": bool(command.included),
            "multicolumn indexes": len(command.columns) > 1,
            "ASC/DESC options": any("DESC" in order for order in command.orders),
        }
        for what, wanted in said.items():
            if wanted:
                raise FeatureNotSupported(f'access method "hash" does not support {what}')


def must_index(host: Host, parts: tuple[str, ...]) -> tuple[Table, Index]:
    """The index of this name and its table. Raises UndefinedObject, WrongObjectType."""
    found = names.find(host.catalog, host.search_path(True), parts)
    if found is None:
        raise UndefinedObject(f'index "{parts[-1]}" does not exist')
    if not isinstance(found, int):
        raise WrongObjectType(f'"{parts[-1]}" is not an index')
    for table in host.catalog.tables():
        for index in table.every_index:
            if index.oid == found:
                return table, index
    raise UndefinedObject(f'index "{parts[-1]}" does not exist')


def rename_index(host: Host, command: commands.RenameIndex, text: str) -> Outcome:
    """ALTER INDEX ... RENAME TO; an index that belongs to a constraint renames it, too."""
    if names.find(host.catalog, host.search_path(True), command.index) is None:
        message = f'relation "{".".join(command.index)}" does not exist'
        if not command.if_exists:
            raise UndefinedTable(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return done("ALTER INDEX")
    table, index = must_index(host, command.index)
    host.transaction.lock_table(table.oid, TableMode.ShareUpdateExclusiveLock)
    table, index = must_index(host, command.index)
    if name_taken(host, host.catalog.schemas[table.schema], command.name, set()):
        raise DuplicateTable(f'relation "{command.name}" already exists')
    host.transaction.define(renamed(table, index, command.name))
    return done("ALTER INDEX")


def renamed(table: Table, index: Index, name: str) -> Table:
    """The table with an index of another name."""
    indexes = tuple(replace(i, name=name) if i.oid == index.oid else i for i in table.indexes)
    constraints = tuple(replace(c, name=name) if c.index == index.oid else c for c in table.constraints)
    return replace(table, indexes=indexes, constraints=constraints)
