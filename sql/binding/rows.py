"""Rows as values: ROW(...), whole rows of relations, fields, comparisons item by item.

Where both sides are written out, (a, b) = (c, d) compares a with c and b with d, nulls as everywhere; values
of row types compare as a whole, nulls in them being equal. What a row was written of is not made where a
field of it alone is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from engine.composites import Field, MakeRow, RowIsNull
from engine.expressions import And, Distinction, Expression, IsNull, Or, Reference
from engine.operators import Project
from engine.subqueries import Paired, QuantifiedRows, ScalarSubquery
from sql.binding.base import Binding, binds
from sql.binding.subqueries import plan
from sql.functions import resolve_operator
from sql.marks import FunctionMark, mark_of, position_of
from sql.resolved import FieldName, WholeRow
from sql.scope import Relation, Scope
from storage.definitions import Table, View
from storage.errors import (
    FeatureNotSupported,
    SqlSyntaxError,
    UndefinedColumn,
    WrongObjectType,
)
from storage.types import RECORD, Type, record

_COMPARISONS = frozenset(("=", "<>", "<", "<=", ">", ">="))
Pair = tuple[Expression, Expression]
Trees = Sequence[exp.Expression]


@dataclass(frozen=True, slots=True)
class Named:
    """A field of a row under its name."""

    name: str
    expression: Expression


def row_items(tree: exp.Expression) -> list[exp.Expression] | None:
    """The items of (a, b) and ROW(a, b); None for anything else."""
    if isinstance(tree, exp.Tuple):
        return list(tree.expressions)
    if isinstance(tree, exp.Anonymous):
        mark = mark_of(tree.this, FunctionMark)
        if mark is not None and mark.form == "row":
            return list(tree.expressions)
    return None


@binds(exp.Tuple, arguments="expressions")
def row(binding: Binding, tree: exp.Tuple) -> Expression:
    """(a, b) as a value."""
    return made(binding, tree.expressions)


def row_call(binding: Binding, mark: FunctionMark, trees: Trees) -> Expression:
    """ROW(a, b) as a value."""
    return made(binding, trees)


def made(binding: Binding, trees: Trees) -> Expression:
    """A row of these items, with the fields of x.* in its place."""
    items = spelled_out(binding, trees)
    return MakeRow(tuple(items), record((f"f{i}", item.type) for i, item in enumerate(items, 1)))


def spelled_out(binding: Binding, trees: Trees) -> list[Expression]:
    """The items of a row, bound; of x.* the fields."""
    items: list[Expression] = []
    for tree in trees:
        row = starred(binding, tree)
        items += [binding.bind(tree)] if row is None else [f.expression for f in fields(row)]
    return items


def starred(binding: Binding, tree: exp.Expression) -> Expression | None:
    """The row of which a tree wants all fields: t.*, (x).*; None for anything else."""
    if isinstance(tree, exp.Column) and isinstance(tree.this, exp.Star):
        return star(binding, tree)
    if isinstance(tree, exp.Dot) and isinstance(tree.expression, exp.Star):
        return must_be_row(binding.bind(tree.this), "*", position_of(tree))
    return None


def note_fields(binding: Binding, tree: exp.Expression, type: Type) -> None:
    """Remember what (row).* stands for, where that is wanted."""
    if binding.context.resolved is None:
        return
    binding.context.resolved.expanded[id(tree)] = tuple(
        FieldName(each.name, attribute_of(binding, type, each.number)) for each in type.attributes or ()
    )


def attribute_of(binding: Binding, type: Type, number: int) -> tuple[int, int]:
    """An attribute of a composite type; of a relation's row type, the column of the relation."""
    made = binding.context.catalog.typed(type.oid)
    return (type.oid if made is None else made.oid), number


def star(binding: Binding, tree: exp.Column) -> Expression:
    """t.* as one value."""
    name, schema = tree.args["table"].this, tree.args.get("db")
    place = "" if schema is None else schema.this
    found = binding.scope.find_relation(name, place)
    if found is None:
        raise binding.scope.no_entry(name, place, position_of(tree))
    return whole_row(binding, tree, *found)


