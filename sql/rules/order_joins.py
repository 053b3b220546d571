"""Inner joins in an order in which each has a condition with what is already joined.

    FROM a, b, c WHERE a.x = c.x AND c.y = b.y     a with c, then with b: no product of a and b

The order as written stays wherever it gives no product.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.expressions import Expression, Reference
from sql import logical
from sql.expressions import conjunction, conjuncts, references, remap, shift
from sql.logical import Node
from sql.rules.walk import bottom_up


def order_joins(node: Node) -> Node:
    """The tree with its inner joins in a better order."""
    return bottom_up(node, _ordered)


@dataclass
class _Input:
    """One of the joined: its columns stand from `offset` in the joins' row as written."""

    node: Node
    offset: int

    @property
    def places(self) -> range:
        return range(self.offset, self.offset + len(self.node.types))


def _ordered(node: Node) -> Node:
    if not isinstance(node, logical.Join) or node.kind != "inner" or not _has_product(node):
        return node
    inputs: list[_Input] = []
    conditions: list[Expression] = []
    _collect(node, 0, inputs, conditions)
    order = _chosen(inputs, conditions)
    if len(inputs) < 3 or order == list(range(len(inputs))):
        return node
    return _rebuilt([inputs[i] for i in order], conditions, node)


def _has_product(node: Node) -> bool:
    if not isinstance(node, logical.Join) or node.kind != "inner":
        return False
    return node.condition is None or _has_product(node.left) or _has_product(node.right)


def _collect(node: Node, offset: int, inputs: list[_Input], conditions: list[Expression]) -> None:
    """The inputs and conditions of a tree of inner joins, over the whole row as written."""
    if isinstance(node, logical.Join) and node.kind == "inner":
        _collect(node.left, offset, inputs, conditions)
        _collect(node.right, offset + len(node.left.types), inputs, conditions)
        conditions += [shift(c, offset) for c in conjuncts(node.condition)]
    else:
        inputs.append(_Input(node, offset))


def _chosen(inputs: list[_Input], conditions: list[Expression]) -> list[int]:
    """Greedily: the first that a condition ties to what is joined, else the first."""
    used = [references(c) for c in conditions]
    order, rest = [0], list(range(1, len(inputs)))
    joined = set(inputs[0].places)
    while rest:
        tied = next((i for i in rest if _is_tied(inputs[i], joined, used)), rest[0])
        order.append(tied)
        rest.remove(tied)
        joined |= set(inputs[tied].places)
    return order


def _is_tied(candidate: _Input, joined: set[int], used: list[set[int]]) -> bool:
    own = set(candidate.places)
    return any(places & own and places & joined and places <= own | joined for places in used)


def _rebuilt(inputs: list[_Input], conditions: list[Expression], old: logical.Join) -> Node:
    places: dict[int, int] = {}
    node: Node | None = None
    rest = list(conditions)
    for each in inputs:
        start = len(places)
        for i, place in enumerate(each.places):
            places[place] = start + i
        if node is None:
            node = each.node
            continue
        ready = [c for c in rest if references(c) <= places.keys()]
        rest = [c for c in rest if c not in ready]
        condition = conjunction([remap(c, places) for c in ready])
        node = logical.Join("inner", node, each.node, condition)
    assert node is not None
    columns = tuple(Reference(places[i], type) for i, type in enumerate(old.types))
    return logical.Project(node, columns)
