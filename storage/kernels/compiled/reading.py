"""Twins of plain.reading: the system's own functions, called row by row without the interpreter's lock."""

from __future__ import annotations

import os

from numba import njit, types

from storage.kernels.plain.reading import Descriptors, Places, Rows

_pread = types.ExternalFunction("pread", types.int64(types.int32, types.int64, types.int64, types.int64))
_DESCRIPTORS = types.Array(types.int32, 1, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C", readonly=True)


@njit(types.int64(_DESCRIPTORS, _PLACES, types.int64, types.int64), nogil=True, cache=True)
def _read(descriptors, places, out, nbytes):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        read = 0
        while read < nbytes:
            more = _pread(descriptors[i], out + i * nbytes + read, nbytes - read, places[i] + read)
            if more <= 0:
                return i
            read += more
    return len(places)


def read_rows(descriptors: Descriptors, places: Places, out: Rows) -> int:
    """See plain.reading.read_rows."""
    assert out.flags.c_contiguous
    assert out.flags.writeable
    return int(_read(descriptors, places, out.ctypes.data, out.shape[1]))


if hasattr(os, "posix_fadvise"):
    _advise = types.ExternalFunction(
        "posix_fadvise", types.int32(types.int32, types.int64, types.int64, types.int32)
    )
    _SOON = os.POSIX_FADV_WILLNEED

    @njit(types.void(_DESCRIPTORS, _PLACES, types.int64), nogil=True, cache=True)
    def _expect(descriptors, places, nbytes):  # type: ignore[no-untyped-def]
        for i in range(len(places)):
            _advise(descriptors[i], places[i], nbytes, _SOON)

    def expect_rows(descriptors: Descriptors, places: Places, nbytes: int) -> None:
        """See plain.reading.expect_rows."""
        _expect(descriptors, places, nbytes)
