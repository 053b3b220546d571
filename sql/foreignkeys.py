"""The foreign keys that a table takes part in, bound for the engine: see engine.operators.references."""

from __future__ import annotations

from collections.abc import Callable, Collection

from engine.operators import ForeignKey, Rules, TableRules
from sql.context import BindContext
from storage.catalog import Catalog
from storage.definitions import Constraint, KeyColumns, Table

Bind = Callable[[Table, tuple[int, ...], BindContext], TableRules]
"""The rules of a table's own rows, and the defaults of these columns."""


def rules_of(
    table: Table,
    context: BindContext,
    bind: Bind,
    *,
    outgoing: Callable[[Constraint], bool],
    incoming: Callable[[Constraint], bool],
) -> Rules | None:
    """The rules for writing to a table; None where no foreign key that the two functions pass is touched.

    Tables that the rules speak of are noted in the context: a plan is made anew when one has changed.
    """
    catalog = context.catalog
    mine = TableRules(
        table.oid,
        outgoing=tuple(_foreign_key(catalog, table, c) for c in table.foreign_keys if outgoing(c)),
        incoming=tuple(_foreign_key(catalog, t, c) for t, c in _pointing(catalog, table) if incoming(c)),
    )
    if not mine.outgoing and not mine.incoming:
        return None
    found: dict[int, TableRules] = {}
    _follow(mine, context, bind, found)
    return Rules(mine, tuple(found.values()))


def _follow(rules: TableRules, context: BindContext, bind: Bind, found: dict[int, TableRules]) -> None:
    """Take up the tables that actions write to, and what that does to others in turn."""
    catalog = context.catalog
    for foreign in (*rules.outgoing, *rules.incoming):
        for oid in (foreign.child, foreign.parent):
            if oid in catalog.relations:  # not the one that is being made
                context.dependencies.add((oid, catalog.table(oid).version))
    for foreign in rules.incoming:
        if {foreign.on_delete, foreign.on_update} & set("cnd") and foreign.child not in found:
            found[foreign.child] = _whole(catalog.table(foreign.child), context, bind)
            _follow(found[foreign.child], context, bind, found)


def _whole(table: Table, context: BindContext, bind: Bind) -> TableRules:
    """All rules of a table that an action may write to."""
    catalog = context.catalog
    set_default = {
        number
        for constraint in table.foreign_keys
        if constraint.references is not None
        and "d" in constraint.references.on_delete + constraint.references.on_update
        for number in constraint.columns
    }
    own = bind(table, tuple(sorted(set_default)), context)
    return TableRules(
        table.oid,
        own.invariants,
        own.defaults,
        tuple(_foreign_key(catalog, table, constraint) for constraint in table.foreign_keys),
        tuple(_foreign_key(catalog, other, constraint) for other, constraint in _pointing(catalog, table)),
    )


def _pointing(catalog: Catalog, table: Table) -> list[tuple[Table, Constraint]]:
    """The foreign keys that point to a table, in the order in which they were made."""
    return sorted(catalog.pointing_to(table.oid), key=lambda item: item[1].oid)


def _foreign_key(catalog: Catalog, child: Table, constraint: Constraint) -> ForeignKey:
    references = constraint.references
    assert references is not None
    parent = child if references.table == child.oid else catalog.table(references.table)
    index = next(index for index in parent.every_index if index.oid == references.index)
    places = [references.columns.index(number) for number in index.columns]
    return ForeignKey(
        constraint.oid,
        constraint.name,
        child.oid,
        tuple(constraint.columns[place] for place in places),
        parent.oid,
        KeyColumns(index.columns, index.nulls),
        tuple(places.index(place) for place in range(len(places))),
        references.match,
        references.on_update,
        references.on_delete,
        references.set_columns,
        constraint.deferrable,
        constraint.deferred,
    )


def for_update(columns: Collection[int]) -> tuple[Callable[[Constraint], bool], Callable[[Constraint], bool]]:
    """What an UPDATE of these attnums touches: foreign keys of the table, and those that point to it."""
    wanted = set(columns)

    def points(constraint: Constraint) -> bool:
        return bool(wanted & set(constraint.columns))

    def is_pointed_to(constraint: Constraint) -> bool:
        assert constraint.references is not None
        return bool(wanted & set(constraint.references.columns))

    return points, is_pointed_to
