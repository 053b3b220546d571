"""Rows of a morsel as a scan takes them, what of a condition they are still to be tested for, and which of
them the encoded form leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.seams import Expression
from storage import kernels
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition
from storage.predicate import Conjunction
from storage.seams import Morsel
from storage.types import INT8


@dataclass(frozen=True, slots=True)
class Test:
    """A condition, the output columns that it reads, and those of them that are wide."""

    condition: Expression | None
    read: tuple[int, ...]
    wide: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScanRows:
    """Rows of a morsel: at these positions, or (None) all from start to stop.

    `columns` are those of the scan, as the snapshot defines them; `known` what is fetched already of the
    rows, by attnum.
    """

    morsel: Morsel
    columns: tuple[ColumnDefinition, ...]
    positions: Positions | None
    start: int
    stop: int
    known: Mapping[int, Column] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.stop - self.start if self.positions is None else len(self.positions)

    @property
    def numbers(self) -> Positions:
        """(count,) positions in the morsel."""
        return np.arange(self.start, self.stop) if self.positions is None else self.positions

    @property
    def alone(self) -> Morsel:
        """All rows from start to stop as a morsel of their own."""
        whole = self.start == 0 and self.stop == self.morsel.rows
        return self.morsel if whole else self.morsel.slice(self.start, self.stop)

    def take(self, rows: Positions, known: Mapping[int, Column] | None = None) -> ScanRows:
        """Those of the rows; `known` is what is fetched already of them."""
        mine = rows + self.start if self.positions is None else self.positions[rows]
        taken = {number: column.take(rows) for number, column in self.known.items()}
        return ScanRows(self.morsel, self.columns, mine, 0, 0, taken | dict(known or {}))

    def slice(self, start: int, stop: int) -> ScanRows:
        if start == 0 and stop == self.count:
            return self
        known = {number: column.slice(start, stop) for number, column in self.known.items()}
        if self.positions is None:
            return ScanRows(self.morsel, self.columns, None, self.start + start, self.start + stop, known)
        return ScanRows(self.morsel, self.columns, self.positions[start:stop], 0, 0, known)

    def _asked(self) -> Positions | None:
        """What to ask the morsel for: None where all of it is meant."""
        if self.positions is not None or self.stop - self.start == self.morsel.rows:
            return self.positions
        return np.arange(self.start, self.stop)

    def column(self, definition: ColumnDefinition) -> Column:
        known = self.known.get(definition.number)
        return known if known is not None else self.morsel.column(definition, self._asked())

    def row_ids(self) -> Column:
        return Column(INT8, self.morsel.row_ids(self._asked()))


def candidates(morsel: Morsel, predicate: Conjunction, start: int, stop: int) -> Positions | None:
    """The positions that are visible and not ruled out; None where all from start to stop are."""
    mask = likely(ScanRows(morsel, (), None, start, stop), predicate)
    return None if mask is None else kernels.true_rows(mask, start)


def likely(rows: ScanRows, predicate: Conjunction) -> Mask | None:
    """Which rows of a stretch are visible and not ruled out; None: all."""
    mask = rows.morsel.visible()
    if predicate:
        found = rows.morsel.select(predicate)
        if found is not None:
            mask = found if mask is None else mask & found
    if mask is None:
        return None
    mask = mask[rows.start : rows.stop]
    return None if mask.all() else mask


def open_test(morsel: Morsel, predicate: Conjunction, tests: tuple[Test, Test]) -> Test:
    """What is still to be tested of rows that `likely` says yes to."""
    return tests[1] if tests[0] is not tests[1] and morsel.decides(predicate) else tests[0]
