"""Texts that hold others: what LIKE asks of UTF-8, where any number of characters is any number of bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def match_parts(offsets: Integers, data: Bytes, parts: Bytes, ends: Integers) -> Mask:
    """(n,) which texts, i being data[offsets[i] : offsets[i + 1]], have all parts, in order, not overlapping.

    Part k is parts[ends[k - 1] : ends[k]]. A text has to begin with the first and to end with the last, which
    may be empty; there are two at least.
    """
    pieces = np.split(parts, ends[:-1])
    pattern = ".*".join("".join(f"\\x{byte:02x}" for byte in piece.tolist()) for piece in pieces)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    texts = pa.Array.from_buffers(pa.large_binary(), max(len(offsets) - 1, 0), buffers)
    found = pc.match_substring_regex(texts, pattern=f"(?s)\\A{pattern}\\z")
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)
