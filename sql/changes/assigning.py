"""SET: which columns are assigned, and what; of UPDATE, ON CONFLICT DO UPDATE and MERGE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from engine.composites import Field, MakeRow
from engine.expressions import Expression, Reference
from engine.operators import Project
from engine.operators.lateral import is_volatile
from engine.subqueries import ScalarSubquery
from sql.binding import Binding, subqueries
from sql.changes import writing
from sql.changes.parts import Step, taken_apart
from sql.changes.parts import assigned as assigned_part
from sql.changes.writing import Target
from sql.coerce import assign
from sql.context import BindContext
from sql.marks import FunctionMark, mark_of, opening_of, position_of
from sql.scope import Relation, Scope
from storage.definitions import ColumnDefinition
from storage.errors import FeatureNotSupported, SqlSyntaxError
from storage.systemcolumns import SYSTEM_NAMES
from storage.types import record


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row's new version: all columns of the table. `keeps_keys`: none that a key is over is assigned."""

    values: tuple[Expression, ...]
    keeps_keys: bool
    assigned: frozenset[int]  # attnums
    changed: frozenset[int]  # those, and the generated columns that read them


def new_row(
    tree: exp.Expression, scope: Scope, old: Relation, target: Target, context: BindContext
) -> NewRow:
    """What SET makes of the rows of `old`. Raises SqlSyntaxError for a column that is set twice."""
    table = target.table
    values: list[Expression] = [scope.column(old, i) for i in range(len(table.columns))]
    assigned: set[int] = set()
    parts: set[int] = set()  # columns of which only parts are assigned
    for column, bound, position, steps in _assignments(tree, scope, target, context):
        if column.number in assigned and not (steps and column.number in parts):
            raise SqlSyntaxError(f'multiple assignments to same column "{column.name}"')
        assigned.add(column.number)
        place = table.position(column.number)
        if steps:
            parts.add(column.number)
            binding = Binding(context, scope, "UPDATE")
            bound = assigned_part(binding, values[place], column.name, steps, bound, position)
        values[place] = assign(bound, column, position, context)
    keys = {number for key in table.unique_keys for number in key.columns.numbers}
    changed = writing.with_computed(table, assigned)
    return NewRow(tuple(values), not changed & keys, frozenset(assigned), changed)


def _assignments(
    tree: exp.Expression, scope: Scope, target: Target, context: BindContext
) -> Iterator[tuple[ColumnDefinition, Expression, int, list[Step]]]:
    """Each column of SET with its value, the value's place, and the steps to the part of it that is meant."""
    binding = Binding(context, scope, "UPDATE")
    for item in tree.expressions:
        if not isinstance(item, exp.EQ):
            raise SqlSyntaxError("syntax error", position=position_of(item))
        left, right = item.this, item.expression
        if isinstance(left, exp.Tuple | exp.Paren):
            lefts = left.expressions if isinstance(left, exp.Tuple) else [left.this]
            columns = [_column(name, target) for name in lefts]
            steps = [taken_apart(name)[1] for name in lefts]
            values = _row(right, columns, binding, position_of(left))
            yield from zip(columns, *values, steps, strict=True)
            continue
        column = _column(left, target)
        yield column, _value(right, column, binding), position_of(right), taken_apart(left)[1]


def _column(tree: exp.Expression, target: Target) -> ColumnDefinition:
    name = writing.name_of(taken_apart(tree)[0])
    if name in SYSTEM_NAMES:
        raise FeatureNotSupported(f'cannot assign to system column "{name}"', position=position_of(tree))
    return target.column(name, position_of(tree))


def _value(tree: exp.Expression, column: ColumnDefinition, binding: Binding) -> Expression:
    if writing.is_default(tree):
        return writing.default_of(column, binding.context)
    writing.refuse_generated(column, update=True)
    return binding.bind(tree)


def _row(
    tree: exp.Expression, columns: list[ColumnDefinition], binding: Binding, position: int
) -> tuple[list[Expression], list[int]]:
    """(a, b) = (1, 2), ROW(1, 2), (SELECT 1, 2)."""
    query = subqueries.as_query(tree)
    if query is not None:
        return _selected(query, columns, binding, position)
    mark = mark_of(tree.this, FunctionMark) if isinstance(tree, exp.Anonymous) else None
    if isinstance(tree, exp.Tuple) or (mark is not None and mark.name == "row"):
        items = list(tree.expressions)
    elif isinstance(tree, exp.Paren) and len(columns) == 1:
        items = [tree.this]
    else:
        raise FeatureNotSupported(
            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            position=position_of(tree),
        )
    if len(items) != len(columns):
        place = position_of(tree) if isinstance(tree, exp.Tuple) else position
        raise SqlSyntaxError("number of columns does not match number of values", position=place)
    values = [_value(item, column, binding) for item, column in zip(items, columns, strict=True)]
    return values, [position_of(item) for item in items]


def _selected(
    query: exp.Expression, columns: list[ColumnDefinition], binding: Binding, position: int
) -> tuple[list[Expression], list[int]]:
    """(a, b) = (SELECT ...): the fields of its one row, nulls where it has none."""
    for column in columns:
        writing.refuse_generated(column, update=True)
    subplan, frame = subqueries.plan(binding, query)
    if len(subplan.types) != len(columns):
        place = opening_of(query, binding.context.text)
        raise SqlSyntaxError("number of columns does not match number of values", position=place)
    if is_volatile(subplan.operator):  # each field would have a row of its own
        raise FeatureNotSupported(
            "volatile functions in a multiple-column UPDATE item are not supported", position=position
        )
    row = record((f"f{at}", type) for at, type in enumerate(subplan.types, 1))
    made = MakeRow(tuple(Reference(at, type) for at, type in enumerate(subplan.types)), row)
    value = ScalarSubquery(Project(subplan.operator, (made,)), tuple(frame.arguments), row)
    fields: list[Expression] = [Field(value, at, type) for at, type in enumerate(subplan.types)]
    return fields, [position] * len(fields)
