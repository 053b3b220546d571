"""UNION, INTERSECT, EXCEPT and VALUES: queries whose parts must agree in their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.operators import Values
from sql.binding import Binding
from sql.bound import Bound, QueryBinder
from sql.coerce import coerce, common_type
from sql.context import BindContext
from sql.locking import check, clauses
from sql.logical import Append, Distinct, Leaf, Node, Project, SetOperation
from sql.marks import position_of
from sql.scope import Frame, Scope, ScopeColumn
from sql.sortable import must_equal
from storage.errors import FeatureNotSupported, SqlSyntaxError
from storage.types import TEXT, UNKNOWN, Type

_KNOWN = frozenset(("this", "expression", "distinct", "with_", "order", "limit", "offset", "locks"))


def bind_set_operation(
    tree: exp.SetOperation,
    frame: Frame,
    context: BindContext,
    tables: Mapping[str, Any],
    queries: QueryBinder,
) -> Bound:
    """left UNION right and its kin, without the ORDER BY and LIMIT of the whole."""
    word = tree.key.upper()
    for name, value in tree.args.items():
        if value and name not in _KNOWN:
            raise FeatureNotSupported(f"{name} of {word} is not supported", position=position_of(tree))
    if isinstance(tree.expression, exp.Select):  # not in parentheses: what stands behind it is of the whole
        for lock in clauses(tree.expression):
            check(tree, lock)
    left = queries(tree.this, frame, context, tables, resolve=False)
    right = queries(tree.expression, frame, context, tables, resolve=False)
    position = position_of(tree.expression)
    if len(left.columns) != len(right.columns):
        raise SqlSyntaxError(f"each {word} query must have the same number of columns", position=position)
    types = [
        common_type((a.type, b.type), word, (0, position))
        for a, b in zip(left.columns, right.columns, strict=True)
    ]
    if tree.args.get("distinct") or not isinstance(tree, exp.Union):
        for type in types:
            must_equal(type, position_of(tree.this))
    parts = (retyped(left, types, context), retyped(right, types, context))
    columns = tuple(ScopeColumn(c.name, t) for c, t in zip(left.columns, types, strict=True))
    distinct = bool(tree.args.get("distinct"))
    node: Node
    if isinstance(tree, exp.Union):
        node = Append(_flattened(parts, distinct), tuple(types))
        return Bound(Distinct(node) if distinct else node, columns)
    kind = "intersect" if isinstance(tree, exp.Intersect) else "except"
    node = SetOperation(kind, not distinct, *parts)  # type: ignore[arg-type]
    return Bound(node, columns)


def _flattened(parts: tuple[Node, Node], distinct: bool) -> tuple[Node, ...]:
    """a UNION ALL b UNION ALL c as one Append of three."""
    left, right = parts
    if isinstance(left, Append):
        return (*left.parts, right)
    if distinct and isinstance(left, Distinct) and left.keys is None and isinstance(left.child, Append):
        return (*left.child.parts, right)
    return parts


def retyped(bound: Bound, types: Sequence[Type], context: BindContext) -> Node:
    """The query's rows with columns of these types; constants of its select list are read as such."""
    node = bound.node
    if [c.type for c in bound.columns] == list(types):
        return node
    if isinstance(node, Project) and not node.sets:
        return replace(node, expressions=_coerced(node.expressions, types, context))
    references = tuple(Reference(i, c.type, c.name) for i, c in enumerate(bound.columns))
    return Project(node, _coerced(references, types, context))


def _coerced(
    expressions: Sequence[Expression], types: Sequence[Type], context: BindContext
) -> tuple[Expression, ...]:
    return tuple(
        coerce(expression, type, "a", 0, context) for expression, type in zip(expressions, types, strict=True)
    )


def resolved(bound: Bound, context: BindContext) -> Bound:
    """The query with text for columns that nothing has told the type of."""
    if all(c.type.oid != UNKNOWN.oid for c in bound.columns):
        return bound
    columns = tuple(replace(c, type=TEXT) if c.type.oid == UNKNOWN.oid else c for c in bound.columns)
    return Bound(retyped(bound, [c.type for c in columns], context), columns)


def bind_values(tree: exp.Values, frame: Frame, context: BindContext, tables: Mapping[str, Any]) -> Bound:
    """VALUES (a, b), (c, d): its columns are column1, column2."""
    for name, value in tree.args.items():
        if value and name not in ("expressions", "alias", "order", "limit", "offset", "with_", "locks"):
            raise FeatureNotSupported(f"{name} of VALUES is not supported", position=position_of(tree))
    binding = Binding(context, Scope(frame, tables), "VALUES")
    trees = [list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in tree.expressions]
    width = len(trees[0])
    for row in trees:
        if len(row) != width:
            raise SqlSyntaxError(
                "VALUES lists must all be the same length", position=position_of(row[0] if row else tree)
            )
    rows = [[binding.bind(item) for item in row] for row in trees]
    types = [
        common_type([row[i].type for row in rows], "VALUES", [position_of(row[i]) for row in trees])
        for i in range(width)
    ]
    coerced = tuple(
        tuple(
            binding.coerced(item, type, position_of(where))
            for item, type, where in zip(row, types, row_trees, strict=True)
        )
        for row, row_trees in zip(rows, trees, strict=True)
    )
    columns = tuple(ScopeColumn(f"column{i}", type) for i, type in enumerate(types, 1))
    return Bound(Leaf(Values(coerced, tuple(types))), columns)
