"""Update: new versions of rows; complete before the first row is returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.operators.base import Operator
from engine.operators.constraints import ANY_ROW, Invariants
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
class Update(Writing):
    """`child` gives the new row (all columns of `table`, an OID), its row id, and more for RETURNING.

    The child's scan of the table has `row_ids`. `returning` is over the child's columns: see Writing.
    `keeps_keys`: no column of a key is assigned, so those who only need the key to stay need not wait.
    """

    table: int
    child: Operator
    returning: tuple[Expression, ...] | None = None
    invariants: Invariants = ANY_ROW
    keeps_keys: bool = False
    rules: Rules | None = None
    beside: tuple[Beside, ...] = ()

    def explain(self) -> str:
        return "Update"

    def _rows(self, run: Run) -> Iterator[Batch]:
        table = run.transaction.catalog.table(self.table)
        prepare(run, *self.invariants.expressions, *(self.returning or ()))

        mode = RowMode.NO_KEY_UPDATE if self.keeps_keys else RowMode.UPDATE

        keeper = None if self.rules is None else Keeper(self.rules, run)

        def apply(batch: Batch, ids: Positions) -> Mask:
            row = Batch(batch.columns[: len(table.columns)], batch.rows)
            new_ids = run.transaction.update(self.table, ids, self.invariants.stored(row, run), mode)
            changed: Mask = new_ids != 0
            # Only now: a row that is not there any more comes again with newer values.
            self.invariants.enforce(table, row.take(changed), run)
            if keeper is not None:
                keeper.updated(ids[changed], row.take(changed), new_ids[changed])
            return changed

        computed = self.invariants.computed
        for batch in each_target(self.child, self.table, mode, apply, run, self.beside, computed=computed):
            yield self._result(batch, run)
        if keeper is not None:
            keeper.close()
