"""Predicates with a grammar of their own: IS, IN, BETWEEN, LIKE; and CASE."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from engine.expressions import (
    And,
    BooleanTest,
    Case,
    Constant,
    Expression,
    InList,
    IsNull,
    Not,
    Or,
)
from sql.binding import rows
from sql.binding.base import Binding, binds, operator_position
from sql.binding.calls import call
from sql.binding.operators import apply, negates
from sql.binding.subqueries import In, as_query, in_subquery
from sql.coerce import common_type
from sql.expressions import references
from sql.functions import resolve_function, resolve_operator
from sql.marks import FunctionMark, Literal, mark_of, place_of, position_of
from storage.errors import DatatypeMismatch, FeatureNotSupported, SqlSyntaxError
from storage.types import TEXT, Type


@binds(exp.Is, arguments="this expression negate")
def is_test(binding: Binding, tree: exp.Is) -> Expression:
    """IS [NOT] NULL, TRUE, FALSE, NFC NORMALIZED."""
    return _is(binding, tree, bool(tree.args.get("negate")))


@negates(exp.Is)
def is_not_test(binding: Binding, tree: exp.Is) -> Expression:
    return _is(binding, tree, True)


def _is(binding: Binding, tree: exp.Is, negated: bool) -> Expression:
    right = tree.expression
    if isinstance(right, exp.Null):
        return rows.null_test(binding, tree.this, negated)
    if isinstance(right, exp.Boolean):
        words = f"IS {'NOT ' if negated else ''}{'TRUE' if right.this else 'FALSE'}"
        return BooleanTest(binding.condition(tree.this, words), bool(right.this), negated)
    mark = mark_of(right, FunctionMark)
    if mark is not None and mark.form == "unknown":
        words = f"IS {'NOT ' if negated else ''}UNKNOWN"
        return IsNull(binding.condition(tree.this, words), negated)
    if mark is not None and mark.form == "normalized":
        form = Constant(binding.context.constant(TEXT, mark.name))
        found = call(binding, mark.names[0], [binding.bind(tree.this), form], mark.position)
        return Not(found) if negated else found
    raise SqlSyntaxError('syntax error at or near "is"', position=position_of(right))


@binds(exp.NullSafeEQ, exp.NullSafeNEQ)
def distinction(binding: Binding, tree: exp.Expression) -> Expression:
    """IS NOT DISTINCT FROM and IS DISTINCT FROM."""
    position = operator_position(tree)
    negated = isinstance(tree, exp.NullSafeEQ)
    items, others = rows.row_items(tree.this), rows.row_items(tree.expression)
    if items is not None and others is not None:
        return rows.distinct(binding, items, others, negated, position)
    left, right = binding.bind(tree.this), binding.bind(tree.expression)
    return rows.distinction(binding, left, right, negated, position)


@binds(exp.In, arguments="this expressions query")
def membership(binding: Binding, tree: exp.In) -> Expression:
    return _among(binding, tree, "=")


@negates(exp.In)
def absence(binding: Binding, tree: exp.In) -> Expression:
    found = _among(binding, tree, "<>")
    return replace(found, negated=True) if isinstance(found, In | InList) else Not(found)


def _among(binding: Binding, tree: exp.In, symbol: str) -> Expression:
    """Whether the value is among others; `symbol` is the operator that errors name."""
    position = operator_position(tree)
    query, items = tree.args.get("query"), tree.expressions
    if query is None and len(items) == 1:
        query = as_query(items[0])  # VALUES, and a query in more than one pair of parentheses
    if query is not None:
        return in_subquery(binding, tree.this, query.unnest(), negated=False, position=position)
    if not items:
        raise SqlSyntaxError('syntax error at or near ")"', position=position)
    if rows.row_items(tree.this) is not None or any(rows.row_items(item) is not None for item in items):
        return Or(tuple(apply(binding, "=", tree.this, item, position) for item in items))
    operand = binding.bind(tree.this)
    bound = [binding.bind(item) for item in items]
    try:
        type = common_type([operand.type, *(b.type for b in bound)], "IN")
        resolve_operator(symbol, (operand.type, type), position)
        choice = resolve_operator("=", (operand.type, type), position)
        target = choice.arguments[1]
        listed = tuple(
            binding.coerced(b, target, position_of(item)) for b, item in zip(bound, items, strict=True)
        )
    except DatatypeMismatch:
        for item in bound:
            resolve_operator(symbol, (operand.type, item.type), position)
        return Or(tuple(binding.operator("=", operand, b, position=position) for b in bound))
    if references(*listed):
        # items that differ by row are tried from left to right, and no further than needed
        return Or(tuple(binding.operator("=", operand, item, position=position) for item in listed))
    return InList(binding.coerced(operand, choice.arguments[0], position), listed, False, choice.id)


@binds(exp.Between, arguments="this low high symmetric")
def between(binding: Binding, tree: exp.Between) -> Expression:
    """x >= low AND x <= high; SYMMETRIC also the other way round."""
    return Or(ways) if len(ways := _ways(binding, tree, (">=", "<="), And)) > 1 else ways[0]


@negates(exp.Between)
def not_between(binding: Binding, tree: exp.Between) -> Expression:
    """x < low OR x > high."""
    return And(ways) if len(ways := _ways(binding, tree, ("<", ">"), Or)) > 1 else ways[0]


def _ways(
    binding: Binding, tree: exp.Between, symbols: tuple[str, str], join: type[And | Or]
) -> tuple[Expression, ...]:
    """The comparisons with the bounds, and of SYMMETRIC with the bounds in the other order."""
    position = operator_position(tree)
    bounds = (tree.args["low"], tree.args["high"])
    orders = (bounds, bounds[::-1]) if tree.args.get("symmetric") else (bounds,)
    return tuple(
        join(tuple(apply(binding, s, tree.this, b, position) for s, b in zip(symbols, order, strict=True)))
        for order in orders
    )


@binds(exp.Like, exp.ILike, arguments="this expression negate")
def like(binding: Binding, tree: exp.Expression) -> Expression:
    return _like(binding, tree, "!" if tree.args.get("negate") else "")


@negates(exp.Like, exp.ILike)
def unlike(binding: Binding, tree: exp.Expression) -> Expression:
    return _like(binding, tree, "!")


def _like(binding: Binding, tree: exp.Expression, negation: str) -> Expression:
    symbol = negation + ("~~" if isinstance(tree, exp.Like) else "~~*")
    return apply(binding, symbol, tree.this, tree.expression, operator_position(tree))


@binds(exp.SimilarTo)
def similar(binding: Binding, tree: exp.SimilarTo) -> Expression:
    return _similar(binding, tree, None)


def _similar(binding: Binding, tree: exp.SimilarTo, escape: Expression | None) -> Expression:
    position = operator_position(tree)
    pattern = binding.bind(tree.expression)
    arguments = (pattern,) if escape is None else (pattern, escape)
    choice = resolve_function(
        "similar_to_escape", [a.type for a in arguments], position, "pg_catalog.similar_to_escape"
    )
    regex = binding.call(choice, arguments, position)
    return binding.operator("~", binding.bind(tree.this), regex, position=position)


@binds(exp.Escape)
def escape(binding: Binding, tree: exp.Escape) -> Expression:
    """LIKE pattern ESCAPE character."""
    inner, mark = tree.this, tree.expression.args.get("this")
    position = position_of(tree)
    if not isinstance(mark, Literal):
        raise FeatureNotSupported(
            "ESCAPE with anything but a string constant is not supported", position=position
        )
    character = Constant(binding.context.constant(TEXT, mark.token.text))
    negated = False
    if isinstance(inner, exp.Not):
        inner, negated = inner.this, True
    if isinstance(inner, exp.SimilarTo):
        found = _similar(binding, inner, character)
        return Not(found) if negated else found
    if not isinstance(inner, exp.Like | exp.ILike):
        raise SqlSyntaxError('syntax error at or near "escape"', position=mark.position)
    negated = negated or bool(inner.args.get("negate"))
    symbol = ("!" if negated else "") + ("~~" if isinstance(inner, exp.Like) else "~~*")
    pattern = binding.bind(inner.expression)
    choice = resolve_function("like_escape", (pattern.type, TEXT), position, "pg_catalog.like_escape")
    escaped = binding.call(choice, (pattern, character), position)
    return binding.operator(symbol, binding.bind(inner.this), escaped, position=position)


@binds(exp.Case, arguments="this ifs default")
def case(binding: Binding, tree: exp.Case) -> Expression:
    """CASE [operand] WHEN ... THEN ... [ELSE ...] END."""
    binding = binding.within(conditional="CASE", rows=None)
    operand = tree.args.get("this")
    conditions, results = [], []
    for part in tree.args["ifs"]:
        if {k for k, v in part.args.items() if v} - {"this", "true"}:
            raise FeatureNotSupported("this form of CASE is not supported", position=position_of(part))
        if operand is None:
            conditions.append(binding.condition(part.this, "CASE/WHEN"))
        else:
            conditions.append(apply(binding, "=", operand, part.this, place_of(part)))
        results.append(part.args["true"])
    default = tree.args.get("default")
    trees = results if default is None else [*results, default]
    bound = [binding.bind(result) for result in trees]
    # PostgreSQL looks at ELSE first
    order = list(range(len(bound))) if default is None else [len(bound) - 1, *range(len(bound) - 1)]
    type = common_type([bound[i].type for i in order], "CASE", [position_of(trees[i]) for i in order])
    type = type.base.plain if default is None else type  # what is left out is a null of no modifier
    values = [_branch(binding, expression, type, part) for expression, part in zip(bound, trees, strict=True)]
    otherwise = values[-1] if default is not None else None
    return Case(tuple(zip(conditions, values, strict=False)), otherwise, type)


def _branch(binding: Binding, expression: Expression, type: Type, tree: exp.Expression) -> Expression:
    return binding.coerced(expression, type, position_of(tree))
