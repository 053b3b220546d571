"""Operators: arithmetic, comparison, everything that PostgreSQL calls an operator; rows; ANY and ALL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from sqlglot import exp

from engine.expressions import And, Call, Expression, Not, Or, Quantified
from sql.binding import rows
from sql.binding.base import Binding, binds, operator_position
from sql.binding.calls import call
from sql.binding.literals import constant
from sql.binding.subqueries import as_query, in_subquery, quantified_subquery
from sql.functions import resolve_operator
from sql.marks import FunctionMark, Literal, OperatorMark, mark_of, place_of, position_of
from sql.tokens import Kind
from storage.errors import (
    InvalidSchemaName,
    SqlSyntaxError,
    UndefinedFunction,
    WrongObjectType,
)
from storage.types import BOOL, RECORD, UNKNOWN, Type, array_of

_SYMBOLS: dict[type, str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.Pow: "^",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


@binds(*_SYMBOLS, arguments="this expression typed safe")
def known_operator(binding: Binding, tree: exp.Expression) -> Expression:
    """An operator that the parser has a node for."""
    return apply(binding, _SYMBOLS[type(tree)], tree.this, tree.expression, operator_position(tree))


@binds(exp.BitwiseAnd)
def marked_operator(binding: Binding, tree: exp.BitwiseAnd) -> Expression:
    """left & mark & right: any other operator."""
    inner = tree.this
    mark = mark_of(inner.expression, OperatorMark) if isinstance(inner, exp.BitwiseAnd) else None
    if mark is None:
        raise SqlSyntaxError("syntax error", position=position_of(tree))
    _check_schema(binding, mark)
    return apply(binding, mark.symbol, inner.this, tree.expression, mark.position)


def _check_schema(binding: Binding, mark: OperatorMark) -> None:
    """OPERATOR(schema.symbol): the built-in ones stand in pg_catalog, the vectors' in public."""
    if mark.schema and mark.schema not in ("pg_catalog", "public"):
        if binding.context.catalog.schema(mark.schema) is None:
            raise InvalidSchemaName(f'schema "{mark.schema}" does not exist', position=mark.position)
        raise UndefinedFunction(
            f"operator does not exist: {mark.schema}.{mark.symbol}", position=mark.position
        )


def apply(
    binding: Binding, symbol: str, left: exp.Expression, right: exp.Expression, position: int
) -> Expression:
    """left symbol right, where right may be ANY (...) and both may be rows."""
    quantifier = _quantifier(right)
    if quantifier is not None:
        every = quantifier[0] == "all"
        return quantified(binding, symbol, left, quantifier[1], every=every, position=position)
    if symbol == "overlaps":
        arguments = rows.overlaps(binding, left, right, position)
        return call(binding, symbol, arguments, position, "pg_catalog.overlaps")
    items, others = rows.row_items(left), rows.row_items(right)
    if items is not None and others is not None:
        return rows.compared(binding, symbol, items, others, position)
    query = None if items is None else as_query(right)
    if items is not None and query is not None:
        return rows.with_subquery(binding, symbol, items, query, position)
    return binding.operator(symbol, binding.bind(left), binding.bind(right), position=position)


def _quantifier(tree: exp.Expression) -> tuple[str, exp.Expression] | None:
    """('any' or 'all', what stands in its parentheses)."""
    if not isinstance(tree, exp.Anonymous):
        return None
    mark = mark_of(tree.this, FunctionMark)
    if mark is None or mark.form != "quantifier":
        return None
    if len(tree.expressions) != 1:
        raise SqlSyntaxError(f'syntax error at or near "{mark.name}"', position=mark.position)
    return "all" if mark.name == "all" else "any", tree.expressions[0]


def quantified(
    binding: Binding,
    symbol: str,
    left: exp.Expression,
    right: exp.Expression,
    *,
    every: bool,
    position: int,
) -> Expression:
    """left symbol ANY (right), or ALL: right is a subquery or an array."""
    query = as_query(right)
    if query is not None:
        if symbol == "=" and not every:
            return in_subquery(binding, left, query, negated=False, position=position)
        if symbol == "<>" and every:
            return in_subquery(binding, left, query, negated=True, position=position)
        items = rows.row_items(left)
        if items is not None:
            return rows.quantified(binding, symbol, items, query, every=every, position=position)
        return quantified_subquery(binding, symbol, left, query, every=every, position=position)
    operand, array = binding.bind(left), binding.bind(right)
    return quantified_array(binding, symbol, operand, array, every=every, position=position)


