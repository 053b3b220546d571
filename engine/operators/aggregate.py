"""Aggregate: GROUP BY and aggregates over groups.

Each task groups and aggregates its own batch; the partial states are merged on the statement's thread in the
order of the rows, so no number of threads and no size of batches changes the answer. Groups come in the order
in which their first rows came. Where a batch has about as many groups as rows, or the groups take more memory
than they may, it goes on with rows instead: see engine.operators.manygroups. Groups then come in any order.

With grouping sets the rows are read once, each batch is grouped by every widest set, and the groups of
the other sets are merged from these (engine.rollups). A key that a set leaves out is null in its rows. Where
the groups take more memory than they may, each set goes on for itself, with groups or with rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from engine.aggregates.registry import BY_ID, AggregateCall, State
from engine.aggregates.sums import Count
from engine.counters import timed
from engine.groups import number
from engine.nodes import Reference
from engine.operators.base import (
    Operator,
    Selected,
    Selection,
    all_of,
    bundled,
    counts_of,
    selections_of,
    tasks_of,
)
from engine.operators.fusedtotals import FusedTotals, fused_totals
from engine.operators.groups import Input, Part, Whole, finished, inputs, keeps_rows, result
from engine.operators.grouptables import GroupTables, batch_part, is_many
from engine.operators.largegroups import is_sorted
from engine.operators.manygroups import ManyGroups
from engine.parallel import pool_safe, prepare
from engine.partitions import Dealt
from engine.pool import FAR_AHEAD, MOST_AHEAD, ordered
from engine.rollups import Set, rolled_up, roots
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column
from storage.indexes.comparable import keys_of
from storage.types import INT4, Type

# A batch of fewer rows is as soon aggregated call by call.
FEW_ROWS = 128
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
        if self._counts:
            yield self._counted(run)
            return
        groupings = _Groupings(self, run)
        try:
            for rows in self._rows(groupings, run):
                groupings.merge(rows)
            groupings.merge_tables()
            for batch in self._results(groupings, run):
                for first in range(0, batch.rows, BATCH_ROWS):
                    run.check()
                    yield batch.slice(first, first + BATCH_ROWS)
        finally:
            groupings.close()

    @cached_property
    def _counts(self) -> bool:
        """Whether nothing is asked but how many rows there are."""
        return (
            bool(self.calls)
            and not (self.keys or self.sets or self.groupings)
            and all(
                issubclass(BY_ID[call.function].state, Count)
                and not (call.arguments or call.order or call.distinct or call.filter or call.direct)
                for call in self.calls
            )
        )

    def _counted(self, run: Run) -> Batch:
        """The one group, where nothing but its rows is counted."""
        found: list[int] = []
        tasks = (partial(_append, found, task) for task in counts_of(self.child, run))
        for _ in ordered(tasks, run, MOST_AHEAD):
            pass
        run.check()
        return Batch(tuple(Column(call.type, np.array([sum(found)])) for call in self.calls), 1)

    def _results(self, groupings: _Groupings, run: Run) -> Iterator[Batch]:
        """The rows of each set; those of one that is named twice come together."""
        yield from self._ready(groupings, run)
        grouped = groupings.of_sets()
        for places in dict.fromkeys(self.key_sets):
            times = self.key_sets.count(places)
            found = grouped[places]
            for batch in found.finish() if isinstance(found, ManyGroups) else [self._result(found)]:
                bits = [self._bits(grouping, places, batch.rows) for grouping in self.groupings]
                yield from [Batch((*batch.columns, *bits), batch.rows)] * times

    def _ready(self, groupings: _Groupings, run: Run) -> Iterator[Batch]:
        """The rows of groups that are whole before all are merged."""
        if groupings.tables is not None:
            tasks = (partial(self._finished, each, run) for each in groupings.tables.ready())
            yield from ordered(tasks, run)

    def _finished(self, groups: Callable[[], Part], run: Run) -> Batch:
        part = groups()
        known = Batch(tuple(part.columns), part.count)
        found = [
            finished(call, each if isinstance(each, State) else [each], known, part.count, run)
            for call, each in zip(self.calls, part.results, strict=True)
        ]
        (places,) = self.key_sets
        bits = [self._bits(grouping, places, part.count) for grouping in self.groupings]
        return Batch((*known.columns, *found, *bits), part.count)

    def _result(self, whole: Whole) -> Batch:
        """Keys and values of a set's groups."""
        mine, count = whole.key_columns(), whole.count
        keys = [mine[i] if i in mine else Column.nulls(key.type, count) for i, key in enumerate(self.keys)]
        return Batch((*keys, *whole.results(Batch(tuple(keys), count))), count)

    def _bits(self, grouping: Sequence[int], places: Set, count: int) -> Column:
        """GROUPING of these keys, in rows of this set."""
        value = 0
        for place in grouping:
            value = 2 * value + (place not in places)
        return Column.scalar(INT4, value).spread(count)

    def _rows(self, groupings: _Groupings, run: Run) -> Iterator[_Rows]:
        """The batches, evaluated, and grouped by each of the sets that are grouped by."""
        prepare(run, *self._expressions)
        if self._safe:
            if self._fused is not None:
                found = selections_of(self.child, run)
            else:
                found = map(all_of, bundled(tasks_of(self.child, run), self.child.types))
            tasks = (partial(self._task, task, at, groupings, run) for at, task in enumerate(found))
            for part in ordered(tasks, run, FAR_AHEAD):
                if part is not None:
                    yield part
            return
        for batch in self.child.batches(run):
            run.check()
            rows = _Rows(self, Selected(batch, None), run)
            rows.parts = groupings.parts(rows)
            yield rows

    @cached_property
    def _fused(self) -> FusedTotals | None:
        """The calls as one program, where they are such."""
        return None if self.sets else fused_totals(self.keys, self.calls)

    def tables(self, run: Run) -> GroupTables | None:
        """Tables of a run, where the calls are such that they have some."""
        return None if self._fused is None else GroupTables(self._fused, run)

    @cached_property
    def _safe(self) -> bool:
        return pool_safe(*self._expressions)

    @cached_property
    def _expressions(self) -> tuple[Expression, ...]:
        return tuple(self._evaluated())

    def _evaluated(self) -> Iterator[Expression]:
        """All that is evaluated for a row."""
        yield from self.keys
        for call in self.calls:
            yield from call.arguments
            yield from (key.expression for key in call.order)
            if call.filter is not None:
                yield call.filter
            if call.direct is not None:
                yield from call.direct.arguments

    def _task(self, task: Selection, at: int, groupings: _Groupings, run: Run) -> _Rows | None:
        """What becomes of the rows of task number `at`; None: nothing is left to be merged."""
        found = task()
        if found is None or not found.batch.rows:
            return None
        many = found.batch.rows >= FEW_ROWS
        if groupings.tables is not None and (many or not groupings.tables.empty):
            found = groupings.tables.left(found, at)
            if found is None:
                return None
        rows = _Rows(self, found, run)
        if self._fused is not None and groupings.all[0].many is None and many:
            part = batch_part(self._fused, found.rows(), run)
            if part is not None:
                rows.parts = {groupings.all[0].places: part}
                return rows
        rows.parts = groupings.parts(rows)
        return rows


