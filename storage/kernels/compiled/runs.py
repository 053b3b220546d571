"""Twin of plain.runs: one loop a run, which the compiler makes vectors of."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.compiled.packing import FORMS, as_form, fill
from storage.kernels.plain.runs import Array, Integers

_U = np.uint64
_ENDS = types.Array(types.int64, 1, "C", readonly=True)


@njit(
    [types.void(types.Array(f, 1, "C", readonly=True), _ENDS, types.int64, f[::1]) for f in FORMS],
    nogil=True,
    cache=True,
)
def _repeat(values, ends, start, out):  # type: ignore[no-untyped-def]
    done, count = _U(0), _U(len(out))
    for run in range(_U(len(ends))):
        stop = min(_U(ends[run] - start), count)
        fill(values[run], stop - done, out, done)
        done = stop


def repeat_runs(values: Array, ends: Integers, start: int, out: Array) -> None:
    """See plain.runs.repeat_runs."""
    _repeat(as_form(np.ascontiguousarray(values)), np.ascontiguousarray(ends), start, as_form(out))
