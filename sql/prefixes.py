"""Operators before their only operand: put in order in the parser's trees.

    5 - @ x + 1   is written   5 - {empty} & {@} & x + 1   and comes back as   ((5 - {empty}) & {@}) & (x + 1)

since all of these operators bind less than arithmetic, and to the left. The operator and its operand go to
where the empty one stands, at the right end of what is left of it: 5 - @(x + 1).
"""

from __future__ import annotations

from sqlglot import exp

from sql.marks import PREFIX, FunctionMark, OperatorMark, mark_of


def put_in_order(tree: exp.Expression) -> exp.Expression:
    """The tree with BitwiseNot(this=operand, symbol=mark) for each operator without a left operand."""
    for node in list(tree.find_all(exp.BitwiseAnd))[::-1]:  # the inner ones first
        inner = node.this
        if not isinstance(inner, exp.BitwiseAnd) or mark_of(inner.expression, OperatorMark) is None:
            continue
        left = inner.this
        empty = _right_end(left)
        if not _is_empty(empty):
            continue
        made = exp.BitwiseNot(this=node.expression.pop(), symbol=inner.expression.pop())
        whole = made if empty is left else left.pop()
        if empty is not left:
            empty.replace(made)
        if node is tree:
            tree = whole
        else:
            node.replace(whole)
    return tree


def _right_end(tree: exp.Expression) -> exp.Expression:
    """The last operand of a tree that is in no parentheses."""
    while isinstance(tree, exp.Binary | exp.Neg | exp.Not | exp.BitwiseNot) and not isinstance(tree, exp.Dot):
        tree = tree.expression if isinstance(tree, exp.Binary) else tree.this
    return tree


def _is_empty(tree: exp.Expression) -> bool:
    mark = mark_of(tree, FunctionMark)
    return mark is not None and mark.form == PREFIX
