"""Twins of plain.stamps: the same arithmetic, a row at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from storage.kernels.plain.stamps import DAY, ERA, WIDTH


@njit(cache=True, nogil=True)
def _digits(row, at, count, value):  # type: ignore[no-untyped-def]
    for place in range(count):
        row[at + count - 1 - place] = np.uint8(48 + value % 10)
        value //= 10


@njit("void(int64[::1], uint8[:, ::1], int64[::1])", nogil=True, cache=True)
def _stamps(micros, out, lengths):  # type: ignore[no-untyped-def]
    for i in range(len(micros)):
        row = out[i]
        days = micros[i] // DAY
        rest = micros[i] - days * DAY
        shifted = days + ERA
        era = shifted // 146_097
        of_era = shifted - era * 146_097
        year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
        of_year = of_era - (365 * year + year // 4 - year // 100)
        month = (5 * of_year + 2) // 153
        day = of_year - (153 * month + 2) // 5 + 1
        month = month + 3 if month < 10 else month - 9
        year = year + era * 400 + (1 if month <= 2 else 0)
        seconds = rest // 1_000_000
        fraction = rest - seconds * 1_000_000
        _digits(row, 0, 4, year)
        _digits(row, 5, 2, month)
        _digits(row, 8, 2, day)
        _digits(row, 11, 2, seconds // 3600)
        _digits(row, 14, 2, seconds // 60 % 60)
        _digits(row, 17, 2, seconds % 60)
        row[4] = row[7] = 45
        row[10] = 32
        row[13] = row[16] = 58
        row[19] = 46
        _digits(row, 20, 6, fraction)
        length = WIDTH
        if fraction == 0:
            length = 19
        else:
            while row[length - 1] == 48:
                length -= 1
        lengths[i] = length


def stamp_texts(
    micros: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """See plain.stamps.stamp_texts."""
    out = np.empty((len(micros), WIDTH), np.uint8)
    lengths = np.empty(len(micros), np.int64)
    _stamps(np.ascontiguousarray(micros, np.int64), out, lengths)
    return out, lengths
