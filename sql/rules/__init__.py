"""Rewriting of logical plans: a tuple of rules, each a function from a tree to a better one.

The order matters: constants first, so that filters can be seen through; subqueries become joins while
their conditions stand together; filters down, before columns are pruned; joins in order when their
conditions have arrived.
"""

from __future__ import annotations

from collections.abc import Callable

from sql.logical import Node
from sql.rules.decorrelate import decorrelate
from sql.rules.fold import fold
from sql.rules.merge_projects import merge_projects
from sql.rules.order_joins import order_joins
from sql.rules.prune_columns import prune_columns
from sql.rules.push_filters import push_filters
from sql.rules.use_top import use_top

Rule = Callable[[Node], Node]
RULES: tuple[Rule, ...] = (
    fold,
    merge_projects,
    decorrelate,
    push_filters,
    order_joins,
    use_top,
    prune_columns,
    merge_projects,
)

__all__ = ["RULES", "Rule", "optimise"]


def optimise(node: Node, rules: tuple[Rule, ...] = RULES) -> Node:
    """The tree after all rules."""
    for rule in rules:
        node = rule(node)
    return node
