"""Ordered-set aggregates: function(direct arguments) WITHIN GROUP (ORDER BY ...).

What ORDER BY names are the rows' arguments; the direct ones belong to the group, and are bound to its keys
when these are known (sql.grouping).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from engine.aggregates.registry import AGGREGATES, HYPOTHETICAL, AggregateCall, Direct
from engine.expressions import Expression
from engine.operators import SortKey
from sql.binding.base import Binding, binds
from sql.binding.calls import filtering, filters, is_variadic, key_of, read, undefined
from sql.binding.levels import aggregate_value, captured
from sql.coerce import common_type
from sql.functions import resolve_ordered_set
from sql.marks import FunctionMark, mark_of, position_of
from storage.errors import SqlSyntaxError, UndefinedFunction
from storage.types import UNKNOWN


@binds(exp.WithinGroup, arguments="this expression")
def within_group(binding: Binding, tree: exp.WithinGroup) -> Expression:
    """An ordered-set aggregate without FILTER."""
    return ordered_set(binding, tree, None)


@filters(exp.WithinGroup)
def ordered_set(binding: Binding, tree: exp.WithinGroup, condition: exp.Expression | None) -> Expression:
    """An ordered-set aggregate's value: the level computes it below its select list."""
    mark = mark_of(tree.this.this, FunctionMark) if isinstance(tree.this, exp.Anonymous) else None
    order = tree.expression
    if mark is None or not isinstance(order, exp.Order):
        raise SqlSyntaxError('syntax error at or near "within"', position=position_of(tree.this))
    if any(map(is_variadic, tree.this.expressions)):
        raise SqlSyntaxError("cannot use VARIADIC with WITHIN GROUP", position=position_of(tree))
    arguments = read(tree.this.expressions)
    if arguments.distinct:
        raise SqlSyntaxError("cannot use DISTINCT with WITHIN GROUP", position=mark.position)
    if arguments.order:
        raise SqlSyntaxError("cannot use multiple ORDER BY clauses with WITHIN GROUP", position=mark.position)
    before = captured(binding)
    inside = binding.within(inside_aggregate=True, sets=False, aliases={}, rows=None)
    direct = [inside.bind(argument) for argument in arguments.trees]
    items = [item if isinstance(item, exp.Ordered) else exp.Ordered(this=item) for item in order.expressions]
    keys = [key_of(item, inside.bind(item.this)) for item in items]
    places = [position_of(argument) for argument in arguments.trees]
    if mark.name in HYPOTHETICAL:
        call = _hypothetical(inside, mark, direct, keys, places)
    else:
        call = _ordered(inside, mark, direct, keys, places)
    if condition is not None:
        kept = filtering(binding, condition)
        call = AggregateCall(call.function, call.arguments, False, kept, call.order, call.type, call.direct)
    return aggregate_value(binding, call, before, mark.position)


def _ordered(
    binding: Binding,
    mark: FunctionMark,
    direct: Sequence[Expression],
    keys: Sequence[SortKey],
    places: Sequence[int],
) -> AggregateCall:
    """A call of percentile_cont and its kin, whose values are sorted."""
    given = [*direct, *(key.expression for key in keys)]
    if mark.name not in AGGREGATES:
        raise undefined(mark.name, given, mark.position)
    choice, count = resolve_ordered_set(mark.name, [e.type for e in given], mark.position)
    if count != len(direct):
        error = undefined(mark.name, given, mark.position)
        raise UndefinedFunction(
            error.message,
            hint=f"There is an ordered-set aggregate {mark.name}, but it requires {count} direct "
            f"argument{'' if count == 1 else 's'}, not {len(direct)}.",
            position=mark.position,
        )
    positions = [*places, *(mark.position for _ in keys)]
    values = tuple(
        binding.coerced(binding.known(e) if type.oid == UNKNOWN.oid else e, type, position)
        for e, type, position in zip(given, choice.arguments, positions, strict=True)
    )
    sorted_by = tuple(
        SortKey(value, key.descending, key.nulls_first)
        for value, key in zip(values[count:], keys, strict=True)
    )
    return AggregateCall(
        choice.id, values[count:], False, None, sorted_by, choice.result, Direct(values[:count])
    )


def _hypothetical(
    binding: Binding,
    mark: FunctionMark,
    direct: Sequence[Expression],
    keys: Sequence[SortKey],
    places: Sequence[int],
) -> AggregateCall:
    """A call of rank and its kin, each direct argument beside its key of ORDER BY."""
    if len(direct) != len(keys):
        error = undefined(mark.name, [*direct, *(key.expression for key in keys)], mark.position)
        raise UndefinedFunction(
            error.message,
            hint=f"To use the hypothetical-set aggregate {mark.name}, the number of hypothetical direct "
            f"arguments (here {len(direct)}) must match the number of ordering columns (here {len(keys)}).",
            position=mark.position,
        )
    values, rows = [], []
    for given, key, position in zip(direct, keys, places, strict=True):
        type = common_type([key.expression.type, given.type], "WITHIN GROUP", [position, position])
        values.append(binding.coerced(given, type, position))
        rows.append(binding.coerced(key.expression, type, position))
    (aggregate,) = HYPOTHETICAL[mark.name]
    directions = tuple((key.descending, key.nulls_first) for key in keys)
    return AggregateCall(
        aggregate.id, tuple(rows), False, None, (), aggregate.result, Direct(tuple(values), directions)
    )
