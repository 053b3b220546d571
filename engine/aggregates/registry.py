"""The table of aggregates, and the state of one aggregate over all groups of a grouping.

    @aggregate("count", [ANY], INT8)
    class Count(State): ...

A state holds plain arrays with one place a group. `update` adds the rows of a batch, each to the group
whose number stands beside it; `merge` adds another state, whose group i is this one's `groups[i]`, and
leaves that one as it is; `finish` gives one row a group. Sums of floats are exact until `finish`, so no
order of rows, batches or threads changes a bit of them. Aggregates whose answer depends on the order of rows
(array_agg, string_agg) keep the order in which `update` and `merge` bring them.

DISTINCT, FILTER and ORDER BY inside a call are done before `update` by the operator.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.frames import Pieces
from engine.functions import registry as functions
from engine.run import Run
from engine.seams import Expression
from storage.column import Column, Positions
from storage.types import Type


class State:
    """An aggregate's state over `count` groups. Subclasses implement `grow`, `add`, `merge`, `finish`."""

    strict: ClassVar[bool] = True  # rows with a null argument are left out
    keeps_rows: ClassVar[bool] = False  # what it holds grows with the rows, not with the groups
    picks: ClassVar[bool] = False  # if rows come in order, it keeps few of them: see `expect`

    def __init__(self, arguments: Sequence[Type], result: Type, run: Run) -> None:
        self.arguments = tuple(arguments)
        self.result = result
        self.run = run
        self.count = 0
        # of an ordered-set aggregate, before `finish` or `expect`: its direct arguments, one row a group, and
        # (descending, nulls first) of each key of its order
        self.direct: Sequence[Column] = ()
        self.directions: Sequence[tuple[bool, bool]] = ()
        self.prepare()

    def prepare(self) -> None:
        """Set up empty arrays."""

    def update(self, groups: Positions, columns: Sequence[Column], count: int) -> None:
        """Add rows: row i belongs to group `groups[i]` of `count` groups known so far."""
        self.reserve(count)
        columns = [column.spread(len(groups)) for column in columns]
        if self.strict:
            valid = None
            for column in columns:
                if column.valid is not None:
                    valid = column.valid if valid is None else valid & column.valid
            if valid is not None:
                groups = groups[valid]
                columns = [column.take(valid) for column in columns]
        if len(groups):
            self.add(groups, columns)

    @classmethod
    def needs_order(cls, arguments: Sequence[Type]) -> bool:
        """Whether an ordered aggregate of such arguments takes its rows in order only."""
        return True

    def expect(self, rows: Positions) -> None:
        """All rows that are added will come sorted, by group and then by the call's order, `rows[g]` of group
        g, of a strict aggregate without nulls. Direct arguments are there."""

    def rows_kept(self) -> tuple[Positions, Sequence[Column]]:
        """(the group of each row that is kept, their columns), of a state that keeps rows and picks."""
        raise NotImplementedError

    def reserve(self, count: int) -> None:
        """Have places for `count` groups at least."""
        if count > self.count:
            self.grow(count)
            self.count = count

    def grow(self, count: int) -> None:
        """Lengthen the arrays to `count` groups; `self.count` is still the old number."""
        raise NotImplementedError

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        """Add rows, at least one; of a strict aggregate they have no nulls."""
        raise NotImplementedError

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        """Add what `other`, a state of the same call, has gathered; several of its groups may be one here."""
        raise NotImplementedError

    def finish(self, count: int) -> Column:
        """The results of groups 0 to `count`, one row each."""
        raise NotImplementedError

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        """The results of frames over `rows` rows, where they are had without adding each frame's rows anew.

        What `core`, a state of one group, has gathered counts for every frame. The state is an empty one and
        used up by it; `columns` are as for `add`. None: there is no such way.
        """
        return None


@dataclass(frozen=True)
class Aggregate:
    """One signature of an aggregate. `id` names it in plans: 'sum(int4)', 'count()'.

    The first `direct` of an ordered-set aggregate's arguments are direct ones; None: it is none. Those of
    a hypothetical-set aggregate are as many of any types as its order has.
    """

    id: str
    name: str
    arguments: tuple[Type, ...]
    result: Type
    state: type[State]
    oid: int
    ordered: bool = False  # the order of rows changes the answer
    doc: str = ""
    direct: int | None = None


AGGREGATES: dict[str, list[Aggregate]] = {}
HYPOTHETICAL: dict[str, list[Aggregate]] = {}
BY_ID: dict[str, Aggregate] = {}

# OIDs of pg_proc that belong to aggregates: apart from those that functions derive.
_FIRST_OID, _OIDS = 15_600, 600
_TAKEN: set[int] = set()


def aggregate(
    name: str,
    arguments: Sequence[Type],
    result: Type,
    *,
    ordered: bool = False,
    direct: int | None = None,
    table: dict[str, list[Aggregate]] = AGGREGATES,
) -> Callable[[type[State]], type[State]]:
    """Declare a signature of aggregate `name`; decorators stack. No arguments: name(*)."""

    def declare(state: type[State]) -> type[State]:
        id = f"{name}({','.join(t.name for t in arguments)})"
        assert id not in BY_ID, f"{id} is declared twice"
        oid = _FIRST_OID + zlib.crc32(id.encode()) % _OIDS
        while oid in _TAKEN:
            oid += 1
        _TAKEN.add(oid)
        doc = (state.__doc__ or "").strip()
        row = Aggregate(id, name, tuple(arguments), result, state, oid, ordered, doc, direct)
        BY_ID[id] = row
        functions.AGGREGATES[oid] = (row.arguments, result)
        table.setdefault(name, []).append(row)
        return state

    return declare


def start(function: str, arguments: Sequence[Type], result: Type, run: Run) -> State:
    """An empty state of aggregate `function` for arguments of these types."""
    return BY_ID[function].state(arguments, result, run)


@dataclass(frozen=True)
class Direct:
    """Direct arguments, over the columns of the keys; (descending, nulls first) of each hypothetical one."""

    arguments: tuple[Expression, ...]
    directions: tuple[tuple[bool, bool], ...] = ()


@dataclass(frozen=True)
class AggregateCall:
    """An aggregate in a plan. `order` sorts the rows within each group before they are added."""

    function: str
    arguments: tuple[Expression, ...]
    distinct: bool
    filter: Expression | None
    order: tuple[Any, ...]  # of engine.operators.sort.SortKey
    type: Type
    direct: Direct | None = None


def grown(array: np.ndarray, count: int, fill: Any = 0) -> np.ndarray:
    """`array` lengthened to `count` places."""
    longer = np.full((count, *array.shape[1:]), fill, array.dtype)
    longer[: len(array)] = array
    return longer
