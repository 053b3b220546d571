"""What OR's operands share, and what they say of one relation, stands beside it, where it can be used.

    (a = b AND x = 1) OR (a = b AND x = 2)             a = b AND (x = 1 OR x = 2)
    (n.name = 'A' AND m.name = 'B') OR                 the same AND (n.name = 'A' OR n.name = 'B')
    (n.name = 'B' AND m.name = 'A')                        AND (m.name = 'B' OR m.name = 'A')

The first is the same condition. The second adds conditions that follow: one on each input of a join that all
operands speak of, which then filters that input's rows before they are joined. As in PostgreSQL, what an
operand says of an input is then asked of rows, too, that its other parts rule out.
"""

from __future__ import annotations

from engine.expressions import Expression, Or
from sql import logical
from sql.expressions import conjunction, conjuncts, is_volatile, references
from sql.logical import Node
from sql.planning import Planning
from sql.rules.walk import bottom_up

_MOST = 16  # operands of an OR that is looked at


def factor(node: Node, planning: Planning) -> Node:
    """The tree with conditions taken out of OR."""
    return bottom_up(node, _factored)


def _factored(node: Node) -> Node:
    if isinstance(node, logical.Filter):
        parts = [part for given in conjuncts(node.condition) for part in _split(given)]
        found = _implied(parts, _spans(node.child))
        condition = conjunction(parts + found)
        assert condition is not None
        return node if condition == node.condition else logical.Filter(node.child, condition)
    if isinstance(node, logical.Join) and node.kind == "inner" and node.condition is not None:
        parts = [part for given in conjuncts(node.condition) for part in _split(given)]
        found = _implied(parts, _spans(node))
        return logical.Join("inner", node.left, node.right, conjunction(parts + found))
    return node


def _split(condition: Expression) -> list[Expression]:
    """A condition as conjuncts, what all operands of an OR say being one of them."""
    if not isinstance(condition, Or) or len(condition.operands) > _MOST or is_volatile(condition):
        return [condition]
    operands = [conjuncts(operand) for operand in condition.operands]
    shared = [part for part in operands[0] if all(part in others for others in operands[1:])]
    if not shared:
        return [condition]
    rest = [conjunction([part for part in operand if part not in shared]) for operand in operands]
    if any(operand is None for operand in rest):  # which is true wherever what is shared is
        return shared
    return [*shared, Or(tuple(operand for operand in rest if operand is not None))]


def _spans(node: Node) -> list[range]:
    """Where the columns of each input of a tree of joins stand."""
    found: list[range] = []

    def visit(node: Node, offset: int) -> None:
        if isinstance(node, logical.Join) and node.kind == "inner":
            visit(node.left, offset)
            visit(node.right, offset + len(node.left.types))
        else:
            found.append(range(offset, offset + len(node.types)))

    visit(node, 0)
    return found


def _implied(parts: list[Expression], spans: list[range]) -> list[Expression]:
    """What the ORs say of single inputs, where there are several."""
    if len(spans) < 2:
        return []
    found: list[Expression] = []
    for part in parts:
        if not isinstance(part, Or) or len(part.operands) > _MOST or is_volatile(part):
            continue
        used = references(part)
        for span in spans:
            if used <= set(span):
                break
            operands = [_about(operand, span) for operand in part.operands]
            if all(operand is not None for operand in operands):
                one = Or(tuple(operand for operand in operands if operand is not None))
                if one not in parts and one not in found:
                    found.append(one)
    return found


def _about(operand: Expression, span: range) -> Expression | None:
    """The part of an AND that reads columns of one input, and no others."""
    own = [p for p in conjuncts(operand) if references(p) and references(p) <= set(span)]
    return conjunction(own)