def whole_row(binding: Binding, tree: exp.Expression, relation: Relation, scope: Scope) -> Expression:
    """The row of an item of FROM: of a table's type, or anonymous."""
    if relation.order is not None:
        raise FeatureNotSupported("whole rows of a view that is written to are not supported")
    relation.read_all()
    columns = [scope.column(relation, index) for index in range(len(relation.columns))]
    items = tuple(binding.scope.lift(column, scope) for column in columns)
    if binding.context.resolved is not None:
        names = tuple(relation.column_name(index) for index in range(len(columns)))
        binding.context.resolved.rows[id(tree)] = WholeRow(relation.name, names)
    source = binding.context.catalog.relations.get(relation.table)
    if isinstance(source, Table | View) and source.type_oid and len(source.columns) == len(items):
        type = source.row_type
        binding.context.dependencies.add((source.oid, source.version))
    else:
        type = record((column.name, column.type) for column in relation.columns)
    return MakeRow(items, type, relation.optional)


def must_be_row(expression: Expression, name: str, position: int) -> Expression:
    """An expression whose fields are known. Raises WrongObjectType."""
    type = expression.type
    if type == RECORD:
        raise WrongObjectType(f'could not identify column "{name}" in record data type', position=position)
    if not type.is_row:
        if name == "*":
            raise WrongObjectType(f"type {type.base} is not composite", position=position)
        raise WrongObjectType(
            f"column notation .{name} applied to type {type.base}, which is not a composite type",
            position=position,
        )
    return expression


def fields(row: Expression) -> list[Named]:
    """All fields of a row, by name."""
    attributes = row.type.attributes or ()
    return [Named(a.name, _field(row, index, a.type)) for index, a in enumerate(attributes)]


def _field(row: Expression, index: int, type: Type) -> Expression:
    if isinstance(row, MakeRow):
        return row.items[index]
    return Field(row, index, type)


def field(row: Expression, name: str, position: int) -> Expression:
    """(row).name. Raises UndefinedColumn, WrongObjectType."""
    must_be_row(row, name, position)
    for index, attribute in enumerate(row.type.attributes or ()):
        if attribute.name == name:
            return _field(row, index, attribute.type)
    if row.type.is_composite:
        raise UndefinedColumn(f'column "{name}" not found in data type {row.type}', position=position)
    raise UndefinedColumn(f'could not identify column "{name}" in record data type', position=position)


def null_test(binding: Binding, tree: exp.Expression, present: bool) -> Expression:
    """tree IS NULL; where `present`, IS NOT NULL. A row is null if all of it is, and not null if none is."""
    items = row_items(tree)
    if items is not None:
        bound = spelled_out(binding, items)
        return And(tuple(IsNull(binding.known(item), present) for item in bound))
    # a parameter stays unknown: IS NULL tells nothing of its type
    value = binding.bind(tree)
    return RowIsNull(value, present) if value.type.is_row else IsNull(value, present)


def compared(
    binding: Binding,
    symbol: str,
    left: Trees,
    right: Trees,
    position: int,
) -> Expression:
    """(a, b) = (c, d) and its kin, item by item; < compares the first that differ."""
    ours, theirs = spelled_out(binding, left), spelled_out(binding, right)
    return compared_pairs(binding, symbol, _pairs(ours, theirs, position), position)


def _pairs(left: Sequence[Expression], right: Sequence[Expression], position: int) -> list[Pair]:
    if len(left) != len(right):
        raise SqlSyntaxError("unequal number of entries in row expressions", position=position)
    if not left:
        raise FeatureNotSupported("cannot compare rows of zero length", position=position)
    return list(zip(left, right, strict=True))


