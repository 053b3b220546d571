"""Similarity terms of a plan: which conditions and sort keys certified codes can answer.

    0.9 < DOT_PRODUCT(image, $1)        1 - (v <=> '[1,2]') > 0.5        NOT (v <-> $1) * 2 >= 3
    ORDER BY v <-> $1                   ORDER BY (v <#> $1) * -1 DESC

A term is a function of a vector column and of something that is the same for every row, under nothing but
steps that keep or reverse order: signs, sums and products with such a thing, casts between numbers that drop
no error, NOT, and at the top of a condition a comparison. See engine.similarity for what is made of it.
"""

from __future__ import annotations

from engine.expressions import Call, Cast, Expression, Not, Reference, walk
from engine.similarity import Term, measure_of, symbol_of
from sql.access import column_of
from sql.expressions import conjuncts, is_constant, is_volatile, references, transform
from storage.types import FLOAT4, FLOAT8, NUMERIC, Type

_COMPARISONS = frozenset(("<", "<=", ">", ">="))
_FLOATS = frozenset((FLOAT4.oid, FLOAT8.oid))
_NUMBERS = _FLOATS | {NUMERIC.oid}


def terms(condition: Expression | None, types: tuple[Type, ...]) -> tuple[Term, ...]:
    """The similarity terms among a condition's conjuncts, over columns of these types."""
    found = (condition_term(part, types) for part in conjuncts(condition))
    return tuple(term for term in found if term is not None)


def condition_term(part: Expression, types: tuple[Type, ...]) -> Term | None:
    """The term that a condition is."""
    compared = part
    while isinstance(compared, Not):
        compared = compared.argument
    if not isinstance(compared, Call) or symbol_of(compared.function) not in _COMPARISONS:
        return None
    inner = _open(compared)
    return None if inner is None else _term(part, _function(inner), types)


def key_term(key: Expression, types: tuple[Type, ...]) -> Term | None:
    """The term that a sort key is."""
    return _term(key, _function(key), types) if key.type.oid in _FLOATS else None


def join_term(part: Expression, inner: range) -> Term | None:
    """The term that a join's condition is: of a vector column in `inner`, queries being made of the others.

    Its column counts from the first of `inner`; what it was written as stays over the whole row.
    """
    compared = part
    while isinstance(compared, Not):
        compared = compared.argument
    if not isinstance(compared, Call) or symbol_of(compared.function) not in _COMPARISONS:
        return None
    operand = _open(compared)
    call = None if operand is None else _function(operand)
    if call is None or is_volatile(call) or any(hasattr(node, "plan") for node in walk(part)):
        return None
    for vector, query in (call.arguments, call.arguments[::-1]):
        column, read = _column(vector), references(query)
        if column is not None and column in inner and read and not read & set(inner):
            return _hollowed(part, call, column - inner.start, query)
    return None


def _column(expression: Expression) -> int | None:
    while isinstance(expression, Cast) and expression.argument.type.oid == expression.type.oid:
        expression = expression.argument
    return expression.index if isinstance(expression, Reference) else None


def _open(call: Call) -> Expression | None:
    """The one operand that differs by row."""
    varying = [argument for argument in call.arguments if not is_constant(argument)]
    return varying[0] if len(varying) == 1 else None


def _function(node: Expression) -> Call | None:
    """The metric that a number is a monotone function of."""
    while True:
        match node:
            case Cast(argument, type) if type.oid in _NUMBERS and type.modifier == -1:
                if argument.type.oid not in _NUMBERS:
                    return None
                node = argument
            case Call(function) if measure_of(function) is not None:
                return node
            case Call(function, (argument,)) if symbol_of(function) in ("-", "+"):
                node = argument
            case Call(function, (left, right)) if symbol_of(function) in ("+", "-", "*", "/"):
                inner = _open(node)
                if inner is None or (symbol_of(function) == "/" and inner is right):
                    return None
                if left.type.oid not in _FLOATS or right.type.oid not in _FLOATS:
                    return None
                node = inner
            case _:
                return None


def _term(written: Expression, call: Call | None, types: tuple[Type, ...]) -> Term | None:
    if call is None:
        return None
    left, right = call.arguments
    column, query = column_of(left, types), right
    if column is None:
        column, query = column_of(right, types), left
    if column is None or not is_constant(query):
        return None
    return _hollowed(written, call, column, query)


def _hollowed(written: Expression, call: Call, column: int, query: Expression) -> Term | None:
    hole = Reference(0, call.type, "score")
    hollow = transform(written, lambda node: hole if node is call else None)
    if references(hollow) != {0}:
        return None
    return Term(column, call, query, written, hollow)
