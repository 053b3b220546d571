"""Temporary objects: definitions that one session has for itself, beside the catalog.

They are in no log, no manifest and no other session's catalog; the rows of temporary tables are in stores
like those of others, by OIDs that nobody else knows. A transaction sees its session's over the catalog of
its snapshot, and changes them by its commit.
"""

from __future__ import annotations

from collections.abc import Mapping

from storage.catalog import Catalog
from storage.definitions import Definition, Relation, Schema, Table
from storage.grants import Acl


class Temporary:
    """The temporary objects of one session, as of its last commit. Its transactions alone touch it."""

    def __init__(self) -> None:
        self._definitions: dict[int, Definition] = {}
        self._seen: tuple[Catalog, Catalog] | None = None  # a catalog, and the same with the definitions

    def over(self, base: Catalog) -> Catalog:
        """A catalog with the session's objects."""
        if not self._definitions:
            return base
        if self._seen is None or self._seen[0] is not base:
            self._seen = base, base.changed(self._definitions, base.version)
        return self._seen[1]

    def __contains__(self, oid: int) -> bool:
        return oid in self._definitions

    def owns(self, oid: int, item: Definition | None) -> bool:
        """Whether a changed definition, None for one that goes, is the session's alone."""
        if item is None:
            return oid in self._definitions
        return isinstance(item, Relation | Schema | Acl) and item.temporary

    def change(self, definitions: Mapping[int, Definition | None]) -> None:
        """A transaction has committed these."""
        for oid, item in definitions.items():
            if item is None:
                self._definitions.pop(oid, None)
            else:
                self._definitions[oid] = item
        self._seen = None

    def on_commit(self, definitions: Mapping[int, Definition | None]) -> bool:
        """Whether one of its tables, or of these that are about to be, has something to do at a commit."""
        items = (
            (*self._definitions.values(), *definitions.values()) if self._definitions or definitions else ()
        )
        return any(isinstance(item, Table) and item.on_commit != "" for item in items)

    def oids(self) -> list[int]:
        """The OIDs of all objects."""
        return list(self._definitions)