def _append(found: list[int], task: Callable[[], int]) -> None:
    """Have a task's result among those found, in any order: nobody is woken for it."""
    found.append(task())


class _Rows:
    """A batch's keys and what calls take of it, evaluated once somebody asks, and what became of it in each
    grouping."""

    __slots__ = ("_evaluated", "_plan", "_run", "_selected", "parts")

    def __init__(self, plan: Aggregate, selected: Selected, run: Run) -> None:
        self._plan, self._selected, self._run = plan, selected, run
        self._evaluated: tuple[list[Column], list[Input], int] | None = None
        self.parts: dict[Set, Part | Dealt | None] = {}

    def evaluated(self) -> tuple[list[Column], list[Input], int]:
        """(the columns of all keys, what each call takes, how many rows)."""
        if self._evaluated is None:
            batch = self._selected.rows()
            keys = [key.evaluate(batch, self._run).spread(batch.rows) for key in self._plan.keys]
            given = [inputs(call, batch, self._run) for call in self._plan.calls]
            self._evaluated = keys, given, batch.rows
        return self._evaluated


class _Groupings:
    """The groupings of a run: one for each of the widest sets and, once memory is short, for each set.

    When that is depends on the rows and their order only, not on how tasks come to their ends; what a task
    made of its batch before is made good by `merge`.
    """

    def __init__(self, plan: Aggregate, run: Run) -> None:
        self._plan = plan
        self._run = run
        self._sets = tuple(dict.fromkeys(plan.key_sets))
        types = [key.type for key in plan.keys]
        alone = len(self._sets) == 1
        self.all = tuple(
            _Grouping(plan, Whole(plan.calls, each, types, run), run, alone=alone)
            for each in roots(self._sets)
        )
        self._split = alone
        self.tables = plan.tables(run)
        self._grant = run.memory.grant()
        self._checked = FEW  # the size at which memory is looked at next

    def merge(self, rows: _Rows) -> None:
        """Take the next batch. Raises OutOfMemory."""
        for grouping in self.all:
            there = grouping.places in rows.parts
            grouping.merge(rows, rows.parts[grouping.places] if there else grouping.part(rows))
        size = self._size()
        if size >= self._checked:
            self._check()
            self._checked = max(self._size() * 5 // 4, FEW)

    def merge_tables(self) -> None:
        """Take the groups of the tables, when all batches have been taken: of those that nobody else may have
        none, they are ready."""
        if self.tables is None:
            return
        first = self.all[0]
        alone = first.many is None and not first.whole.count
        for part in self.tables.shared() if alone else self.tables.parts():
            first.whole.merge(part)

    def parts(self, rows: _Rows) -> dict[Set, Part | Dealt | None]:
        """What becomes of a batch in each grouping. On a worker."""
        return {grouping.places: grouping.part(rows) for grouping in self.all}

    def _size(self) -> int:
        return sum(grouping.size for grouping in self.all if grouping.many is None)

    def _check(self) -> None:
        """Count what the groups hold; where it is too much, go on with rows."""
        nbytes = sum(grouping.whole.nbytes for grouping in self.all if grouping.many is None)
        if self._grant.resize(nbytes):
            return
        if not self._split:
            self._split_up()
        left = [grouping for grouping in self.all if grouping.many is None]
        sizes = {grouping.places: grouping.whole.nbytes for grouping in left}
        large = [
            grouping for grouping in left if 2 * len(left) * sizes[grouping.places] >= sum(sizes.values())
        ]
        dealing = [grouping for grouping in large if grouping.may_go_aside]
        if not dealing:
            self._grant.require(max(sum(sizes.values()) - self._grant.held, 0), self._plan.explain())
        for grouping in dealing:
            grouping.deal()

    def _split_up(self) -> None:
        """From now on each set is grouped for itself."""
        wholes = {grouping.places: grouping.whole for grouping in self.all}
        wholes = rolled_up(self._sets, wholes, lambda whole: whole.count, Whole.rolled)
        sizes = {each: whole.count for each, whole in wholes.items()}
        sizes |= {grouping.places: grouping.size for grouping in self.all}
        self.all = tuple(
            _Grouping(self._plan, wholes[each], self._run, alone=True, size=sizes[each])
            for each in self._sets
        )
        self._split = True

    def of_sets(self) -> Mapping[Set, Whole | ManyGroups]:
        """The groups of every set."""
        if self._split:
            return {grouping.places: grouping.many or grouping.whole for grouping in self.all}
        wholes = {grouping.places: grouping.whole for grouping in self.all}
        return rolled_up(self._sets, wholes, lambda whole: whole.count, Whole.rolled)

    def close(self) -> None:
        """Forget all groups and rows."""
        self._grant.release()
        if self.tables is not None:
            self.tables.close()
        for grouping in self.all:
            grouping.close()


class _Grouping:
    """The groups by one set: a Whole, and from some batch on, perhaps, rows dealt out.

    `alone`: no other set's groups are merged from these.
    """

    def __init__(self, plan: Aggregate, whole: Whole, run: Run, *, alone: bool, size: int = 0) -> None:
        self.whole = whole
        self.places: Set = frozenset(whole.places)
        self.many: ManyGroups | None = None
        self.size = size  # groups, and rows that are kept
        self._plan = plan
        self._run = run
        self._alone = alone and bool(whole.places)
        self._rows_kept = any(map(keeps_rows, plan.calls))

    @property
    def may_go_aside(self) -> bool:
        """Whether rows in files take less memory than the groups: if there is one, where it keeps rows."""
        return bool(self.places) or any(map(is_sorted, self._plan.calls))

    def part(self, rows: _Rows) -> Part | Dealt | None:
        """A batch's groups, or its rows dealt out; None: it is to be dealt out by `merge`. On a worker."""
        columns, inputs, count = rows.evaluated()
        keys = [columns[i] for i in self.whole.places]
        if self.many is not None:
            return self.many.deal(keys, inputs, count)
        groups, firsts = number(keys, count)
        if self._alone and is_many(len(firsts), count):
            return None
        results = [
            result(call, given, groups, len(firsts), self._run)
            for call, given in zip(self._plan.calls, inputs, strict=True)
        ]
        columns = [key.take(firsts) for key in keys]
        return Part(columns, len(firsts), results, keys_of(columns, len(firsts)))

    def merge(self, rows: _Rows, part: Part | Dealt | None) -> None:
        """Take the next batch. Raises DiskFull, FileError, ConfigurationLimitExceeded."""
        if self.many is None and isinstance(part, Part):
            self.whole.merge(part)
            self.size += (rows.evaluated()[2] if self._rows_kept else 0) + part.count
            return
        if self.many is None:
            self.deal()
        assert self.many is not None
        if not isinstance(part, Dealt):
            columns, inputs, count = rows.evaluated()
            part = self.many.deal([columns[i] for i in self.whole.places], inputs, count)
        self.many.add(part)

    def deal(self) -> None:
        """Go on with rows."""
        types = [key.type for key in self._plan.keys]
        self.many = ManyGroups(self._plan.calls, self.whole, types, self._run, self._plan)

    def close(self) -> None:
        """Forget all rows."""
        if self.many is not None:
            self.many.close()
