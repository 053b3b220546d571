"""Functions in FROM: a call as a table. Its columns are the function's, its rows', or of a list behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from engine.expressions import Call, Constant, Expression, Outer, Reference
from engine.functions.populate import DEFINED, POPULATING
from engine.functions.registry import BY_ID, FUNCTIONS
from engine.operators import FunctionScan, OneRow, RowsFrom
from engine.operators import Project as ProjectOperator
from sql.binding import Binding, routines
from sql.binding.calls import call
from sql.binding.rows import fields as fields_of
from sql.context import BindContext
from sql.expressions import transform
from sql.logical import Leaf, Node, Project
from sql.marks import FunctionMark, TypeName, mark_of, position_of
from sql.scope import Frame, ScopeColumn
from storage.column import Column
from storage.errors import DatatypeMismatch, FeatureNotSupported, SqlSyntaxError
from storage.types import ANYELEMENT, INT8, RECORD, Type, record


@dataclass
class RowFunction:
    """A function's call, with the columns it gives where it gives several; `beside`: more calls."""

    expression: Expression
    columns: tuple[ScopeColumn, ...]
    beside: tuple[Expression, ...] = ()
    fields: bool = False  # the columns are the fields of its rows


Definitions = Sequence[tuple[str, Type]]


def bind_rows(binding: Binding, tree: exp.Anonymous, defined: Definitions = ()) -> RowFunction:
    """A call in FROM: a table function with its columns, or any other function."""
    mark = mark_of(tree.this, FunctionMark)
    overloads = FUNCTIONS.get(mark.name, ()) if mark is not None and not mark.form else ()
    if mark is not None and mark.name == "unnest" and len(tree.expressions) > 1:
        return _side_by_side(binding, tree, mark)
    if mark is not None and any(o.id in DEFINED for o in overloads):
        return _defined(binding, tree, mark, defined)
    if mark is not None and mark.name in POPULATING:
        return _populated(binding, tree, mark, defined)
    if defined:
        raise SqlSyntaxError(
            'a column definition list is only allowed for functions returning "record"',
            position=position_of(tree),
        )
    if mark is None or not any(o.columns for o in overloads):
        return RowFunction(binding.value(tree), ())
    bound = _called(binding, tree, mark)
    overload = BY_ID[bound.function]
    columns = tuple(
        ScopeColumn(name, bound.type if type.oid == ANYELEMENT.oid else type)
        for name, type in overload.columns
    )
    return RowFunction(bound, columns)


def _called(binding: Binding, tree: exp.Anonymous, mark: FunctionMark) -> Call:
    """A built-in function's call; its arguments may be named, but give no rows."""
    inner = binding.within(sets=False)
    if any(isinstance(argument, exp.Kwarg) for argument in tree.expressions):
        bound = routines.invocation(inner, mark, tree)
    else:
        arguments = [inner.bind(argument) for argument in tree.expressions]
        bound = call(binding.within(whole_rows=True), mark.name, arguments, mark.position)
    assert isinstance(bound, Call)
    return bound


def _fields(type: Type) -> tuple[ScopeColumn, ...]:
    return tuple(ScopeColumn(attribute.name, attribute.type) for attribute in type.attributes or ())


def _populated(
    binding: Binding, tree: exp.Anonymous, mark: FunctionMark, defined: Definitions
) -> RowFunction:
    """A function whose rows are like its first argument; of a record the list behind it says the columns."""
    bound = _called(binding, tree, mark)
    if not bound.type.is_row and bound.type.oid != RECORD.oid:
        raise DatatypeMismatch(f"first argument of {mark.name} must be a row type")
    anonymous = bound.type.oid == RECORD.oid
    if anonymous != bool(defined):
        what = "only allowed" if defined else "required"
        raise SqlSyntaxError(
            f'a column definition list is {what} for functions returning "record"', position=mark.position
        )
    if not anonymous:
        return RowFunction(bound, _fields(bound.type), fields=True)
    row = record(defined)
    if bound.type.attributes is None:
        base = Constant(Column.scalar(row, None))
        bound = Call(bound.function, (base, *bound.arguments[1:]), row)
    elif [field.type for field in bound.type.attributes] != [type for _, type in defined]:
        raise DatatypeMismatch("function return row and query-specified return row do not match")
    return RowFunction(bound, _fields(row), fields=True)


