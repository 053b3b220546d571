"""Delete: rows of a table marked deleted; complete before the first row is returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.insert import result, written
from engine.operators.references import Keeper, Rules
from engine.operators.targets import Beside, each_target
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Mask, Positions
from storage.transactions.locks import RowMode
from storage.types import Type


@dataclass(frozen=True)
class Delete:
    """`child` gives the old row (all columns of `table`, an OID), its row id, and more for RETURNING.

    The child's scan of the table has `row_ids`. `returning` is over the child's columns. Without it, one
    batch of no columns comes out that has as many rows as were deleted.
    """

    table: int
    child: Operator
    returning: tuple[Expression, ...] | None = None
    rules: Rules | None = None
    beside: tuple[Beside, ...] = ()

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(expression.type for expression in self.returning or ())

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Delete"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, iter(written(self._rows(run), self.returning)))

    def _rows(self, run: Run) -> Iterator[Batch]:
        prepare(run, *(self.returning or ()))

        keeper = None if self.rules is None else Keeper(self.rules, run)
        width = len(run.transaction.catalog.table(self.table).columns)

        def apply(batch: Batch, ids: Positions) -> Mask:
            gone: Mask = np.isin(ids, run.transaction.delete(self.table, ids))
            if keeper is not None:
                keeper.deleted(Batch(batch.columns[:width], batch.rows).take(gone))
            return gone

        for batch in each_target(self.child, self.table, RowMode.UPDATE, apply, run, self.beside):
            yield result(batch, self.returning, run)
        if keeper is not None:
            keeper.close()