def compared_pairs(binding: Binding, symbol: str, pairs: Sequence[Pair], position: int) -> Expression:
    """The comparison of rows of which these are the items."""
    if symbol not in _COMPARISONS:
        binding.operator(symbol, *pairs[0], position=position)
        raise FeatureNotSupported(
            f"could not determine interpretation of row comparison operator {symbol}",
            hint="Row comparison operators must be associated with btree operator families.",
            position=position,
        )

    def compare(symbol: str, pair: Pair) -> Expression:
        return binding.operator(symbol, *pair, position=position)

    if symbol == "=":
        return And(tuple(compare("=", pair) for pair in pairs))
    if symbol == "<>":
        return Or(tuple(compare("<>", pair) for pair in pairs))
    strict = symbol[0]
    result = compare(symbol, pairs[-1])
    for pair in reversed(pairs[:-1]):
        result = Or((compare(strict, pair), And((compare("=", pair), result))))
    return result


def distinct(
    binding: Binding,
    left: Trees,
    right: Trees,
    negated: bool,
    position: int,
) -> Expression:
    """(a, b) IS DISTINCT FROM (c, d), item by item; IS NOT DISTINCT FROM where `negated`."""
    pairs = _pairs(spelled_out(binding, left), spelled_out(binding, right), position)
    parts = tuple(distinction(binding, *pair, negated, position) for pair in pairs)
    return And(parts) if negated else Or(parts)


def distinction(
    binding: Binding, left: Expression, right: Expression, negated: bool, position: int
) -> Expression:
    """left IS DISTINCT FROM right."""
    choice = resolve_operator("=", (left.type, right.type), position)
    return Distinction(
        binding.coerced(left, choice.arguments[0], position),
        binding.coerced(right, choice.arguments[1], position),
        choice.id,
        negated,
    )


def with_subquery(
    binding: Binding, symbol: str, items: Trees, query: exp.Expression, position: int
) -> Expression:
    """(a, b) = (SELECT c, d): with its one row."""
    subplan, frame = plan(binding, query)
    ours = spelled_out(binding, items)
    _same_width(ours, subplan.types, position)
    columns = tuple(Reference(i, type) for i, type in enumerate(subplan.types))
    type = record((f"f{i}", t) for i, t in enumerate(subplan.types, 1))
    one = Project(subplan.operator, (MakeRow(columns, type),))
    value = ScalarSubquery(one, tuple(frame.arguments), type)
    pairs = _pairs(ours, [named.expression for named in fields(value)], position)
    return compared_pairs(binding, symbol, pairs, position)


def _same_width(items: Sequence[Expression], types: Sequence[Type], position: int) -> None:
    if len(types) != len(items):
        few = "few" if len(types) < len(items) else "many"
        raise SqlSyntaxError(f"subquery has too {few} columns", position=position)


def quantified(
    binding: Binding,
    symbol: str,
    items: Trees,
    query: exp.Expression,
    *,
    every: bool,
    position: int,
) -> Expression:
    """(a, b) < ANY (SELECT c, d), or ALL."""
    subplan, frame = plan(binding, query)
    ours = [binding.known(item) for item in spelled_out(binding, items)]
    _same_width(ours, subplan.types, position)
    width = len(ours)
    left = [Reference(i, item.type) for i, item in enumerate(ours)]
    right = [Reference(width + i, type) for i, type in enumerate(subplan.types)]
    condition = compared_pairs(binding, symbol, _pairs(left, right, position), position)
    return QuantifiedRows(tuple(ours), subplan.operator, tuple(frame.arguments), Paired(condition), every)


def overlaps(
    binding: Binding, left: exp.Expression, right: exp.Expression, position: int
) -> list[Expression]:
    """The arguments of overlaps() that (a, b) OVERLAPS (c, d) means. Raises SqlSyntaxError."""
    ends: list[Expression] = []
    for tree, side in ((left, "left"), (right, "right")):
        items = row_items(tree)
        if items is None:
            raise SqlSyntaxError('syntax error at or near "overlaps"', position=position)
        if len(items) != 2:
            raise SqlSyntaxError(
                f"wrong number of parameters on {side} side of OVERLAPS expression", position=position
            )
        ends += [binding.bind(item) for item in items]
    return ends
