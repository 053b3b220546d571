"""Conditions go down to where their columns come from, so that fewer rows come up.

    Filter(a.x = 1 AND a.id = b.id) over a, b      Join(a.id = b.id) of Scan(a, x = 1) and Scan(b)
    Filter(s > 0.9) over Project(f(v) AS s)        Project over Filter(f(v) > 0.9)
    Filter(b.y = 1) over a LEFT JOIN b             an inner join: rows without b cannot pass

Conditions with volatile functions stay, and those that can fail above a Barrier. Among conditions of one
scan, cheap ones come first.
"""

from __future__ import annotations

from dataclasses import replace

from engine.expressions import And, Call, Cast, Expression, InList, IsNull, Reference, may_fail, walk
from engine.functions.registry import BY_ID
from sql import logical
from sql.expressions import conjunction, conjuncts, is_volatile, references, shift, substitute
from sql.logical import Node
from sql.planning import Planning
from storage.types import Form

_ROWS_COST, _SUBQUERY_COST = 100, 1000


def push_filters(node: Node, planning: Planning) -> Node:
    """The tree with every condition as far down as it may go."""
    return push(node, [])


def push(node: Node, conditions: list[Expression]) -> Node:
    """The node with these conditions on its rows."""
    match node:
        case logical.Filter():
            return push(node.child, conjuncts(node.condition) + conditions)
        case logical.Get():
            return _get(node, conditions)
        case logical.Barrier():
            return _barrier(node, conditions)
        case logical.Project():
            return _project(node, conditions)
        case logical.Join():
            return _join(node, conditions)
        case logical.Apply():
            return _apply(node, conditions)
        case logical.Aggregate():
            return _aggregate(node, conditions)
        case logical.Window():
            return _window(node, conditions)
        case logical.Sort():
            return replace(node, child=push(node.child, conditions))
        case logical.Distinct() if node.keys is None:
            return replace(node, child=push(node.child, conditions))
        case logical.Append():
            return replace(node, parts=tuple(push(part, conditions) for part in node.parts))
        case logical.SetOperation():
            left, right = push(node.left, conditions), push(node.right, conditions)
            return replace(node, left=left, right=right)
        case _:
            children = tuple(push(child, []) for child in node.children)
            return _filter(node.with_children(children) if children else node, conditions)


def _filter(node: Node, conditions: list[Expression]) -> Node:
    condition = conjunction(sorted(conditions, key=cost))
    return node if condition is None else logical.Filter(node, condition)


def cost(condition: Expression) -> int:
    """How dear a condition is: subqueries most, then functions of wide rows."""
    worst = 1
    for node in walk(condition):
        if hasattr(node, "plan"):
            return _SUBQUERY_COST
        if isinstance(node, Reference) and node.type.form is Form.ROWS and node.type.width != 16:
            worst = _ROWS_COST
    return worst


def _get(node: logical.Get, conditions: list[Expression]) -> Node:
    # a volatile condition must see each row that the others let pass, and no other: it stays above
    pushed = [c for c in conditions if not is_volatile(c)]
    stay = [c for c in conditions if is_volatile(c)]
    whole = conjunction(sorted([*conjuncts(node.condition), *pushed], key=cost))
    return _filter(replace(node, condition=whole), stay)


def _barrier(node: logical.Barrier, conditions: list[Expression]) -> Node:
    stay = [c for c in conditions if may_fail(c) or is_volatile(c)]
    down = [c for c in conditions if c not in stay]
    return _filter(logical.Barrier(push(node.child, down)), stay)


def _project(node: logical.Project, conditions: list[Expression]) -> Node:
    if node.sets:
        return _filter(replace(node, child=push(node.child, [])), conditions)
    down, stay = [], []
    for condition in conditions:
        given = [node.expressions[i] for i in references(condition)]
        if is_volatile(condition) or any(is_volatile(e) for e in given):
            stay.append(condition)
        else:
            down.append(substitute(condition, node.expressions))
    return _filter(replace(node, child=push(node.child, down)), stay)


