"""Window functions: function() OVER (PARTITION BY ... ORDER BY ... frame), OVER name, the WINDOW clause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.aggregates.registry import AGGREGATES, HYPOTHETICAL
from engine.expressions import Expression
from engine.functions.registry import FUNCTIONS
from engine.operators import SortKey, WindowFrame
from engine.operators.windowcalls import DEFAULT_FRAME, WindowCall
from engine.operators.windowfunctions import WINDOW_FUNCTIONS
from sql.binding.base import Binding, WindowDefinition, WindowValue, binds
from sql.binding.calls import Arguments, call, chosen_aggregate, filtering, key_of, read
from sql.binding.frames import frame_of
from sql.coerce import common_type
from sql.functions import Choice, resolve_window
from sql.marks import FunctionMark, WindowMark, mark_of, position_of
from sql.sortable import must_equal
from storage.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    GroupingError,
    SqlSyntaxError,
    UndefinedObject,
    WindowingError,
    WrongObjectType,
)


@binds(exp.Window, arguments="this partition_by order spec alias over")
def window(binding: Binding, tree: exp.Window) -> Expression:
    """A window function's value: the level computes it below its select list."""
    function, condition = tree.this, None
    if isinstance(function, exp.Filter):
        function, condition = function.this, function.expression.this
    if isinstance(function, exp.WithinGroup):
        ordered = mark_of(function.this.this, FunctionMark)
        name = "" if ordered is None else ordered.name
        raise FeatureNotSupported(
            f"OVER is not supported for ordered-set aggregate {name}", position=position_of(function.this)
        )
    mark = mark_of(function.this, FunctionMark) if isinstance(function, exp.Anonymous) else None
    if mark is None or mark.form:
        raise SqlSyntaxError('syntax error at or near "over"', position=position_of(function))
    if binding.inside_window:
        raise WindowingError("window function calls cannot be nested", position=mark.position)
    if binding.inside_aggregate:
        raise GroupingError(
            "aggregate function calls cannot contain window function calls", position=mark.position
        )
    if binding.windows is None:
        raise WindowingError(
            f"window functions are not allowed in {_clause(binding)}", position=mark.position
        )
    choice, arguments = _function(binding, mark, read(function.expressions), condition)
    filter = filtering(binding, condition)
    found = _window(binding, tree, int(tree.args["over"]), binding.definitions)
    made = WindowCall(choice.id, choice.result, arguments, filter, found.partition, found.order, found.frame)
    return WindowValue(binding.windows.add(made), choice.result)


def _clause(binding: Binding) -> str:
    """Where a window function is refused: a frame's bounds are part of the definition."""
    return "window definitions" if binding.clause.startswith("window ") else binding.clause


def _function(
    binding: Binding, mark: FunctionMark, arguments: Arguments, condition: exp.Expression | None
) -> tuple[Choice, tuple[Expression, ...]]:
    """(the function that a call means, its arguments as it takes them)."""
    name, position = mark.name, mark.position
    inside = binding.within(inside_window=True, sets=False, rows=None)
    if name not in AGGREGATES and name not in WINDOW_FUNCTIONS:
        if name in FUNCTIONS:
            raise WrongObjectType(
                f"OVER specified, but {name} is not a window function nor an aggregate function",
                position=position,
            )
        call(inside, name, [inside.bind(argument) for argument in arguments.trees], position)
        raise AssertionError(f"{name} is no function of any table")
    if name in HYPOTHETICAL and arguments.trees:
        raise WrongObjectType(f"WITHIN GROUP is required for ordered-set aggregate {name}", position=position)
    if arguments.distinct:
        raise FeatureNotSupported("DISTINCT is not implemented for window functions", position=position)
    if arguments.order:
        raise FeatureNotSupported(
            "aggregate ORDER BY is not implemented for window functions", position=position
        )
    if name in AGGREGATES and name not in WINDOW_FUNCTIONS:
        return chosen_aggregate(inside, mark, arguments)
    bound = _alike(inside, name, arguments.trees)
    choice = resolve_window(name, [b.type for b in bound], position)
    if condition is not None:
        raise FeatureNotSupported(
            "FILTER is not implemented for non-aggregate window functions", position=position
        )
    pairs = zip(bound, choice.arguments, strict=True)
    return choice, tuple(inside.coerced(b, type, position) for b, type in pairs)


