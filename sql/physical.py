"""Logical plans to operators: one match, and the choices that belong to a node.

A scan gets bounds for zone maps from its condition, a join with equalities between its sides is a hash
join, everything else has one operator.
"""

from __future__ import annotations

from engine import operators
from engine.expressions import Call, Cast, Expression, IsNull, Reference, walk
from engine.fused import fuse
from engine.operators import Bound, Operator
from sql import logical
from sql.expressions import E, conjunction, conjuncts, is_constant, references, shift, transform
from sql.logical import Node
from sql.viewscan import ViewScan
from storage.catalog import Table
from storage.predicate import Comparison
from storage.types import INTEGERS, Form, Type

_COMPARISONS = {c.value: c for c in Comparison if c not in (Comparison.IS_NULL, Comparison.IS_NOT_NULL)}
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def physical(node: Node) -> Operator:
    """The operator that runs a logical node."""
    match node:
        case logical.Get():
            return _get(node)
        case logical.Leaf():
            return node.operator
        case logical.Empty():
            return operators.Nothing(node.types)
        case logical.Filter():
            return operators.Filter(physical(node.child), _fused(node.condition))
        case logical.Project():
            child = physical(node.child)
            if node.sets:
                return operators.ProjectSets(child, node.expressions)
            return operators.Project(child, _fused(node.expressions))
        case logical.Join():
            return _join(node)
        case logical.Apply():
            left, right = physical(node.left), physical(node.right)
            return operators.Lateral(node.kind, left, right, node.arguments, node.condition)
        case logical.Aggregate():
            return operators.Aggregate(physical(node.child), _fused(node.keys), _fused(node.calls))
        case logical.Sort():
            return operators.Sort(physical(node.child), node.keys)
        case logical.Top():
            return operators.Top(physical(node.child), node.keys, node.count, node.offset)
        case logical.Limit():
            return operators.Limit(physical(node.child), node.count, node.offset)
        case logical.LockRows():
            return operators.LockRows(physical(node.child), node.targets, node.count, node.offset)
        case logical.Distinct():
            return operators.Distinct(physical(node.child), node.keys)
        case logical.Append():
            return operators.Append(tuple(physical(part) for part in node.parts), node.types)
        case logical.SetOperation():
            return operators.SetOperation(node.kind, node.all, physical(node.left), physical(node.right))
    raise AssertionError(f"no operator for {type(node).__name__}")


def _get(node: logical.Get) -> Operator:
    source = node.source
    if not isinstance(source, Table):
        scan: Operator = ViewScan(source.schema, source.name, node.positions, node.types)
        return scan if node.condition is None else operators.Filter(scan, _fused(node.condition))
    numbers = tuple(source.columns[p].number for p in node.positions)
    types = tuple(source.columns[p].type for p in node.positions)
    return operators.Scan(
        source.oid,
        source.name,
        numbers,
        types,
        bounds(node.condition, numbers, types),
        _fused(node.condition),
        node.row_ids,
        node.slot,
    )


def _fused(expressions: E) -> E:
    """The expressions, or calls of aggregates, with programs in place of their numeric trees."""
    return transform(expressions, fuse)


# bounds


def bounds(
    condition: Expression | None, numbers: tuple[int, ...], types: tuple[Type, ...]
) -> tuple[Bound, ...]:
    """What zone maps can use of a scan's condition: `column op constant` among its conjuncts."""
    found = []
    for part in conjuncts(condition):
        bound = _bound(part, numbers, types)
        if bound is not None:
            found.append(bound)
    return tuple(found)


