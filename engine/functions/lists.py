"""Arrays as columns: the elements of all rows one after another, and where each row's begin."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from storage.column import Array, Column, Positions, arrow_type
from storage.types import Type


def lists(column: Column) -> tuple[Positions, Column]:
    """(offsets, elements): row r holds elements offsets[r] to offsets[r + 1]; a null row holds none."""
    element = column.type.element
    assert element is not None
    values = column.values
    counts = np.asarray(values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets, Column.from_arrow(element, values.flatten())


def list_column(
    type: Type, offsets: Array, elements: Column, valid: Array | None = None, *, constant: bool = False
) -> Column:
    """The inverse of `lists`; rows outside `valid` are null."""
    storage = arrow_type(type)
    items = elements.to_arrow().cast(storage.value_type)
    starts = pa.array(np.asarray(offsets, np.int64))
    mask = None if valid is None or valid.all() else pa.array(~valid)
    values = pa.LargeListArray.from_arrays(starts, items, type=storage, mask=mask)
    return Column(type, values, constant=constant)
