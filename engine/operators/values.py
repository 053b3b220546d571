"""Values: rows that are written in the statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import timed
from engine.nodes import Constant, Parameter, concat
from engine.operators.base import Operator
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column
from storage.types import Type


@dataclass(frozen=True)
class Values:
    """One row a tuple of expressions, which have the column's type each."""

    rows: tuple[tuple[Expression, ...], ...]
    types: tuple[Type, ...]

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return "Result" if len(self.rows) == 1 else 'Values Scan on "*VALUES*"'

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._rows(run))

    def _rows(self, run: Run) -> Iterator[Batch]:
        one = Batch((), 1)
        for start in range(0, len(self.rows), BATCH_ROWS):
            run.check()
            rows = self.rows[start : start + BATCH_ROWS]
            # Row by row, as volatile functions (nextval) are called in that order.
            cells: list[list[Column]] = [[] for _ in self.types]
            for row in rows:
                for column, expression in zip(cells, row, strict=True):
                    if not isinstance(expression, Constant | Parameter):
                        prepare(run, expression)
                    column.append(expression.evaluate(one, run))
            columns = [concat(type, parts) for type, parts in zip(self.types, cells, strict=True)]
            yield Batch(tuple(columns), len(rows))
