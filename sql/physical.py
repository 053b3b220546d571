"""Logical plans to operators: one match, and the choices that belong to a node.

A scan whose condition an index answers is an index scan, any other gets bounds for zone maps. A join with
equalities between its sides is a hash join; everything else has one operator.
"""

from __future__ import annotations

from engine import operators
from engine.expressions import Call, Cast, Expression, walk
from engine.fused import fuse
from engine.operators import Operator
from engine.similarity import Term
from sql import logical
from sql.access import bounds, comparison, indexed
from sql.expressions import (
    E,
    conjunction,
    conjuncts,
    is_volatile,
    references,
    remap,
    shift,
    substitute,
    transform,
)
from sql.logical import Node
from sql.planning import Planning
from sql.similarity import join_term, key_term, terms
from sql.viewscan import ViewScan
from storage.definitions import Table


def physical(node: Node, planning: Planning) -> Operator:
    """The operator that runs a logical node."""
    match node:
        case logical.Get():
            return _get(node, planning)
        case logical.Leaf():
            return node.operator
        case logical.Empty():
            return operators.Nothing(node.types)
        case logical.Barrier():  # its part was played while conditions went down
            return physical(node.child, planning)
        case logical.Filter():
            return operators.Filter(physical(node.child, planning), _fused(node.condition))
        case logical.Project():
            child = physical(node.child, planning)
            if node.sets:
                return operators.ProjectSets(child, node.expressions)
            if isinstance(node.child, logical.Top) and isinstance(child, operators.Project):
                # that of the top's own rows: see _top
                return operators.Project(child.child, substitute(_fused(node.expressions), child.expressions))
            return operators.Project(child, _fused(node.expressions))
        case logical.Join():
            return _join(node, planning)
        case logical.Apply():
            left, right = physical(node.left, planning), physical(node.right, planning)
            return operators.Lateral(node.kind, left, right, node.arguments, node.condition)
        case logical.Aggregate():
            child = physical(node.child, planning)
            return operators.Aggregate(
                child, _fused(node.keys), _fused(node.calls), node.sets, node.groupings
            )
        case logical.Window():
            return operators.Window(physical(node.child, planning), node.calls)
        case logical.Sort():
            return operators.Sort(physical(node.child, planning), node.keys)
        case logical.Top():
            return _top(node, planning)
        case logical.PartitionTop():
            child = physical(node.child, planning)
            return operators.PartitionTop(child, node.partition, node.order, node.count, node.less, node.ties)
        case logical.Limit():
            return operators.Limit(physical(node.child, planning), node.count, node.offset, node.ties)
        case logical.LockRows():
            return operators.LockRows(physical(node.child, planning), node.targets, node.count, node.offset)
        case logical.Distinct():
            return operators.Distinct(physical(node.child, planning), node.keys)
        case logical.Append():
            return operators.Append(tuple(physical(part, planning) for part in node.parts), node.types)
        case logical.SetOperation():
            return operators.SetOperation(
                node.kind, node.all, physical(node.left, planning), physical(node.right, planning)
            )
    raise AssertionError(f"no operator for {type(node).__name__}")


def _get(node: logical.Get, planning: Planning) -> Operator:
    source = node.source
    if not isinstance(source, Table):
        scan: Operator = ViewScan(source, node.positions, node.types)
        return scan if node.condition is None else operators.Filter(scan, _fused(node.condition))
    columns = [source.at(p) for p in node.positions]
    numbers, types = tuple(c.number for c in columns), tuple(c.type for c in columns)
    found = indexed(source, node.condition, numbers, types) if planning.on("indexscan") else None
    if found is not None:
        return operators.IndexScan(
            source.oid,
            source.name,
            found.name,
            found.key,
            found.among,
            found.condition,
            numbers,
            types,
            _fused(found.rest),
            node.row_ids,
            node.slot,
        )
    advice, rest = bounds(node.condition, numbers, types)
    scan = operators.Scan(
        source.oid,
        source.name,
        numbers,
        types,
        advice,
        _fused(node.condition),
        _fused(rest),
        node.row_ids,
        node.slot,
        node.unread,
    )
    similar = terms(node.condition, types)
    if not similar:
        return scan
    others, left = (_fused(_without(condition, similar)) for condition in (node.condition, rest))
    return operators.CertifiedScan(scan, similar, others, left)


def _without(condition: Expression | None, similar: tuple[Term, ...]) -> Expression | None:
    """A condition without some of its conjuncts."""
    parts = [p for p in conjuncts(condition) if not any(p is term.written for term in similar)]
    return conjunction(parts)


def _fused(expressions: E) -> E:
    """The expressions, or calls of aggregates, with programs in place of their numeric trees."""
    return transform(expressions, fuse)


def _top(node: logical.Top, planning: Planning) -> Operator:
    """The first rows of an order: by codes where the order is one by similarity to a table's vectors."""
    child, keys = node.child, node.keys
    project = child if isinstance(child, logical.Project) and not child.sets else None
    if project is not None and not any(map(is_volatile, project.expressions)):
        child, keys = project.child, substitute(keys, project.expressions)
    if isinstance(child, logical.Get):
        scan = physical(child, planning)
        term = key_term(keys[0].expression, child.types)
        if term is not None and isinstance(scan, operators.Scan | operators.CertifiedScan):
            top = operators.Top(scan, keys, node.count, node.offset)
            certified = scan if isinstance(scan, operators.CertifiedScan) else None
            plain = scan if isinstance(scan, operators.Scan) else scan.plain
            nearest = operators.Nearest(top, plain, term, certified)
            return nearest if project is None else operators.Project(nearest, _fused(project.expressions))
    return operators.Top(physical(node.child, planning), node.keys, node.count, node.offset)


# joins


def _join(node: logical.Join, planning: Planning) -> Operator:
    left, right = physical(node.left, planning), physical(node.right, planning)
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
    if not left_keys or not planning.on("hashjoin"):
        plain = operators.LoopJoin(node.kind, left, right, _fused(node.condition))
        ways = _ways(node, left, right)
        return operators.SimilarityJoin(plain, ways) if ways else plain
    residual = _fused(conjunction(rest))
    return operators.HashJoin(node.kind, left, right, tuple(left_keys), tuple(right_keys), residual)


def _ways(node: logical.Join, left: Operator, right: Operator) -> tuple[operators.Way, ...]:
    """How codes of a table's vectors can find a join's pairs."""
    if node.condition is None or node.kind not in ("inner", "left", "semi", "anti"):
        return ()
    width, more = len(left.types), len(right.types)
    parts = conjuncts(node.condition)
    ways = []
    if isinstance(right, operators.Scan):
        found = (join_term(part, range(width, width + more)) for part in parts)
        term = next((term for term in found if term is not None), None)
        if term is not None:
            ways.append(operators.Way(left, right, term, node.condition))
    if isinstance(left, operators.Scan) and node.kind == "inner":
        places = {i: i + more if i < width else i - width for i in range(width + more)}
        swapped = [remap(part, places) for part in parts]
        found = (join_term(part, range(more, more + width)) for part in swapped)
        term = next((term for term in found if term is not None), None)
        condition = conjunction(swapped)
        if term is not None and condition is not None:
            ways.append(operators.Way(right, left, term, condition, flipped=True))
    return tuple(ways)


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
