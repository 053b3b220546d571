"""Window functions: function() OVER (PARTITION BY ... ORDER BY ...)."""

from __future__ import annotations

from sqlglot import exp

from engine.aggregates.registry import AGGREGATES
from engine.expressions import Expression
from engine.functions.registry import FUNCTIONS
from engine.operators import SortKey
from engine.operators.window import WINDOW_FUNCTIONS, WindowCall
from sql.binding.base import Binding, WindowValue, binds
from sql.binding.calls import call, key_of
from sql.marks import FunctionMark, mark_of, position_of
from storage.errors import FeatureNotSupported, GroupingError, WindowingError, WrongObjectType
from storage.types import INT8

# PostgreSQL's other window functions
_MISSING = frozenset(
    ("percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value", "last_value", "nth_value")
)


@binds(exp.Window, arguments="this partition_by order over")
def window(binding: Binding, tree: exp.Window) -> Expression:
    """A window function's value: the level computes it below its select list."""
    mark = mark_of(tree.this.this, FunctionMark) if isinstance(tree.this, exp.Anonymous) else None
    position = position_of(tree.this)
    if mark is None:
        raise FeatureNotSupported("this form of a window function is not supported", position=position)
    _check(binding, mark.name, tree.this.expressions, position)
    if binding.inside_aggregate:
        raise GroupingError(
            "aggregate function calls cannot contain window function calls", position=position
        )
    if binding.windows is None:
        raise WindowingError(f"window functions are not allowed in {binding.clause}", position=position)
    inside = binding.within(windows=None, clause="window definitions", sets=False, rows=None)
    partition = tuple(inside.value(item) for item in tree.args.get("partition_by") or ())
    order = _order(inside, tree.args.get("order"))
    return WindowValue(binding.windows.add(WindowCall(mark.name, partition, order)), INT8)


def _check(binding: Binding, name: str, arguments: list[exp.Expression], position: int) -> None:
    """Raise unless the function is one of windows, and there."""
    if name in WINDOW_FUNCTIONS and not arguments:
        return
    if name in _MISSING or name in AGGREGATES:
        raise FeatureNotSupported(f"{name} as a window function is not supported", position=position)
    if name in FUNCTIONS:
        raise WrongObjectType(
            f"OVER specified, but {name} is not a window function nor an aggregate function",
            position=position,
        )
    call(binding, name, [binding.bind(argument) for argument in arguments], position)
    raise AssertionError(f"{name} is no function of any table")


def _order(binding: Binding, clause: exp.Order | None) -> tuple[SortKey, ...]:
    items = [] if clause is None else clause.expressions
    return tuple(key_of(item, binding.value(item.this)) for item in items)
