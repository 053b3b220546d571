"""Runs: values that are repeated, each up to a row of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]


def repeat_runs(values: Array, ends: Integers, start: int, out: Array) -> None:
    """Row start + i into out[i]: values[k] from the end of run k - 1, or from `start`, up to ends[k].

    `values` and `out` are of one dtype of 1, 2, 4 or 8 bytes. The ends rise from above `start`, and the
    last one is at or behind the last row.
    """
    lengths = np.diff(np.minimum(ends, start + len(out)), prepend=start)
    out[:] = np.repeat(values, lengths)
