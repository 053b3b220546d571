"""ORDER BY, LIMIT and OFFSET of queries of every kind.

A set operation, VALUES and a query in parentheses are sorted by the columns that they give and nothing
else; a SELECT, which knows more than it gives, sorts by itself (sql.select).
"""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Expression, Reference, walk
from engine.operators import SortKey
from sql.binding import Binding
from sql.binding.calls import key_of
from sql.bound import Bound
from sql.coerce import can_coerce, coerce
from sql.context import BindContext
from sql.logical import Limit, Node, Sort
from sql.marks import FunctionMark, Literal, mark_of, position_of
from sql.scope import Scope, missing
from sql.tokens import Kind
from storage.errors import (
    AmbiguousColumn,
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidRowCountInLimit,
    SqlSyntaxError,
    UndefinedColumn,
)
from storage.types import INT8


def bind_limits(
    node: Node, tree: exp.Expression, context: BindContext, scope: Scope, keys: tuple[SortKey, ...] = ()
) -> Node:
    """LIMIT and OFFSET of any query, whose rows are sorted by `keys`."""
    limit, offset = tree.args.get("limit"), tree.args.get("offset")
    if limit is None and offset is None:
        return node
    for clause in (limit, offset):
        if clause is not None and any(v for k, v in clause.args.items() if k not in ("expression", "this")):
            raise FeatureNotSupported("this form of LIMIT is not supported", position=position_of(clause))
    count = None if limit is None else limit.expression
    mark = ties_of(count)
    if count is not None and mark is not None:
        count = count.expressions[0]
        _check_ties(count, mark, keys)
    return Limit(
        node,
        None if count is None else _limit(count, "LIMIT", context, scope),
        None if offset is None else _limit(offset.expression, "OFFSET", context, scope),
        () if mark is None else keys,
    )


def ties_of(count: exp.Expression | None) -> FunctionMark | None:
    """The mark of FETCH ... WITH TIES, if that is what a limit's count is."""
    mark = mark_of(count.this, FunctionMark) if isinstance(count, exp.Anonymous) else None
    return mark if mark is not None and mark.form == "ties" else None


def _check_ties(count: exp.Expression, mark: FunctionMark, keys: tuple[SortKey, ...]) -> None:
    if isinstance(count.unnest(), exp.Null):
        raise InvalidRowCountInLimit("row count cannot be null in FETCH FIRST ... WITH TIES clause")
    if not keys:
        raise SqlSyntaxError("WITH TIES cannot be specified without ORDER BY clause")


def _limit(tree: exp.Expression, clause: str, context: BindContext, scope: Scope) -> Expression:
    if any(isinstance(name.args["this"], str) for name in tree.find_all(exp.Identifier)):
        _refuse_columns(Binding(context, scope, clause).bind(tree), tree, clause, context)
    bound = Binding(context, Scope(scope.frame, scope.tables), clause).bind(tree)
    _must_count(bound, tree, clause)
    return coerce(bound, INT8, "a", position_of(tree), context)


def _must_count(bound: Expression, tree: exp.Expression, clause: str) -> None:
    if not can_coerce(bound.type, INT8, "a"):
        raise DatatypeMismatch(
            f"argument of {clause} must be type bigint, not type {bound.type.base}",
            position=position_of(tree),
        )


def _refuse_columns(bound: Expression, tree: exp.Expression, clause: str, context: BindContext) -> None:
    """Raise InvalidColumnReference where a count reads a column of the query's own."""
    _must_count(bound, tree, clause)
    column = next((node for node in walk(bound) if isinstance(node, Reference)), None)
    if column is not None:
        raise InvalidColumnReference(
            f"argument of {clause} must not contain variables",
            position=context.place(column, position_of(tree)),
        )


def bind_sorted(bound: Bound, tree: exp.Expression, context: BindContext, scope: Scope) -> Bound:
    """ORDER BY, LIMIT and OFFSET of a set operation, VALUES or a query in parentheses."""
    node = bound.node
    clause = tree.args.get("order")
    keys: list[SortKey] = []
    if clause is not None:
        names = [c.name for c in bound.columns]
        for item in clause.expressions:
            if not isinstance(item, exp.Ordered):
                raise FeatureNotSupported(
                    "this form of ORDER BY is not supported", position=position_of(item)
                )
            index = _output_place(item.this, names)
            column = bound.columns[index]
            keys.append(key_of(item, Reference(index, column.type, column.name)))
        node = Sort(node, tuple(keys))
    return Bound(bind_limits(node, tree, context, scope, tuple(keys)), bound.columns)


def bare_name(tree: exp.Expression) -> str | None:
    if (
        isinstance(tree, exp.Column)
        and tree.args.get("table") is None
        and isinstance(tree.this, exp.Identifier)
    ):
        name = tree.this.args["this"]
        return name if isinstance(name, str) else None
    return None


def _must_be_outputs(tree: exp.Expression, names: list[str]) -> None:
    """Raise what is wrong with a column that the result of a set operation does not have."""
    for column in tree.find_all(exp.Column):
        table, name = column.args.get("table"), column.this.args["this"]
        if table is not None:
            raise missing(table.this, position_of(column))
        if isinstance(name, str) and name not in names:
            raise UndefinedColumn(f'column "{name}" does not exist', position=position_of(column))


def _output_place(tree: exp.Expression, names: list[str]) -> int:
    position = position_of(tree)
    literal = mark_of(tree, Literal)
    text = literal is not None and literal.token.kind is Kind.STRING
    if text or isinstance(tree, exp.Boolean | exp.Null):
        raise SqlSyntaxError("non-integer constant in ORDER BY", position=position)
    if literal is not None and literal.token.kind is Kind.NUMBER and literal.token.text.isdigit():
        number = int(literal.token.text)
        if not 1 <= number <= len(names):
            raise InvalidColumnReference(
                f"ORDER BY position {number} is not in select list", position=position
            )
        return number - 1
    name = bare_name(tree)
    if name is not None and name in names:
        if names.count(name) > 1:
            raise AmbiguousColumn(f'ORDER BY "{name}" is ambiguous', position=position)
        return names.index(name)
    _must_be_outputs(tree, names)
    raise FeatureNotSupported(
        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
        detail="Only result column names can be used, not expressions or functions.",
        hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
        position=position,
    )
