"""Predicates with a grammar of their own: IS, IN, BETWEEN, LIKE; and CASE."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import (
    And,
    BooleanTest,
    Case,
    Constant,
    Expression,
    InList,
    Not,
    Or,
)
from sql.binding import rows
from sql.binding.base import Binding, binds
from sql.binding.calls import call
from sql.binding.operators import apply
from sql.binding.subqueries import in_subquery
from sql.coerce import common_type
from sql.expressions import references
from sql.functions import resolve_function, resolve_operator
from sql.marks import FunctionMark, Literal, mark_of, position_of
from storage.errors import DatatypeMismatch, FeatureNotSupported, SqlSyntaxError
from storage.types import TEXT, Type


@binds(exp.Is, arguments="this expression negate")
def is_test(binding: Binding, tree: exp.Is) -> Expression:
    """IS [NOT] NULL, TRUE, FALSE, NFC NORMALIZED."""
    negated = bool(tree.args.get("negate"))
    right = tree.expression
    if isinstance(right, exp.Null):
        return rows.null_test(binding, tree.this, negated)
    if isinstance(right, exp.Boolean):
        words = f"IS {'NOT ' if negated else ''}{'TRUE' if right.this else 'FALSE'}"
        return BooleanTest(binding.condition(tree.this, words), bool(right.this), negated)
    mark = mark_of(right, FunctionMark)
    if mark is not None and mark.form == "normalized":
        form = Constant(binding.context.constant(TEXT, mark.name))
        found = call(binding, mark.names[0], [binding.bind(tree.this), form], mark.position)
        return Not(found) if negated else found
    raise SqlSyntaxError('syntax error at or near "is"', position=position_of(right))


@binds(exp.NullSafeEQ, exp.NullSafeNEQ)
def distinction(binding: Binding, tree: exp.Expression) -> Expression:
    """IS NOT DISTINCT FROM and IS DISTINCT FROM."""
    position = position_of(tree)
    negated = isinstance(tree, exp.NullSafeEQ)
    items, others = rows.row_items(tree.this), rows.row_items(tree.expression)
    if items is not None and others is not None:
        return rows.distinct(binding, items, others, negated, position)
    left, right = binding.bind(tree.this), binding.bind(tree.expression)
    return rows.distinction(binding, left, right, negated, position)


@binds(exp.In, arguments="this expressions query")
def membership(binding: Binding, tree: exp.In) -> Expression:
    position = position_of(tree)
    query = tree.args.get("query")
    if query is not None:
        return in_subquery(binding, tree.this, query.unnest(), negated=False, position=position)
    items = tree.expressions
    if not items:
        raise SqlSyntaxError('syntax error at or near ")"', position=position)
    if rows.row_items(tree.this) is not None or any(rows.row_items(item) is not None for item in items):
        return Or(tuple(apply(binding, "=", tree.this, item, position) for item in items))
    operand = binding.bind(tree.this)
    bound = [binding.bind(item) for item in items]
    try:
        type = common_type([operand.type, *(b.type for b in bound)], "IN")
        choice = resolve_operator("=", (operand.type, type), position)
        target = choice.arguments[1]
        listed = tuple(
            binding.coerced(b, target, position_of(item)) for b, item in zip(bound, items, strict=True)
        )
    except DatatypeMismatch:
        return Or(tuple(binding.operator("=", operand, b, position=position) for b in bound))
    if references(*listed):
        # items that differ by row are tried from left to right, and no further than needed
        return Or(tuple(binding.operator("=", operand, item, position=position) for item in listed))
    return InList(binding.coerced(operand, choice.arguments[0], position), listed, False, choice.id)


@binds(exp.Between, arguments="this low high symmetric")
def between(binding: Binding, tree: exp.Between) -> Expression:
    position = position_of(tree.this)
    low, high = tree.args["low"], tree.args["high"]

    def within(low: exp.Expression, high: exp.Expression) -> Expression:
        return And(
            (
                apply(binding, ">=", tree.this, low, position),
                apply(binding, "<=", tree.this, high, position),
            )
        )

    if tree.args.get("symmetric"):
        return Or((within(low, high), within(high, low)))
    return within(low, high)


@binds(exp.Like, exp.ILike, arguments="this expression negate")
def like(binding: Binding, tree: exp.Expression) -> Expression:
    symbol = "~~" if isinstance(tree, exp.Like) else "~~*"
    if tree.args.get("negate"):
        symbol = "!" + symbol
    return apply(binding, symbol, tree.this, tree.expression, position_of(tree))


@binds(exp.SimilarTo)
def similar(binding: Binding, tree: exp.SimilarTo) -> Expression:
    return _similar(binding, tree, None)


def _similar(binding: Binding, tree: exp.SimilarTo, escape: Expression | None) -> Expression:
    position = position_of(tree)
    pattern = binding.bind(tree.expression)
    arguments = (pattern,) if escape is None else (pattern, escape)
    choice = resolve_function("similar_to_escape", [a.type for a in arguments], position)
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
    choice = resolve_function("like_escape", (pattern.type, TEXT), position)
    escaped = binding.call(choice, (pattern, character), position)
    return binding.operator(symbol, binding.bind(inner.this), escaped, position=position)


@binds(exp.Case, arguments="this ifs default")
def case(binding: Binding, tree: exp.Case) -> Expression:
    """CASE [operand] WHEN ... THEN ... [ELSE ...] END."""
    operand = tree.args.get("this")
    conditions, results = [], []
    for part in tree.args["ifs"]:
        if {k for k, v in part.args.items() if v} - {"this", "true"}:
            raise FeatureNotSupported("this form of CASE is not supported", position=position_of(part))
        if operand is None:
            conditions.append(binding.condition(part.this, "CASE/WHEN"))
        else:
            conditions.append(apply(binding, "=", operand, part.this, position_of(part.this)))
        results.append(part.args["true"])
    default = tree.args.get("default")
    trees = results if default is None else [*results, default]
    bound = [binding.bind(result) for result in trees]
    # PostgreSQL looks at ELSE first
    order = list(range(len(bound))) if default is None else [len(bound) - 1, *range(len(bound) - 1)]
    type = common_type([bound[i].type for i in order], "CASE", [position_of(trees[i]) for i in order])
    type = type.plain if default is None else type
    values = [_branch(binding, expression, type, part) for expression, part in zip(bound, trees, strict=True)]
    otherwise = values[-1] if default is not None else None
    return Case(tuple(zip(conditions, values, strict=False)), otherwise, type)


def _branch(binding: Binding, expression: Expression, type: Type, tree: exp.Expression) -> Expression:
    return binding.coerced(expression, type, position_of(tree))
