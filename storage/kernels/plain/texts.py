"""Texts: those at given places, which of them are alike, and those that hold others, as LIKE asks.

Text i is data[offsets[i] : offsets[i + 1]], in UTF-8: any number of characters is any number of bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def match_parts(offsets: Integers, data: Bytes, parts: Bytes, ends: Integers) -> Mask:
    """(n,) which texts have all parts, in order, not overlapping.

    Part k is parts[ends[k - 1] : ends[k]]. A text has to begin with the first and to end with the last, which
    may be empty; there are two at least.
    """
    pieces = np.split(parts, ends[:-1])
    pattern = ".*".join("".join(f"\\x{byte:02x}" for byte in piece.tolist()) for piece in pieces)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    texts = pa.Array.from_buffers(pa.large_binary(), max(len(offsets) - 1, 0), buffers)
    found = pc.match_substring_regex(texts, pattern=f"(?s)\\A{pattern}\\z")
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def take_texts(offsets: Integers, data: Bytes, rows: Integers) -> tuple[Integers, Bytes]:
    """(the offsets, the bytes) of the texts at `rows`; row -1 is an empty text.

    Raises IndexError for a row that is not there.
    """
    count = len(offsets) - 1
    if len(rows) and not -1 <= int(rows.min()) <= int(rows.max()) < count:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {count}")
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    texts = pa.Array.from_buffers(pa.large_binary(), count, buffers)
    found = texts.take(pa.array(rows, mask=rows < 0))
    _, ends, content = found.buffers()
    return (
        np.frombuffer(ends, np.int64, len(rows) + 1) if len(rows) else np.zeros(1, np.int64),
        np.frombuffer(content, np.uint8) if content is not None and content.size else np.zeros(0, np.uint8),
    )


def same_texts(
    offsets: Integers, data: Bytes, rows: Integers, others: Integers, more: Bytes, places: Integers
) -> Mask:
    """(n,) whether the text at each of `rows` is the one at the same one of `places` of other texts.

    `others` and `more` are the offsets and bytes of these. Raises IndexError for one that is not there.
    """
    texts = []
    for ends, content, wanted in ((offsets, data, rows), (others, more, places)):
        if len(wanted) and int(wanted.min()) < 0:
            raise IndexError(f"row {wanted.min()}")
        begins, taken = take_texts(ends, content, wanted)
        buffers = [
            None,
            pa.py_buffer(np.ascontiguousarray(begins)),
            pa.py_buffer(np.ascontiguousarray(taken)),
        ]
        texts.append(pa.Array.from_buffers(pa.large_binary(), len(wanted), buffers))
    return np.asarray(pc.equal(*texts).to_numpy(zero_copy_only=False), np.bool_)
