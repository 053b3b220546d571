"""The seam of physical operators: a frozen dataclass whose run is a generator of batches.

An operator that works row by row on its input (scan, filter, project) also offers `morsels`: the same
rows as independent tasks for the pool, in row order. `batches` of such an operator runs them there and
yields their batches in order; an operator above (aggregate, top-k) may take the tasks itself and do its
part inside them.

The iterator of tasks belongs to the statement's thread, the tasks to the workers: what may not run on a
worker is computed while iterating.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol, cast

from engine.counters import timed
from engine.joined import Partners
from engine.late import bounded, bounded_rows, together
from engine.pool import FAR_AHEAD, ordered
from engine.run import Run
from storage.batch import Batch
from storage.column import Mask
from storage.types import Type

Task = Callable[[], Batch | None]
LEFT_IN = 0.4
"""From this share of the rows on, those that an operator drops are better left in than taken out."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A batch with rows that are none of the operator's: its own are where the mask is true (None: all), and
    that meet somebody among all of these `partners`, who may not have been looked for yet."""

    batch: Batch
    mask: Mask | None
    partners: tuple[Partners, ...] = ()

    def settled(self) -> Selected:
        """The same by the mask alone."""
        mask = self.mask
        for each in self.partners:
            mask = each.met if mask is None else mask & each.met
        return Selected(self.batch, None if mask is None or mask.all() else mask)

    def found(self) -> Selected:
        """The same, with those partners only who have not been looked for."""
        known = tuple(each for each in self.partners if each.known)
        if not known:
            return self
        left = tuple(each for each in self.partners if not each.known)
        return replace(Selected(self.batch, self.mask, known).settled(), partners=left)

    def rows(self) -> Batch:
        """The operator's rows."""
        own = self.settled() if self.partners else self
        return own.batch if own.mask is None else own.batch.take(own.mask)


Selection = Callable[[], Selected | None]


class Operator(Protocol):
    """A physical plan node. `types` are those of its output columns."""

    @property
    def types(self) -> tuple[Type, ...]: ...

    @property
    def children(self) -> tuple[Operator, ...]: ...

    def batches(self, run: Run) -> Iterator[Batch]:
        """The rows. Calls `run.check()` once a batch; releases what it holds when closed early."""

    def explain(self) -> str:
        """One line of EXPLAIN, without children: 'Seq Scan on features'."""


class Pipelined(Protocol):
    """An operator whose rows can be had as tasks."""

    def morsels(self, run: Run) -> Iterator[Task]: ...


class Selecting(Protocol):
    """An operator that has many rows cheaper together with a few others."""

    def selections(self, run: Run) -> Iterator[Selection]: ...


class Counted(Protocol):
    """An operator that knows how many rows it has sooner than which."""

    def counts(self, run: Run) -> Iterator[Callable[[], int]]: ...


def tasks_of(operator: Operator, run: Run) -> Iterator[Task]:
    """An operator's rows as tasks: its own, or its batches, which then are there already."""
    # A look at the attribute: isinstance of a protocol takes longer than a small statement.
    if hasattr(operator, "morsels"):
        yield from cast(Pipelined, operator).morsels(run)
        return
    for batch in operator.batches(run):
        yield given(batch)


def bundled(tasks: Iterable[Task], types: Sequence[Type]) -> Iterator[Task]:
    """Tasks that give few rows of these types as fewer tasks that give more: a batch takes its time, too.

    How many become one depends on what those before gave whose results a consumer has taken for sure
    (engine.pool.ordered), so batches do not depend on how threads happen to run.
    """
    iterator, enough = iter(tasks), bounded_rows(types) // 2
    sizes: list[int] = []
    rows: list[int | None] = []  # of each bundle, once it has run
    while several := list(islice(iterator, _size(sizes, rows, enough))):
        sizes.append(len(several))
        rows.append(None)
        yield partial(_bundle, several, rows, len(rows) - 1)


def bundled_selections(selections: Iterable[Selection], types: Sequence[Type]) -> Iterator[Selection]:
    """The same of selections: what becomes one with others has only its own rows."""
    iterator, enough = iter(selections), bounded_rows(types) // 2
    sizes: list[int] = []
    rows: list[int | None] = []
    while several := list(islice(iterator, _size(sizes, rows, enough))):
        sizes.append(len(several))
        rows.append(None)
        yield partial(_bundle_selections, several, rows, len(rows) - 1)


_MOST_TASKS = 8  # in a bundle
_LOOKED_AT = 8  # bundles whose rows are taken for those to come


def _size(sizes: Sequence[int], rows: Sequence[int | None], enough: int) -> int:
    """Of how many tasks the next bundle is made."""
    end = len(rows) - FAR_AHEAD + 1
    begin = max(end - _LOOKED_AT, 0)
    known = [count for count in rows[begin : max(end, 0)] if count is not None]
    if not known or len(known) < end - begin:
        return 1
    return max(min(enough * sum(sizes[begin:end]) // max(sum(known), 1), _MOST_TASKS), 1)


def _bundle(tasks: Sequence[Task], rows: list[int | None], place: int) -> Batch | None:
    batches = [batch for task in tasks if (batch := task()) is not None and batch.rows]
    rows[place] = sum(batch.rows for batch in batches)
    if len(batches) < 2:
        return batches[0] if batches else None
    return together(batches)


def _bundle_selections(
    selections: Sequence[Selection], rows: list[int | None], place: int
) -> Selected | None:
    if len(selections) == 1:
        found = selections[0]()
        rows[place] = 0 if found is None else found.batch.rows
        return found
    batch = _bundle([partial(_own_rows, each) for each in selections], rows, place)
    return None if batch is None else Selected(batch, None)


def _own_rows(selection: Selection) -> Batch | None:
    found = selection()
    return None if found is None else found.rows()


def selections_of(operator: Operator, run: Run) -> Iterator[Selection]:
    """An operator's rows as tasks that may leave in what is not worth taking out, where it knows how to."""
    if hasattr(operator, "selections"):
        yield from cast(Selecting, operator).selections(run)
        return
    yield from map(all_of, bundled(tasks_of(operator, run), operator.types))


def counts_of(operator: Operator, run: Run) -> Iterator[Callable[[], int]]:
    """How many rows an operator has, as tasks: as it knows it, or by its rows."""
    if hasattr(operator, "counts"):
        yield from cast(Counted, operator).counts(run)
        return
    yield from map(rows_of, tasks_of(operator, run))


def rows_of(task: Task) -> Callable[[], int]:
    """How many rows a task gives."""
    return partial(_rows_of, task)


def _rows_of(task: Task) -> int:
    batch = task()
    return 0 if batch is None else batch.rows


def all_of(task: Task) -> Selection:
    """A task's rows, nothing left in."""
    return partial(_all_of, task)


def _all_of(task: Task) -> Selected | None:
    batch = task()
    return None if batch is None else Selected(batch, None)


def given(batch: Batch | None) -> Task:
    """A task whose batch is there already."""
    return partial(_same, batch)


def _same(batch: Batch | None) -> Batch | None:
    return batch


def pooled(operator: Operator, tasks: Iterator[Task], run: Run) -> Iterator[Batch]:
    """`batches` of a pipelined operator: its tasks' batches in order, in pieces of bearable size."""
    yield from timed(run, operator, _pieces(tasks, run), rows=False)


def _pieces(tasks: Iterator[Task], run: Run) -> Iterator[Batch]:
    for batch in ordered(tasks, run):
        if batch is not None and batch.rows:
            yield from bounded(batch)
