"""Invariants: what a row of a table has to be, whoever writes it.

First its generated columns are computed, then NOT NULL and CHECK are asked, with PostgreSQL's words, then the
hidden columns are added by which unique indexes on expressions know their keys. Of rows that are not as they
have to be the first one is told; of one row the first null column, then the checks by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine import forms
from engine.nodes import true_rows
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.definitions import Table
from storage.errors import CheckOptionViolation, CheckViolation, DatabaseError, NotNullViolation

# A value in 'Failing row contains' is cut after this many bytes.
_VALUE_BYTES = 64

_Failure = tuple[int, DatabaseError] | None
"""The first row that is not as it has to be, and what is wrong with it."""


@dataclass(frozen=True)
class Check:
    """A CHECK constraint: its expression over the table's columns. Null counts as met."""

    name: str
    expression: Expression


@dataclass(frozen=True)
class Generated:
    """A generated column's position in the table, and its expression over the columns that are not."""

    position: int
    expression: Expression


@dataclass(frozen=True)
class Invariants:
    """What a row of a table has to be. `not_null` are positions in the table.

    All expressions are over the table's columns; `hidden` gives its hidden ones, in their order. `options`
    are the conditions of views that the statement writes through, WITH CHECK OPTION: they have to be true.
    """

    not_null: tuple[int, ...] = ()
    checks: tuple[Check, ...] = ()
    generated: tuple[Generated, ...] = ()
    hidden: tuple[Expression, ...] = ()
    options: tuple[Check, ...] = ()

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that is evaluated for a row."""
        return (
            *(column.expression for column in self.generated),
            *(check.expression for check in (*self.checks, *self.options)),
            *self.hidden,
        )

    def computed(self, batch: Batch, run: Run) -> Batch:
        """Rows (the table's columns first) with the values of their generated columns."""
        if not self.generated or not batch.rows:
            return batch
        columns = list(batch.columns)
        for each in self.generated:
            columns[each.position] = each.expression.evaluate(batch, run).spread(batch.rows)
        return Batch(tuple(columns), batch.rows)

    def enforce(self, table: Table, batch: Batch, run: Run) -> None:
        """Raise for the first row (the table's columns first) that breaks a constraint."""
        if not batch.rows:
            return
        schema = run.transaction.catalog.schemas[table.schema].name
        failed = self._first_null(table, schema, batch)
        failed = self._first_unmet(table, schema, batch, failed, run)
        failed = self._first_unseen(batch, failed, run)
        if failed is not None:
            row, error = failed
            error.row = row
            error.detail = (
                f"Failing row contains ({_described(batch.slice(row, row + 1), len(table.columns), run)})."
            )
            raise error

    def stored(self, batch: Batch, run: Run) -> Batch:
        """Rows (the table's columns) as they are stored: with its hidden columns behind them."""
        if not self.hidden:
            return batch
        hidden = (expression.evaluate(batch, run).spread(batch.rows) for expression in self.hidden)
        return Batch((*batch.columns, *hidden), batch.rows)

    def _first_null(self, table: Table, schema: str, batch: Batch) -> _Failure:
        failed: _Failure = None
        for position in sorted(self.not_null):
            valid = batch.columns[position].valid
            if valid is None or valid.all():
                continue
            row = int(np.argmin(valid))
            if failed is None or row < failed[0]:
                name = table.columns[position].name
                message = (
                    f'null value in column "{name}" of relation "{table.name}" violates not-null constraint'
                )
                failed = row, NotNullViolation(message, schema=schema, table=table.name, column=name)
        return failed

    def _first_unmet(self, table: Table, schema: str, batch: Batch, failed: _Failure, run: Run) -> _Failure:
        for check in sorted(self.checks, key=lambda check: check.name):
            # Rows after a failure are not asked.
            rows = batch if failed is None else batch.slice(0, failed[0])
            if not rows.rows:
                break
            result = check.expression.evaluate(rows, run).spread(rows.rows)
            broken = ~result.values & result.is_valid()
            if broken.any():
                message = f'new row for relation "{table.name}" violates check constraint "{check.name}"'
                violation = CheckViolation(message, schema=schema, table=table.name, constraint=check.name)
                failed = int(np.argmax(broken)), violation
        return failed

    def _first_unseen(self, batch: Batch, failed: _Failure, run: Run) -> _Failure:
        for option in self.options:
            rows = batch if failed is None else batch.slice(0, failed[0])
            if not rows.rows:
                break
            met = true_rows(option.expression.evaluate(rows, run), rows.rows)
            if not met.all():
                message = f'new row violates check option for view "{option.name}"'
                failed = int(np.argmin(met)), CheckOptionViolation(message)
        return failed


ANY_ROW = Invariants()
"""Every row is as it has to be."""


def _described(row: Batch, width: int, run: Run) -> str:
    """The values of a row as an error shows them."""
    parts = []
    for column in row.columns[:width]:
        text = forms.text_of(column, run).tolist()[0]
        parts.append("null" if text is None else _cut(text))
    return ", ".join(parts)


def _cut(text: str) -> str:
    raw = text.encode()
    if len(raw) <= _VALUE_BYTES:
        return text
    return raw[:_VALUE_BYTES].decode(errors="ignore") + "..."
