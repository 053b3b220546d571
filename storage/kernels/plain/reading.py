"""Rows of files, read by pread from given places: many in one call, for what is done around each costs more.

Descriptors are those of open files, regular ones; places are bytes from their beginning. Nothing raises: who
is told that a row could not be read asks for it by itself, and is told why.
"""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np
import numpy.typing as npt

Descriptors = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint8]


def read_rows(descriptors: Descriptors, places: Places, out: Rows) -> int:
    """Fill row i of (n, bytes) with what stands at places[i] of descriptors[i], one after another.

    Returns how many were filled: fewer than n where the next one failed, or its file ends within it.
    """
    for i, (descriptor, place) in enumerate(zip(descriptors.tolist(), places.tolist(), strict=True)):
        read = 0
        with suppress(OSError):
            while read < out.shape[1] and (more := os.preadv(descriptor, [out[i, read:].data], place + read)):
                read += more
        if read < out.shape[1]:
            return i
    return len(out)


def expect_rows(descriptors: Descriptors, places: Places, nbytes: int) -> None:
    """A hint that so many bytes at these places will be read: the disk may begin with all of them now."""
    if not hasattr(os, "posix_fadvise"):
        return
    for descriptor, place in zip(descriptors.tolist(), places.tolist(), strict=True):
        with suppress(OSError):
            os.posix_fadvise(descriptor, place, nbytes, os.POSIX_FADV_WILLNEED)
