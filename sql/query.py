"""Queries: a SELECT, VALUES, WITH or set operation to a plan that can run.

Binding gives a logical tree (sql.select, sql.setoperations, sql.commontables), rules improve it
(sql.rules), and sql.physical chooses operators. A subquery in an expression goes the same way, in a frame
of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from engine.expressions import Constant, Expression, Reference
from engine.operators.base import Operator
from sql.binding import subqueries
from sql.binding.subqueries import Subplan
from sql.bound import Bound
from sql.coerce import assign
from sql.commontables import bind_with
from sql.context import BindContext, Plan
from sql.locking import check, clauses
from sql.logical import Node, Project
from sql.marks import position_of
from sql.ordering import bind_sorted
from sql.outcome import Field
from sql.physical import physical
from sql.rules import optimise
from sql.rules.fold import failure
from sql.scope import Frame, Scope
from sql.select import bind_select
from sql.setoperations import bind_set_operation, bind_values, resolved
from storage.definitions import ColumnDefinition
from storage.errors import FeatureNotSupported, SqlSyntaxError, StatementTooComplex
from storage.types import BOOL


def plan_query(tree: exp.Expression, context: BindContext) -> Plan:
    """The plan of a query. Raises whatever PostgreSQL's analysis would."""
    try:
        context.top = _opened(tree)
        bound = bind_query(tree, context.frame, context, {})
        node = optimise(bound.node, context.planning)
    except RecursionError:
        raise StatementTooComplex(
            "stack depth limit exceeded", hint="Split the statement, or write shorter expressions."
        ) from None
    fields = tuple(Field(c.name, c.type, c.table, c.number) for c in bound.columns)
    return context.plan(physical(node, context.planning), fields, failure(node))


def _opened(tree: exp.Expression) -> exp.Expression:
    """A query without the parentheses around all of it."""
    while isinstance(tree, exp.Subquery) and tree.args.get("with_") is None:
        tree = tree.this
    return tree


def plan_source(
    tree: exp.Expression,
    columns: Sequence[ColumnDefinition],
    context: BindContext,
    tables: Mapping[str, Any],
) -> Operator:
    """A query whose rows are assigned to the first of these columns of a table, as many as it gives.

    Constants of its select list are read as values of the columns. Raises SqlSyntaxError where it gives
    more columns, DatatypeMismatch where one does not fit.
    """
    bound = bind_query(tree, context.frame, context, tables, resolve=False)
    if len(bound.columns) > len(columns):
        items = tree.expressions  # a * among them: which one is too many is not told
        first = items[len(columns)] if len(items) == len(bound.columns) else tree
        raise SqlSyntaxError("INSERT has more expressions than target columns", position=position_of(first))
    node = bound.node
    if isinstance(node, Project) and not node.sets:
        child, given = node.child, node.expressions
    else:
        child, given = node, tuple(Reference(i, c.type, c.name) for i, c in enumerate(bound.columns))
    assigned = tuple(
        assign(expression, column, 0, context) for expression, column in zip(given, columns, strict=False)
    )
    return finish(Project(child, assigned), context)


def finish(node: Node, context: BindContext) -> Operator:
    """The operator of a logical tree, improved by the rules."""
    return physical(optimise(node, context.planning), context.planning)


def bind_query(
    tree: exp.Expression,
    frame: Frame,
    context: BindContext,
    tables: Mapping[str, Any],
    *,
    resolve: bool = True,
) -> Bound:
    """A query as a logical tree with its columns."""
    with_ = tree.args.get("with_")
    if with_ is not None:
        tables = bind_with(with_, tree, frame, context, tables, bind_query)
    match tree:
        case exp.Select():
            return bind_select(tree, frame, context, tables, bind_query, resolve=resolve)
        case exp.Union() | exp.Intersect() | exp.Except():
            bound = bind_set_operation(tree, frame, context, tables, bind_query)
        case exp.Values():
            bound = bind_values(tree, frame, context, tables)
        case exp.Subquery():
            locks = tree.args.pop("locks", None)
            if locks:  # as if they stood inside
                inner = tree.this.unnest()
                inner.set("locks", [*(inner.args.get("locks") or ()), *locks])
            for name, value in tree.args.items():
                if value and name not in ("this", "alias", "with_", "order", "limit", "offset", "joins"):
                    raise FeatureNotSupported(
                        f"{name} of a subquery is not supported", position=position_of(tree)
                    )
            bound = bind_query(tree.this, frame, context, tables, resolve=resolve)
        case _:
            raise FeatureNotSupported(f"{tree.key.upper()} is not supported here", position=position_of(tree))
    if resolve:
        bound = resolved(bound, context)
    for lock in clauses(tree):
        check(tree, lock)
    return bind_sorted(bound, tree, context, Scope(frame, tables))


def _plan_subquery(tree: exp.Expression, frame: Frame, context: BindContext, exists: bool) -> Subplan:
    """A query inside an expression; for EXISTS only whether there is a row matters."""
    tables = {} if frame.parent is None else frame.parent.tables
    bound = bind_query(tree, frame, context, tables)
    node = bound.node
    if exists and isinstance(node, Project) and not node.sets:
        one: Expression = Constant(context.constant(BOOL, True))
        node = Project(node.child, (one,))
    return Subplan(finish(node, context), node.types, node)


subqueries.use(_plan_subquery)
