"""GROUP BY: expressions over rows become expressions over groups.

What equals a key becomes that key's column, an aggregate its result's; any other column of the rows is
an error, unless it belongs to a table whose whole primary key is grouped by: then it is a key as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.expressions import Expression, Reference
from sql.binding import Binding
from sql.binding.base import AggregateValue, WindowValue
from sql.expressions import transform
from sql.logical import Aggregate, Node
from sql.scope import Relation, Scope
from storage.catalog import Table
from storage.errors import GroupingError

E = TypeVar("E")


@dataclass
class Grouping:
    """The keys of a query level; `add` turns an expression over rows into one over groups."""

    binding: Binding
    keys: list[Expression] = field(default_factory=list)

    def over_groups(self, expression: E) -> E:
        """The expression with columns of keys; aggregates stay what they are until `finish`."""

        def put(node: Any) -> Any:
            for index, key in enumerate(self.keys):
                if node == key:
                    return _Key(index, key.type)
            if isinstance(node, AggregateValue | WindowValue):
                return node
            if isinstance(node, Reference):
                return self._ungrouped(node)
            return None

        return transform(expression, put)

    def finish(self, expression: E) -> E:
        """The expression over the columns of the aggregation: keys, then calls."""
        keys = len(self.keys)

        def put(node: Any) -> Any:
            if isinstance(node, _Key):
                return Reference(node.index, node.type)
            if isinstance(node, AggregateValue):
                return Reference(keys + node.index, node.type)
            return None

        return transform(expression, put)

    def node(self, child: Node) -> Node:
        """The aggregation itself."""
        calls = () if self.binding.aggregates is None else tuple(self.binding.aggregates.calls)
        return Aggregate(child, tuple(self.keys), calls)

    def _ungrouped(self, column: Reference) -> Expression:
        found = self.binding.scope.origin(column.index)
        position = self.binding.context.place(column, 0)
        if found is None:
            raise GroupingError(
                f'column "{column.name}" must appear in the GROUP BY clause '
                "or be used in an aggregate function",
                position=position,
            )
        relation, _ = found
        if self._depends_on_keys(relation, self.binding.scope):
            self.keys.append(column)
            return _Key(len(self.keys) - 1, column.type)
        raise GroupingError(
            f'column "{relation.name}.{column.name}" must appear in the GROUP BY clause '
            "or be used in an aggregate function",
            position=position,
        )

    def _depends_on_keys(self, relation: Relation, scope: Scope) -> bool:
        """Whether the primary key of the relation's table is among the keys."""
        table = self.binding.context.catalog.relations.get(relation.table)
        if not isinstance(table, Table):
            return False
        grouped = {key.index for key in self.keys if isinstance(key, Reference)}
        numbers = {
            relation.columns[index - relation.offset].number
            for index in grouped
            if relation.offset <= index < relation.offset + len(relation.columns)
        }
        return any(c.kind == "p" and set(c.columns) <= numbers for c in table.constraints)


@dataclass(frozen=True, slots=True)
class _Key:
    """The column of key `index`, until the number of keys is known."""

    index: int
    type: Any

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Any, run: Any) -> Any:
        raise AssertionError("a key was evaluated before its plan was made")


def is_grouped(keys: Sequence[Expression], binding: Binding, having: object) -> bool:
    """Whether a query level gives groups instead of rows."""
    calls = binding.aggregates.calls if binding.aggregates is not None else ()
    return bool(keys or calls or having is not None)
