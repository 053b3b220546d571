"""Subqueries in expressions: scalar, EXISTS, IN, ANY and ALL, ARRAY(...)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.operators import Project
from engine.operators.base import Operator
from engine.subqueries import (
    ArraySubquery,
    ExistsSubquery,
    InSubquery,
    QuantifiedSubquery,
    ScalarSubquery,
)
from sql.binding.base import Binding, binds
from sql.coerce import coerce
from sql.context import BindContext
from sql.functions import resolve_operator
from sql.logical import Node
from sql.marks import FunctionMark, mark_of, opening_of
from sql.scope import Frame
from storage.errors import FeatureNotSupported, SqlSyntaxError, WrongObjectType
from storage.types import BOOL, TEXT, UNKNOWN, Type, array_of


@dataclass(frozen=True)
class Subplan:
    """A planned subquery: its operator and columns, and the logical tree it was planned from."""

    operator: Operator
    types: tuple[Type, ...]
    node: Node


@dataclass(frozen=True)
class Exists(ExistsSubquery):
    """EXISTS that a rule may still turn into a join: it knows its logical tree."""

    node: Node | None = None


@dataclass(frozen=True)
class In(InSubquery):
    """IN that a rule may still turn into a join."""

    node: Node | None = None


@dataclass(frozen=True)
class Scalar(ScalarSubquery):
    """A subquery of one value that a rule may still turn into a join."""

    node: Node | None = None


Planner = Callable[[exp.Expression, Frame, BindContext, bool], Subplan]
_PLANNER: list[Planner] = []


def use(planner: Planner) -> None:
    """Say how a query in an expression is planned: sql.query does, when it is imported.

    The last argument: whether its rows alone matter (EXISTS), not their columns.
    """
    _PLANNER[:] = [planner]


def as_query(tree: exp.Expression) -> exp.Expression | None:
    """The query that a tree is, in any number of parentheses; None: it is none."""
    while isinstance(tree, exp.Paren) or (isinstance(tree, exp.Subquery) and _is_bare(tree)):
        tree = tree.this
    return tree if isinstance(tree, exp.Query | exp.Values) else None


def _is_bare(tree: exp.Subquery) -> bool:
    return not any(value for name, value in tree.args.items() if name != "this")


_WITHOUT = frozenset(
    (
        "CALL arguments",
        "COPY FROM WHERE conditions",
        "DEFAULT expressions",
        "EXECUTE parameters",
        "check constraints",
        "column generation expressions",
        "index expressions",
        "index predicates",
        "transform expressions",
    )
)
"""The clauses whose expressions may not read other tables."""


def plan(binding: Binding, tree: exp.Expression, *, exists: bool = False) -> tuple[Subplan, Frame]:
    """The plan of a subquery in a frame of its own. Raises FeatureNotSupported where none may stand."""
    if binding.clause in _WITHOUT:
        message = f"cannot use subquery in {binding.clause.removesuffix('s')}"
        raise FeatureNotSupported(message, position=opening_of(tree, binding.context.text))
    frame = Frame(binding.scope, binding)
    return _PLANNER[0](tree, frame, binding.context, exists), frame


def _one_column(subplan: Subplan, position: int) -> None:
    if len(subplan.types) != 1:
        raise SqlSyntaxError("subquery must return only one column", position=position)


@binds(
    exp.Subquery,
    exp.Select,
    exp.Union,
    exp.Intersect,
    exp.Except,
    exp.Values,
    arguments=" ".join(
        sorted({*exp.Select.arg_types, *exp.Union.arg_types, *exp.Values.arg_types, *exp.Subquery.arg_types})
    ),
)
def scalar(binding: Binding, tree: exp.Expression) -> Expression:
    """(SELECT ...) as a value."""
    subplan, frame = plan(binding, as_query(tree) or tree)
    _one_column(subplan, opening_of(tree, binding.context.text))
    return Scalar(subplan.operator, tuple(frame.arguments), subplan.types[0], subplan.node)


def exists(binding: Binding, mark: FunctionMark, arguments: Sequence[exp.Expression]) -> Expression:
    """EXISTS (SELECT ...)."""
    subplan, frame = plan(binding, _query_of(mark, arguments), exists=True)
    return Exists(subplan.operator, tuple(frame.arguments), False, subplan.node)


def array(binding: Binding, mark: FunctionMark, arguments: Sequence[exp.Expression]) -> Expression:
    """ARRAY(SELECT ...)."""
    subplan, frame = plan(binding, _query_of(mark, arguments))
    _one_column(subplan, mark.position)
    return ArraySubquery(subplan.operator, tuple(frame.arguments), array_of(subplan.types[0]))


def _query_of(mark: FunctionMark, arguments: Sequence[exp.Expression]) -> exp.Expression:
    query = as_query(arguments[0]) if len(arguments) == 1 else None
    if query is None:
        raise SqlSyntaxError(f'syntax error at or near "{mark.name}"', position=mark.position)
    return query


def in_subquery(
    binding: Binding, left: exp.Expression, query: exp.Expression, *, negated: bool, position: int
) -> Expression:
    """left IN (query); left may be a row."""
    items = _items(left)
    subplan, frame = plan(binding, query)
    if len(subplan.types) != len(items):
        few = "few" if len(subplan.types) < len(items) else "many"
        raise SqlSyntaxError(f"subquery has too {few} columns", position=position)
    operands, equals, targets = [], [], []
    for item, type in zip(items, subplan.types, strict=True):
        operand = binding.bind(item)
        choice = resolve_operator("=", (operand.type, type), position)
        operands.append(binding.coerced(operand, choice.arguments[0], position))
        targets.append(choice.arguments[1])
        equals.append(choice.id)
    operator = retyped(subplan, targets, position, binding.context)
    same = operator is subplan.operator
    return In(
        tuple(operands),
        operator,
        tuple(frame.arguments),
        tuple(equals),
        negated,
        subplan.node if same else None,
    )


def _items(left: exp.Expression) -> list[exp.Expression]:
    if isinstance(left, exp.Tuple):
        return list(left.expressions)
    mark = mark_of(left.this, FunctionMark) if isinstance(left, exp.Anonymous) else None
    if mark is not None and mark.form == "row":
        return list(left.expressions)
    return [left]


def quantified_subquery(
    binding: Binding,
    symbol: str,
    left: exp.Expression,
    query: exp.Expression,
    *,
    every: bool,
    position: int,
) -> Expression:
    """left symbol ANY (query), or ALL."""
    subplan, frame = plan(binding, query)
    if len(subplan.types) != 1:
        few = "many" if subplan.types else "few"
        raise SqlSyntaxError(f"subquery has too {few} columns", position=position)
    operand = binding.bind(left)
    choice = resolve_operator(symbol, (operand.type, subplan.types[0]), position)
    if choice.result.oid != BOOL.oid:
        raise WrongObjectType("op ANY/ALL (subquery) requires operator to yield boolean", position=position)
    operand = binding.coerced(operand, choice.arguments[0], position)
    operator = retyped(subplan, [choice.arguments[1]], position, binding.context)
    return QuantifiedSubquery((operand,), operator, tuple(frame.arguments), choice.id, every)


def retyped(subplan: Subplan, targets: Sequence[Type], position: int, context: BindContext) -> Operator:
    """The subquery's rows with columns of these types."""
    columns = [Reference(i, type) for i, type in enumerate(subplan.types)]
    wanted = [
        coerce(column, TEXT if target.oid == UNKNOWN.oid else target, "i", position, context)
        for column, target in zip(columns, targets, strict=True)
    ]
    if all(a is b for a, b in zip(columns, wanted, strict=True)):
        return subplan.operator
    return Project(subplan.operator, tuple(wanted))
