"""Insert: the child's rows into a table; complete before the first row is returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.operators.base import Operator
from engine.operators.constraints import ANY_ROW, Invariants
from engine.operators.references import Keeper, Rules
from engine.operators.writing import Writing
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch


@dataclass(frozen=True)
class Insert(Writing):
    """`child` gives all columns of table `table` (an OID), in its order.

    `returning` is over the inserted rows: see Writing. What `child` gives for generated columns does not
    count. `rules` are the table's foreign keys'.
    """

    table: int
    child: Operator
    returning: tuple[Expression, ...] | None = None
    invariants: Invariants = ANY_ROW
    rules: Rules | None = None

    def explain(self) -> str:
        return "Insert"

    def _rows(self, run: Run) -> Iterator[Batch]:
        table = run.transaction.catalog.table(self.table)
        prepare(run, *self.invariants.expressions, *(self.returning or ()))
        keeper = None if self.rules is None else Keeper(self.rules, run)
        for batch in self.child.batches(run):
            run.check()
            if not batch.rows:
                continue
            batch = self.invariants.computed(batch, run)
            self.invariants.enforce(table, batch, run)
            row_ids = run.transaction.insert(self.table, self.invariants.stored(batch, run))
            if keeper is not None:
                keeper.inserted(batch, row_ids)
            yield self._result(batch, run)
        if keeper is not None:
            keeper.close()
