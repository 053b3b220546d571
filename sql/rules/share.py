"""Equal aggregations and their kin are run once, however often a statement has them.

    SELECT ... FROM (SELECT b, sum(x) FROM t GROUP BY b) s JOIN (SELECT b, sum(x) FROM t GROUP BY b) r ...

Shared is what has to be held anyway before its first row comes: aggregations, DISTINCT, INTERSECT and EXCEPT.
Parts that read the outer row, lock rows or call volatile functions are left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import fields, is_dataclass
from typing import Any

from engine.expressions import Outer
from engine.operators import Shared
from engine.parallel import is_volatile_node
from sql import logical
from sql.logical import Node
from sql.physical import physical
from sql.planning import Planning
from sql.views.registry import SystemView
from storage.column import Column
from storage.definitions import Table

_HELD = (logical.Aggregate, logical.Distinct, logical.SetOperation)


def share(node: Node, planning: Planning) -> Node:
    """The tree with one plan for each set of equal parts."""
    held = [(part, _Key()(part)) for part in _parts(node)]
    counts = Counter(key for _, key in held if key is not None)
    if not any(count > 1 for count in counts.values()):
        return node
    keys = {id(part): key for part, key in held}
    made: dict[Hashable, logical.Leaf] = {}

    def replaced(node: Node) -> Node:
        key = keys.get(id(node))
        if key is not None and counts[key] > 1:
            if key not in made:
                operator = Shared(f"subplan {len(made) + 1}", physical(node, planning), node.types)
                made[key] = logical.Leaf(operator)
            return made[key]
        children = tuple(map(replaced, node.children))
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        return node if same else node.with_children(children)

    return replaced(node)


def _parts(node: Node) -> list[Node]:
    below = [part for child in node.children for part in _parts(child)]
    return [node, *below] if isinstance(node, _HELD) else below


class _Private(Exception):
    """A part that is nobody else's."""


class _Key:
    """What two parts have alike if they give the same rows; None for parts that are private."""

    def __call__(self, node: Node) -> Hashable | None:
        try:
            return self._of(node)
        except _Private:
            return None

    def _of(self, value: Any) -> Hashable:
        if isinstance(value, tuple | list):
            return tuple(map(self._of, value))
        if isinstance(value, Column):
            return value.type.oid, value.type.modifier, repr(value.tolist())
        if isinstance(value, Table | SystemView):
            return id(value)
        if isinstance(value, logical.LockRows | Outer) or (isinstance(value, logical.Get) and value.row_ids):
            raise _Private
        if isinstance(value, logical.Leaf) or hasattr(value, "plan"):
            return id(value)  # an operator, or a subquery: equal if it is the same
        if hasattr(value, "evaluate") and is_volatile_node(value):
            raise _Private
        if is_dataclass(value) and not isinstance(value, type):
            return type(value), *(self._of(getattr(value, f.name)) for f in fields(value) if f.compare)
        return value if isinstance(value, Hashable) else id(value)