def quantified_array(
    binding: Binding, symbol: str, operand: Expression, array: Expression, *, every: bool, position: int
) -> Expression:
    """operand symbol ANY (array), of bound parts."""
    element = array.type.element
    if element is None:
        if array.type.oid != UNKNOWN.oid:
            raise WrongObjectType("op ANY/ALL (array) requires array on right side", position=position)
        element = UNKNOWN
    choice = resolve_operator(symbol, (operand.type, element), position)
    if choice.result.oid != BOOL.oid:
        raise WrongObjectType("op ANY/ALL (array) requires operator to yield boolean", position=position)
    operand = binding.coerced(operand, choice.arguments[0], position)
    target = _array_for(choice.arguments[1], array.type)
    return Quantified(operand, binding.coerced(array, target, position), choice.id, every)


def _array_for(element: Type, given: Type) -> Type:
    """The array type an array operand becomes: int2vector and oidvector stay what they are."""
    if given.element is not None and (given.element.oid == element.oid or element == RECORD):
        return given
    return array_of(element)


@binds(exp.Neg, arguments="this")
def negative(binding: Binding, tree: exp.Neg) -> Expression:
    inner, minuses = tree.this.unnest(), 1
    while isinstance(inner, exp.Neg):
        inner, minuses = inner.this.unnest(), minuses + 1
    literal = mark_of(inner, Literal)
    if literal is not None and literal.token.kind is Kind.NUMBER:
        return constant(binding, literal, "-" * (minuses % 2))
    return binding.operator("-", binding.bind(tree.this), position=position_of(tree))


@binds(exp.BitwiseNot, arguments="this symbol")
def prefixed(binding: Binding, tree: exp.BitwiseNot) -> Expression:
    """Any other operator before its only operand: see sql.prefixes. Without a mark it is a sign +."""
    mark = mark_of(tree.args.get("symbol"), OperatorMark)
    if mark is None:
        return _positive(binding, tree)
    _check_schema(binding, mark)
    return binding.operator(mark.symbol, binding.bind(tree.this), position=mark.position)


def _positive(binding: Binding, tree: exp.BitwiseNot) -> Expression:
    literal = mark_of(tree.this.unnest(), Literal)
    if literal is not None and literal.token.kind is Kind.NUMBER:
        return constant(binding, literal)
    return binding.operator("+", binding.bind(tree.this), position=position_of(tree))


Negated = Callable[[Binding, Any], Expression]
_NEGATED: dict[type, Negated] = {}
N = TypeVar("N", bound=Negated)


def negates(*kinds: type) -> Callable[[N], N]:
    """Declare what binds nodes of these kinds behind the NOT of x NOT LIKE y and its like."""

    def declare(bind: N) -> N:
        _NEGATED.update(dict.fromkeys(kinds, bind))
        return bind

    return declare


@binds(exp.Not, arguments="this")
def negation(binding: Binding, tree: exp.Not) -> Expression:
    within = _NEGATED.get(type(tree.this))
    if within is not None and not place_of(tree):
        return within(binding, tree.this)
    inner = binding.condition(tree.this, "NOT")
    negated = getattr(inner, "negated", None)
    if negated is not None and not isinstance(inner, Call):
        return replace(inner, negated=not negated)  # type: ignore[type-var]
    return Not(inner)


@binds(exp.And)
def conjunction(binding: Binding, tree: exp.And) -> Expression:
    return And(tuple(binding.condition(part, "AND") for part in _chain(tree, exp.And)))


@binds(exp.Or)
def disjunction(binding: Binding, tree: exp.Or) -> Expression:
    return Or(tuple(binding.condition(part, "OR") for part in _chain(tree, exp.Or)))


def _chain(tree: exp.Expression, kind: type[exp.Connector]) -> list[exp.Expression]:
    """The operands of a AND b AND c, without recursion: such chains can be long."""
    operands: list[exp.Expression] = []
    node: exp.Expression = tree
    while isinstance(node, kind):
        operands.append(node.expression)
        node = node.this
    operands.append(node)
    operands.reverse()
    return operands
