"""What follows a new name: views, defaults, checks, generated columns and indexes name things by text.

Whatever a kept text names is written anew under the new name, by the text's own meaning (sql.unparse),
before the thing itself is renamed; so a name that a text has is always one that is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sql.statements.hiddenkeys import shown
from sql.statements.host import Host
from sql.storedexpressions import Owner, renamed
from sql.storedviews import joined, rewritten
from sql.unparse import Renames
from storage.definitions import ColumnDefinition, Definition, Index, Table
from storage.errors import FeatureNotSupported
from storage.transactions.locks import TableMode
from storage.usertypes import DomainType


def follow(host: Host, renames: Renames) -> None:
    """Write anew what names these things by text. The catalog still has the old names."""
    catalog = host.catalog
    named = renames.oids
    changed: list[Definition] = []
    views = {view.oid: (view, query) for view, query in catalog.queries()}
    for view, query in views.values():
        if not any(oid in named for oid, _ in query.depends):
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
    owners: list[Owner] = [table for table in catalog.tables() if table.oid not in views]
    owners += (made for made in catalog.types.values() if isinstance(made, DomainType))
    words = _words(host, renames)
    for owner in owners:
        after = _after(owner, _writer(host, owner, renames, words))
        if after != owner:
            if isinstance(owner, Table):
                host.transaction.lock_table(owner.oid, TableMode.AccessExclusiveLock)
            changed.append(after)
    for item in changed:
        host.transaction.define(item)


def _words(host: Host, renames: Renames) -> set[str]:
    """The old names: a text in which none of them is found needs no reading."""
    catalog = host.catalog
    words = {label for _, label in renames.labels}
    for oid in renames.oids:
        found = catalog.relations.get(oid) or catalog.functions.get(oid) or catalog.typed(oid)
        words |= {found.name} if found is not None and oid in renames.relations else set()
        for of, number in renames.columns:
            if of == oid and isinstance(found, Table):
                words.add(found.definition(number).name)
            elif of == oid:  # an attribute of a row, wherever it is
                words.add(".")
    return {word.replace('"', '""') for word in words}


def _writer(host: Host, owner: Owner, renames: Renames, words: set[str]) -> Callable[[str], str]:
    def new(text: str) -> str:
        if not any(word in text for word in words):
            return text
        return renamed(text, owner, renames, host.catalog, host)

    return new


def _after(owner: Owner, new: Callable[[str], str]) -> Owner:
    """A table or domain with its texts written anew."""
    if isinstance(owner, DomainType):
        checks = tuple(check._replace(expression=new(check.expression)) for check in owner.checks)
        return replace(owner, checks=checks, default=owner.default and new(owner.default))
    return replace(
        owner,
        columns=tuple(_column_after(column, new) for column in owner.columns),
        constraints=tuple(replace(c, expression=new(c.expression)) for c in owner.constraints),
        indexes=tuple(_index_after(index, new) for index in owner.indexes),
        hidden=tuple(_hidden_after(column, new) for column in owner.hidden),
    )


def _column_after(column: ColumnDefinition, new: Callable[[str], str]) -> ColumnDefinition:
    default = column.default if column.default is None else new(column.default)
    return replace(column, default=default, generated=new(column.generated))


def _hidden_after(column: ColumnDefinition, new: Callable[[str], str]) -> ColumnDefinition:
    """A hidden column, whose name is its expression."""
    made = replace(column, generated=new(column.generated))
    return replace(made, name=shown(made.generated)) if column.name else made


def _index_after(index: Index, new: Callable[[str], str]) -> Index:
    return replace(
        index,
        expression=new(index.expression),
        expressions=tuple(map(new, index.expressions)),
        predicate=new(index.predicate),
    )
