"""Scan: the visible rows of a table that meet a condition, in row order, morsel by morsel in the pool.

A task first asks the encoded form which rows its bounds rule out, then fetches the columns of the
condition for the rows that are left and evaluates it, and only then the other columns, for the
survivors. Wide columns are not even fetched then: see engine.late. Where every row of a stretch is
left, wide columns are read where they lie, without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from engine.counters import count
from engine.late import LateColumn, Unread, is_fetched, is_wide, row_bytes
from engine.nodes import Reference, true_rows, walk
from engine.operators.base import LEFT_IN, Operator, Selected, Selection, Task, all_of, given, pooled, rows_of
from engine.operators.bounds import Bound, conjunction_of
from engine.operators.keyfilters import KeyFilter, filters_of
from engine.operators.scanrows import ScanRows, Test, candidates, likely, open_test
from engine.parallel import pool_safe, prepare, root_memo
from engine.pool import WORKERS
from engine.run import Run
from engine.seams import Expression
from storage import kernels
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition
from storage.errors import DatabaseError, QueryCanceled
from storage.predicate import Conjunction
from storage.seams import Morsel, TableView
from storage.types import INT8, Type

# A task over wide rows takes about this many bytes of them: some milliseconds, and enough tasks that
# no thread is left with a long one at the end.
TASK_BYTES = 32 << 20
# A table is at least so many tasks, if it has the rows: no core is left with a long one at the end.
TASKS = 4 * WORKERS
# Wide rows that do not lie together are brought together in pieces that stay in cache.
GATHER_BYTES = 2 << 20
# From this share of a stretch on, all its wide rows are read where they lie, wanted or not.
_DENSE = 0.6

Part = Callable[..., Any]
"""What is made of a stretch: f(its rows, predicate, tests, run, owner, filters) -> Batch, Selected, None."""


@dataclass(frozen=True)
class Scan:
    """The columns with attnums `numbers` of table `table` (an OID; `name` is for EXPLAIN).

    `condition` is over the scan's output columns; `rest` is what is left of it for rows of which storage
    says that they meet the bounds. `row_ids` appends the row's id as INT8. A scan with row ids is one whose
    rows are locked or changed; `slot` tells such scans of a statement apart. While a row is re-evaluated, the
    statement's memo holds the only versions that the scan may give, visible or not, under `only(slot)`.
    Nobody asks for the output columns `unread`, so they are not read for it.
    """

    table: int
    name: str
    numbers: tuple[int, ...]
    types: tuple[Type, ...]
    bounds: tuple[Bound, ...] = ()
    condition: Expression | None = None
    rest: Expression | None = None
    row_ids: bool = False
    slot: int = 0
    unread: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.row_ids and len(self.types) == len(self.numbers):
            object.__setattr__(self, "types", (*self.types, INT8))

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def takes_keys(self, index: int) -> bool:
        """See engine.operators.keyfilters.Filtered: not of rows that are locked or changed."""
        return index < len(self.numbers) and not self.row_ids

    def explain(self) -> str:
        return f"Seq Scan on {self.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from pooled(self, self.morsels(run), run)

    def morsels(self, run: Run) -> Iterator[Task]:
        """One task a morsel; of wide columns in a condition, several."""
        return self._morsels(run, self._part)

    def selections(self, run: Run) -> Iterator[Selection]:
        """See engine.operators.base.Selecting."""
        if self.row_ids or not self._safe:
            return map(all_of, self.morsels(run))
        return self._morsels(run, self._selected)

    def counts(self, run: Run) -> Iterator[Callable[[], int]]:
        """See engine.operators.base.Counted."""
        if self.row_ids or not self._safe:
            return map(rows_of, self.morsels(run))
        return self._morsels(run, self._count, read=() if self.rest is None else None)

    def _morsels(
        self, run: Run, part: Part, read: Collection[int] | None = None
    ) -> Iterator[Callable[[], Any]]:
        """What `part` makes of each morsel, for which columns `read` (attnums; None: all) will be read."""
        view = run.snapshot.table(self.table)
        advice = conjunction_of(self.bounds, view.table, run)
        if advice is None:
            return
        predicate, complete = advice
        whole, open = self._tests
        rest = open if predicate and complete else whole
        prepare(run, self.condition)
        columns = tuple(view.table.definition(number) for number in self.numbers)
        wanted = root_memo(run).get(only(self.slot)) if self.row_ids else None
        if wanted is not None:
            for morsel, positions, _ in view.located(wanted):
                rows = ScanRows(morsel, columns, np.sort(positions), 0, 0)
                around = ScanRows(morsel, columns, None, 0, morsel.rows)
                yield given(self.survivors(rows, around, whole, run))
            return
        filters = filters_of(self, run)
        skipping = (*predicate, *(term for each in filters for term in each.terms(columns[each.index])))
        if run.counters is not None:
            skipped, segments = view.skipped(skipping)
            count(run, self, Segments_Skipped=skipped, Segments=segments)
            skipped, blocks = view.skipped_blocks(skipping)
            count(run, self, Blocks_Skipped=skipped, Blocks=blocks)
        asked = self.numbers if read is None else read
        for morsel in view.morsels(skipping, asked=asked, tasks=TASKS):
            for task in self._parts(part, morsel, columns, predicate, (whole, rest), run, self, filters):
                if self._safe:
                    yield task
                else:
                    run.check()
                    batch = task()
                    yield given(batch)

    def tasks(
        self,
        morsel: Morsel,
        columns: tuple[ColumnDefinition, ...],
        predicate: Conjunction,
        tests: tuple[Test, Test],
        run: Run,
        owner: Operator,
        filters: Sequence[KeyFilter] = (),
    ) -> Iterator[Task]:
        """The surviving rows of a morsel; `tests` are of the condition and of the rest of it.

        What is done counts as done by `owner`.
        """
        return self._parts(self._part, morsel, columns, predicate, tests, run, owner, filters)

    def _parts(
        self,
        part: Part,
        morsel: Morsel,
        columns: tuple[ColumnDefinition, ...],
        predicate: Conjunction,
        tests: tuple[Test, Test],
        run: Run,
        owner: Operator,
        filters: Sequence[KeyFilter],
    ) -> Iterator[Callable[[], Any]]:
        step = self.stretch(tests[0])
        for start in range(0, morsel.rows, step):
            rows = ScanRows(morsel, columns, None, start, min(start + step, morsel.rows))
            yield partial(part, rows, predicate, tests, run, owner, filters)

    def qualifying(
        self,
        morsel: Morsel,
        columns: tuple[ColumnDefinition, ...],
        predicate: Conjunction,
        tests: tuple[Test, Test],
        run: Run,
    ) -> Positions:
        """The rows of a morsel, of any size, that are seen and meet the condition."""
        test = tests[1 if morsel.decides(predicate) else 0]
        step = self.stretch(test)
        found = [np.zeros(0, np.int64)]
        for start in range(0, morsel.rows, step):
            run.check()
            part = morsel.slice(start, min(start + step, morsel.rows))
            whole = ScanRows(part, columns, None, 0, part.rows)
            positions = candidates(part, predicate, 0, part.rows)
            rows = whole if positions is None else ScanRows(part, columns, positions, 0, 0)
            if rows.count:
                found.append(self.passing(rows, whole, test, run)[0].numbers + start)
        return np.concatenate(found)

    @cached_property
    def _safe(self) -> bool:
        return pool_safe(self.condition)

    @cached_property
    def _tests(self) -> tuple[Test, Test]:
        """Of the condition, and of the rest of it."""
        return self.test(self.condition), self.test(self.rest)

    def test(self, condition: Expression | None) -> Test:
        """A condition over the output columns, with what it reads."""
        read: set[int] = set()
        if condition is not None:
            read = {node.index for node in walk(condition) if isinstance(node, Reference)}
        columns = tuple(sorted(read))
        wide = tuple(i for i in columns if i < len(self.numbers) and is_wide(self.types[i]))
        return Test(condition, columns, wide)

    def stretch(self, test: Test) -> int:
        """Rows that a task takes."""
        width = sum(row_bytes(self.types[i]) for i in test.wide)
        return max(TASK_BYTES // width, 64) if width else 1 << 62

    def _count(
        self,
        whole: ScanRows,
        predicate: Conjunction,
        tests: tuple[Test, Test],
        run: Run,
        owner: Operator,
        filters: Sequence[KeyFilter],
    ) -> int:
        """How many rows of a stretch of a morsel survive."""
        test = open_test(whole.morsel, predicate, tests)
        if test.condition is None and all(each.idle for each in filters):
            left = whole.alone.count(predicate)
            count(run, owner, left, 1, Rows_Removed_by_Filter=whole.count - left)
            return left
        pieces: Iterable[ScanRows] = (whole,)
        if self.rest is None:  # the stretch is long, as nothing of it was likely to be read
            pieces = (ScanRows(each, whole.columns, None, 0, each.rows) for each in whole.alone.pieces())
        left = 0
        for piece in pieces:
            batch = self._survivors_of(piece, likely(piece, predicate), test, run, owner, filters)
            left += 0 if batch is None else batch.rows
        return left

    def _selected(
        self,
        whole: ScanRows,
        predicate: Conjunction,
        tests: tuple[Test, Test],
        run: Run,
        owner: Operator,
        filters: Sequence[KeyFilter],
    ) -> Selected | None:
        """A stretch of a morsel, with the rows that do not survive if they are few."""
        test = open_test(whole.morsel, predicate, tests)
        mask = likely(whole, predicate)
        filters = [each for each in filters if not each.idle]
        if filters or test.wide or (mask is not None and test.condition is not None):
            batch = self._survivors_of(whole, mask, test, run, owner, filters)
            return None if batch is None else Selected(batch, None)
        fetched: dict[int, Column] = {}
        if test.condition is not None:
            fetched = self._tested(whole, test)
            mask = self._true(fetched, whole.count, test, run)
        left = whole.count if mask is None else int(np.count_nonzero(mask))
        count(run, owner, left, 1, Rows_Removed_by_Filter=whole.count - left)
        if left >= LEFT_IN * whole.count:
            return Selected(self.fetch(whole, fetched), None if left == whole.count else mask)
        if not left:
            return None
        assert mask is not None
        kept = kernels.true_rows(mask, 0)
        taken = {i: column.take(kept) for i, column in fetched.items() if i not in self.unread}
        return Selected(self.fetch(whole.take(kept), taken), None)

    def _part(
        self,
        whole: ScanRows,
        predicate: Conjunction,
        tests: tuple[Test, Test],
        run: Run,
        owner: Operator,
        filters: Sequence[KeyFilter],
    ) -> Batch | None:
        """The surviving rows of a stretch of a morsel."""
        test = open_test(whole.morsel, predicate, tests)
        return self._survivors_of(whole, likely(whole, predicate), test, run, owner, filters)

    def _survivors_of(
        self,
        whole: ScanRows,
        mask: Mask | None,
        test: Test,
        run: Run,
        owner: Operator,
        filters: Sequence[KeyFilter],
    ) -> Batch | None:
        """Those that are `likely`, by the mask (None: all), pass the filters and the test."""
        positions = None if mask is None else kernels.true_rows(mask, whole.start)
        found = whole.count if positions is None else len(positions)
        if not found:
            count(run, owner, 0, 1, Rows_Removed_by_Filter=whole.count)
            return None
        rows = whole if positions is None else ScanRows(whole.morsel, whole.columns, positions, 0, 0)
        removed = 0
        for each in filters:
            if rows.count and not each.idle:
                definition = rows.columns[each.index]
                kept = each.among(rows.column(definition))
                if kept is not None:
                    removed += rows.count - len(kept[0])
                    rows = rows.take(kept[0], {definition.number: kept[1]})
        batch = self.survivors(rows, whole, test, run) if rows.count else None
        left = 0 if batch is None else batch.rows
        count(run, owner, left, 1, Rows_Removed_by_Filter=whole.count - left - removed)
        if filters:
            count(run, owner, Rows_Removed_by_Runtime_Filter=removed)
        return batch

    def survivors(self, rows: ScanRows, whole: ScanRows, test: Test, run: Run) -> Batch | None:
        """Those of `rows`, which are among `whole`, that pass the test."""
        left, fetched = self.passing(rows, whole, test, run)
        return self.fetch(left, fetched) if left.count else None

    def passing(
        self, rows: ScanRows, whole: ScanRows, test: Test, run: Run
    ) -> tuple[ScanRows, dict[int, Column]]:
        """(those of `rows`, which are among `whole`, that pass the test; what was fetched of them for it)."""
        if test.condition is None:
            return rows, {}
        fetched: dict[int, Column] = {}
        width = sum(row_bytes(self.types[i]) for i in test.wide)
        few = rows.positions is None or rows.count * width <= GATHER_BYTES
        if test.wide and not few:
            mask = self._dense(rows, whole, test, run)
            if mask is None:
                mask = self._piecemeal(rows, max(GATHER_BYTES // width, 64), test, run)
        else:
            fetched = self._tested(rows, test)
            mask = self._true(fetched, rows.count, test, run)
        if mask.all():
            return rows, fetched
        left, kept = {}, kernels.true_rows(mask, 0)
        for i, column in fetched.items():
            if i in self.unread:
                continue
            if i not in test.wide:
                left[i] = column.take(kept)
            elif rows.positions is not None and is_fetched(column):
                # gathered: whoever asks for what is left of it need not do so again
                left[i] = Column(column.type, column.values, column.valid).take(kept)
        return rows.take(kept), left

    def passing_together(
        self, view: TableView, several: Sequence[ScanRows], test: Test, run: Run
    ) -> list[Mask]:
        """Which of a few rows, at positions of each morsel, pass the test: evaluated once for all."""
        counts = [rows.count for rows in several]
        masks = [np.ones(count, np.bool_) for count in counts]
        if test.condition is None or not any(counts):
            return masks
        columns = {i: self._together(view, several, i) for i in test.read}
        mask = self._true(columns, sum(counts), test, run)
        return np.split(mask, np.cumsum(counts)[:-1])

    def _together(self, view: TableView, several: Sequence[ScanRows], index: int) -> Column:
        """An output column of rows at positions of several morsels."""
        if index == len(self.numbers):
            return Column.concat([rows.row_ids() for rows in several])
        places = [(rows.morsel, rows.numbers) for rows in several]
        return view.gather(several[0].columns[index], places)

    def _dense(self, rows: ScanRows, whole: ScanRows, test: Test, run: Run) -> Mask | None:
        """Where `rows` pass the test, tried on all rows around them too: no copy of what is wide.

        None where too few are wanted, or where the test fails, as it may for a row that is not.
        """
        positions = rows.positions
        if positions is None or len(positions) < whole.count * _DENSE or not pool_safe(test.condition):
            return None
        try:
            mask = self._true(self._tested(whole, test), whole.count, test, run)
        except QueryCanceled:
            raise
        except DatabaseError:
            return None
        return mask[positions - whole.start]

    def _piecemeal(self, rows: ScanRows, piece: int, test: Test, run: Run) -> Mask:
        """Where `rows` pass the test, their wide columns brought together piece by piece."""
        masks = []
        for first in range(0, rows.count, piece):
            run.check()
            part = rows.slice(first, min(first + piece, rows.count))
            masks.append(self._true(self._tested(part, test), part.count, test, run))
        return np.concatenate(masks)

    def _tested(self, rows: ScanRows, test: Test) -> dict[int, Column]:
        """The columns that the test reads."""
        return {i: self._column(rows, i, late=is_wide(self.types[i])) for i in test.read}

    def _true(self, columns: dict[int, Column], count: int, test: Test, run: Run) -> Mask:
        assert test.condition is not None
        absent = Column.nulls(INT8, 0)
        batch = Batch(tuple(columns.get(i, absent) for i in range(len(self.types))), count)
        return true_rows(test.condition.evaluate(batch, run), count)

    def fetch(self, rows: ScanRows, fetched: dict[int, Column]) -> Batch:
        """All output columns of these rows; `fetched` are there already."""
        columns = [
            Unread(type, rows.count)
            if i in self.unread
            else fetched[i]
            if i in fetched
            else self._column(rows, i, late=i < len(self.numbers))
            for i, type in enumerate(self.types)
        ]
        return Batch(tuple(columns), rows.count)

    def _column(self, rows: ScanRows, index: int, *, late: bool) -> Column:
        if index == len(self.numbers):
            return rows.row_ids()
        type, definition = self.types[index], rows.columns[index]
        if late and is_wide(type):
            return LateColumn(type, rows.morsel, definition, rows.positions, rows.start, rows.stop)
        return rows.column(definition)


def only(slot: int) -> tuple[str, int]:
    """The key of the statement's memo under which the ids stand that a re-evaluated scan may give."""
    return ("only", slot)
