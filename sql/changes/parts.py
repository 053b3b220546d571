"""Parts of columns that are assigned: a.field, a.field.inner, a[1], a[1].field.

The column gets a new value, made of the one that it has: rows with one field replaced, arrays with an
element or a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from engine.composites import MakeRow
from engine.expressions import Expression
from sql.binding import Binding, arrays, rows
from sql.coerce import can_coerce
from sql.marks import PartMark, position_of
from sql.parse import parse_expression_tokens
from storage.definitions import ColumnDefinition
from storage.errors import DatatypeMismatch, SqlSyntaxError, UndefinedColumn
from storage.types import JSONB, Type

Step = exp.Bracket | exp.Identifier


@dataclass(frozen=True)
class PartOfColumn(ColumnDefinition):
    """A field of a column as a target of its own: its number is none that a column has."""

    whole: ColumnDefinition = field(kw_only=True)
    steps: list[Step] = field(kw_only=True, compare=False)
    position: int = field(kw_only=True, default=0)

    @classmethod
    def of(cls, whole: ColumnDefinition, mark: PartMark, number: int, text: str) -> PartOfColumn:
        """The part that is written. Raises DatatypeMismatch, UndefinedColumn, SqlSyntaxError."""
        _, steps = taken_apart(parse_expression_tokens(list(mark.tokens), text))
        type = _part_type(whole, steps, mark.position)
        return cls(whole.name, type, number, whole=whole, steps=steps, position=mark.position)


def _part_type(whole: ColumnDefinition, steps: list[Step], position: int) -> Type:
    """The type of the part of a column that steps lead to."""
    type, at = whole.type, 0
    while at < len(steps):
        step = steps[at]
        if isinstance(step, exp.Identifier):
            type = field_of(type, whole.name, step.this, position)
            at += 1
            continue
        if type.base.oid == JSONB.oid:
            while at < len(steps) and isinstance(steps[at], exp.Bracket):
                at += 1
            continue
        if type.element is None:
            raise arrays.not_subscriptable(type, position)
        sliced = False
        while at < len(steps) and isinstance(steps[at], exp.Bracket):
            sliced = sliced or any(isinstance(each, exp.Slice) for each in steps[at].expressions)
            at += 1
        type = type.base if sliced else type.element
    return type


def field_of(type: Type, column: str, name: str, position: int) -> Type:
    """The type of a row type's field. Raises DatatypeMismatch, UndefinedColumn."""
    if not type.is_row:
        raise DatatypeMismatch(
            f'cannot assign to field "{name}" of column "{column}" because its type {type.base} is not a '
            "composite type",
            position=position,
        )
    found = next((a for a in type.attributes or () if a.name == name), None)
    if found is None:
        raise UndefinedColumn(
            f'cannot assign to field "{name}" of column "{column}" because there is no such column in data '
            f"type {type}",
            position=position,
        )
    return found.type


def taken_apart(tree: exp.Expression) -> tuple[exp.Expression, list[Step]]:
    """(the column's name, the steps to the part of it that is meant: none for the whole)."""
    steps: list[Step] = []
    while isinstance(tree, exp.Bracket | exp.Dot):
        if isinstance(tree, exp.Bracket):
            steps.append(tree)
        elif isinstance(tree.expression, exp.Identifier):
            steps.append(tree.expression)
        else:
            raise SqlSyntaxError('syntax error at or near "."', position=position_of(tree))
        tree = tree.this
    if isinstance(tree, exp.Column):
        names = [tree.args[part] for part in ("catalog", "db", "table", "this") if tree.args.get(part)]
        steps += reversed(names[1:])
        tree = names[0]
    return tree, steps[::-1]


def assigned(
    binding: Binding, value: Expression, column: str, steps: list[Step], part: Expression, position: int
) -> Expression:
    """A column's value with a part of it replaced. Raises DatatypeMismatch, UndefinedColumn."""
    first = steps[0]
    if isinstance(first, exp.Identifier):
        return _with_field(binding, value, column, steps, part, position)
    brackets = []
    while steps and isinstance(steps[0], exp.Bracket):
        brackets.append(steps[0])
        steps = steps[1:]
    if steps:
        inner = arrays.part(binding, value, brackets, position)
        part = assigned(binding, inner, column, steps, part, position)
    return arrays.assigned(binding, value, column, brackets, part, position)


def _with_field(
    binding: Binding, row: Expression, column: str, steps: list[Step], part: Expression, position: int
) -> Expression:
    name = steps[0].this
    place = position_of(steps[0])
    wanted = field_of(row.type, column, name, place)
    items = [named.expression for named in rows.fields(row)]
    at = next(i for i, attribute in enumerate(row.type.attributes or ()) if attribute.name == name)
    if steps[1:]:
        part = assigned(binding, items[at], column, steps[1:], part, position)
    if not can_coerce(part.type, wanted, "a"):
        raise DatatypeMismatch(
            f'subfield "{name}" is of type {wanted.base} but expression is of type {part.type.base}',
            hint="You will need to rewrite or cast the expression.",
            position=position,
        )
    items[at] = binding.assigned(part, wanted, position)
    return MakeRow(tuple(items), row.type)
