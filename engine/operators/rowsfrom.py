"""RowsFrom: several table functions side by side, the shorter ones filled up with nulls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.counters import timed
from engine.functions.calls import call_set
from engine.functions.registry import BY_ID
from engine.operators.base import Operator
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column
from storage.types import INT8, Type


@dataclass(frozen=True)
class RowsFrom:
    """The columns of each call next to each other; with `ordinality` an INT8 from 1 on comes last."""

    calls: tuple[tuple[str, tuple[Expression, ...]], ...]
    types: tuple[Type, ...]
    ordinality: bool = False

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        names = ", ".join(BY_ID[function].name for function, _ in self.calls)
        return f"Function Scan on {names}"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._rows(run))

    def _rows(self, run: Run) -> Iterator[Batch]:
        run.check()
        one = Batch((), 1)
        columns: list[Column] = []
        for function, arguments in self.calls:
            prepare(run, *arguments)
            columns += call_set(function, [argument.evaluate(one, run) for argument in arguments], run)
        rows = max(len(column) for column in columns)
        columns = [_filled(column, rows) for column in columns]
        if self.ordinality:
            columns.append(Column(INT8, np.arange(1, rows + 1)))
        whole = Batch(tuple(columns), rows)
        for start in range(0, rows, BATCH_ROWS):
            run.check()
            yield whole.slice(start, start + BATCH_ROWS)


def _filled(column: Column, rows: int) -> Column:
    """The column with nulls behind it, up to so many rows."""
    missing = rows - len(column)
    if not missing:
        return column
    return Column.concat([column, Column.nulls(column.type, missing)])