def _alike(binding: Binding, name: str, trees: Sequence[exp.Expression]) -> list[Expression]:
    """The arguments; value and default of lag and lead have the type that they have in common."""
    bound = [binding.bind(tree) for tree in trees]
    if name not in ("lag", "lead") or len(bound) != 3:
        return bound
    value, distance, default = bound
    try:
        type = common_type([value.type, default.type], name)
    except DatatypeMismatch:
        return bound  # which no signature fits
    places = [position_of(tree) for tree in trees]
    return [binding.coerced(value, type, places[0]), distance, binding.coerced(default, type, places[2])]


# windows


@dataclass(frozen=True)
class _Window:
    """A bound window definition."""

    partition: tuple[Expression, ...] = ()
    order: tuple[SortKey, ...] = ()
    frame: WindowFrame = DEFAULT_FRAME


def definitions_of(tree: exp.Select) -> tuple[WindowDefinition, ...]:
    """The definitions of a WINDOW clause. Raises WindowingError for a name that is there twice."""
    definitions: list[WindowDefinition] = []
    for each in tree.args.get("windows") or ():
        mark = mark_of(each.this, WindowMark)
        assert mark is not None
        if any(known.name == mark.name for known in definitions):
            raise WindowingError(f'window "{mark.name}" is already defined', position=mark.position)
        definitions.append(WindowDefinition(mark.name, mark.position, each))
    return tuple(definitions)


def check_definitions(binding: Binding) -> None:
    """Bind the WINDOW clause, which may be wrong though nobody uses it."""
    for number, each in enumerate(binding.definitions):
        _window(binding, each.tree, each.position, binding.definitions[:number])


def _window(binding: Binding, tree: exp.Window, position: int, known: Sequence[WindowDefinition]) -> _Window:
    """The window that a definition describes; it may build on one of those that are `known`."""
    alias = tree.args.get("alias")
    if alias is None:
        return _defined(binding, tree, _Window(), position)
    number = next((i for i, each in enumerate(known) if each.name == alias.this), None)
    if number is None:
        raise UndefinedObject(f'window "{alias.this}" does not exist', position=position)
    name, base = alias.this, known[number]
    found = _window(binding, base.tree, base.position, known[:number])
    if "spec" not in tree.args:  # OVER name
        return found
    if tree.args.get("partition_by"):
        raise WindowingError(f'cannot override PARTITION BY clause of window "{name}"', position=position)
    if tree.args.get("order") is not None and found.order:
        raise WindowingError(f'cannot override ORDER BY clause of window "{name}"', position=position)
    if base.tree.args.get("spec") is not None:
        lone = tree.args.get("order") is None and tree.args.get("spec") is None
        raise WindowingError(
            f'cannot copy window "{name}" because it has a frame clause',
            hint="Omit the parentheses in this OVER clause." if lone and tree.this is not None else "",
            position=position,
        )
    return _defined(binding, tree, found, position)


def _defined(binding: Binding, tree: exp.Window, base: _Window, position: int) -> _Window:
    inside = binding.within(windows=None, clause="window definitions", sets=False, rows=None)
    partition = tuple(inside.value(item) for item in tree.args.get("partition_by") or ())
    for key, item in zip(partition, tree.args.get("partition_by") or (), strict=True):
        must_equal(key.type, position_of(item))
    found = replace(base, partition=partition or base.partition)
    clause = tree.args.get("order")
    if clause is not None:
        items = clause.expressions
        found = replace(found, order=tuple(key_of(item, inside.value(item.this)) for item in items))
    return replace(found, frame=frame_of(inside, tree.args.get("spec"), found.order, position))
