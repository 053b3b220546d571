"""Views of the catalog, written out as they are stored and as people read them.

A view's text says what every name is (sql.unparse), so it means the same under any search path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.seams import SessionInfo
from sql.bound import Bound
from sql.context import BindContext, ParameterTypes
from sql.marks import Literal, mark_of
from sql.parse import parse_query
from sql.query import bind_query
from sql.resolved import Resolved
from sql.scope import Frame, ScopeColumn
from sql.storedexpressions import visibility
from sql.tokens import Token, lex
from sql.unparse import Renames, Unparser
from sql.viewtexts import PATH
from storage.catalog import Catalog
from storage.definitions import Materialized, View
from storage.errors import DatabaseError, FeatureNotSupported

_WRITING = "views must not contain data-modifying statements in WITH"


@dataclass(frozen=True)
class Query:
    """A query as a view keeps it: its text, columns and what it depends on."""

    text: str
    columns: tuple[ScopeColumn, ...]
    depends: tuple[tuple[int, int], ...]


def stored(tokens: Sequence[Token], context: BindContext, writing: str = _WRITING) -> Query:
    """A query written so that it can be kept. Raises what binding raises, and FeatureNotSupported.

    `writing` is what is said where its WITH writes.
    """
    tree = parse_query(list(tokens), context.text)
    context.resolved = resolved = Resolved(reads=context.session.reading)
    context.top = tree
    bound = bind_query(tree, Frame(), context, {})
    if context.writers:
        raise FeatureNotSupported(writing)
    context.parameters.final()
    text = Unparser(resolved, catalog=context.catalog).query(tree)
    _same(text, tree, bound, resolved, context)
    whole = {oid for oid, number in resolved.dependencies() if number}
    depends = {(oid, number) for oid, number in resolved.dependencies() if number or oid not in whole}
    return Query(text, bound.columns, tuple(sorted(depends)))


def _same(text: str, tree: exp.Expression, bound: Bound, resolved: Resolved, context: BindContext) -> None:
    """Whether a text reads as what it was written from: another meaning must not be kept."""
    again = replace(
        context,
        search_path=PATH,
        names=set(),
        text=text,
        resolved=Resolved(),
        parameters=ParameterTypes((), fixed=True),
    )
    assert again.resolved is not None
    try:
        read = parse_query(lex(text), text)
        columns = [(c.name, c.type) for c in bind_query(read, Frame(), again, {}).columns]
        same = columns == [(c.name, c.type) for c in bound.columns]
        same = same and _parts(read, again.resolved) == _parts(tree, resolved)
        same = same and Unparser(again.resolved, catalog=context.catalog).query(read) == text
    except DatabaseError:
        same = False
    if not same:
        raise FeatureNotSupported("this query is not supported in a view")


_NAMES = (exp.Alias, exp.Column, exp.Dot, exp.Identifier, exp.Paren, exp.Star, exp.Subquery, exp.TableAlias)
_FREE = (*_NAMES, exp.Boolean)


def _parts(tree: exp.Expression, resolved: Resolved) -> Counter[type]:
    """How many of each clause, operator and call there are; names and parentheses are written anew.

    Constants are written with their types, what (row).* is of once for each field.
    """
    found: Counter[type] = Counter()
    for node in tree.walk():
        if isinstance(node, exp.Cast) and id(mark_of(node.this, Literal)) in resolved.constants:
            found.subtract(_parts(node.args["to"], resolved))
        elif not isinstance(node, _FREE):
            found[type(node)] += 1
        for _ in resolved.expanded.get(id(node), ())[1:]:
            found.update(_parts(node.this, resolved))
    return found


def rewritten(view: View | Materialized, renames: Renames, catalog: Catalog, session: SessionInfo) -> str:
    """A view's text after what it names has got new names; `catalog` still has the old ones."""
    tree, resolved = _bound(view, catalog, session)
    return Unparser(resolved, renames, catalog=catalog).query(tree)


def joined(view: View | Materialized, catalog: Catalog, session: SessionInfo) -> set[tuple[int, int]]:
    """(table, attnum) of the columns that its joins name by USING, whose names cannot be written apart."""
    return _bound(view, catalog, session)[1].joined


def _bound(
    view: View | Materialized, catalog: Catalog, session: SessionInfo, resolved: Resolved | None = None
) -> tuple[exp.Expression, Resolved]:
    resolved = Resolved() if resolved is None else resolved
    context = BindContext(
        catalog, PATH, session, ParameterTypes((), fixed=True), view.text, resolved=resolved
    )
    tree = parse_query(lex(view.text), view.text)
    bind_query(tree, Frame(), context, {})
    return tree, resolved


def definition(
    view: View | Materialized,
    names: Sequence[str],
    catalog: Catalog,
    path: Sequence[str],
    session: SessionInfo,
) -> str:
    """A view's query for people: pg_get_viewdef. Its columns have `names`.

    Relations that `path` finds stand without schema.
    """
    tree, resolved = _bound(view, catalog, session, Resolved(writes=session.reading))
    shown = Unparser(resolved, visible=visibility(resolved, catalog, path), catalog=catalog)
    return shown.named(tree, names) + ";"
