"""Columns that have not been fetched yet: wide values travel as row references until somebody asks.

A `LateColumn` knows a morsel, a column of it and which of the morsel's rows it means. Taking and slicing
compose row numbers; the first look at `values` or `valid` fetches. So a projection that drops a column
never copies it, and a top-k fetches its winners only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from storage.batch import BATCH_BYTES, BATCH_ROWS, Batch
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition
from storage.seams import Morsel
from storage.types import Form, Type

# Values of at least this many bytes are fetched late.
WIDE = 64


class Unfetched(Column):
    """A column whose values are fetched when they are first looked at."""

    __slots__ = ("whole",)

    whole: Column
    """The column fetched, in the form that storage gives it: coded, it may be, of another type's name."""

    def __init__(self, type: Type) -> None:
        # `whole`, `_values` and `_valid` stay unset on purpose: reading them arrives at __getattr__
        self.type = type
        self.constant = False
        self._units = None
        self.scale = 0

    def __getattr__(self, name: str) -> Any:
        if name == "whole":
            self.whole = self._fetch()
        elif name in ("_values", "_valid"):
            column = self.whole
            self._valid = None if column.arrow else column.valid
            self._values = column.values
        else:
            raise AttributeError(name)
        return getattr(self, name)

    def _fetch(self) -> Column:
        raise NotImplementedError


class LateColumn(Unfetched):
    """Rows of a morsel's column; `rows` are numbers within the morsel, or the range start to stop."""

    __slots__ = ("_definition", "_morsel", "_rows", "_start", "_stop")

    def __init__(
        self,
        type: Type,
        morsel: Morsel,
        definition: ColumnDefinition,
        rows: Positions | None,
        start: int,
        stop: int,
    ) -> None:
        super().__init__(type)
        self._morsel = morsel
        self._definition = definition
        self._rows = rows
        self._start = start
        self._stop = stop

    def _fetch(self) -> Column:
        if self._rows is not None:
            return self._morsel.column(self._definition, self._rows)
        whole = self._morsel.column(self._definition)
        if self._start == 0 and self._stop == len(whole):
            return whole
        return whole.slice(self._start, self._stop)

    def __len__(self) -> int:
        return self._stop - self._start if self._rows is None else len(self._rows)

    def take(self, rows: Positions | Mask) -> Column:
        """Those rows, still not fetched."""
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        mine = rows + self._start if self._rows is None else self._rows[rows]
        return LateColumn(self.type, self._morsel, self._definition, mine, 0, 0)

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still not fetched."""
        stop = max(min(stop, len(self)), start)
        if self._rows is not None:
            rows = self._rows[start:stop]
            return LateColumn(self.type, self._morsel, self._definition, rows, 0, 0)
        first = self._start
        return LateColumn(self.type, self._morsel, self._definition, None, first + start, first + stop)

    def retype(self, type: Type) -> Column:
        """The same rows under another type of the same form, still not fetched."""
        if type.form is not self.type.form:
            return super().retype(type)
        return LateColumn(type, self._morsel, self._definition, self._rows, self._start, self._stop)


class GatheredColumn(Unfetched):
    """Rows of several columns, one after another, of which some are not fetched: `_rows` count in all."""

    __slots__ = ("_parts", "_rows", "_starts")

    def __init__(self, type: Type, parts: Sequence[Column], rows: Positions) -> None:
        super().__init__(type)
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._rows = rows

    def _fetch(self) -> Column:
        owner = np.searchsorted(self._starts, self._rows, side="right") - 1
        order = np.argsort(owner, kind="stable")
        pieces = []
        for part, mine in by_owner(owner[order], self._rows[order]):
            pieces.append(self._parts[part].take(mine - self._starts[part]))
        if not pieces:
            return Column.of(self.type, [])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        whole = Column.concat(pieces)
        return Column(whole.type, whole.values, whole.valid).take(back)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: Positions | Mask) -> Column:
        """Those rows, still not fetched."""
        return GatheredColumn(self.type, self._parts, self._rows[rows])

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still not fetched."""
        return GatheredColumn(self.type, self._parts, self._rows[start : max(stop, start)])

    def retype(self, type: Type) -> Column:
        """The same rows under another type of the same form, still not fetched."""
        if type.form is not self.type.form:
            return super().retype(type)
        return GatheredColumn(type, [part.retype(type) for part in self._parts], self._rows)


