"""EXISTS and IN whose subquery reads the outer row become joins: run once, not once a row.

    WHERE EXISTS (SELECT FROM u WHERE u.a = t.a AND u.x > 1)
    t semi-joined with Filter(x > 1) over u on u.a = t.a

    WHERE NOT EXISTS (...)                     an anti join
    WHERE t.b IN (SELECT u.b FROM u WHERE u.a = t.a)
    t semi-joined with u on u.a = t.a and u.b = t.b

Only where the conditions that read the outer row stand at the subquery's top, one of them an equality;
NOT IN asks whether every value is different for sure, nulls being not:

    WHERE t.b NOT IN (SELECT u.b FROM u WHERE u.a = t.a)
    t anti-joined with u on u.a = t.a and (u.b = t.b) is not false

EXISTS and NOT IN that read nothing of the outer row stay as they are: they are run once.
What is said of single values stands in sql.rules.scalars.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.expressions import BooleanTest, Call, Expression, Outer, Reference, walk
from engine.operators.base import Operator
from engine.parallel import expressions_of
from sql import logical
from sql.binding.subqueries import Exists, In
from sql.expressions import conjunction, conjuncts, references, shift, transform
from sql.logical import Node
from sql.physical import equality
from sql.planning import Planning
from sql.rules.walk import bottom_up, with_expressions
from storage.types import BOOL


def decorrelate(node: Node, planning: Planning) -> Node:
    """The tree with joins in place of correlated EXISTS and IN."""
    return bottom_up(node, partial(_filter, planning=planning))


def _filter(node: Node, planning: Planning) -> Node:
    if not isinstance(node, logical.Filter):
        return node
    child = node.child
    rest: list[Expression] = []
    for condition in conjuncts(node.condition):
        joined = _joined(child, condition, planning)
        if joined is None:
            rest.append(condition)
        else:
            child = joined
    if child is node.child:
        return node
    kept = conjunction(rest)
    return child if kept is None else logical.Filter(child, kept)


def _joined(child: Node, condition: Expression, planning: Planning) -> Node | None:
    if not isinstance(condition, Exists | In) or condition.node is None:
        return None
    if not condition.arguments:
        return _joined_whole(child, condition, planning) if isinstance(condition, In) else None
    parts = taken_apart(condition.node)
    if parts is None:
        return None
    width = len(child.types)
    on = [over_both(c, condition.arguments, width) for c in parts.correlated]
    if not any(equality(c, width) for c in on):
        return None
    if isinstance(condition, In):
        values = [shift(e, width) for e in parts.output]
        same = [
            Call(equals, (operand, value), BOOL)
            for equals, operand, value in zip(condition.equals, condition.operand, values, strict=True)
        ]
        if condition.negated:
            (equal, *more) = same
            if more:
                return None
            on.append(BooleanTest(equal, False, negated=True))
        else:
            on += same
    kind: logical.JoinKind = "anti" if condition.negated else "semi"
    return logical.Join(kind, child, decorrelate(parts.node, planning), conjunction(on))


def _joined_whole(child: Node, condition: In, planning: Planning) -> Node | None:
    """A join with a subquery that reads nothing of the outer row."""
    if condition.negated or condition.node is None or not all(map(references, condition.operand)):
        return None
    width = len(child.types)
    on: list[Expression] = [
        Call(equals, (operand, Reference(width + i, type)), BOOL)
        for i, (equals, operand, type) in enumerate(
            zip(condition.equals, condition.operand, condition.node.types, strict=True)
        )
    ]
    if not all(equality(c, width) for c in on):
        return None
    return logical.Join("semi", child, decorrelate(condition.node, planning), conjunction(on))


@dataclass(frozen=True)
class Parts:
    """A subquery: its rows without the conditions on the outer row, those, and its select list."""

    node: Node
    correlated: tuple[Expression, ...]
    output: tuple[Expression, ...]


def taken_apart(node: Node) -> Parts | None:
    """A subquery that is a projection of filtered rows; None where it is anything else."""
    if not isinstance(node, logical.Project) or node.sets:
        return None
    output = node.expressions
    inner = node.child
    conditions: list[Expression] = []
    while isinstance(inner, logical.Filter):
        conditions += conjuncts(inner.condition)
        inner = inner.child
    correlated = tuple(c for c in conditions if is_outer(c))
    own = conjunction([c for c in conditions if not is_outer(c)])
    if not correlated or any(is_outer(e) for e in output) or reads_outer(inner):
        return None
    return Parts(inner if own is None else logical.Filter(inner, own), correlated, output)


def is_outer(expression: Expression) -> bool:
    """Whether an expression reads the outer row."""
    return any(isinstance(node, Outer) for node in walk(expression))


def reads_outer(node: Node) -> bool:
    """Whether anything in a tree reads the outer row."""
    found: list[Expression] = []

    def look(expression: Any) -> None:
        if isinstance(expression, Outer):
            found.append(expression)

    with_expressions(node, look)
    if isinstance(node, logical.Limit):
        found += [e for e in (node.count, node.offset) if e is not None and is_outer(e)]
    if isinstance(node, logical.Leaf) and _operator_reads_outer(node.operator):
        return True
    if isinstance(node, logical.Apply):
        return True
    return bool(found) or any(reads_outer(child) for child in node.children)


def _operator_reads_outer(operator: Operator) -> bool:
    return any(is_outer(e) for e in expressions_of(operator)) or any(
        _operator_reads_outer(child) for child in operator.children
    )


def over_both(condition: Expression, arguments: tuple[Expression, ...], width: int) -> Expression:
    """A subquery's condition over the outer row and then its own."""
    own = shift(condition, width)

    def put(node: Any) -> Any:
        return arguments[node.index] if isinstance(node, Outer) else None

    return transform(own, put)
