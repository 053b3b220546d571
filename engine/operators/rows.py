"""Rows: batches held as one table, to be given out by position. Wide columns stay with their batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import numpy as np
import pyarrow.compute as pc

from engine.joined import HeldColumn, Partners
from engine.late import bounded_rows, by_owner, is_wide
from engine.memory import Grant
from engine.pool import Ahead, ordered
from engine.run import Run
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, Mask, Positions, arrow_taken
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import Form, Type

_MANY = 1 << 18  # rows whose columns are worth a task each


class Rows:
    """Batches as one table, to be given out in another order. Wide columns stay with their batches."""

    def __init__(
        self,
        batches: Sequence[Batch],
        types: Sequence[Type],
        ahead: Ahead | None = None,
        grant: Grant | None = None,
    ) -> None:
        """`ahead` puts the columns of many rows together meanwhile: `wait` before they are asked for.

        Texts are given as references to the rows only under a `grant` that counts them, for references may
        outlive who holds the rows: see `keep`.
        """
        batches = batches or [Batch.empty(types)]
        self._ends = np.cumsum([batch.rows for batch in batches])
        self.count = int(self._ends[-1])
        columns = [list(parts) for parts in zip(*(batch.columns for batch in batches), strict=True)]
        self._columns: list[list[Column]] = []
        self._ahead: Ahead | None = None
        if ahead is None or self.count < _MANY:
            self._columns = [self._joined(parts) for parts in columns]
        else:
            self._ahead, self._width = ahead, len(columns)
            for parts in columns:
                ahead.begin(partial(self._joined, parts))
        self._grant = grant
        self._dictionaries: dict[int, tuple[Dictionary, Mask | None]] = {}

    def wait(self) -> None:
        """Until all columns are there."""
        if self._ahead is not None:
            self._columns = [self._ahead.take() for _ in range(self._width)]
            self._ahead = None

    def keep(self) -> None:
        """Give back of the grant all but the bytes of texts: those when no reference to them is left."""
        texts = sum(
            column.nbytes
            for parts in self._columns
            for column in parts
            if column.type.form is Form.TEXT and not isinstance(column, CodedColumn)
        )
        if self._grant is not None:
            self._grant.give(max(self._grant.held - texts, 0))

    @staticmethod
    def _joined(parts: list[Column]) -> list[Column]:
        return parts if is_wide(parts[0].type) else [Column.concat(parts)]

    def given(self, rows: Positions, run: Run) -> Iterator[Batch]:
        """The rows at these positions, in batches of bearable size that the pool gathers."""
        step = BATCH_ROWS
        if any(len(parts) > 1 for parts in self._columns):
            step = bounded_rows([parts[0].type for parts in self._columns])
        pieces = (rows[start : start + step] for start in range(0, len(rows), step))
        yield from ordered((partial(self._batch, piece) for piece in pieces), run)

    def _batch(self, rows: Positions) -> Batch:
        return Batch(self.columns(rows), len(rows))

    def columns(self, rows: Positions) -> tuple[Column, ...]:
        """The rows at these positions, column by column."""
        return tuple(self._gather(parts, rows) for parts in self._columns)

    def references(self, rows: Positions) -> tuple[Column, ...]:
        """The same, but texts as codes, which are their positions: nobody may ever look at them."""
        if self._grant is None:
            return self.columns(rows)
        return tuple(
            self._reference(i, rows) if parts[0].type.form is Form.TEXT else self._gather(parts, rows)
            for i, parts in enumerate(self._columns)
        )

    def _reference(self, index: int, rows: Positions) -> Column:
        (column,) = self._columns[index]
        if isinstance(column, CodedColumn):
            return column.take(rows)
        dictionary, valid = self._dictionary(index)
        return CodedColumn(column.type, dictionary, rows, None if valid is None else valid[rows])

    def _dictionary(self, index: int) -> tuple[Dictionary, Mask | None]:
        """A column's texts, of which the rows' positions are codes, and where there are any."""
        found = self._dictionaries.get(index)
        if found is None:
            (column,) = self._columns[index]
            there = column.valid
            values = column if there is None else Column(column.type, pc.fill_null(column.values, ""))
            found = self._dictionaries[index] = Dictionary(values, distinct=False), there
            found[0].memo["grant"] = self._grant
        return found

    def joined(self, partners: Partners) -> tuple[Column, ...]:
        """What `references` gives of the rows that others meet, of each column once somebody asks for it."""
        assert self._held is not None
        return tuple(each.joined(partners) for each in self._held)

    @property
    def joins_late(self) -> bool:
        """Whether `joined` knows how."""
        return self._held is not None

    @cached_property
    def _held(self) -> list[HeldColumn] | None:
        """The columns for `joined`; None: some have nulls, or no numbers for their values."""
        found = []
        for i, parts in enumerate(self._columns):
            column = parts[0]
            if not self.count or len(parts) > 1 or column.valid is not None:
                return None
            numbers = isinstance(column, CodedColumn) or column.units is not None
            if numbers or column.type.form is Form.FIXED:
                found.append(HeldColumn(column))
            elif column.type.form is Form.TEXT and self._grant is not None:
                found.append(HeldColumn(column, self._dictionary(i)[0]))
            else:
                return None
        return found

    def columns_or_null(self, rows: Positions) -> tuple[Column, ...]:
        """What `references` gives, with nulls where a position is -1."""
        return self.columns_where(np.maximum(rows, 0), rows >= 0)

    def columns_where(self, rows: Positions, there: Mask) -> tuple[Column, ...]:
        """What `references` gives, with nulls where `there` is false."""
        if there.all():
            return self.references(rows)
        if not self.count:
            return tuple(Column.nulls(parts[0].type, len(rows)) for parts in self._columns)
        return tuple(without(column, there) for column in self.references(rows))

    def _gather(self, parts: list[Column], rows: Positions) -> Column:
        if len(parts) == 1:
            return parts[0].take(rows)
        owner = np.searchsorted(self._ends, rows, side="right")
        order = np.argsort(owner, kind="stable")
        pieces = []
        for part, mine in by_owner(owner[order], rows[order]):
            start = self._ends[part] - len(parts[part])
            pieces.append(parts[part].take(mine - start))
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return Column.concat(pieces).take(back)


def spread_over(column: Column, mask: Mask) -> Column:
    """A column of a value for each true place of `mask`, as one of all places, null where it is false."""
    if not len(column):
        return Column.nulls(column.type, len(mask))
    return without(column.take(np.maximum(np.cumsum(mask) - 1, 0)), mask)


def without(column: Column, kept: np.ndarray) -> Column:
    """The column with nulls where `kept` is false."""
    if column.arrow and not isinstance(column, CodedColumn):
        return Column(column.type, arrow_taken(column.values, np.arange(len(column)), kept))
    valid = column.valid
    return column.with_valid(kept if valid is None else kept & valid)
