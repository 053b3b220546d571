"""Rewriting of logical plans: a tuple of rules, each a function from a tree to a better one.

Each has a switch, the setting enable_<switch>, that turns it off: no rule changes what a query means. The
order matters: constants first, so that filters can be seen through, and once more where subqueries came in as
joins; filters go down, then what subqueries leave, and what follows from equal keys; joins are put in order
when their conditions have arrived; columns, and calls over windows, are pruned when nothing else will ask for
them, which shows whose first rows are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.logical import Node
from sql.planning import Planning
from sql.rules.decorrelate import decorrelate
from sql.rules.derive_filters import derive_filters
from sql.rules.factor import factor
from sql.rules.fold import fold
from sql.rules.merge_projects import merge_projects
from sql.rules.order_joins import order_joins
from sql.rules.prune_columns import prune_columns
from sql.rules.push_filters import push_filters
from sql.rules.push_limits import push_limits
from sql.rules.scalars import join_scalars
from sql.rules.share import share
from sql.rules.use_partition_top import use_partition_top
from sql.rules.use_top import use_top


@dataclass(frozen=True)
class Rule:
    """One rule: its switch (sql.planning), and what it does to a tree."""

    switch: str
    apply: Callable[[Node, Planning], Node]


_FOLD = Rule("constant_folding", fold)
_MERGE = Rule("projection_merging", merge_projects)
_PUSH = Rule("filter_pushdown", push_filters)
RULES: tuple[Rule, ...] = (
    _FOLD,
    _MERGE,
    Rule("condition_factoring", factor),
    Rule("decorrelation", decorrelate),
    _FOLD,
    _PUSH,
    Rule("decorrelation", join_scalars),
    _FOLD,
    _PUSH,
    Rule("derived_filters", derive_filters),
    Rule("join_ordering", order_joins),
    Rule("limit_pushdown", push_limits),
    Rule("top_n", use_top),
    Rule("column_pruning", prune_columns),
    _MERGE,
    Rule("partition_top_n", use_partition_top),
    Rule("subplan_sharing", share),
)

__all__ = ["RULES", "Rule", "optimise"]


def optimise(node: Node, planning: Planning) -> Node:
    """The tree after all rules that are on."""
    for rule in RULES:
        if planning.on(rule.switch):
            node = rule.apply(node, planning)
    return node
