"""Fields with few distinct values: each distinct one once, and the fields as numbers of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

LONGEST = 64
"""Bytes of a field, at most."""


def number_fields(
    data: Bytes, starts: Integers, lengths: Integers, most: int
) -> tuple[Integers, Integers] | None:
    """((rows,) the number of each field's value, (values,) the row where each value stands first).

    Field i is `lengths[i]` bytes of `data` from `starts[i]` on; one of length -1 has number 0 and is none of
    the values, which are numbered as they come. None: there are more than `most`, or one is over LONGEST.
    """
    rows = np.flatnonzero(lengths >= 0)
    sizes = lengths[rows]
    width = int(sizes.max(initial=0))
    if width > LONGEST:
        return None
    fields = np.zeros((len(rows), width + 1), np.uint8)
    fields[:, width] = sizes
    for at in range(width):
        inside = sizes > at
        fields[inside, at] = data[starts[rows[inside]] + at]
    _, firsts, inverse = np.unique(
        fields.view(f"V{width + 1}").reshape(-1), return_index=True, return_inverse=True
    )
    if len(firsts) > most:
        return None
    order = np.argsort(firsts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = np.zeros(len(lengths), np.int64)
    numbers[rows] = rank[inverse.reshape(-1)]
    return numbers, rows[firsts[order]]
