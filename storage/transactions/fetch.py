"""Rows by their ids, whoever sees them: values of versions that a statement has just written over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition, Table
from storage.segments.table import Store
from storage.transactions.changes import TableChanges


def fetch(
    store: Store, table: Table, changes: TableChanges | None, row_ids: Positions, numbers: Sequence[int]
) -> list[Column]:
    """The columns with these attnums of rows that are there, in the order of their ids."""
    definitions = [table.definition(number) for number in numbers]
    pieces: list[tuple[Positions, list[Column]]] = []
    with store.lock:
        for part, positions, places in store.locate(row_ids):
            columns = [part.column(definition, 0, part.rows, positions) for definition in definitions]
            pieces.append((places, columns))
    for rows in changes.inserted if changes is not None else ():
        at = rows.positions(row_ids)
        places = np.flatnonzero(at >= 0)
        if len(places):
            pieces.append((places, [rows.column(definition, at[places]) for definition in definitions]))
    return _in_order(pieces, definitions)


def _in_order(
    pieces: list[tuple[Positions, list[Column]]], definitions: Sequence[ColumnDefinition]
) -> list[Column]:
    if not pieces:
        return [Column.of(definition.type, []) for definition in definitions]
    order = np.argsort(np.concatenate([places for places, _ in pieces]))
    found = [Column.concat(list(parts)) for parts in zip(*(columns for _, columns in pieces), strict=True)]
    return [column.take(order) for column in found]


def living(store: Store, changes: TableChanges | None, row_ids: Positions) -> Mask:
    """Which of these rows are there for the transaction: committed or its own, and not deleted by it."""
    mask = np.zeros(len(row_ids), np.bool_)
    committed = np.flatnonzero(row_ids > 0)
    if len(committed):
        with store.lock:
            mask[committed] = store.gone_at(row_ids[committed]) == 0
    if changes is None:
        return mask
    if changes.truncated:
        mask[:] = False
    elif changes.deleted:
        kept = [row_id not in changes.deleted for row_id in row_ids[committed].tolist()]
        mask[committed] &= np.array(kept, np.bool_)
    for rows in changes.inserted:
        at = rows.positions(row_ids)
        here = np.flatnonzero(at >= rows.before(changes.truncated + 1))
        here = here[at[here] >= 0]
        mask[here] = rows.gone[at[here]] == 0
    return mask
