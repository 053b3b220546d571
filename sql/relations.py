"""Relations by name: the search path, tables of the catalog, the catalog's own views."""

from __future__ import annotations

from dataclasses import dataclass

from sql import views
from sql.context import BindContext
from sql.names import own_schema
from sql.views.registry import VIEWS, SystemView
from sql.views.sequences import of_sequence
from storage.definitions import Sequence, Table, View
from storage.errors import UndefinedTable

__all__ = ["Found", "find_relation", "views"]


@dataclass(frozen=True, slots=True)
class Found:
    """A relation and the schema it was found in."""

    source: Table | View | SystemView
    schema: str


def find_relation(context: BindContext, name: str, schema: str = "", position: int = 0) -> Found:
    """The table, view or sequence of this name: the plan depends on it from now on. Raises UndefinedTable."""
    path = context.search_path
    for place in (own_schema(schema, path),) if schema else path:
        view = VIEWS.get((place, name))
        if view is not None:
            if not schema:
                context.names.add((name, view.oid))
            return Found(view, place)
        known = context.catalog.schema(place)
        relation = None if known is None else context.catalog.relation(known.oid, name)
        if isinstance(relation, Table | View | Sequence):
            context.dependencies.add((relation.oid, relation.version))
            if schema and known is not None:
                context.need_schema(known)
            if not schema:
                context.names.add((name, relation.oid))
            if isinstance(relation, Sequence):
                context.need(relation).want("r")
                return Found(of_sequence(relation, place), place)
            return Found(relation, place)
    shown = f"{schema}.{name}" if schema else name
    raise UndefinedTable(f'relation "{shown}" does not exist', position=position)
