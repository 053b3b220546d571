"""Rows that stand too far behind in their partition are left out before they are sorted and numbered.

    Filter(n <= 2) over Window(row_number() AS n)      the same over PartitionTop(2)
    Distinct(a) over Sort(a, b), of DISTINCT ON        the same over PartitionTop(1) by a, in the order of b

The filter and the window stay: what is left out has a larger number than the others, and takes no part in
theirs. So it is if all that the window gives are places in one order, from its beginning on.
"""

from __future__ import annotations

from dataclasses import replace

from engine.expressions import Constant, Expression, Reference, walk
from engine.operators import SortKey, WindowCall
from sql import logical
from sql.access import comparison
from sql.expressions import conjuncts, is_constant, is_volatile
from sql.logical import Node
from sql.planning import Planning
from sql.rules.walk import bottom_up
from storage.column import Column
from storage.types import INT8, INTEGERS, Form, Type

_PLACES = ("row_number()", "rank()", "dense_rank()")
_FLIPPED = {"<=": ">=", "<": ">", "=": "="}


def use_partition_top(node: Node, planning: Planning) -> Node:
    """The tree with PartitionTop below what asks for the first rows of partitions."""
    return bottom_up(node, _below)


def _below(node: Node) -> Node:
    match node:
        case logical.Filter(logical.Window()):
            return _numbered(node)
        case logical.Distinct(logical.Sort()) if node.keys is not None:
            return _distinct(node, node.keys)
        case _:
            return node


def _numbered(node: logical.Filter) -> Node:
    window = node.child
    assert isinstance(window, logical.Window)
    first = window.calls[0]
    alike = all(
        call.function in _PLACES and (call.partition, call.order) == (first.partition, first.order)
        for call in window.calls
    )
    if not alike or not _sorts(first.partition, first.order):
        return node
    for part in conjuncts(node.condition):
        found = _asked(part, window)
        if found is not None:
            call, count, less = found
            child = logical.PartitionTop(
                window.child, first.partition, first.order, count, less, ties=call.function == "rank()"
            )
            return replace(node, child=replace(window, child=child))
    return node


def _asked(part: Expression, window: logical.Window) -> tuple[WindowCall, Expression, int] | None:
    """(a call, what its number may be at most, less what), if a condition says so."""
    symbol = comparison(part)
    if symbol is None:
        return None
    left, right = part.arguments  # type: ignore[attr-defined]
    for number, count, wanted in ((left, right, tuple(_FLIPPED)), (right, left, tuple(_FLIPPED.values()))):
        if symbol not in wanted or not isinstance(number, Reference) or not _is_count(count):
            continue
        index = number.index - len(window.child.types)
        # two groups of peers may have any number of rows
        if index >= 0 and window.calls[index].function != "dense_rank()":
            return window.calls[index], count, int(symbol in ("<", ">"))
    return None


def _is_count(expression: Expression) -> bool:
    if expression.type.base not in INTEGERS or any(hasattr(node, "plan") for node in walk(expression)):
        return False
    return is_constant(expression)


def _distinct(node: logical.Distinct, keys: tuple[Expression, ...]) -> Node:
    sort = node.child
    assert isinstance(sort, logical.Sort)
    order = tuple(key for key in sort.keys if key.expression not in keys)
    if not _sorts(keys, order):
        return node
    one = Constant(Column.scalar(INT8, 1))
    return replace(node, child=replace(sort, child=logical.PartitionTop(sort.child, keys, order, one)))


def _sorts(partition: tuple[Expression, ...], order: tuple[SortKey, ...]) -> bool:
    """Whether rows can be compared by a word, and always are alike."""
    expressions = (*partition, *(key.expression for key in order))
    return not any(map(is_volatile, expressions)) and (not order or _is_word(order[0].expression.type))


def _is_word(type: Type) -> bool:
    """Whether a value of a type, more or less, is one word: see engine.orders.order_word."""
    fixed = type.form is Form.FIXED and type.dtype is not None and type.dtype.names is None
    return fixed or type.form is Form.DECIMAL
