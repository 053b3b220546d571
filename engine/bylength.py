"""Work on vectors without dimensions: once for the rows of each length, as rows of elements.

What computes with vectors is written for rows of one length. Most columns without dimensions hold vectors of
one length after all, and are such rows without a copy; others are taken apart by length, and the results are
put together in the rows' order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from storage.column import Array, Column
from storage.rowbytes import content_of


def opened(column: Column) -> Column | None:
    """The column with its vectors as rows; None where they have several lengths. Others as they are."""
    if not column.type.is_ragged:
        return column
    rows = column.rows()
    if rows is None:
        return None
    # under a width of 0 there are nulls only, or nothing
    return Column(column.type.of(rows.shape[1]), rows, column.valid, constant=column.constant)


def by_length(work: Callable[..., Column], columns: Sequence[Column]) -> Column:
    """What `work` makes of columns of one length (or constant), vectors being opened.

    It is called for the rows of one length each, in the order in which the lengths come up.
    """
    whole = [opened(column) for column in columns]
    if all(column is not None for column in whole):
        return work(*whole)
    apart = [column for column, rows in zip(columns, whole, strict=True) if rows is None]
    lengths = np.stack([np.diff(content_of(column.values)[1]) for column in apart], axis=1)

    def opening(*part: Column) -> Column:
        rows = [opened(column) for column in part]
        return work(*rows)

    return by_kind(opening, columns, lengths)


def by_kind(work: Callable[..., Column], columns: Sequence[Column], kinds: Array) -> Column:
    """What `work` makes of columns of one length (or constant), a call for each distinct row of `kinds`.

    `kinds` is (rows, n) integers. Calls are made in the order in which the kinds come up.
    """
    _, first, numbers = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    numbers = numbers.reshape(-1)
    parts, places = [], []
    for kind in np.argsort(first).tolist():
        mine = np.flatnonzero(numbers == kind)
        part = work(*(column if column.constant else column.take(mine) for column in columns))
        parts.append(part.spread(len(mine)))
        places.append(mine)
    back = np.empty(len(numbers), np.int64)
    back[np.concatenate(places)] = np.arange(len(numbers))
    type = parts[0].type
    return Column.concat([part if part.type == type else part.retype(type) for part in parts]).take(back)
