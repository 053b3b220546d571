"""GROUP BY: expressions over rows become expressions over groups.

What equals a key becomes that key's column, an aggregate its result's, GROUPING its number's; any
other column of the rows is an error, unless it belongs to a table whose whole primary key is grouped by:
then it is a key as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from engine.aggregates.registry import AggregateCall
from engine.expressions import Expression, Outer, Reference, walk
from engine.run import Run
from sql.binding import Binding
from sql.binding.base import AggregateValue, GroupingValue, WindowValue
from sql.expressions import transform
from sql.logical import Aggregate, Node
from sql.scope import Relation, Scope
from storage.batch import Batch
from storage.column import Column
from storage.definitions import Table
from storage.errors import FeatureNotSupported, GroupingError

E = TypeVar("E")


@dataclass
class Grouping:
    """The keys of a query level, and its grouping sets; none: there is one, of all keys."""

    binding: Binding
    keys: list[Expression]
    sets: Sequence[tuple[int, ...]] = ()
    groupings: list[tuple[int, ...]] = field(default_factory=list)  # GROUPING's keys, by their places

    def __post_init__(self) -> None:
        self.written = len(self.keys)
        self.detail = ""  # of an error about a column that is no key

    def over_groups(self, expression: E) -> E:
        """The expression with columns of keys; aggregates stay what they are until `finish`."""

        def put(node: Any) -> Any:
            for index, key in enumerate(self.keys):
                if node == key:
                    return _Key(index, key.type)
            if isinstance(node, AggregateValue | WindowValue):
                return node
            if isinstance(node, GroupingValue):
                return self._bits(node)
            if isinstance(node, Reference):
                return self._ungrouped(node)
            return None

        return transform(expression, put)

    def finish(self, expression: E) -> E:
        """The expression over the columns of the aggregation: keys, then calls."""
        keys = len(self.keys)
        calls = keys + len(self._calls)

        def put(node: Any) -> Any:
            if isinstance(node, _Key):
                return Reference(node.index, node.type)
            if isinstance(node, AggregateValue):
                return Reference(keys + node.index, node.type)
            if isinstance(node, _Bits):
                return Reference(calls + node.index, node.type)
            return None

        return transform(expression, put)

    def node(self, child: Node) -> Node:
        """The aggregation itself. Raises GroupingError for direct arguments that are no keys."""
        self._direct()
        more = tuple(range(self.written, len(self.keys)))
        sets = tuple((*each, *more) for each in self.sets)
        return Aggregate(child, tuple(self.keys), self._calls, sets, tuple(self.groupings))

    def _direct(self) -> None:
        """Direct arguments of ordered-set aggregates, over the columns of the keys."""
        calls = [] if self.binding.aggregates is None else self.binding.aggregates.calls
        self.detail = "Direct arguments of an ordered-set aggregate must use only grouped columns."
        for place, call in enumerate(calls):
            if call.direct is not None:
                arguments = self.finish(self.over_groups(call.direct.arguments))
                calls[place] = replace(call, direct=replace(call.direct, arguments=arguments))
        self.detail = ""

    @property
    def _calls(self) -> tuple[AggregateCall, ...]:
        return () if self.binding.aggregates is None else tuple(self.binding.aggregates.calls)

    def _bits(self, node: GroupingValue) -> Expression:
        """GROUPING as a column of the aggregation."""
        places = []
        written = self.keys[: self.written]
        for argument, position in zip(node.arguments, node.positions, strict=True):
            if argument not in written:
                if any(isinstance(inner, Outer) for inner in walk(argument)):
                    raise FeatureNotSupported(
                        "GROUPING of an outer query's keys inside a subquery is not supported",
                        position=position,
                    )
                raise GroupingError(
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                    position=position,
                )
            places.append(written.index(argument))
        if tuple(places) not in self.groupings:
            self.groupings.append(tuple(places))
        return _Bits(self.groupings.index(tuple(places)), node.type)

    def _ungrouped(self, column: Reference) -> Expression:
        found = self.binding.scope.origin(column.index)
        position = self.binding.context.place(column, 0)
        if found is None:
            raise GroupingError(
                f'column "{column.name}" must appear in the GROUP BY clause '
                "or be used in an aggregate function",
                detail=self.detail,
                position=position,
            )
        relation, _ = found
        if self._depends_on_keys(relation, self.binding.scope):
            self.keys.append(column)
            return _Key(len(self.keys) - 1, column.type)
        raise GroupingError(
            f'column "{relation.name}.{column.name}" must appear in the GROUP BY clause '
            "or be used in an aggregate function",
            detail=self.detail,
            position=position,
        )

    def _depends_on_keys(self, relation: Relation, scope: Scope) -> bool:
        """Whether the primary key of the relation's table is among the keys."""
        table = self.binding.context.catalog.relations.get(relation.table)
        if not isinstance(table, Table):
            return False
        common = set(range(len(self.keys))).intersection(*self.sets)
        grouped = {key.index for i in common if isinstance(key := self.keys[i], Reference)}
        numbers = {
            relation.columns[index - relation.offset].number
            for index in grouped
            if relation.offset <= index < relation.offset + len(relation.columns)
        }
        return any(c.kind == "p" and set(c.columns) <= numbers for c in table.constraints)


@dataclass(frozen=True, slots=True)
class Apart:
    """A key of grouping sets that equals another: it is null where its own target is not grouped by."""

    argument: Expression
    number: int

    @property
    def type(self) -> Any:
        return self.argument.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return self.argument.evaluate(batch, run)


@dataclass(frozen=True, slots=True)
class _Column:
    """Column `index` of the keys, or of the groupings, until it is known how many stand before it."""

    index: int
    type: Any

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Any, run: Any) -> Any:
        raise AssertionError("a key was evaluated before its plan was made")


@dataclass(frozen=True, slots=True)
class _Key(_Column):
    """A key."""


@dataclass(frozen=True, slots=True)
class _Bits(_Column):
    """A GROUPING."""


def is_grouped(keys: Sequence[Expression], binding: Binding, having: object) -> bool:
    """Whether a query level gives groups instead of rows."""
    aggregates = binding.aggregates
    called = aggregates is not None and bool(aggregates.calls or aggregates.grouped)
    return bool(keys or called or having is not None)
