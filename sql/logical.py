"""Logical plans: what a query means, before it is decided how it runs.

A node's expressions are over the columns of its child (of both children, left first, for joins). Rules
(sql.rules) replace nodes, sql.physical turns them into operators.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

from engine import operators
from engine.aggregates.registry import AggregateCall
from engine.expressions import Expression
from engine.operators import LockTarget, SortKey
from engine.operators.pairs import Kind, join_types
from sql.views.registry import SystemView
from storage.definitions import Table
from storage.types import INT4, INT8, Type

JoinKind = Kind


class Node(Protocol):
    """A logical node: the types of its columns, and what it reads."""

    @property
    def types(self) -> tuple[Type, ...]: ...

    @property
    def children(self) -> tuple[Node, ...]: ...

    def with_children(self, children: tuple[Node, ...]) -> Node:
        """The same node over other children."""


class _OverNone:
    """What reads no other node."""

    @property
    def children(self) -> tuple[Node, ...]:
        return ()

    def with_children(self, children: tuple[Node, ...]) -> Self:
        return self


@dataclass(frozen=True)
class _OverOne:
    """What reads one other node, its child."""

    child: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.child,)

    def with_children(self, children: tuple[Node, ...]) -> Self:
        return replace(self, child=children[0])


class _SameColumns(_OverOne):
    """What gives the columns of its child."""

    @property
    def types(self) -> tuple[Type, ...]:
        return self.child.types


@dataclass(frozen=True)
class Get(_OverNone):
    """The columns at `positions` of a table or a catalog view; `row_ids` appends the row's id.

    A position of a table that is negative is the attnum of a system column: see `Table.at`.
    """

    source: Table | SystemView
    positions: tuple[int, ...]
    row_ids: bool = False
    condition: Expression | None = None  # over the columns at `positions`
    slot: int = 0  # see engine.operators.scan: of those with row ids
    unread: frozenset[int] = frozenset()  # the columns, by place, that nothing but the condition asks for

    @property
    def types(self) -> tuple[Type, ...]:
        if isinstance(self.source, Table):
            types = tuple(self.source.at(p).type for p in self.positions)
        else:
            types = tuple(self.source.columns[p][1] for p in self.positions)
        return (*types, INT8) if self.row_ids else types


@dataclass(frozen=True)
class Leaf(_OverNone):
    """An operator that is finished: a function's rows, VALUES, a common table expression."""

    operator: operators.Operator

    @property
    def types(self) -> tuple[Type, ...]:
        return self.operator.types


@dataclass(frozen=True)
class Filter(_SameColumns):
    """The rows whose condition is true."""

    condition: Expression


@dataclass(frozen=True)
class Barrier(_SameColumns):
    """The rows of a view with security_barrier: what can fail, and so could tell of others, stays above."""


@dataclass(frozen=True)
class Project(_OverOne):
    """One column an expression; `sets`: some of them give several rows for one."""

    expressions: tuple[Expression, ...]
    sets: bool = False

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(e.type for e in self.expressions)


@dataclass(frozen=True)
class Join:
    """Pairs of rows for which the condition is true (None: all)."""

    kind: JoinKind
    left: Node
    right: Node
    condition: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return join_types(self.kind, self.left.types, self.right.types)

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return replace(self, left=children[0], right=children[1])


@dataclass(frozen=True)
class Apply:
    """LATERAL: `right` is run with `arguments` over each left row as its outer row."""

    kind: Literal["inner", "left"]
    left: Node
    right: Node
    arguments: tuple[Expression, ...]
    condition: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.left.types, *self.right.types)

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return replace(self, left=children[0], right=children[1])


@dataclass(frozen=True)
class Aggregate(_OverOne):
    """GROUP BY `keys`; the columns are keys, then calls, then an int4 of each of `groupings`.

    `sets`, the grouping sets, are places of keys; none: there is one, of all keys. See
    engine.operators.aggregate.
    """

    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...] = ()
    groupings: tuple[tuple[int, ...], ...] = ()

    @property
    def types(self) -> tuple[Type, ...]:
        return (
            *(k.type for k in self.keys),
            *(c.type for c in self.calls),
            *(INT4 for _ in self.groupings),
        )


@dataclass(frozen=True)
class Sort(_SameColumns):
    """All rows in order."""

    keys: tuple[SortKey, ...]


@dataclass(frozen=True)
class Window(_OverOne):
    """The child's columns, and a value a call of a window function."""

    calls: tuple[operators.WindowCall, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.child.types, *(call.type for call in self.calls))


@dataclass(frozen=True)
class Limit(_SameColumns):
    """At most `count` rows after `offset` ones, and those that are equal to the last by `ties`."""

    count: Expression | None
    offset: Expression | None
    ties: tuple[SortKey, ...] = ()


@dataclass(frozen=True)
class LockRows(_SameColumns):
    """The rows, locked as `targets` say; at most `count` after `offset` ones."""

    targets: tuple[LockTarget, ...]
    count: Expression | None = None
    offset: Expression | None = None


@dataclass(frozen=True)
class Top(_SameColumns):
    """The first rows of an order: a sort and a limit in one."""

    keys: tuple[SortKey, ...]
    count: Expression
    offset: Expression | None


@dataclass(frozen=True)
class PartitionTop(_SameColumns):
    """At least the first rows of each partition, in the order of the child's: see the operator."""

    partition: tuple[Expression, ...]
    order: tuple[SortKey, ...]
    count: Expression
    less: int = 0
    ties: bool = False


@dataclass(frozen=True)
class Distinct(_SameColumns):
    """Each row once, or the first of each value of `keys`."""

    keys: tuple[Expression, ...] | None = None


@dataclass(frozen=True)
class Append:
    """UNION ALL."""

    parts: tuple[Node, ...]
    types: tuple[Type, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.parts

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return replace(self, parts=children)


@dataclass(frozen=True)
class SetOperation:
    """INTERSECT and EXCEPT."""

    kind: Literal["intersect", "except"]
    all: bool
    left: Node
    right: Node

    @property
    def types(self) -> tuple[Type, ...]:
        return self.left.types

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return replace(self, left=children[0], right=children[1])


@dataclass(frozen=True)
class Empty(_OverNone):
    """No rows: a condition is known to be false."""

    types: tuple[Type, ...]
