"""Insert: the child's rows into a table; complete before the first row is returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.constraints import Check, enforce
from engine.operators.project import project
from engine.operators.references import Keeper, Rules
from engine.parallel import prepare
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class Insert:
    """`child` gives all columns of table `table` (an OID), in its order.

    With `returning`, those expressions over the inserted rows come out; without, one batch of no columns
    that has as many rows as were inserted. `not_null` are positions in the table, `rules` its foreign keys'.
    """

    table: int
    child: Operator
    returning: tuple[Expression, ...] | None = None
    not_null: tuple[int, ...] = ()
    checks: tuple[Check, ...] = ()
    rules: Rules | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(expression.type for expression in self.returning or ())

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "Insert"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, iter(written(self._rows(run), self.returning)))

    def _rows(self, run: Run) -> Iterator[Batch]:
        table = run.transaction.catalog.table(self.table)
        prepare(run, *(check.expression for check in self.checks), *(self.returning or ()))
        keeper = None if self.rules is None else Keeper(self.rules, run)
        for batch in self.child.batches(run):
            run.check()
            if not batch.rows:
                continue
            enforce(table, self.not_null, self.checks, batch, run)
            row_ids = run.transaction.insert(self.table, batch)
            if keeper is not None:
                keeper.inserted(batch, row_ids)
            yield result(batch, self.returning, run)
        if keeper is not None:
            keeper.close()


def result(batch: Batch, returning: tuple[Expression, ...] | None, run: Run) -> Batch:
    """What a written batch gives back."""
    return Batch((), batch.rows) if returning is None else project(returning, batch, run)


def written(batches: Iterator[Batch], returning: tuple[Expression, ...] | None) -> list[Batch]:
    """All that was written, once all is: without `returning`, its count."""
    done = list(batches)
    if returning is None:
        return [Batch((), sum(batch.rows for batch in done))]
    return done
