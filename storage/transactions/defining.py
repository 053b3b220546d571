"""What a transaction does to definitions: it keeps those that it changed, over the newest catalog.

Who changes an object has locked it, and a name before it is taken, so no two transactions change the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from storage.catalog import Catalog
from storage.definitions import Definition, Table, Versioned, type_defined
from storage.errors import DuplicateTable, SerializationFailure
from storage.grants import Acl, DefaultAcl, Grant, SessionSettings
from storage.rights import handed_over, new_items, subject
from storage.segments.table import Store
from storage.transactions import uniqueness
from storage.transactions.changes import TableChanges
from storage.transactions.locks import Party, TableMode, Thing, Waits
from storage.transactions.snapshot import Snapshot, TableView
from storage.transactions.temporary import Temporary


class CatalogHome(Protocol):
    """What this needs of the database."""

    waits: Waits

    @property
    def catalog(self) -> Catalog: ...

    def store(self, table: int) -> Store: ...

    def snapshot(self) -> Snapshot: ...

    def allocate_version(self) -> int: ...


def _has_rows(store: Store, changes: TableChanges | None) -> bool:
    """Whether a transaction leaves rows in a table that were there before what it does next."""
    if changes is None:
        return bool(store.parts)
    return bool(store.parts and not changes.truncated) or any(True for _ in changes.live())


def _about(grant: Grant) -> tuple[int, ...]:
    """The OIDs of the objects that a grant goes with."""
    match grant:
        case Acl():
            return (grant.object,)
        case DefaultAcl():
            return (grant.role, grant.schema)
        case SessionSettings():
            return (grant.role,)
    return (grant.role, grant.member)


class Defining(Party):
    """The part of a transaction that changes definitions."""

    definitions: dict[int, Definition | None]  # by OID; None: dropped
    changes: dict[int, TableChanges]
    temporary: Temporary
    _database: CatalogHome
    _catalog: tuple[Catalog, Catalog] | None  # one, and the same with `definitions`
    _command: int

    @property
    def catalog(self) -> Catalog:
        """The catalog as this transaction sees it."""
        raise NotImplementedError

    @property
    def _base(self) -> Catalog:
        """The catalog without what this transaction has changed."""
        raise NotImplementedError

    def lock_table(self, table: Thing, mode: TableMode, refusal: str = "") -> None:
        """See storage.seams.Transaction."""
        raise NotImplementedError

    def allocate_oid(self) -> int:
        """See storage.seams.Transaction."""
        raise NotImplementedError

    def _must_write(self) -> None:
        raise NotImplementedError

    def define(self, item: Definition) -> None:
        """See storage.seams.Transaction."""
        self._lock_definition(item)
        if isinstance(item, Table):
            self._check_rows(item)
        known = self.catalog.find(item.oid)
        self._change(item.oid, item)
        if known is None and self.catalog.default_acls:
            self._grant_defaults(item)
        if known is not None and getattr(known, "owner", 0) != getattr(item, "owner", 0):
            self._hand_over(item.oid, known.owner, item.owner)  # type: ignore[union-attr]
        before, type = type_defined(known), type_defined(item)
        if before is not None and type is not None and before != type:
            for other in list(self.catalog.embedding(type)):
                self.define(other)

    def drop(self, item: Definition) -> None:
        """See storage.seams.Transaction."""
        self._lock_definition(item)
        self._change(item.oid, None)
        for grant in list(self.catalog.grants.values()):
            if item.oid in _about(grant):
                self._change(grant.oid, None)

    def _hand_over(self, oid: int, old: int, new: int) -> None:
        """The lists of an object whose owner changes: what was the old one's is the new one's."""
        for acl in [acl for (object, _), acl in self.catalog.acls.items() if object == oid]:
            self._change(acl.oid, replace(acl, items=handed_over(acl.items, old, new)))

    def _grant_defaults(self, item: Definition) -> None:
        """The list that default privileges give a new object."""
        about = subject(item)
        items = None if about is None else new_items(self.catalog, about, getattr(item, "schema", 0))
        if items is not None:
            temporary = bool(getattr(item, "temporary", False))
            acl = Acl(self.allocate_oid(), item.oid, 0, items, temporary)
            self._change(acl.oid, acl)

    def _change(self, oid: int, item: Definition | None) -> None:
        before = self.catalog
        version = self._database.allocate_version()  # a new one after a rollback too: plans are checked by it
        if isinstance(item, Versioned):
            item = replace(item, version=version)
        self.definitions[oid] = item
        self._catalog = (self._base, before.changed({oid: item}, version))

    def _lock_definition(self, item: Definition) -> None:
        """Lock an object that is about to change, and its name if that is new.

        Raises DuplicateTable and its kin, and SerializationFailure where `item` was made of a definition
        that is no longer the newest.
        """
        self._must_write()
        known = self.catalog.find(item.oid)
        if known is not None:
            # who comments on it has a weaker lock already, which keeps others from changing it too
            held = self._database.waits.tables.modes(self, item.oid)
            if not held >> TableMode.ShareUpdateExclusiveLock:
                self.lock_table(item.oid, TableMode.AccessExclusiveLock)
            known = self.catalog.find(item.oid)
            made_of = item.version if isinstance(item, Versioned) else 0
            own = item.oid in self.definitions or item.oid in self.temporary
            newest = known if own else self._database.catalog.find(item.oid)
            stale = isinstance(known, Versioned) and known.version != made_of
            if known is None or newest is not known or stale:
                raise SerializationFailure("could not serialize access due to concurrent update")
        place = item.schema if isinstance(item, Versioned) else 0
        if known is None or (known.name, getattr(known, "schema", 0)) != (item.name, place):
            if place:
                self.lock_table(place, TableMode.AccessShareLock)  # the schema may not go meanwhile
            self.lock_table((place, item.name), TableMode.AccessExclusiveLock)
            self.catalog.must_be_free(item)
            self._database.catalog.must_be_free(item, self.definitions)
        if isinstance(item, Table):
            self._lock_index_names(item, known if isinstance(known, Table) else None)

    def _lock_index_names(self, table: Table, known: Table | None) -> None:
        """Lock the names of indexes that are new: relations have no other's. Raises DuplicateTable."""
        had = {index.name for index in known.every_index} if known is not None else set()
        for name in (index.name for index in table.every_index if index.name not in had):
            self.lock_table((table.schema, name), TableMode.AccessExclusiveLock)
            newest = self._database.catalog
            relation, index = newest.relation(table.schema, name), newest.index(table.schema, name)
            holders = [relation] if relation is not None else [index[0]] if index is not None else []
            if any(holder.oid not in self.definitions for holder in holders):
                raise DuplicateTable(f'relation "{name}" already exists')

    def _check_rows(self, table: Table) -> None:
        """Whether the rows that are there can live under a changed definition; take up its new keys.

        Raises UniqueViolation, FeatureNotSupported.
        """
        old = self.catalog.relations.get(table.oid)
        if not isinstance(old, Table):
            return
        changes, store = self.changes.get(table.oid), self._database.store(table.oid)
        types = {column.number: column.type.oid for column in old.columns}
        retyped = any(types.get(c.number, c.type.oid) != c.type.oid for c in table.columns)
        assert not retyped or not _has_rows(store, changes), "rows of another type are in the way"
        known = old.unique_keys
        new = [unique for unique in table.unique_keys if unique.columns not in [k.columns for k in known]]
        if not new:
            return
        newest = self._database.snapshot().commit
        parts = self._database.store(table.oid).parts_at(newest)
        view = TableView(table, store, parts, newest, self._command + 1, changes)
        for unique in new:
            uniqueness.check_new(view, unique, self.catalog, self.check)
