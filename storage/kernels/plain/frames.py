"""Fields behind lengths: finding those of COPY's binary tuples, gathering their bytes into one buffer.

A tuple is a count (int16) and that many fields, each a length (int32, -1 for null) and its bytes, all
big-endian.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

OK, SHORT, TRAILER, MISCOUNTED, NEGATIVE = 0, 1, 2, 3, 4


def find_tuples(data: Bytes, at: int, starts: Integers, lengths: Integers) -> tuple[int, int, int]:
    """Fill `starts` and `lengths`, (rows, fields), with the tuples of `data` from `at` on.

    Gives (rows found, where the next tuple begins, why it stopped): OK (the arrays are full), SHORT (the
    data ends inside a tuple), TRAILER (a count of -1), MISCOUNTED, NEGATIVE (a length below -1). The
    length of a null is -1.
    """
    view = data.data
    rows, fields = starts.shape
    for row in range(rows):
        here = at
        if here + 2 > len(data):
            return row, at, SHORT
        count = int.from_bytes(view[here : here + 2], "big", signed=True)
        here += 2
        if count == -1:
            return row, at, TRAILER
        if count != fields:
            return row, at, MISCOUNTED
        for field in range(fields):
            if here + 4 > len(data):
                return row, at, SHORT
            length = int.from_bytes(view[here : here + 4], "big", signed=True)
            here += 4
            if length < -1:
                return row, at, NEGATIVE
            starts[row, field], lengths[row, field] = here, length
            here += max(length, 0)
            if here > len(data):
                return row, at, SHORT
        at = here
    return rows, at, OK


def gather_bytes(data: Bytes, starts: Integers, lengths: Integers) -> Bytes:
    """The bytes `data[starts[i] : starts[i] + lengths[i]]`, one after another; lengths below 0 count as 0."""
    sizes = np.maximum(lengths, 0)
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    shift = np.repeat(starts - (ends - sizes), sizes)
    gathered: Bytes = data[shift + np.arange(total)]
    return gathered


def scatter_bytes(out: Bytes, places: Integers, data: Bytes, starts: Integers, lengths: Integers) -> None:
    """Copy `data[starts[i] : starts[i] + lengths[i]]` to `out[places[i]:]`; lengths below 0 count as 0."""
    sizes = np.maximum(lengths, 0)
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    within = np.arange(total) - np.repeat(ends - sizes, sizes)
    out[np.repeat(places, sizes) + within] = data[np.repeat(starts, sizes) + within]


def put_int32(out: Bytes, places: Integers, values: Integers) -> None:
    """Write `values[i]` to `out[places[i]:]` as an int32, big-endian."""
    digits = values.astype(">i4").view(np.uint8).reshape(-1, 4)
    for byte in range(4):
        out[places + byte] = digits[:, byte]


def put_fields(out: Bytes, places: Integers, data: Bytes, starts: Integers, lengths: Integers) -> None:
    """Write to `out[places[i]:]` the int32 `lengths[i]` and the bytes `data[starts[i] : ...]` behind it."""
    put_int32(out, places, lengths)
    scatter_bytes(out, places + 4, data, starts, lengths)
