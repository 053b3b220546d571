"""Aggregate: GROUP BY and aggregates over groups.

Each task groups and aggregates its own batch; the partial states are merged on the statement's thread in the
order of the rows, so no number of threads and no size of batches changes the answer. Groups come in the order
in which their first rows came. Where a batch has about as many groups as rows, or the groups take more memory
than they may, it goes on with rows instead: see engine.operators.manygroups. Groups then come in any order.

With grouping sets the rows are read once, each batch is grouped by every widest set, and the groups of
the other sets are merged from these (engine.rollups). A key that a set leaves out is null in its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engine.aggregates.registry import AggregateCall
from engine.counters import timed
from engine.groups import number
from engine.nodes import Reference
from engine.operators.base import Operator, Task, bundled, tasks_of
from engine.operators.groups import Input, Part, Whole, inputs, keeps_rows, result
from engine.operators.manygroups import ManyGroups
from engine.parallel import pool_safe, prepare
from engine.partitions import Dealt
from engine.pool import ordered
from engine.rollups import Set, rolled_up, roots
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column
from storage.types import INT4, Type

# A batch with so many groups, and more than one for each _SHARE rows, is not worth aggregating on its own.
MANY = 8192
_SHARE = 16
# So many groups, or rows that are kept, are not counted against the budget.
FEW = 512


@dataclass(frozen=True)
class Aggregate:
    """One row a group: its keys, its calls, its groupings. Without keys there is one group, even of no rows.

    `sets` are the grouping sets, by places of keys, in the order of the result; none: all keys are one.
    A grouping, some places of keys, gives an int4 whose bits, the last key's the lowest, say which of the
    keys are not in the row's set.
    """

    child: Operator
    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...] = ()
    groupings: tuple[tuple[int, ...], ...] = ()

    @property
    def types(self) -> tuple[Type, ...]:
        return (
            *(key.type for key in self.keys),
            *(call.type for call in self.calls),
            *(INT4 for _ in self.groupings),
        )

    @property
    def key_sets(self) -> tuple[Set, ...]:
        """The grouping sets, one at least."""
        return tuple(map(frozenset, self.sets)) or (frozenset(range(len(self.keys))),)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def origin(self, index: int) -> tuple[Operator, int] | None:
        """See engine.operators.keyfilters.Passing: the rows of a group have its key."""
        key = self.keys[index] if index < len(self.keys) and not self.sets else None
        return (self.child, key.index) if isinstance(key, Reference) else None

    def explain(self) -> str:
        return "HashAggregate" if self.keys else "Aggregate"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._groups(run))

    def _groups(self, run: Run) -> Iterator[Batch]:
        gathered = [_Grouping(self, each, run) for each in roots(self.key_sets)]
        try:
            for rows in self._rows(gathered, run):
                for grouping, part in zip(gathered, rows.parts, strict=True):
                    grouping.merge(rows, part)
            for batch in self._results(gathered):
                for first in range(0, batch.rows, BATCH_ROWS):
                    run.check()
                    yield batch.slice(first, first + BATCH_ROWS)
        finally:
            for grouping in gathered:
                grouping.close()

    def _results(self, gathered: Sequence[_Grouping]) -> Iterator[Batch]:
        """The rows of each set."""
        many = gathered[0].many
        if many is not None:  # there is one set
            for batch in many.finish():
                bits = [self._bits(places, self.key_sets[0], batch.rows) for places in self.groupings]
                yield Batch((*batch.columns, *bits), batch.rows)
            return
        grouped = {frozenset(grouping.whole.places): grouping.whole for grouping in gathered}
        grouped = rolled_up(self.key_sets, grouped, lambda whole: whole.count, Whole.rolled)
        results = {each: self._result(each, whole) for each, whole in grouped.items()}
        for each in self.key_sets:
            yield results[each]

    def _result(self, places: Set, whole: Whole) -> Batch:
        """The rows of a set: one a group."""
        mine, count = whole.key_columns(), whole.count
        keys = [mine[i] if i in mine else Column.nulls(key.type, count) for i, key in enumerate(self.keys)]
        results = whole.results(Batch(tuple(keys), count))
        bits = [self._bits(grouping, places, count) for grouping in self.groupings]
        return Batch((*keys, *results, *bits), count)

    def _bits(self, grouping: Sequence[int], places: Set, count: int) -> Column:
        """GROUPING of these keys, in rows of this set."""
        value = 0
        for place in grouping:
            value = 2 * value + (place not in places)
        return Column.scalar(INT4, value).spread(count)

    def _rows(self, gathered: Sequence[_Grouping], run: Run) -> Iterator[_Rows]:
        """The batches, evaluated, and grouped by each of the widest sets."""
        expressions = list(self._expressions())
        prepare(run, *expressions)
        if pool_safe(*expressions):
            below = bundled(tasks_of(self.child, run), self.child.types)
            tasks = (partial(self._task, task, gathered, run) for task in below)
            for part in ordered(tasks, run):
                if part is not None:
                    yield part
            return
        for batch in self.child.batches(run):
            run.check()
            yield self._evaluated(batch, gathered, run)

    def _expressions(self) -> Iterator[Expression]:
        yield from self.keys
        for call in self.calls:
            yield from call.arguments
            yield from (key.expression for key in call.order)
            if call.filter is not None:
                yield call.filter
            if call.direct is not None:
                yield from call.direct.arguments

    def _task(self, task: Task, gathered: Sequence[_Grouping], run: Run) -> _Rows | None:
        batch = task()
        return None if batch is None or not batch.rows else self._evaluated(batch, gathered, run)

    def _evaluated(self, batch: Batch, gathered: Sequence[_Grouping], run: Run) -> _Rows:
        keys = [key.evaluate(batch, run).spread(batch.rows) for key in self.keys]
        rows = _Rows(keys, [inputs(call, batch, run) for call in self.calls], batch.rows)
        rows.parts = [grouping.part(rows) for grouping in gathered]
        return rows


class _Rows:
    """A batch's keys and what calls take of it, and what became of it in each grouping."""

    __slots__ = ("count", "given", "keys", "parts")

    def __init__(self, keys: list[Column], given: list[Input], count: int) -> None:
        self.keys, self.given, self.count = keys, given, count
        self.parts: list[Part | Dealt | None] = []


