"""Tables for tests of the engine: lists of rows behind the seams of storage, in morsels of any size."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.run import Run
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, Table
from storage.predicate import Conjunction
from storage.types import Type


@dataclass
class RowsMorsel:
    """Some neighbouring rows of a `MemoryTable`."""

    columns: tuple[Column, ...]
    rows: int
    first: int
    seen: Mask | None
    fetched: list[tuple[int, int]] = field(default_factory=list)

    def visible(self) -> Mask | None:
        return self.seen

    def sees(self, rows: Positions) -> Mask:
        return np.ones(len(rows), np.bool_) if self.seen is None else self.seen[rows]

    def select(self, predicate: Conjunction) -> Mask | None:
        return None

    def decides(self, predicate: Conjunction) -> bool:
        return False

    def count(self, predicate: Conjunction) -> int:
        return self.rows if self.seen is None else int(np.count_nonzero(self.seen))

    def column(self, definition: ColumnDefinition, rows: Positions | None = None) -> Column:
        position = definition.number - 1
        column = self.columns[position]
        self.fetched.append((position, self.rows if rows is None else len(rows)))
        return column if rows is None else column.take(rows)

    def row_ids(self, rows: Positions | None = None) -> Positions:
        ids = np.arange(self.first, self.first + self.rows)
        return ids if rows is None else ids[rows]

    def expect(self, definition: ColumnDefinition, rows: Positions) -> None:
        pass

    def codes(self, definition: ColumnDefinition) -> None:
        return None

    def slice(self, start: int, stop: int) -> RowsMorsel:
        columns = tuple(column.slice(start, stop) for column in self.columns)
        seen = None if self.seen is None else self.seen[start:stop]
        return RowsMorsel(columns, stop - start, self.first + start, seen, self.fetched)

    def pieces(
        self, predicate: Conjunction = (), asked: Collection[int] | None = None
    ) -> Iterator[RowsMorsel]:
        yield self


class MemoryTable:
    """A table of columns; rows that `visible` says False of are deleted ones."""

    def __init__(
        self, columns: Sequence[Column], morsel: int = 65_536, visible: Sequence[bool] | None = None
    ) -> None:
        self.columns = tuple(columns)
        self.rows = len(columns[0])
        self.estimated_rows = self.rows
        self.newer: MemoryTable | None = None  # where newer versions of rows are found by id
        self.table = Table(1, 2200, "t", tuple(_definition(i, c.type) for i, c in enumerate(columns)))
        seen = None if visible is None else np.array(visible, np.bool_)
        self.parts = [
            RowsMorsel(
                tuple(column.slice(start, start + morsel) for column in self.columns),
                min(morsel, self.rows - start),
                start,
                None if seen is None else seen[start : start + morsel],
            )
            for start in range(0, self.rows, morsel)
        ]

    def morsels(
        self,
        predicate: Conjunction = (),
        *,
        whole: bool = False,
        asked: Collection[int] | None = None,
        tasks: int = 1,
    ) -> Iterator[RowsMorsel]:
        return iter(self.parts)

    def located(self, row_ids: Positions) -> Iterator[tuple[RowsMorsel, Positions, Positions]]:
        for part in (self.newer or self).parts:
            there, positions, places = np.intersect1d(part.row_ids(), row_ids, return_indices=True)
            if len(there):
                yield part, positions, places

    def skipped_blocks(self, predicate: Conjunction = ()) -> tuple[int, int]:
        return 0, len(self.parts)

    def skipped(self, predicate: Conjunction = ()) -> tuple[int, int]:
        return 0, len(self.parts)


def _definition(position: int, type: Type) -> ColumnDefinition:
    return ColumnDefinition(f"c{position}", type, position + 1)


@dataclass
class MemorySnapshot:
    """Tables by OID."""

    tables: dict[int, MemoryTable]
    catalog: Any = field(default_factory=Catalog)
    command: int = 1

    def table(self, oid: int) -> MemoryTable:
        return self.tables[oid]


def run_over(*tables: MemoryTable, parameters: Sequence[Column] = ()) -> Run:
    """A run over tables with OIDs 1, 2, ..."""
    snapshot = MemorySnapshot(dict(enumerate(tables, 1)))
    return Run(snapshot, None, parameters)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Source:
    """An operator over batches that are there: `rows` of them in batches of `size`."""

    types: tuple[Type, ...]
    rows: tuple[tuple[Any, ...], ...]
    size: int = 3
    closed: list[bool] = field(default_factory=list, compare=False)

    @property
    def children(self) -> tuple[Any, ...]:
        return ()

    def explain(self) -> str:
        return "Source"

    def batches(self, run: Run) -> Iterator[Batch]:
        try:
            for start in range(0, len(self.rows), self.size):
                run.check()
                yield batch_of(self.types, self.rows[start : start + self.size])
        finally:
            self.closed.append(True)


def batch_of(types: Sequence[Type], rows: Sequence[tuple[Any, ...]]) -> Batch:
    """A batch of Python rows."""
    columns = tuple(Column.of(type, [row[i] for row in rows]) for i, type in enumerate(types))
    return Batch(columns, len(rows))


def rows_of(operator: Any, run: Run | None = None) -> list[tuple[Any, ...]]:
    """All rows of an operator."""
    run = run or run_over()
    result = []
    for batch in operator.batches(run):
        assert all(len(column) == batch.rows for column in batch.columns)
        result += list(batch.tuples())
    return result
