"""What planning is told beside the query: which rules are switched off, and what tables hold.

A plan that was chosen by how large tables are says so (`sizes`), and is made again once they outgrow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from storage.segments.statistics import TableStatistics

SWITCHES = {
    "constant_folding": "Computes constants when a statement is planned.",
    "projection_merging": "Makes one projection of neighbouring ones.",
    "filter_pushdown": "Filters rows as near to their table as possible.",
    "condition_factoring": "Takes what all operands of OR share out of it.",
    "decorrelation": "Makes joins of subqueries that read the outer row.",
    "derived_filters": "Filters by what follows from equal join keys.",
    "join_ordering": "Orders joins, and chooses their sides, by cost.",
    "limit_pushdown": "Stops what stands below a LIMIT early.",
    "top_n": "Keeps the first rows only where a sort is cut short.",
    "partition_top_n": "Keeps the first rows of partitions only where their numbers are asked for.",
    "column_pruning": "Reads only the columns that are asked for.",
    "runtime_filters": "Has scans drop rows whose keys a join does not hold.",
    "subplan_sharing": "Runs equal parts of a statement once.",
}
"""What can be turned off by a setting, enable_<switch>: the rules of sql.rules, and what they do."""

_GROWN = 4  # times as many rows, or as few, are another table to the planner,
_FEW = 10_000  # where so many rows more or less may matter at all

Tables = Callable[[int], TableStatistics | None]


def _unknown(oid: int) -> TableStatistics | None:
    return None


@dataclass(frozen=True)
class Planning:
    """`off`: the switches (enable_...) that are off, without enable_; `tables`: what is known of one."""

    off: frozenset[str] = frozenset()
    tables: Tables = _unknown
    sizes: dict[int, int] = field(default_factory=dict)  # rows of the tables that were asked for, by OID

    def on(self, switch: str) -> bool:
        """Whether a switch is on."""
        return switch not in self.off

    def statistics(self, oid: int) -> TableStatistics | None:
        """What is known of a table; the plan depends on its size from now on."""
        found = self.tables(oid)
        if found is not None:
            self.sizes[oid] = found.rows
        return found


def outgrown(sizes: Mapping[int, int], tables: Tables) -> bool:
    """Whether one of these tables has become so much larger or smaller that another plan may be better."""
    for oid, rows in sizes.items():
        found = tables(oid)
        now = 0 if found is None else found.rows
        if max(now, rows) > _GROWN * min(now, rows) + _FEW:
            return True
    return False