class _Grouping:
    """The groups by one of the widest sets: a Whole, and from some batch on, perhaps, rows dealt out.

    From which on depends on the rows and their order only, not on how tasks come to their ends.
    """

    def __init__(self, plan: Aggregate, places: Set, run: Run) -> None:
        self.whole = Whole(plan.calls, places, [key.type for key in plan.keys], run)
        self.many: ManyGroups | None = None
        self._plan = plan
        self._run = run
        self._alone = bool(places) and len(plan.key_sets) == 1
        self._rows_kept = any(map(keeps_rows, plan.calls))
        self._grant = run.memory.grant()
        self._size = 0  # groups, and rows that are kept
        self._checked = FEW  # the size at which memory is looked at next

    def part(self, rows: _Rows) -> Part | Dealt | None:
        """A batch's groups, or its rows dealt out; None: it is to be dealt out by `merge`. On a worker."""
        keys = self._keys(rows)
        if self.many is not None:
            return self.many.deal(keys, rows.given, rows.count)
        groups, firsts = number(keys, rows.count)
        if self._alone and len(firsts) >= MANY and len(firsts) * _SHARE >= rows.count:
            return None
        results = [
            result(call, given, groups, len(firsts), self._run)
            for call, given in zip(self._plan.calls, rows.given, strict=True)
        ]
        return Part.of([key.take(firsts) for key in keys], len(firsts), results)

    def merge(self, rows: _Rows, part: Part | Dealt | None) -> None:
        """Take the next batch."""
        if self.many is None and isinstance(part, Part):
            self.whole.merge(part)
            self._size += (rows.count if self._rows_kept else 0) + part.count
            if self._size >= self._checked:
                self._check()
            return
        if self.many is None:
            self._deal()
        assert self.many is not None
        if not isinstance(part, Dealt):
            part = self.many.deal(self._keys(rows), rows.given, rows.count)
        self.many.add(part)

    def _check(self) -> None:
        """Count what the groups hold; where it is too much, go on with rows. Raises OutOfMemory."""
        nbytes = self.whole.nbytes
        if self._grant.resize(nbytes):
            self._checked = self._size * 5 // 4
        elif self._alone:
            self._deal()
        else:
            self._grant.require(nbytes - self._grant.held, self._plan.explain())
            self._checked = self._size * 5 // 4

    def _deal(self) -> None:
        self.many = ManyGroups(self._plan.calls, self.whole, self._run, self._plan)

    def _keys(self, rows: _Rows) -> list[Column]:
        return [rows.keys[i] for i in self.whole.places]

    def close(self) -> None:
        """Forget all groups and rows."""
        self._grant.release()
        if self.many is not None:
            self.many.close()
