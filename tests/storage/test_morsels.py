"""Morsels: every row once and in order; long where what is asked is narrow; no blocks that are ruled out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.predicate import Compare, Comparison
from storage.seams import TableView
from storage.segments.zones import ZONE_ROWS
from storage.types import INT8, vector
from tests.storage.rows import create

BLOCKS = 6
ROWS = BLOCKS * ZONE_ROWS


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> TableView:
    """A sealed table (n, block, v): n ascending, the number of the block, a vector of 256 bytes."""
    database = Database.open(Path(tmp_path_factory.mktemp("morsels")))
    table = create(database, columns=(("n", INT8), ("block", INT8), ("v", vector(64))))
    n = np.arange(ROWS)
    columns = (
        Column(INT8, n),
        Column(INT8, n // ZONE_ROWS),
        Column(vector(64), np.zeros((ROWS, 64), np.float32)),
    )
    transaction = database.begin()
    transaction.insert(table, Batch(columns, ROWS))
    transaction.commit()
    database.optimize(table)
    return database.snapshot().table(table)


def spans(view: TableView, *predicate: Compare, **options: object) -> list[tuple[int, int]]:
    """(first n, rows) of each morsel."""
    n = view.table.columns[0]
    found = []
    for morsel in view.morsels(predicate, **options):  # type: ignore[arg-type]
        values = morsel.column(n).values
        assert (np.diff(values) == 1).all()
        found.append((int(values[0]), morsel.rows))
    return found


def test_morsels_of_narrow_columns_are_long(view: TableView) -> None:
    blocks = [(i * ZONE_ROWS, ZONE_ROWS) for i in range(BLOCKS)]
    assert spans(view) == blocks
    assert spans(view, asked=(1, 2)) == [(0, 4 * ZONE_ROWS), (4 * ZONE_ROWS, 2 * ZONE_ROWS)]
    assert spans(view, asked=(1, 2), tasks=3) == [(i * ZONE_ROWS, 2 * ZONE_ROWS) for i in range(0, BLOCKS, 2)]
    assert spans(view, asked=(1, 2), tasks=BLOCKS) == blocks
    assert spans(view, asked=(1, 3)) == blocks


def test_blocks_that_are_ruled_out_divide_them(view: TableView) -> None:
    block = view.table.columns[1]
    one = Compare(block, Comparison.EQ, 3)
    assert spans(view, one, asked=(1,)) == [(3 * ZONE_ROWS, ZONE_ROWS)]
    others = Compare(block, Comparison.NE, 1)
    assert spans(view, others, asked=(1,)) == [
        (0, ZONE_ROWS),
        (2 * ZONE_ROWS, 2 * ZONE_ROWS),
        (4 * ZONE_ROWS, 2 * ZONE_ROWS),
    ]
    assert spans(view, Compare(block, Comparison.GT, 9), asked=(1,)) == []
