"""Neighbouring projections become one; one that changes nothing goes.

    Project(a + 1) over Project(b AS a)        Project(b + 1)
    Project(0, 1) over two columns             (the two columns)

An expression that is read twice is only written out twice if that costs nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from engine.expressions import Cast, Constant, Expression, Outer, Parameter, Reference, walk
from sql import logical
from sql.expressions import is_set, is_volatile, substitute
from sql.logical import Node
from sql.planning import Planning
from sql.rules.walk import bottom_up


def merge_projects(node: Node, planning: Planning) -> Node:
    """The tree with fewer projections."""
    return bottom_up(node, _merged)


def _merged(node: Node) -> Node:
    if not isinstance(node, logical.Project):
        return node
    child = node.child
    if isinstance(child, logical.Project) and not child.sets and _may_merge(node, child):
        expressions = tuple(substitute(e, child.expressions) for e in node.expressions)
        node = replace(node, child=child.child, expressions=expressions)
    return node.child if _is_identity(node) else node


def _may_merge(outer: logical.Project, inner: logical.Project) -> bool:
    uses = Counter(n.index for e in outer.expressions for n in walk(e) if isinstance(n, Reference))
    for index, expression in enumerate(inner.expressions):
        if is_volatile(expression) or is_set(expression):
            return False
        if uses[index] > 1 and not _is_free(expression):
            return False
    return True


def _is_free(expression: Expression) -> bool:
    while isinstance(expression, Cast):
        expression = expression.argument
    return isinstance(expression, Reference | Constant | Parameter | Outer)


def _is_identity(node: logical.Project) -> bool:
    types = node.child.types
    return (
        not node.sets
        and len(types) == len(node.expressions)
        and all(
            isinstance(e, Reference) and e.index == i and e.type == types[i]
            for i, e in enumerate(node.expressions)
        )
    )
