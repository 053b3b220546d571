"""Expressions: a parser's tree to a bound expression, for statements other than queries."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Expression
from sql import query
from sql.binding import Binding
from sql.context import BindContext
from sql.scope import Frame, Relation, Scope, ScopeColumn
from storage.definitions import Table

__all__ = ["bind_expression", "query", "table_scope"]


def bind_expression(
    tree: exp.Expression, scope: Scope, context: BindContext, clause: str = "expression"
) -> Expression:
    """The tree over the rows of `scope`. Its type may still be `unknown`: coerce or assign it.

    `clause` is what errors say of the place: 'WHERE', 'RETURNING', 'DEFAULT expressions'.
    """
    return Binding(context, scope, clause).bind(tree)


def table_scope(table: Table, alias: str = "") -> Scope:
    """A scope of one table's columns, in its order."""
    scope = Scope(Frame())
    columns = tuple(ScopeColumn(c.name, c.type, table.oid, c.number) for c in table.columns)
    scope.add(Relation(alias or table.name, columns, table=table.oid))
    return scope