def _bound(part: Expression, numbers: tuple[int, ...], types: tuple[Type, ...]) -> Bound | None:
    if isinstance(part, IsNull):
        index = _column(part.argument, types)
        if index is None:
            return None
        return Bound(numbers[index], Comparison.IS_NOT_NULL if part.negated else Comparison.IS_NULL)
    symbol = comparison(part)
    if symbol is None:
        return None
    assert isinstance(part, Call)
    left, right = part.arguments
    index = _column(left, types)
    if index is None:
        index, right, symbol = _column(right, types), left, _FLIPPED[symbol]
    if index is None or not is_constant(right) or not _is_cheap(right):
        return None
    value = _as_type(right, types[index])
    return None if value is None else Bound(numbers[index], _COMPARISONS[symbol], value)


def comparison(part: Expression) -> str | None:
    """The symbol of a comparison's call; None for anything else."""
    if not isinstance(part, Call) or not part.function.startswith("operator "):
        return None
    symbol = part.function[len("operator ") :].partition("(")[0]
    return symbol if symbol in _COMPARISONS else None


def _column(expression: Expression, types: tuple[Type, ...]) -> int | None:
    """The column that an expression is, perhaps under another name of its type (varchar as text)."""
    while isinstance(expression, Cast) and _is_renaming(expression.argument.type, expression.type):
        expression = expression.argument
    if isinstance(expression, Reference) and expression.index < len(types):
        return expression.index
    return None


_STRINGS = frozenset(("text", "varchar", "name"))


def _is_renaming(source: Type, target: Type) -> bool:
    """Whether a cast keeps values and their order."""
    if source.name in _STRINGS and target.name in _STRINGS:
        return target.modifier == -1
    return source.oid == target.oid and target.modifier == -1


def _as_type(value: Expression, type: Type) -> Expression | None:
    """The value as one of the column's type, where that cannot change the comparison."""
    base, given = type.base, value.type.base
    if given == base:
        return value
    if given in INTEGERS and base in INTEGERS and given.size <= base.size:
        return Cast(value, base, False)
    if given.name in _STRINGS and base.name in _STRINGS and base.form is Form.TEXT:
        return Cast(value, base, False)
    return None


def _is_cheap(value: Expression) -> bool:
    """Whether a bound's value is found without running a subquery."""
    return not any(hasattr(node, "plan") for node in walk(value))


# joins


def _join(node: logical.Join) -> Operator:
    left, right = physical(node.left), physical(node.right)
    width = len(node.left.types)
    left_keys: list[Expression] = []
    right_keys: list[Expression] = []
    rest: list[Expression] = []
    for part in conjuncts(node.condition):
        pair = equality(part, width)
        if pair is None:
            rest.append(part)
        else:
            left_keys.append(pair[0])
            right_keys.append(shift(pair[1], -width))
    if not left_keys:
        return operators.LoopJoin(node.kind, left, right, _fused(node.condition))
    residual = _fused(conjunction(rest))
    return operators.HashJoin(node.kind, left, right, tuple(left_keys), tuple(right_keys), residual)


def equality(part: Expression, width: int) -> tuple[Expression, Expression] | None:
    """(left, right) of an equality between the two sides of a join, of one type; right not yet shifted."""
    if comparison(part) != "=":
        return None
    assert isinstance(part, Call)
    one, other = part.arguments
    a, b = references(one), references(other)
    if not a or not b or _has_subquery(part):
        return None
    if max(a) >= width and max(b) < width:
        one, other, a, b = other, one, b, a
    if max(a) >= width or min(b) < width:
        return None
    return _same_type(one, other)


def _has_subquery(part: Expression) -> bool:
    return any(hasattr(node, "plan") for node in walk(part))


_WIDER = ("int2", "int4", "int8")
_FLOATS = ("float4", "float8")


def _same_type(left: Expression, right: Expression) -> tuple[Expression, Expression] | None:
    """Both sides as one type in which equal values are equal keys; None where there is none."""
    a, b = left.type.base, right.type.base
    if a == b:
        return left, right
    for family in (_WIDER, _FLOATS, ("name", "text"), ("varchar", "text")):
        if a.name in family and b.name in family:
            if family.index(a.name) < family.index(b.name):
                return Cast(left, b, False), right
            return left, Cast(right, a, False)
    return None
