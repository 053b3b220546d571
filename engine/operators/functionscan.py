"""FunctionScan: a function in FROM, its result as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.counters import timed
from engine.functions.calls import call, call_set
from engine.functions.registry import BY_ID
from engine.operators.base import Operator
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column, fields_of
from storage.types import INT8, Type


@dataclass(frozen=True)
class FunctionScan:
    """The rows of a table function, or the one row of a scalar one.

    `types` are those of the output columns; with `ordinality` an INT8 that counts from 1 comes last. The
    fields of rows are columns where `fields` says so.
    """

    function: str
    arguments: tuple[Expression, ...]
    types: tuple[Type, ...]
    ordinality: bool = False
    fields: bool = False

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"Function Scan on {BY_ID[self.function].name}"

    def _result(self, arguments: list[Column]) -> Type:
        """The type of a scalar function's value: of a row, that of its first argument."""
        return arguments[0].type if self.fields else self.types[0]

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._rows(run))

    def _rows(self, run: Run) -> Iterator[Batch]:
        run.check()
        prepare(run, *self.arguments)
        one = Batch((), 1)
        arguments = [argument.evaluate(one, run) for argument in self.arguments]
        overload = BY_ID[self.function]
        if overload.returns_set:
            columns = call_set(self.function, arguments, run)
        else:
            columns = [call(self.function, arguments, 1, run, self._result(arguments)).spread(1)]
        if self.fields:
            columns = fields_of(columns[0])
        rows = len(columns[0])
        if self.ordinality:
            columns = [*columns, Column(INT8, np.arange(1, rows + 1))]
        whole = Batch(tuple(columns), rows)
        for start in range(0, rows, BATCH_ROWS):
            run.check()
            yield whole.slice(start, start + BATCH_ROWS)
