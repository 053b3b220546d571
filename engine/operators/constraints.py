"""Constraints of rows that are about to be written: NOT NULL and CHECK, with PostgreSQL's words.

The first failing row is told; of one row the first null column, then the checks by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine import forms
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.definitions import Table
from storage.errors import CheckViolation, DatabaseError, NotNullViolation

# A value in 'Failing row contains' is cut after this many bytes.
_VALUE_BYTES = 64


@dataclass(frozen=True)
class Check:
    """A CHECK constraint: its expression over the table's columns. Null counts as met."""

    name: str
    expression: Expression


def enforce(table: Table, not_null: Sequence[int], checks: Sequence[Check], batch: Batch, run: Run) -> None:
    """Raise for the first row of `batch` (the table's columns first) that breaks a constraint."""
    failed: tuple[int, DatabaseError] | None = None
    schema = run.transaction.catalog.schemas[table.schema].name
    for position in sorted(not_null):
        valid = batch.columns[position].valid
        if valid is None or valid.all():
            continue
        row = int(np.argmin(valid))
        if failed is None or row < failed[0]:
            name = table.columns[position].name
            message = f'null value in column "{name}" of relation "{table.name}" violates not-null constraint'
            failed = row, NotNullViolation(message, schema=schema, table=table.name, column=name)
    for check in sorted(checks, key=lambda check: check.name):
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
    if failed is not None:
        row, error = failed
        error.row = row
        error.detail = (
            f"Failing row contains ({_described(batch.slice(row, row + 1), len(table.columns), run)})."
        )
        raise error


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
