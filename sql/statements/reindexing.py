"""REINDEX and CLUSTER: what they name is checked as PostgreSQL does it.

There is nothing to be made anew: a segment's indexes are written with it and never change, and the order of
its rows is that of the table's sort key. CLUSTER is remembered, as pg_index tells of it.
"""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.dropping import must_hold_rows
from sql.statements.host import Host
from storage.definitions import Index, Relation, Table
from storage.errors import (
    ActiveSqlTransaction,
    FeatureNotSupported,
    InvalidSchemaName,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.rights import owns
from storage.transactions.locks import TableMode


def reindex(host: Host, command: commands.Reindex, text: str) -> Outcome:
    """REINDEX of an index, a table, a schema or the database."""
    if host.explicit and (command.concurrently or command.kind not in ("index", "table")):
        what = "CONCURRENTLY" if command.concurrently else command.kind.upper()
        raise ActiveSqlTransaction(f"REINDEX {what} cannot run inside a transaction block")
    mode = TableMode.ShareUpdateExclusiveLock if command.concurrently else TableMode.ShareLock
    if command.kind == "index":
        found = [_index(host, command.name, mode)]
    elif command.kind == "table":
        table = _table(host, command.name, mode)
        found = [(table, index) for index in table.every_index]
        if not found:
            host.notice("NOTICE", "00000", f'table "{table.name}" has no indexes to reindex')
    else:
        found = _all(host, command)
    for _, index in found if command.verbose else ():
        host.notice("INFO", "00000", f'index "{index.name}" was reindexed')
    return done("REINDEX")


def _index(host: Host, parts: tuple[str, ...], mode: TableMode) -> tuple[Table, Index]:
    found = names.find(host.catalog, host.search_path(True), parts)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
    for table in host.catalog.tables():
        for index in table.every_index:
            if index.oid == found:
                host.transaction.lock_table(table.oid, mode)
                return table, index
    raise WrongObjectType(f'"{parts[-1]}" is not an index')


def _table(host: Host, parts: tuple[str, ...], mode: TableMode) -> Table:
    found = names.find(host.catalog, host.search_path(True), parts)
    if isinstance(found, int) or (isinstance(found, Relation) and not isinstance(found, Table)):
        raise WrongObjectType(f'"{parts[-1]}" is not a table or materialized view')
    return must_hold_rows(host, parts, mode)


def _all(host: Host, command: commands.Reindex) -> list[tuple[Table, Index]]:
    """Those of a schema, or of the database."""
    tables = list(host.catalog.tables())
    if command.kind == "schema":
        schema = host.catalog.schema(command.name[-1])
        if schema is None:
            raise InvalidSchemaName(f'schema "{command.name[-1]}" does not exist')
        tables = [table for table in tables if table.schema == schema.oid]
    elif command.name not in ((), (host.database,)):
        raise FeatureNotSupported("can only reindex the currently open database")
    return [(table, index) for table in tables for index in table.every_index]


def cluster(host: Host, command: commands.Cluster, text: str) -> Outcome:
    """CLUSTER: of one table, or of all that were clustered and are the user's."""
    if not command.name:
        if host.explicit:
            raise ActiveSqlTransaction("CLUSTER cannot run inside a transaction block")
        for table in list(host.catalog.tables()):
            if table.clustered and owns(host.catalog, host.identity.role, table.owner):
                host.transaction.lock_table(table.oid, TableMode.AccessExclusiveLock)
        return done("CLUSTER")
    table = _table(host, command.name, TableMode.AccessExclusiveLock)
    if command.index:
        index = clustering(host, table, command.index)
        if index.oid != table.clustered:
            host.transaction.define(replace(table, clustered=index.oid))
    elif not any(index.oid == table.clustered for index in table.every_index):
        raise UndefinedObject(f'there is no previously clustered index for table "{table.name}"')
    return done("CLUSTER")


def clustering(host: Host, table: Table, name: str) -> Index:
    """The index of a table by which its rows may be ordered. Raises UndefinedObject, FeatureNotSupported."""
    index = next((index for index in table.every_index if index.name == name), None)
    if index is None:
        schema = host.catalog.schemas[table.schema].name
        other = names.find(host.catalog, host.search_path(True), (schema, name))
        if isinstance(other, Relation):
            raise WrongObjectType(f'"{name}" is not an index')
        if isinstance(other, int):
            raise WrongObjectType(f'"{name}" is not an index for table "{table.name}"')
        raise UndefinedObject(f'index "{name}" for table "{table.name}" does not exist')
    if index.predicate:
        raise FeatureNotSupported(f'cannot cluster on partial index "{name}"')
    if index.method != "btree":
        message = f'cannot cluster on index "{name}" because access method does not support clustering'
        raise FeatureNotSupported(message)
    return index
