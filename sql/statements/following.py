"""What follows a new name: views, checks and defaults name things by text.

Whatever a stored text names is written anew under the new name, by the text's own meaning (sql.unparse),
before the thing itself is renamed; so a name that a text has is always one that is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sql import names, regclasses
from sql.statements.host import Host
from sql.storedviews import joined, rewritten
from sql.unparse import Renames
from storage.definitions import Definition, Table
from storage.errors import FeatureNotSupported
from storage.transactions.locks import TableMode


def follow(host: Host, renames: Renames) -> None:
    """Write anew what names these things by text. The catalog still has the old names."""
    catalog = host.catalog
    changed: list[Definition] = []
    tables = {oid for oid, _ in renames.columns} | set(renames.relations)
    for view, query in list(catalog.queries()):
        if not any(oid in tables for oid, _ in query.depends):
            continue
        host.transaction.lock_table(view.oid, TableMode.AccessExclusiveLock)
        if joined(query, catalog, host) & set(renames.columns):
            raise FeatureNotSupported(
                f"renaming a column that a view joins by is not supported: view {view.name}",
                hint="Write the view's join with ON instead of USING or NATURAL.",
            )
        text = rewritten(query, renames, catalog, host)
        if isinstance(view, Table):
            assert view.materialized is not None
            changed.append(replace(view, materialized=replace(view.materialized, text=text)))
        else:
            changed.append(replace(view, text=text))
    changed += _defaults_after(host, renames.relations)
    for item in changed:
        host.transaction.define(item)


def _defaults_after(host: Host, relations: Mapping[int, tuple[str, str]]) -> list[Definition]:
    """Tables whose defaults name one of these sequences."""
    catalog = host.catalog

    def new(text: str) -> str:
        oid = names.oid_named(catalog, ("public",), names.split_name(text))
        schema, name = relations.get(oid, ("", ""))
        return f"{names.quoted(schema)}.{names.quoted(name)}" if name else text

    found: list[Definition] = []
    for table in catalog.tables():
        uses = [
            c.number
            for c in table.columns
            if c.default is not None and regclasses.sequences_in(c.default, catalog) & relations.keys()
        ]
        if uses:
            host.transaction.lock_table(table.oid, TableMode.AccessExclusiveLock)
            columns = tuple(
                replace(c, default=regclasses.replaced(c.default or "", new)) if c.number in uses else c
                for c in table.columns
            )
            found.append(replace(table, columns=columns))
    return found
