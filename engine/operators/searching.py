"""How a search by codes begins, and how it is cut into tasks: what scans and orders by similarity share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from engine.certificates import enabled
from engine.operators.bounds import conjunction_of
from engine.operators.scan import Scan, only
from engine.operators.scanrows import Test
from engine.parallel import pool_safe, prepare, root_memo
from engine.pool import LOOK_AHEAD, WORKERS, ordered
from engine.run import Run
from engine.seams import Expression
from storage.codes import Codes
from storage.definitions import ColumnDefinition
from storage.predicate import Conjunction
from storage.seams import TableView

# Rows whose codes make a task: some hundred microseconds to a millisecond of it.
_LEAST_ROWS, _MOST_ROWS = 1 << 15, 1 << 17
# Tasks of a table that is not large, for each thread: none is left with a long one at the end.
_TASKS = 4
_QUICK = 0.001  # seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """What a run of a search over `scan` knows before it asks codes."""

    scan: Scan
    view: TableView
    predicate: Conjunction
    complete: bool
    """Whether the predicate is all of the scan's bounds."""

    @property
    def columns(self) -> tuple[ColumnDefinition, ...]:
        """The columns of the scan."""
        return tuple(self.view.table.definition(number) for number in self.scan.numbers)

    def tests(self, whole: Expression | None, rest: Expression | None) -> tuple[Test, Test]:
        """The tests of a condition, and of what is left of it where storage has decided the bounds."""
        test = self.scan.test(whole)
        return test, self.scan.test(rest) if self.predicate and self.complete else test

    def has_codes(self, definitions: Sequence[ColumnDefinition]) -> bool:
        """Whether any part of the table has codes of one of these columns: seen by the first that has."""
        morsels = self.view.morsels(self.predicate, whole=True)
        return any(morsel.codes(each) is not None for morsel in morsels for each in definitions)

    def skipped(self) -> int:
        """How many segments zone maps rule out."""
        return self.view.skipped(self.predicate)[0] if self.predicate else 0

    @property
    def task_rows(self) -> int:
        """About how many rows' codes make a task."""
        return min(max(self.view.estimated_rows // (_TASKS * WORKERS), _LEAST_ROWS), _MOST_ROWS)


def begin(scan: Scan, run: Run, *expressions: Expression | None) -> Beginning | None:
    """The beginning of a search, whose tasks evaluate these expressions; None where it has to be plain."""
    if not enabled(run) or not pool_safe(*expressions):
        return None
    if scan.row_ids and only(scan.slot) in root_memo(run):
        return None
    view = run.snapshot.table(scan.table)
    advice = conjunction_of(scan.bounds, view.table, run)
    if advice is None:
        return None
    prepare(run, *expressions)
    return Beginning(scan, view, *advice)


def cut(codes: Codes, rows: int, size: int) -> Iterator[range]:
    """The cells of a part of so many rows in pieces of about `size`."""
    if rows <= 2 * size:
        yield range(codes.cells)
        return
    tasks = codes.tasks()
    each = max(size * len(tasks) // max(rows, 1), 1)
    for first in range(0, len(tasks), each):
        some = tasks[first : first + each]
        yield range(some[0].start, some[-1].stop)


def loading(tasks: Iterator[Callable[[], T]], run: Run) -> Iterator[T]:
    """The tasks' results in their order: done at once while that is quick, several at a time where it is not.

    For what is in memory, mostly, and comes from the disk after a start.
    """
    for task in tasks:
        began = time.perf_counter()
        result = task()
        slow = time.perf_counter() - began > _QUICK
        yield result
        if slow:
            yield from ordered(islice(tasks, LOOK_AHEAD), run)
