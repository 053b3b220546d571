"""Work on bound expressions: walking, replacing, moving from one row of columns to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from engine.aggregates.registry import AggregateCall
from engine.expressions import And, Expression, Reference, walk
from engine.operators import FrameBound, SortKey, WindowCall, WindowFrame
from engine.operators.projectsets import is_set_call
from engine.parallel import is_volatile_node

E = TypeVar("E")
_FIELDS: dict[type, tuple[str, ...]] = {}


def transform(node: E, function: Callable[[Any], Any]) -> E:
    """The expression (or sort key, tuple of them, ...) with what `function` gives in place of nodes.

    `function` is asked from the top; None means: look below. Plans of subqueries are left alone, their
    arguments are not.
    """
    result: E = _transformed(node, function)
    return result


def _transformed(node: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(node, tuple):
        items = [_transformed(item, function) for item in node]
        return tuple(items) if any(a is not b for a, b in zip(items, node, strict=True)) else node
    if hasattr(node, "evaluate"):
        found = function(node)
        if found is not None:
            return found
    elif not isinstance(node, SortKey | AggregateCall | WindowCall | WindowFrame | FrameBound):
        return node
    changes = {}
    for name in _names(type(node)):
        value = getattr(node, name)
        other = _transformed(value, function)
        if other is not value:
            changes[name] = other
    return replace(node, **changes) if changes else node


def _names(kind: type) -> tuple[str, ...]:
    names = _FIELDS.get(kind)
    if names is None:
        names = tuple(f.name for f in fields(kind)) if is_dataclass(kind) else ()
        _FIELDS[kind] = names
    return names


def references(*expressions: Expression | None) -> set[int]:
    """The columns that expressions read."""
    return {
        node.index
        for expression in expressions
        if expression is not None
        for node in walk(expression)
        if isinstance(node, Reference)
    }


def remap(expression: E, places: Mapping[int, int]) -> E:
    """The expression over rows in which column i stands at places[i]."""

    def move(node: Any) -> Any:
        if isinstance(node, Reference):
            return replace(node, index=places[node.index])
        return None

    return transform(expression, move)


def shift(expression: E, by: int) -> E:
    """The expression over rows that begin `by` columns further right."""
    if by == 0:
        return expression

    def move(node: Any) -> Any:
        return replace(node, index=node.index + by) if isinstance(node, Reference) else None

    return transform(expression, move)


def substitute(expression: E, values: tuple[Expression, ...]) -> E:
    """The expression over a projection, as one over the projection's input."""

    def put(node: Any) -> Any:
        return values[node.index] if isinstance(node, Reference) else None

    return transform(expression, put)


def conjuncts(condition: Expression | None) -> list[Expression]:
    """The conditions that AND joins."""
    if condition is None:
        return []
    if isinstance(condition, And):
        return [part for operand in condition.operands for part in conjuncts(operand)]
    return [condition]


def conjunction(parts: list[Expression]) -> Expression | None:
    """All of them, by AND; None for none."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def is_volatile(expression: Expression) -> bool:
    """Whether two evaluations may differ, or do something."""
    return any(map(is_volatile_node, walk(expression)))


def is_set(expression: Expression) -> bool:
    """Whether it multiplies rows."""
    return any(map(is_set_call, walk(expression)))


def is_constant(expression: Expression) -> bool:
    """Whether it is the same for every row of a run: it reads no column and no volatile function."""
    return not references(expression) and not is_volatile(expression) and not is_set(expression)
