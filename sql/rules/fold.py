"""Constants of immutable functions are computed once, when the plan is made.

    WHERE day >= date '2026-01-01' + 30        WHERE day >= '2026-01-31'
    WHERE true AND a = 1                       WHERE a = 1
    WHERE false                                (no rows)

A call that fails stays, and fails the statement before it runs, rows or none, as in PostgreSQL; one that
stands under a CASE or its kin may never be evaluated, and is left to the run. Stable functions (now,
current_setting, casts that depend on TimeZone) are never folded: a plan outlives the transaction.
"""

from __future__ import annotations

from typing import Any

from engine.expressions import And, Call, Case, Coalesce, Constant, Expression, Not, Or
from engine.functions.registry import BY_ID
from engine.run import Run
from sql import logical
from sql.expressions import transform
from sql.logical import Node
from sql.planning import Planning
from sql.rules.walk import bottom_up, with_expressions
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import BOOL

_NOTHING: Any = None
_RUN = Run(_NOTHING, _NOTHING)
_ONE_ROW = Batch((), 1)
# A folded text or array may be long; beyond this it stays an expression.
_MAX_BYTES = 1 << 16
# What does not evaluate all of its arguments.
_CHOOSING = (Case, Coalesce, And, Or)


def fold(node: Node, planning: Planning) -> Node:
    """The tree with constant expressions computed."""
    return bottom_up(node, _node)


def _node(node: Node) -> Node:
    node = with_expressions(node, fold_expression)
    if isinstance(node, logical.Filter):
        value = truth(node.condition)
        if value is True:
            return node.child
        if value is False:
            return logical.Empty(node.types)
    return node


def fold_expression(expression: Expression) -> Expression | None:
    """The expression folded from below; None where it stays as it is."""
    match expression:
        case Call() if _is_foldable(expression):
            arguments = tuple(transform(a, fold_expression) for a in expression.arguments)
            call = Call(expression.function, arguments, expression.type)
            computed = _computed(call) if all(isinstance(a, Constant) for a in arguments) else None
            return computed or call
        case And() | Or():
            return _connective(expression)
        case Not():
            inner = transform(expression.argument, fold_expression)
            value = truth(inner)
            return Not(inner) if value is None else Constant(Column.scalar(BOOL, not value))
    return None


def _is_foldable(call: Call) -> bool:
    overload = BY_ID[call.function]
    return overload.volatility == "i" and not overload.returns_set and not overload.run


def failure(node: Node) -> DatabaseError | None:
    """The error of the first constant in the tree that cannot be computed."""
    found: list[DatabaseError] = []

    def look(expression: Expression) -> Expression | None:
        if found or isinstance(expression, _CHOOSING):
            return expression
        if isinstance(expression, Call) and _is_foldable(expression):
            transform(expression.arguments, look)
            if not found and all(isinstance(a, Constant) for a in expression.arguments):
                error = _attempted(expression)
                found.extend([error] if isinstance(error, DatabaseError) else [])
            return expression
        return None

    bottom_up(node, lambda node: with_expressions(node, look))
    return found[0] if found else None


def _attempted(call: Call) -> Column | DatabaseError:
    try:
        return call.evaluate(_ONE_ROW, _RUN)
    except DatabaseError as error:
        return error


def _computed(call: Call) -> Expression | None:
    column = _attempted(call)
    if isinstance(column, DatabaseError):
        return None
    if column.nbytes > _MAX_BYTES:
        return None
    return Constant(column.slice(0, 1).retype(call.type).with_valid(column.valid, constant=True))


def _connective(expression: And | Or) -> Expression | None:
    """AND without what is true (OR without what is false); decided where an operand decides it."""
    decides = isinstance(expression, Or)
    kept: list[Expression] = []
    changed = False
    for operand in expression.operands:
        folded = transform(operand, fold_expression)
        value = truth(folded)
        if value is decides:
            return Constant(Column.scalar(BOOL, decides))
        if value is (not decides):
            changed = True
            continue
        changed = changed or folded is not operand
        kept.append(folded)
    if not changed:
        return expression
    if not kept:
        return Constant(Column.scalar(BOOL, not decides))
    return kept[0] if len(kept) == 1 else type(expression)(tuple(kept))


def truth(expression: Expression) -> bool | None:
    """What a constant condition is; None for null and for what is not constant."""
    if isinstance(expression, Constant) and expression.type.oid == BOOL.oid:
        value: bool | None = expression.value.tolist()[0]
        return value
    return None