def _defined(binding: Binding, tree: exp.Anonymous, mark: FunctionMark, defined: Definitions) -> RowFunction:
    """A function whose rows have the columns that stand behind it."""
    if not defined:
        raise SqlSyntaxError(
            'a column definition list is required for functions returning "record"',
            position=mark.position,
        )
    bound = _called(binding, tree, mark)
    row = record(defined)
    base = Constant(Column.scalar(row, None))
    made = Call(DEFINED[bound.function], (base, *bound.arguments), row)
    return RowFunction(made, _fields(row), fields=True)


def _side_by_side(binding: Binding, tree: exp.Anonymous, mark: FunctionMark) -> RowFunction:
    """unnest(a, b): the arrays next to each other."""
    inner = binding.within(sets=False)
    calls = [call(binding, "unnest", [inner.bind(item)], mark.position) for item in tree.expressions]
    return RowFunction(calls[0], tuple(ScopeColumn("unnest", c.type) for c in calls), tuple(calls[1:]))


def outside(expression: Expression, frame: Frame) -> Expression:
    """The expression in the enclosing frame: it reads nothing of the row before it."""

    def put(node: object) -> Expression | None:
        return frame.arguments[node.index] if isinstance(node, Outer) else None

    return transform(expression, put)


def spread(node: Node, row: Type, ordinality: bool) -> Node:
    """The fields of rows that are one column, each as a column; behind them a number, if there is one."""
    fields = [each.expression for each in fields_of(Reference(0, row))]
    return Project(node, (*fields, *([Reference(1, INT8)] if ordinality else ())))


def function_node(
    calls: Sequence[Expression], columns: Sequence[ScopeColumn], ordinality: bool, fields: bool
) -> Node:
    expression = calls[0]
    if not isinstance(expression, Call):
        if ordinality:
            raise FeatureNotSupported("WITH ORDINALITY is supported for functions only")
        return Leaf(ProjectOperator(OneRow(), (expression,)))
    types: tuple[Type, ...] = tuple(c.type for c in columns) or (expression.type,)
    if ordinality:
        types = (*types, INT8)
    if len(calls) > 1:
        sets = tuple((c.function, c.arguments) for c in calls if isinstance(c, Call))
        return Leaf(RowsFrom(sets, types, ordinality))
    return Leaf(FunctionScan(expression.function, expression.arguments, types, ordinality, fields))


def definitions(tree: exp.Expression, context: BindContext) -> list[tuple[str, Type]]:
    """The names and types of a column definition list; none where there is no such list."""
    alias = tree.args.get("alias")
    columns = (alias.args.get("columns") if alias is not None else None) or ()
    if not any(isinstance(column, exp.ColumnDef) for column in columns):
        return []
    found = []
    for column in columns:
        kind = column.args.get("kind") if isinstance(column, exp.ColumnDef) else None
        if kind is None or column.args.get("constraints"):
            raise SqlSyntaxError("syntax error", position=position_of(column))
        name = column.this
        written = kind.args.get("kind")
        mark = None if written is None else mark_of(written, TypeName)
        if mark is None:
            raise SqlSyntaxError("syntax error", position=position_of(column))
        type = context.type_of(mark)
        if context.resolved is not None:
            context.resolved.type(column, type)
        found.append((plain_name(name), type))
    return found


def plain_name(tree: exp.Expression) -> str:
    """The name that an identifier is. Raises SqlSyntaxError."""
    name = tree.args.get("this")
    if isinstance(tree, exp.Identifier) and isinstance(name, str):
        return name
    raise SqlSyntaxError("syntax error", position=position_of(tree))
