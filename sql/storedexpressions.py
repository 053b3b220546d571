"""Expressions of the catalog: defaults, checks, generated columns, what indexes are over.

They are kept as text that says what every name is and what every constant is (sql.unparse), so that it means
the same under any search path, DateStyle, time zone and clock. What cannot be read any more, because an older
version kept it as it was written, is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from engine.seams import SessionInfo
from sql.bind import bind_expression, table_scope
from sql.binding.domains import over_value
from sql.context import KEPT_PATH, BindContext, ParameterTypes
from sql.parse import parse_expression
from sql.resolved import ColumnName, Resolved
from sql.typenames import named
from sql.unparse import Renames, Unparser
from storage.catalog import Catalog
from storage.definitions import Table
from storage.errors import DatabaseError
from storage.usertypes import DomainType

Owner = Table | DomainType


class _OverValue(Unparser):
    """Writes what a domain says of its values."""

    def column(self, column: ColumnName) -> str:
        return "VALUE"


def kept_text(tree: exp.Expression, context: BindContext, owner: Owner | None = None) -> str:
    """The text to keep of an expression that was bound by `context` (sql.planned.Planner.keeping)."""
    assert context.resolved is not None
    return _writer(owner)(context.resolved, qualified=False, catalog=context.catalog).expression(tree)


def renamed(text: str, owner: Owner, renames: Renames, catalog: Catalog, session: SessionInfo) -> str:
    """A kept text after things that it may name have got new names; `catalog` still has the old ones."""
    tree, resolved = _bound(text, owner, catalog, session)
    if renames.oids.isdisjoint(oid for oid, _ in resolved.dependencies()):
        return text
    return _writer(owner)(resolved, renames, qualified=False, catalog=catalog).expression(tree)


def shown(text: str, owner: int, catalog: Catalog, path: Sequence[str], session: SessionInfo) -> str:
    """A kept text of a table or domain (OID) as people read it: no needless schemas, dates in their style."""
    if "." not in text and "'" not in text:
        return text
    found = catalog.relations.get(owner) or catalog.typed(owner)
    if not isinstance(found, Table | DomainType):
        return text
    try:
        tree, resolved = _bound(text, found, catalog, session, Resolved(writes=session.reading))
        visible = visibility(resolved, catalog, path)
        written = _writer(found)(resolved, visible=visible, qualified=False, catalog=catalog)
        return written.expression(tree)
    except DatabaseError:
        return text


def _writer(owner: Owner | None) -> type[Unparser]:
    return _OverValue if isinstance(owner, DomainType) else Unparser


def _bound(
    text: str, owner: Owner, catalog: Catalog, session: SessionInfo, resolved: Resolved | None = None
) -> tuple[exp.Expression, Resolved]:
    resolved = Resolved() if resolved is None else resolved
    context = BindContext(
        catalog, KEPT_PATH, session, ParameterTypes((), fixed=True), text, resolved=resolved
    )
    tree = parse_expression(text)
    if isinstance(owner, DomainType):
        over_value(owner.base, context).bind(tree)
    else:
        bind_expression(tree, table_scope(owner), context, "stored expressions")
    return tree, resolved


def visibility(resolved: Resolved, catalog: Catalog, path: Sequence[str]) -> Callable[[int], bool]:
    """Whether `path` finds what is named, so that it can stand without its schema."""
    found: dict[int, bool] = {}
    for table in resolved.tables.values():
        found[table.oid] = _finds(catalog, path, table.oid, table.schema, table.name)
    for known in resolved.constants.values():
        relation = catalog.relations.get(known.oid)
        if relation is not None:
            schema = catalog.schemas[relation.schema].name
            found[relation.oid] = _finds(catalog, path, relation.oid, schema, relation.name)
    for oid in resolved.functions.values():
        name = catalog.functions[oid].name
        places = [catalog.schemas[f.schema].name for f in catalog.functions_named(name)]
        own = catalog.schemas[catalog.functions[oid].schema].name
        first = next((place for place in path if place in places), "")
        found[oid] = first == own
    for type in resolved.made_types():
        oid = type.single.catalog_oid
        made = catalog.typed(oid)
        seen = None if made is None else named(catalog, path)((made.name,))
        found[oid] = seen is not None and seen.catalog_oid == oid
    return lambda oid: found.get(oid, False)


def _finds(catalog: Catalog, path: Iterable[str], oid: int, own: str, name: str) -> bool:
    """Whether the first relation of this name along the path is this one."""
    for place in path:
        schema = catalog.schema(place)
        relation = None if schema is None else catalog.relation(schema.oid, name)
        if relation is not None:
            return relation.oid == oid
        if place == own:
            return True
    return False