class Unread(Unfetched):
    """So many rows of a column that nobody asks for: nulls to who does."""

    __slots__ = ("_rows",)

    def __init__(self, type: Type, rows: int) -> None:
        super().__init__(type)
        self._rows = rows

    def _fetch(self) -> Column:
        return Column.nulls(self.type, self._rows)

    def _joined(self, columns: Sequence[Column]) -> Column:
        if all(isinstance(column, Unread) for column in columns):
            return Unread(self.type, sum(map(len, columns)))
        return super()._joined(columns)

    @property
    def nbytes(self) -> int:
        """None."""
        return 0

    def __len__(self) -> int:
        return self._rows

    def take(self, rows: Positions | Mask) -> Column:
        """As many rows."""
        return Unread(self.type, int(np.count_nonzero(rows)) if rows.dtype == np.bool_ else len(rows))

    def slice(self, start: int, stop: int) -> Column:
        """As many rows."""
        return Unread(self.type, max(min(stop, self._rows) - start, 0))

    def retype(self, type: Type) -> Column:
        """As many rows of another type."""
        return Unread(type, self._rows)


def by_owner(owner: Positions, rows: Positions) -> Iterator[tuple[int, Positions]]:
    """(each owner, its rows), of rows that are sorted by owner."""
    if not len(owner):
        return
    starts = np.append(np.flatnonzero(np.diff(owner, prepend=-1)), len(owner)).tolist()
    for start, stop in pairwise(starts):
        yield int(owner[start]), rows[start:stop]


def together(batches: Sequence[Batch]) -> Batch:
    """Small batches as one; what is late of a column stays late."""
    rows = sum(batch.rows for batch in batches)
    columns: list[Column] = []
    for parts in zip(*(batch.columns for batch in batches), strict=True):
        if all(isinstance(part, Unread) for part in parts):
            columns.append(Unread(parts[0].type, rows))
        elif any(isinstance(part, Unfetched) and not is_fetched(part) for part in parts):
            columns.append(GatheredColumn(parts[0].type, parts, np.arange(rows)))
        else:
            columns.append(Column.concat(parts))
    return Batch(tuple(columns), rows)


def is_fetched(column: Column) -> bool:
    """Whether a column's values are there, and need not be fetched."""
    try:
        object.__getattribute__(column, "_values")
    except AttributeError:
        return False
    return True


def held_bytes(columns: Sequence[Column]) -> int:
    """Bytes that columns hold: of those that are not fetched, what refers to their rows."""
    return sum(column.nbytes if is_fetched(column) else 8 * len(column) for column in columns)


def fetched(batch: Batch) -> Batch:
    """The same batch, nothing of it left to be fetched."""
    for column in batch.columns:
        if isinstance(column, Unfetched):
            len(column.values)
    return batch


def is_wide(type: Type) -> bool:
    """Whether values of `type` are fetched late."""
    if type.form is Form.ROWS:
        return row_bytes(type) >= WIDE
    return type.form in (Form.BYTES, Form.LIST, Form.ROW)


def row_bytes(type: Type) -> int:
    """Bytes a value of `type` takes, where the type says it; a small guess elsewhere."""
    if type.dtype is None:
        return 32
    return type.dtype.itemsize * (max(type.width, 1) if type.form is Form.ROWS else 1)


def bounded_rows(types: Sequence[Type]) -> int:
    """How many rows of these types make about BATCH_BYTES; at most BATCH_ROWS."""
    width = sum(row_bytes(type) for type in types)
    return min(max(BATCH_BYTES // max(width, 1), 1), BATCH_ROWS)


def bounded(batch: Batch) -> Iterator[Batch]:
    """A batch with wide columns in pieces of about BATCH_BYTES, for whoever reads all of it."""
    types = [column.type for column in batch.columns]
    rows = bounded_rows(types) if any(map(is_wide, types)) else batch.rows
    if batch.rows <= rows:
        yield batch
        return
    for start in range(0, batch.rows, rows):
        yield batch.slice(start, min(start + rows, batch.rows))
