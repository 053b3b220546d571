"""Delete: rows of a table marked deleted; complete before the first row is returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.operators.base import Operator
from engine.operators.references import Keeper, Rules
from engine.operators.targets import Beside, each_target
from engine.operators.writing import Writing
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Mask, Positions
from storage.transactions.locks import RowMode


@dataclass(frozen=True)
class Delete(Writing):
    """`child` gives the old row (all columns of `table`, an OID), its row id, and more for RETURNING.

    The child's scan of the table has `row_ids`. `returning` is over the child's columns: see Writing.
    """

    table: int
    child: Operator
    returning: tuple[Expression, ...] | None = None
    rules: Rules | None = None
    beside: tuple[Beside, ...] = ()

    def explain(self) -> str:
        return "Delete"

    def _rows(self, run: Run) -> Iterator[Batch]:
        prepare(run, *(self.returning or ()))

        keeper = None if self.rules is None else Keeper(self.rules, run)
        width = len(run.transaction.catalog.table(self.table).columns)

        def apply(batch: Batch, ids: Positions) -> Mask:
            gone: Mask = np.isin(ids, run.transaction.delete(self.table, ids))
            if keeper is not None:
                keeper.deleted(Batch(batch.columns[:width], batch.rows).take(gone))
            return gone

        for batch in each_target(self.child, self.table, RowMode.UPDATE, apply, run, self.beside, "deleted"):
            yield self._result(batch, run)
        if keeper is not None:
            keeper.close()
