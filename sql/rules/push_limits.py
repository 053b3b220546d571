"""A LIMIT stops what stands below it early.

    Limit(10) over UNION ALL of a and b            at most 10 rows of each, then 10 of both
    Limit(10) over a LEFT JOIN b                   at most 10 rows of a: each gives one at least
    Top(10, a.x) over a LEFT JOIN b                the same: the first rows of a give the first rows

The limit stays above: these only give fewer rows to it. With an offset, so many rows more are kept below;
both have to be constants for that.
"""

from __future__ import annotations

from dataclasses import replace

from engine.expressions import Constant, Expression
from engine.operators import SortKey
from sql import logical
from sql.expressions import is_volatile, references, substitute
from sql.logical import Node
from sql.planning import Planning
from sql.rules.walk import bottom_up
from storage.column import Column
from storage.types import INT8

_MOST = 1 << 62


def push_limits(node: Node, planning: Planning) -> Node:
    """The tree with limits below others."""
    return bottom_up(node, _pushed)


def _pushed(node: Node) -> Node:
    if not isinstance(node, logical.Limit) or node.ties:
        return node
    count = _kept(node.count, node.offset)
    if count is None:
        return node
    child = node.child
    if isinstance(child, logical.Project) and not child.sets and not any(map(is_volatile, child.expressions)):
        return replace(node, child=replace(child, child=_below(child.child, count)))
    return replace(node, child=_below(child, count))


def _below(node: Node, count: Expression) -> Node:
    """A node of which only so many rows, the first ones of a sort, are wanted."""
    match node:
        case logical.Append():
            return replace(node, parts=tuple(_limited(part, count) for part in node.parts))
        case logical.Join(kind="left"):
            return replace(node, left=_limited(node.left, count))
        case logical.Sort(child=logical.Join(kind="left") as join):
            joined = _first_left(join, node.keys, count)
            return node if joined is None else replace(node, child=joined)
        case logical.Sort(child=logical.Project(child=logical.Join(kind="left") as join) as project):
            if project.sets or any(map(is_volatile, project.expressions)):
                return node
            joined = _first_left(join, substitute(node.keys, project.expressions), count)
            return node if joined is None else replace(node, child=replace(project, child=joined))
        case _:
            return node


def _first_left(join: logical.Join, keys: tuple[SortKey, ...], count: Expression) -> Node | None:
    """A left join of the left rows that come first, if keys are theirs: each gives one row at least."""
    used = references(*(key.expression for key in keys))
    if not used or max(used) >= len(join.left.types) or _is_volatile(keys):
        return None
    return replace(join, left=logical.Limit(logical.Sort(join.left, keys), count, None))


def _is_volatile(keys: tuple[SortKey, ...]) -> bool:
    return any(is_volatile(key.expression) for key in keys)


def _limited(node: Node, count: Expression) -> Node:
    if isinstance(node, logical.Limit):
        return node
    return logical.Limit(node, count, None)


def _kept(count: Expression | None, offset: Expression | None) -> Expression | None:
    """How many rows a limit lets through, and passes over; None where that is not known."""
    rows = _number(count)
    skipped = 0 if offset is None else _number(offset)
    if rows is None or skipped is None or rows < 0 or skipped < 0 or rows + skipped > _MOST:
        return None
    return Constant(Column.scalar(INT8, rows + skipped))


def _number(expression: Expression | None) -> int | None:
    if not isinstance(expression, Constant):
        return None
    value = expression.value.tolist()[0]
    return int(value) if isinstance(value, int) else None
