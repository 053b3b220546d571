"""Views that are SQL, the system's and the catalog's: read once, bound in each query that names them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from sqlglot import exp

from engine.expressions import Reference
from sql.bound import Bound, QueryBinder
from sql.coerce import coerce
from sql.context import BindContext
from sql.logical import Barrier, Project
from sql.needs import acting
from sql.parse import parse_query
from sql.scope import Frame, ScopeColumn
from sql.storageparameters import SECURITY_BARRIER, is_on
from sql.tokens import lex
from sql.views.registry import VIEWS
from storage.definitions import BOOTSTRAP_ROLE, View

PATH = ("pg_catalog",)
"""The search path inside a view of the catalog: its text names every relation with its schema."""


@lru_cache(256)
def kept_tree(text: str) -> exp.Expression:
    """The tree of a view's text, read once."""
    return parse_query(lex(text), text)


def bind_view(schema: str, name: str, context: BindContext, queries: QueryBinder) -> Bound:
    """The view as a query, its columns under the names and types that the view declares."""
    view = VIEWS[schema, name]
    path = ("pg_catalog", "information_schema")
    own = replace(
        context, search_path=path, names=set(), text=view.text, resolved=None, acting=BOOTSTRAP_ROLE
    )
    bound = queries(kept_tree(view.text), Frame(), own, {}, resolve=False)
    assert len(bound.columns) == len(view.columns), f"{name} declares {len(view.columns)} columns"
    expressions = tuple(
        coerce(Reference(i, column.type, column.name), type, "e", 0, own)
        for i, (column, (_, type)) in enumerate(zip(bound.columns, view.columns, strict=True))
    )
    columns = tuple(ScopeColumn(n, t, view.oid, i) for i, (n, t) in enumerate(view.columns, 1))
    return Bound(Project(bound.node, expressions), columns)


def inside(view: View, context: BindContext) -> BindContext:
    """What a view's text is bound in where `context` names the view."""
    return replace(context, search_path=PATH, names=set(), text=view.text, resolved=None, acting=acting(view))


def bind_stored(view: View, context: BindContext, queries: QueryBinder) -> Bound:
    """A view as a query, its columns under the names and types that it has."""
    own = inside(view, context)
    bound = queries(kept_tree(view.text), Frame(), own, {}, resolve=False)
    context.volatile = context.volatile or own.volatile
    expressions = tuple(
        coerce(Reference(i, column.type, column.name), wanted.type, "e", 0, own)
        for i, (column, wanted) in enumerate(zip(bound.columns, view.columns, strict=True))
    )
    columns = tuple(ScopeColumn(c.name, c.type, view.oid, i) for i, c in enumerate(view.columns, 1))
    node = Project(bound.node, expressions)
    return Bound(Barrier(node) if is_on(view.options, SECURITY_BARRIER) else node, columns)
