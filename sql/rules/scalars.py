"""A subquery of one value that reads the outer row becomes a join, for all outer rows at once.

    t.x < (SELECT avg(u.x) FROM u WHERE u.a = t.a)
        t left-joined with u's averages grouped by a; the condition over both

    (SELECT u.name FROM u WHERE u.id = t.u), u.id being a key
        t left-joined with u

What an aggregation gives without rows (count: 0) stands where no group met the row. Aggregates are computed
of all groups, so their arguments must not be able to fail; what is computed of them is computed for outer
rows only. Where the outer key comes from a table that a condition makes small, only rows of such keys are
grouped: a semi join sees to that (the magic sets of Mumick, Finkelstein, Pirahesh and Ramakrishnan, 1990).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine import operators
from engine.aggregates.registry import AggregateCall
from engine.expressions import Call, Case, Cast, Constant, Expression, IsNull, Outer, Reference, walk
from engine.functions.registry import BY_ID
from engine.run import Run
from sql import logical
from sql.access import comparison
from sql.binding.subqueries import Scalar
from sql.expressions import (
    conjunction,
    conjuncts,
    is_set,
    is_volatile,
    references,
    shift,
    substitute,
    transform,
)
from sql.logical import Node
from sql.planning import Planning
from sql.rules.decorrelate import decorrelate, is_outer, over_both, taken_apart
from sql.rules.estimates import Estimates
from sql.rules.push_filters import null_if
from sql.rules.walk import bottom_up
from storage.column import Column
from storage.definitions import Table
from storage.errors import DatabaseError
from storage.types import BOOL, INTEGERS, NUMERIC

_FEW = 0.25  # the share of a table's rows from which on a semi join for them is not worth it
_TRUE = Constant(Column.scalar(BOOL, True))


def join_scalars(node: Node, planning: Planning) -> Node:
    """The tree with joins in place of subqueries of one value that read the outer row."""
    return bottom_up(node, _Joins(planning).node)


@dataclass(frozen=True)
class _Single:
    """A subquery of one value as a join: its right side, the condition, and its value over both rows."""

    node: Node
    on: tuple[Expression, ...]
    value: Expression


class _Joins:
    """The work on one tree."""

    def __init__(self, planning: Planning) -> None:
        self._planning = planning
        self._estimates = Estimates(planning)

    def node(self, node: Node) -> Node:
        """A node whose children are done."""
        match node:
            case logical.Get(condition=condition) | logical.Join(kind="inner", condition=condition):
                here, above = list[Expression](), list[Expression]()
                for part in conjuncts(condition):
                    (above if _scalars(part) else here).append(part)
                if not above:
                    return node
                bare = replace(node, condition=conjunction(here))
                filtered = conjunction(above)
                assert filtered is not None
                changed = self._over(bare, (filtered,))
                return node if changed is None else self._filtered(*changed, len(node.types))
            case logical.Filter():
                changed = self._over(node.child, (node.condition,))
                return node if changed is None else self._filtered(*changed, len(node.types))
            case logical.Project() if not node.sets:
                changed = self._over(node.child, node.expressions)
                return node if changed is None else logical.Project(*changed)
            case _:
                return node

    def _filtered(self, child: Node, expressions: tuple[Expression, ...], width: int) -> Node:
        columns = tuple(Reference(i, type) for i, type in enumerate(child.types[:width]))
        return logical.Project(logical.Filter(child, expressions[0]), columns)

    def _over(
        self, child: Node, expressions: tuple[Expression, ...]
    ) -> tuple[Node, tuple[Expression, ...]] | None:
        """The child joined with subqueries in expressions over it, and these over that; None: with none."""
        start, values = child, dict[int, Expression]()
        for scalar in _scalars(*expressions):
            if id(scalar) in values:
                continue
            single = self._single(start, child, scalar)
            if single is not None:
                child = logical.Join("left", child, single.node, conjunction(list(single.on)))
                values[id(scalar)] = single.value
        if not values:
            return None
        return child, transform(expressions, lambda found: values.get(id(found)))

    def _single(self, outer: Node, left: Node, scalar: Scalar) -> _Single | None:
        node = scalar.node
        if node is None or not all(isinstance(a, Reference) for a in scalar.arguments):
            return None
        if not isinstance(node, logical.Project) or node.sets or any(map(is_outer, node.expressions)):
            return None
        if is_volatile(node.expressions[0]) or is_set(node.expressions[0]):
            return None
        if isinstance(node.child, logical.Aggregate):
            return self._grouped(outer, left, scalar, node.expressions[0], node.child)
        return self._looked_up(left, scalar, node)

    def _looked_up(self, left: Node, scalar: Scalar, node: logical.Project) -> _Single | None:
        """The one row that a unique key finds."""
        parts = taken_apart(node)
        if parts is None:
            return None
        table = parts.node.child if isinstance(parts.node, logical.Filter) else parts.node
        if not isinstance(table, logical.Get) or not isinstance(table.source, Table):
            return None
        numbers = set[int]()
        for condition in parts.correlated:
            sides = _equal_sides(condition)
            if (
                sides is not None
                and isinstance(sides[1], Reference)
                and sides[1].index < len(table.positions)
            ):
                numbers.add(table.source.at(table.positions[sides[1].index]).number)
        if not any(set(key.columns.numbers) <= numbers for key in table.source.unique_keys):
            return None
        width = len(left.types)
        on = tuple(over_both(c, scalar.arguments, width) for c in parts.correlated)
        inner = decorrelate(parts.node, self._planning)
        columns = tuple(Reference(i, type) for i, type in enumerate(inner.types))
        right = join_scalars(logical.Project(inner, (*columns, _TRUE)), self._planning)
        value = shift(parts.output[0], width)
        if not null_if(value, range(width, width + len(columns))):
            value = _where_met(width + len(columns), value, None)
        return _Single(right, on, value)

    def _grouped(
        self, outer: Node, left: Node, scalar: Scalar, expression: Expression, aggregate: logical.Aggregate
    ) -> _Single | None:
        """An aggregation, by the inner sides of the equalities."""
        if aggregate.keys or aggregate.sets or aggregate.groupings or not aggregate.calls:
            return None
        if not all(_is_total(call) for call in aggregate.calls):
            return None
        columns = tuple(Reference(i, type) for i, type in enumerate(aggregate.child.types))
        parts = taken_apart(logical.Project(aggregate.child, columns))
        if parts is None:
            return None
        keys: list[Expression] = []
        arguments: list[Expression] = []
        on: list[tuple[Expression, Expression]] = []
        for condition in parts.correlated:
            sides = _equal_sides(condition)
            if sides is None:
                return None
            arguments.append(sides[0])
            keys.append(sides[1])
            on.append((condition, sides[1]))
        defaults = _defaults(aggregate)
        if defaults is None:
            return None
        width, count = len(left.types), len(keys)
        inner = self._of_few(outer, scalar, decorrelate(parts.node, self._planning), arguments, keys)
        grouped = logical.Aggregate(inner, tuple(keys), aggregate.calls)
        right = logical.Project(
            grouped, (*(Reference(i, type) for i, type in enumerate(grouped.types)), _TRUE)
        )
        met = tuple(
            over_both(_with_inner(condition, key, Reference(i, key.type)), scalar.arguments, width)
            for i, (condition, key) in enumerate(on)
        )
        value = shift(expression, width + count)
        if any(default.value.is_valid()[0] for default in defaults):
            missing = substitute(expression, defaults)
            value = _where_met(width + len(grouped.types), value, missing)
        return _Single(join_scalars(right, self._planning), met, value)

    def _of_few(
        self, outer: Node, scalar: Scalar, inner: Node, arguments: list[Expression], keys: list[Expression]
    ) -> Node:
        """The rows to group: those alone whose key a small table has that the outer key comes from."""
        columns = [scalar.arguments[e.index] for e in arguments if isinstance(e, Outer)]
        places = [column.index for column in columns if isinstance(column, Reference)]
        source = _source(outer, places) if len(places) == len(keys) else None
        if source is None:
            return inner
        table, where = source
        few = self._estimates.rows(table)
        if few > _FEW * self._estimates.table_rows(table) or few > _FEW * self._estimates.rows(inner):
            return inner
        width = len(inner.types)
        on: list[Expression] = []
        for key, place in zip(keys, where, strict=True):
            type = table.types[place]
            equal = f"operator =({key.type.base.name},{type.base.name})"
            if equal not in BY_ID:
                return inner
            on.append(Call(equal, (key, Reference(width + place, type)), BOOL))
        return logical.Join("semi", inner, table, conjunction(on))


def _scalars(*expressions: Expression) -> list[Scalar]:
    """The subqueries of one value, that read the outer row, in expressions."""
    return [n for e in expressions for n in walk(e) if isinstance(n, Scalar) and n.arguments]


def _equal_sides(condition: Expression) -> tuple[Expression, Expression] | None:
    """(what reads the outer row only, what reads the subquery's row only) of an equality."""
    if comparison(condition) != "=":
        return None
    assert isinstance(condition, Call)
    one, other = condition.arguments
    if is_outer(other):
        one, other = other, one
    if not is_outer(one) or is_outer(other) or references(one) or not references(other):
        return None
    return None if is_volatile(condition) or _has_plan(condition) else (one, other)


def _has_plan(expression: Expression) -> bool:
    return any(hasattr(node, "plan") for node in walk(expression))


def _with_inner(condition: Expression, key: Expression, column: Expression) -> Expression:
    """The equality with a column in place of its inner side."""
    assert isinstance(condition, Call)
    return replace(condition, arguments=tuple(column if a is key else a for a in condition.arguments))


def _where_met(marker: int, value: Expression, missing: Expression | None) -> Expression:
    """The value where the join found a row, which has a mark; else what is given for none."""
    none = IsNull(Reference(marker, BOOL))
    otherwise = Constant(Column.scalar(value.type, None)) if missing is None else missing
    return Case(((none, otherwise),), value, value.type)


def _is_total(call: AggregateCall) -> bool:
    """Whether a call may be computed of groups that nobody asks for: its arguments cannot fail."""
    if call.direct is not None or (call.filter is not None and not _is_safe(call.filter)):
        return False
    return all(map(_is_safe, call.arguments)) and not is_volatile_call(call)


def is_volatile_call(call: AggregateCall) -> bool:
    """Whether two computations of an aggregate may differ."""
    expressions = (*call.arguments, *(key.expression for key in call.order))
    return any(is_volatile(e) or is_outer(e) or _has_plan(e) for e in expressions)


def _is_safe(expression: Expression) -> bool:
    for node in walk(expression):
        if isinstance(node, Reference | Constant | IsNull):
            continue
        if isinstance(node, Cast) and node.argument.type.base in INTEGERS and node.type.base == NUMERIC:
            continue
        if isinstance(node, Call) and (BY_ID[node.function].total or _is_numeric(node)):
            continue
        return False
    return True


def _is_numeric(call: Call) -> bool:
    """Whether a call is a sum, difference, product or comparison of numerics, which no values fail."""
    symbol = call.function.removeprefix("operator ").partition("(")[0]
    types = [argument.type.base for argument in call.arguments]
    return all(t == NUMERIC for t in types) and symbol in ("+", "-", "*", "=", "<>", "<", "<=", ">", ">=")


def _defaults(aggregate: logical.Aggregate) -> tuple[Constant, ...] | None:
    """What the calls give where there is no row; None where that fails."""
    nothing: Any = None
    run = Run(nothing, nothing)
    empty = operators.Aggregate(operators.Nothing(aggregate.child.types), (), aggregate.calls)
    try:
        (batch,) = [batch for batch in empty.batches(run) if batch.rows]
    except DatabaseError:
        return None
    return tuple(Constant(Column.scalar(c.type, c.tolist()[0])) for c in batch.columns)


def _source(node: Node, places: list[int]) -> tuple[logical.Get, list[int]] | None:
    """The table that all these columns come from unchanged, and where they stand in it."""
    match node:
        case logical.Get():
            known = all(place < len(node.positions) for place in places)
            return (node, places) if known and places and not node.row_ids else None
        case logical.Filter() | logical.Sort():
            return _source(node.child, places)
        case logical.Project():
            found = [node.expressions[place] for place in places]
            inner = [e.index for e in found if isinstance(e, Reference)]
            return _source(node.child, inner) if len(inner) == len(found) else None
        case logical.Join():
            width = len(node.left.types)
            if all(place < width for place in places) and node.kind in ("inner", "left", "semi", "anti"):
                return _source(node.left, places)
            if all(place >= width for place in places) and node.kind in ("inner", "right"):
                return _source(node.right, [place - width for place in places])
    return None
