"""A batch: equally long columns that travel together between operators.

About 64 K rows and at most about 4 MB; tests run with batches of one row. `rows` is kept apart from
the columns, so `SELECT count(*)` needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from storage.column import Column, Mask, Positions
from storage.types import Type

BATCH_ROWS = 65_536
BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns by position, none of them constant, each of `rows` rows."""

    columns: tuple[Column, ...]
    rows: int

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of the columns."""
        return tuple(column.type for column in self.columns)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(column.nbytes for column in self.columns)

    def take(self, rows: Positions | Mask) -> Batch:
        """The rows at these positions, or where this mask is true."""
        count = int(rows.sum()) if rows.dtype == bool else len(rows)
        return Batch(tuple(column.take(rows) for column in self.columns), count)

    def slice(self, start: int, stop: int) -> Batch:
        """Rows start to stop, without copying."""
        stop = min(stop, self.rows)
        return Batch(tuple(column.slice(start, stop) for column in self.columns), max(stop - start, 0))

    def tuples(self) -> Iterator[tuple[Any, ...]]:
        """The rows as Python tuples: for tests and small results."""
        if not self.columns:
            return iter([()] * self.rows)
        return zip(*(column.tolist() for column in self.columns), strict=True)

    @classmethod
    def of(cls, *columns: Column) -> Batch:
        """A batch of at least one column."""
        return cls(columns, len(columns[0]))

    @classmethod
    def empty(cls, types: Sequence[Type]) -> Batch:
        """No rows of these types."""
        return cls(tuple(Column.of(type, []) for type in types), 0)

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """The batches one after another; at least one."""
        if len(batches) == 1:
            return batches[0]
        columns = zip(*(batch.columns for batch in batches), strict=True)
        rows = sum(batch.rows for batch in batches)
        return cls(tuple(Column.concat(list(column)) for column in columns), rows)
