"""What is known of a join's key holds for what it is equal to.

    a JOIN b ON a.x = b.x WHERE a.x = 5                a filtered by x = 5, b too
    a LEFT JOIN b ON a.x = b.x WHERE a.x > 5           b filtered by x > 5: no other row of it can match

Taken over are comparisons of one column with constants. They cost little, and help zone maps and indexes of
the other table; what is added to one input may be carried on to the next.
"""

from __future__ import annotations

from engine.expressions import Expression, Reference
from sql import logical
from sql.expressions import conjuncts, is_constant, references, remap, shift
from sql.logical import Node
from sql.planning import Planning
from sql.rules.classes import Classes, column_equality
from sql.rules.estimates import compared
from sql.rules.push_filters import push


def derive_filters(node: Node, planning: Planning) -> Node:
    """The tree with the filters that follow from others."""
    if isinstance(node, logical.Join):
        node = _derived(node)
    children = tuple(derive_filters(child, planning) for child in node.children)
    if any(a is not b for a, b in zip(children, node.children, strict=True)):
        node = node.with_children(children)
    return node


def _derived(node: logical.Join) -> logical.Join:
    """The join, each side that may be filtered by what is known of the other."""
    width = len(node.left.types)
    classes = Classes()
    for condition in (*conjuncts(node.condition), *(_equalities(node) if node.kind == "inner" else ())):
        pair = column_equality(condition)
        if pair is not None:
            classes.join(*pair)
    if not classes.sets():
        return node
    left = _known(node.left)
    right = [shift(condition, width) for condition in _known(node.right)]
    over_left: list[Expression] = []
    over_right: list[Expression] = []
    known = left + right if node.kind == "inner" else right if node.kind == "right" else left
    if node.kind == "full":
        return node
    for condition in known:
        (column,) = references(condition)
        for other in _equals(classes, column, condition):
            moved = remap(condition, {column: other})
            if moved in left or moved in right:
                continue
            if other < width and node.kind in ("inner", "right"):
                over_left.append(moved)
            elif other >= width and node.kind in ("inner", "left", "semi", "anti"):
                over_right.append(shift(moved, -width))
    if not over_left and not over_right:
        return node
    return logical.Join(node.kind, _put(node.left, over_left), _put(node.right, over_right), node.condition)


def _put(node: Node, conditions: list[Expression]) -> Node:
    distinct = list(dict.fromkeys(conditions))
    return push(node, distinct) if distinct else node


def _equals(classes: Classes, column: int, condition: Expression) -> list[int]:
    """The other columns of a column's class that have its very type."""
    for members in classes.sets():
        own = next((member for member in members if member.index == column), None)
        if own is not None:
            return [m.index for m in members if m.index != column and m.type.base == own.type.base]
    return []


def _equalities(node: Node, offset: int = 0) -> list[Expression]:
    """The conditions of a tree of inner joins, over its row."""
    if not isinstance(node, logical.Join) or node.kind != "inner":
        return []
    width = len(node.left.types)
    below = _equalities(node.left) + [shift(c, width) for c in _equalities(node.right)]
    return below + conjuncts(node.condition)


def _known(node: Node) -> list[Expression]:
    """Comparisons of one column with constants that are true of every row of a node."""
    match node:
        case logical.Get():
            return [c for c in conjuncts(node.condition) if _is_simple(c)]
        case logical.Filter():
            return [c for c in conjuncts(node.condition) if _is_simple(c)] + _known(node.child)
        case logical.Project() if not node.sets:
            places = {e.index: i for i, e in enumerate(node.expressions) if isinstance(e, Reference)}
            return _moved(_known(node.child), places)
        case logical.Aggregate() if not node.sets:
            places = {e.index: i for i, e in enumerate(node.keys) if isinstance(e, Reference)}
            return _moved(_known(node.child), places)
        case logical.Join():
            width = len(node.left.types)
            found: list[Expression] = []
            if node.kind in ("inner", "left", "semi", "anti"):
                found += _known(node.left)
            if node.kind in ("inner", "right"):
                found += [shift(c, width) for c in _known(node.right)]
            return found
        case logical.Barrier() | logical.Sort() | logical.Limit() | logical.Top() | logical.Distinct():
            return _known(node.child)
        case _:
            return []


def _moved(conditions: list[Expression], places: dict[int, int]) -> list[Expression]:
    return [remap(c, places) for c in conditions if references(c) <= places.keys()]


def _is_simple(condition: Expression) -> bool:
    op, argument, others = compared(condition)
    return (
        op is not None and isinstance(argument, Reference) and bool(others) and all(map(is_constant, others))
    )
