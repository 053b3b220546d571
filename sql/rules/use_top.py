"""ORDER BY with LIMIT keeps the first rows only, instead of sorting all.

Limit(10) over Sort(score DESC)            Top(10, score DESC)
Limit(10) over Project over Sort           Project over Top: fewer rows to compute
"""

from __future__ import annotations

from dataclasses import replace

from sql import logical
from sql.expressions import is_volatile
from sql.logical import Node
from sql.planning import Planning
from sql.rules.walk import bottom_up


def use_top(node: Node, planning: Planning) -> Node:
    """The tree with Top wherever a sort is cut short."""
    return bottom_up(node, _top)


def _top(node: Node) -> Node:
    if not isinstance(node, logical.Limit) or node.ties:
        return node
    child = node.child
    if isinstance(child, logical.Project) and not child.sets and not any(map(is_volatile, child.expressions)):
        return replace(child, child=_top(replace(node, child=child.child)))
    if isinstance(child, logical.Sort) and node.count is not None:
        return logical.Top(child.child, child.keys, node.count, node.offset)
    return node