def _join(node: logical.Join, conditions: list[Expression]) -> Node:
    width = len(node.left.types)
    kind = _reduced(node.kind, conditions, width)
    on = conjuncts(node.condition)
    stay: list[Expression] = []
    left: list[Expression] = []
    right: list[Expression] = []
    both: list[Expression] = []
    if kind == "inner":
        for condition in conditions + on:
            _sorted_out(condition, width, left, right, both, stay)
        if any(is_volatile(c) for c in on):
            both += [c for c in on if is_volatile(c)]
            stay = [c for c in stay if c not in both]
    else:
        preserved_left = kind in ("left", "semi", "anti")
        for condition in conditions:
            side = _side(condition, width)
            if side == "left" and preserved_left:
                left.append(condition)
            elif side == "right" and kind == "right":
                right.append(shift(condition, -width))
            else:
                stay.append(condition)
        for condition in on:
            side = _side(condition, width)
            if side == "right" and kind in ("left", "semi", "anti"):
                right.append(shift(condition, -width))
            elif side == "left" and kind == "right":
                left.append(condition)
            else:
                both.append(condition)
    joined = logical.Join(kind, push(node.left, left), push(node.right, right), conjunction(both))
    return _filter(joined, stay)


def _sorted_out(
    condition: Expression,
    width: int,
    left: list[Expression],
    right: list[Expression],
    both: list[Expression],
    stay: list[Expression],
) -> None:
    side = _side(condition, width)
    if side == "stay":
        stay.append(condition)
    elif side == "left":
        left.append(condition)
    elif side == "right":
        right.append(shift(condition, -width))
    else:
        both.append(condition)


def _side(condition: Expression, width: int) -> str:
    """Which side of a join a condition is about; what reads no column goes left."""
    if is_volatile(condition):
        return "stay"
    used = references(condition)
    if not used or max(used) < width:
        return "left"
    return "right" if min(used) >= width else "both"


def _reduced(kind: logical.JoinKind, conditions: list[Expression], width: int) -> logical.JoinKind:
    """An outer join whose made-up nulls no condition lets pass is an inner join."""
    if kind == "left" and any(rejects_nulls(c, range(width, 1 << 30)) for c in conditions):
        return "inner"
    if kind == "right" and any(rejects_nulls(c, range(width)) for c in conditions):
        return "inner"
    if kind == "full":
        right_null = any(rejects_nulls(c, range(width, 1 << 30)) for c in conditions)
        left_null = any(rejects_nulls(c, range(width)) for c in conditions)
        if left_null and right_null:
            return "inner"
        if left_null:
            return "left"
        if right_null:
            return "right"
    return kind


def rejects_nulls(condition: Expression, columns: range) -> bool:
    """Whether a condition is never true on a row in which all these columns are null."""
    match condition:
        case And():
            return any(rejects_nulls(part, columns) for part in condition.operands)
        case IsNull():
            return condition.negated and null_if(condition.argument, columns)
        case InList():
            return not condition.negated and null_if(condition.argument, columns)
        case _:
            return null_if(condition, columns)


def null_if(expression: Expression, columns: range) -> bool:
    """Whether an expression is null on such a row, for sure."""
    match expression:
        case Reference():
            return expression.index in columns
        case Cast():
            return null_if(expression.argument, columns)
        case Call():
            overload = BY_ID[expression.function]
            return overload.strict and any(null_if(a, columns) for a in expression.arguments)
        case _:
            return False


def _apply(node: logical.Apply, conditions: list[Expression]) -> Node:
    width = len(node.left.types)
    left: list[Expression] = []
    right: list[Expression] = []
    stay: list[Expression] = []
    for condition in conditions:
        side = _side(condition, width)
        if side == "left":
            left.append(condition)
        elif side == "right" and node.kind == "inner" and not isinstance(node.right, logical.Leaf):
            right.append(shift(condition, -width))
        else:
            stay.append(condition)
    applied = replace(node, left=push(node.left, left), right=push(node.right, right))
    return _filter(applied, stay)


def _window(node: logical.Window, conditions: list[Expression]) -> Node:
    """A condition on what all calls partition by keeps or drops partitions as a whole."""
    shared = set(range(len(node.child.types)))
    for call in node.calls:
        shared &= {e.index for e in call.partition if isinstance(e, Reference)}
    down: list[Expression] = []
    stay: list[Expression] = []
    for condition in conditions:
        used = references(condition)
        (down if used and used <= shared and not is_volatile(condition) else stay).append(condition)
    return _filter(replace(node, child=push(node.child, down)), stay)


def _aggregate(node: logical.Aggregate, conditions: list[Expression]) -> Node:
    """A condition on keys alone, which are in every grouping set, may as well choose the rows."""
    down, stay = [], []
    keys = set(range(len(node.keys))).intersection(*node.sets)
    for condition in conditions:
        used = references(condition)
        if used and used <= keys and not is_volatile(condition):
            down.append(substitute(condition, node.keys))
        else:
            stay.append(condition)
    return _filter(replace(node, child=push(node.child, down)), stay)
