"""Taking objects away, with what depends on them: DROP, and the end of temporary tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sql.dependencies import Object, Removal, describe, refusal, relation, removal
from sql.statements.host import Host
from storage.definitions import Table
from storage.transactions.locks import TableMode
from storage.transactions.transaction import Transaction
from storage.usertypes import CompositeType
from storage.waiting import about_to_wait

_RELATIONS = ("table", "view", "materialized view", "sequence")
# what an extension brought is there without it
_NO_RELATIONS = ("schema", "extension", "type", "attribute", "operator class", "function")


def remove(host: Host, targets: Sequence[Object], cascade: bool) -> None:
    """Drop objects and what goes with them, told in notices. Raises DependentObjectsStillExist."""
    found = removal(host.catalog, targets)
    while not _lock_all(host, found):  # what depends on them may have changed until it was locked
        found = removal(host.catalog, targets)
    catalog, path = host.catalog, host.search_path(True)
    if found.extra and not cascade:
        raise refusal(catalog, path, targets, found)
    lines = [f"drop cascades to {describe(catalog, path, item)}" for item, _ in found.extra]
    if len(lines) == 1:
        host.notice("NOTICE", "00000", lines[0])
    elif lines:
        host.notice(
            "NOTICE", "00000", f"drop cascades to {len(lines)} other objects", detail="\n".join(lines)
        )
    for item in found.order:
        _take(host, item)


def _lock_all(host: Host, found: Removal) -> bool:
    """Lock the relations that go or change; whether the catalog is still the one that was looked at."""
    before = host.catalog
    for item in found.order:
        if item.kind not in _NO_RELATIONS:
            host.transaction.lock_table(item.oid, TableMode.AccessExclusiveLock)
    return host.catalog is before


def _take(host: Host, item: Object) -> None:
    catalog, transaction = host.catalog, host.transaction
    if item.kind == "schema":
        transaction.drop(catalog.schemas[item.oid])
        return
    if item.kind == "extension":
        transaction.drop(catalog.extensions[item.oid])
        return
    if item.kind == "function":
        transaction.drop(catalog.functions[item.oid])
        return
    if item.kind == "type" and item.oid in catalog.types:
        transaction.drop(catalog.types[item.oid])
        return
    if item.kind == "attribute":
        made = catalog.types.get(item.oid)
        if made is None:
            return
        assert isinstance(made, CompositeType)
        transaction.define(without_attribute(made, item.number))
        return
    found = catalog.relations.get(item.oid)
    if found is None:
        return
    if item.kind in _RELATIONS:
        transaction.drop(found)
        return
    assert isinstance(found, Table)
    match item.kind:
        case "default":
            columns = tuple(
                replace(c, default=None, sequence=0) if c.number == item.number else c for c in found.columns
            )
            transaction.define(replace(found, columns=columns))
        case "constraint":
            kept = tuple(c for c in found.constraints if c.oid != item.number)
            transaction.define(replace(found, constraints=kept))
        case "index":
            left = tuple(index for index in found.indexes if index.oid != item.number)
            transaction.define(replace(found, indexes=left).pruned)
        case "column":
            transaction.define(without_column(found, item.number))


def without_column(table: Table, number: int) -> Table:
    """A table without a column, and without what cannot stand without it."""
    left = replace(
        table,
        columns=tuple(c for c in table.columns if c.number != number),
        highest=table.last_number,
        constraints=tuple(c for c in table.constraints if number not in c.columns),
        indexes=tuple(i for i in table.indexes if number not in (*i.columns, *i.included, *i.reads)),
        sort_key=table.sort_key if all(n != number for n, _ in table.sort_key) else (),
        shard_key=table.shard_key if number not in table.shard_key else (),
    )
    return left.pruned


def without_attribute(found: CompositeType, number: int) -> CompositeType:
    """A composite type without an attribute."""
    attributes = tuple(a for a in found.attributes if a.number != number)
    return replace(found, attributes=attributes, highest=found.last_number)


def drop_temporary(host: Host) -> None:
    """DISCARD TEMP: the session's temporary relations go, with what depends on them."""
    catalog = host.catalog
    own = [r.oid for r in catalog.relations.values() if r.temporary]
    for item in removal(catalog, [relation(catalog, oid) for oid in own]).order:
        _take(host, item)


def end_temporary(transaction: Transaction) -> None:
    """A transaction is about to commit: what temporary tables ON COMMIT DROP and DELETE ROWS say."""
    if not transaction.temporary.on_commit(transaction.definitions):
        return
    about_to_wait()
    catalog = transaction.catalog
    going = [table for table in catalog.tables() if table.on_commit == "drop"]
    for item in removal(catalog, [relation(catalog, table.oid) for table in going]).order:
        found = catalog.relations.get(item.oid)
        if found is not None and found.temporary and item.kind in _RELATIONS:
            transaction.drop(found)
    for table in catalog.tables():
        if table.on_commit == "delete" and table.oid in transaction.changes:
            transaction.truncate(table.oid)
