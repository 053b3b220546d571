"""IndexScan: the visible rows of a table that have one of a few keys, found by a hash index.

The keys are computed once a run. A row found has the key: only the rest of the condition is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.counters import count, timed
from engine.late import LateColumn, bounded, is_wide
from engine.lists import lists
from engine.nodes import concat, true_rows
from engine.operators.base import Operator
from engine.operators.scan import only
from engine.parallel import prepare, root_memo
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Positions
from storage.definitions import ColumnDefinition, KeyColumns
from storage.seams import Morsel, TableView
from storage.types import INT8, Type
from storage.waiting import FEW, about_to_wait


@dataclass(frozen=True)
class Among:
    """What a column of the key may be: one of `items`, or where `array` one of the elements of the first."""

    items: tuple[Expression, ...]
    array: bool = False


@dataclass(frozen=True)
class IndexScan:
    """The columns with attnums `numbers` of table `table` where each column of `key` is among `among`.

    Items need no row (constants, parameters, outer columns) and have types whose keys compare with the
    columns'. `index` and `name` are for EXPLAIN. `condition`, which the index decides, and `rest` are over
    the output columns. `row_ids` and `slot`: see Scan.
    """

    table: int
    name: str
    index: str
    key: KeyColumns
    among: tuple[Among, ...]
    condition: Expression
    numbers: tuple[int, ...]
    types: tuple[Type, ...]
    rest: Expression | None = None
    row_ids: bool = False
    slot: int = 0

    def __post_init__(self) -> None:
        if self.row_ids and len(self.types) == len(self.numbers):
            object.__setattr__(self, "types", (*self.types, INT8))

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"Index Scan using {self.index} on {self.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        return timed(run, self, self._rows(run))

    def _rows(self, run: Run) -> Iterator[Batch]:
        keys = self._keys(run)
        if keys is None:
            return
        prepare(run, self.rest)
        view: TableView = run.snapshot.table(self.table)
        columns = [view.table.definition(number) for number in self.numbers]
        wanted = root_memo(run).get(only(self.slot)) if self.row_ids else None
        several = len(keys[0]) > 1
        if len(keys[0]) > FEW:
            about_to_wait()
        for morsel, positions, _ in view.lookup(self.key, keys) if wanted is None else view.located(wanted):
            run.check()
            if len(positions) > FEW:
                about_to_wait()
            if several:
                positions = np.unique(positions)  # a key may be asked for twice
            for start in range(0, len(positions), BATCH_ROWS):
                batch = self._batch(morsel, positions[start : start + BATCH_ROWS], columns)
                if wanted is not None:  # found by its id: it may have another key by now
                    batch = self._meeting(self.condition, batch, run)
                batch = self._meeting(self.rest, batch, run)
                if batch.rows:
                    yield from bounded(batch)

    def _meeting(self, condition: Expression | None, batch: Batch, run: Run) -> Batch:
        """The rows that meet a condition."""
        if condition is None or not batch.rows:
            return batch
        mask = true_rows(condition.evaluate(batch, run), batch.rows)
        if mask.all():
            return batch
        count(run, self, Rows_Removed_by_Filter=int(len(mask) - mask.sum()))
        return batch.take(np.flatnonzero(mask))

    def _batch(self, morsel: Morsel, positions: Positions, columns: list[ColumnDefinition]) -> Batch:
        found = [
            LateColumn(column.type, morsel, column, positions, 0, 0)
            if is_wide(column.type)
            else morsel.column(column, positions)
            for column in columns
        ]
        if self.row_ids:
            found.append(Column(INT8, morsel.row_ids(positions)))
        return Batch(tuple(found), len(positions))

    def _keys(self, run: Run) -> list[Column] | None:
        """The keys, as a column for each of the key's; None where there are none."""
        found = []
        for among in self.among:
            column = _items(among, run)
            if column is None:
                return None
            found.append(column)
        if len(found) > 1:
            # every combination of what the columns may be
            places = np.meshgrid(*(np.arange(len(column)) for column in found), indexing="ij")
            found = [column.take(at.reshape(-1)) for column, at in zip(found, places, strict=True)]
        return _without_nulls(found) if self.key.nulls else found


def _without_nulls(keys: list[Column]) -> list[Column] | None:
    """The keys that equal something: an index in which nulls are equal would find theirs."""
    if all(column.valid is None for column in keys):
        return keys
    kept = np.flatnonzero(np.logical_and.reduce([column.is_valid() for column in keys]))
    return [column.take(kept) for column in keys] if len(kept) else None


_NO_ROW = Batch((), 1)


def _items(among: Among, run: Run) -> Column | None:
    """The values that a column may have; None for none. A null among them finds nothing."""
    columns = [item.evaluate(_NO_ROW, run) for item in among.items]
    if among.array:
        if not columns[0].is_valid()[0]:
            return None
        _, elements = lists(columns[0])
        return elements if len(elements) else None
    return columns[0] if len(columns) == 1 else concat(columns[0].type, columns)
