"""Going through a logical tree: its expressions, its nodes from below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.expressions import Expression
from sql import logical
from sql.expressions import transform
from sql.logical import Node


def bottom_up(node: Node, function: Callable[[Node], Node]) -> Node:
    """The tree with `function` applied to every node, children first."""
    children = tuple(bottom_up(child, function) for child in node.children)
    if any(a is not b for a, b in zip(children, node.children, strict=True)):
        node = node.with_children(children)
    return function(node)


def with_expressions(node: Node, function: Callable[[Expression], Expression | None]) -> Node:
    """The node with its expressions transformed (see sql.expressions.transform)."""
    match node:
        case logical.Get():
            if node.condition is None:
                return node
            return replace(node, condition=transform(node.condition, function))
        case logical.Filter():
            return replace(node, condition=transform(node.condition, function))
        case logical.Project():
            return replace(node, expressions=transform(node.expressions, function))
        case logical.Join():
            if node.condition is None:
                return node
            return replace(node, condition=transform(node.condition, function))
        case logical.Apply():
            condition = None if node.condition is None else transform(node.condition, function)
            return replace(node, arguments=transform(node.arguments, function), condition=condition)
        case logical.Aggregate():
            keys, calls = transform(node.keys, function), transform(node.calls, function)
            return replace(node, keys=keys, calls=calls)
        case logical.Window():
            return replace(node, calls=transform(node.calls, function))
        case logical.Sort():
            return replace(node, keys=transform(node.keys, function))
        case _:
            return node
