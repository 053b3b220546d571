"""Run columns: values that travel as runs until somebody asks for each row's.

What is decoded whole from runs is not written out yet: who looks for keys or groups rows looks at each run
once. Slicing moves the ends, taking few rows finds their runs; the first look at `values` writes all of them.
"""

from __future__ import annotations

import numpy as np

from storage import kernels
from storage.column import Array, Column, Mask, Positions
from storage.madecolumn import MadeColumn
from storage.types import Type

_DENSE = 1 / 32  # from this share of the rows on, rows are taken of all that are written out


class RunColumn(MadeColumn):
    """Rows start to stop, without nulls: `runs[k]` from the end of run k - 1, or from start, up to `ends[k]`.

    The ends rise from above start, and the last one is at or behind stop. Types are of form FIXED.
    """

    __slots__ = ("_ends", "_start", "_stop", "runs")

    def __init__(self, type: Type, runs: Array, ends: Positions, start: int, stop: int) -> None:
        super().__init__(type)
        self.runs, self._ends, self._start, self._stop = runs, ends, start, stop

    def _made(self) -> Array:
        return self.repeated(self.runs)

    def repeated(self, found: Array) -> Array:
        """(rows,) for each row what was found for its run."""
        out = np.empty(len(self), found.dtype)
        kernels.repeat_runs(found, self._ends, self._start, out)
        return out

    def where(self, found: Mask) -> tuple[Positions, Column]:
        """(the rows of the runs for which `found` is true, their values)."""
        runs = np.flatnonzero(found)
        begins = self.begins[runs]
        lengths = np.minimum(self._ends[runs] - self._start, len(self)) - begins
        before = np.cumsum(lengths) - lengths
        rows = np.arange(int(lengths.sum())) + np.repeat(begins - before, lengths)
        return rows, Column(self.type, np.repeat(self.runs[runs], lengths))

    @property
    def begins(self) -> Positions:
        """(runs,) the row that each run begins with."""
        return np.concatenate([[0], self._ends[:-1] - self._start])

    @property
    def nbytes(self) -> int:
        """Bytes of the values once they are written out."""
        return len(self) * self.runs.itemsize

    def __len__(self) -> int:
        return self._stop - self._start

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still as runs."""
        start, stop = self._start + start, min(self._start + stop, self._stop)
        if stop <= start:
            return Column(self.type, self.runs[:0])
        first = int(np.searchsorted(self._ends, start, "right"))
        last = int(np.searchsorted(self._ends, stop, "left")) + 1
        return RunColumn(self.type, self.runs[first:last], self._ends[first:last], start, stop)

    def take(self, rows: Positions | Mask) -> Column:
        """See Column: of few rows only their runs are looked for."""
        positions = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        if len(positions) >= len(self) * _DENSE or (positions < 0).any():
            return super().take(rows)
        found = np.searchsorted(self._ends, positions + self._start, "right")
        return Column(self.type, self.runs[found])

    def retype(self, type: Type) -> Column:
        """See Column: still as runs."""
        if type.form is not self.type.form:
            return super().retype(type)
        return RunColumn(type, self.runs, self._ends, self._start, self._stop)
