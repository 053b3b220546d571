"""Rows of one width as byte strings, byte strings of one length as rows: copied only where they have to be.

Vectors without dimensions lie in a column as byte strings (see storage.types); kernels want rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage import kernels

Array = npt.NDArray[Any]
Positions = npt.NDArray[np.int64]


def strings_of(rows: Array, valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """(rows, n) of any dtype as Arrow's large_binary, null where not `valid`."""
    raw = np.ascontiguousarray(rows)
    offsets = np.arange(len(raw) + 1, dtype=np.int64) * (raw.shape[1] * raw.dtype.itemsize)
    bits = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    content = pa.py_buffer(raw.reshape(-1).view(np.uint8))
    return pa.Array.from_buffers(pa.large_binary(), len(raw), [bits, pa.py_buffer(offsets), content])


def content_of(strings: pa.Array) -> tuple[Array, Positions]:
    """(bytes uint8, the offsets in them at which each string begins and the last one ends)."""
    _, offsets, data = strings.buffers()
    spans = np.frombuffer(offsets, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return content, spans


def strings_at(strings: pa.Array, rows: Positions, valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """The texts or byte strings of large_string or large_binary at `rows`, null where not `valid`.

    Raises IndexError.
    """
    if strings.null_count:
        there = np.asarray(strings.is_valid().to_numpy(zero_copy_only=False))[rows]
        valid = there if valid is None else there & valid
    bits = None
    if valid is not None and not valid.all():
        bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
        rows = np.where(valid, rows, -1)
    content, spans = content_of(strings)
    ends, data = kernels.take_texts(spans, content, rows)
    return pa.Array.from_buffers(strings.type, len(rows), [bits, pa.py_buffer(ends), pa.py_buffer(data)])


def same_strings(one: pa.Array, rows: Positions, other: pa.Array, places: Positions) -> npt.NDArray[np.bool_]:
    """Whether the string of `one` at each of `rows` is that of `other` at the same one of `places`, byte by
    byte; nulls count as what stands under them. Raises IndexError.
    """
    content, spans = content_of(one)
    theirs, ends = (content, spans) if other is one else content_of(other)
    return kernels.same_texts(spans, content, rows, ends, theirs, places)


def rows_of(strings: pa.Array) -> Array | None:
    """(rows, bytes) uint8 of byte strings of one length, zeros under nulls; None where lengths differ."""
    if not len(strings):
        return np.zeros((0, 0), np.uint8)
    content, spans = content_of(strings)
    lengths = np.diff(spans)
    if not strings.null_count:
        width = int(lengths[0])
        if (lengths != width).any():
            return None
        return content[spans[0] : spans[-1]].reshape(len(strings), width)
    there = np.asarray(strings.is_valid().to_numpy(zero_copy_only=False))
    sizes = lengths[there]
    if len(sizes) and (sizes != sizes[0]).any():
        return None
    width = int(sizes[0]) if len(sizes) else 0
    rows = np.zeros((len(strings), width), np.uint8)
    rows[there] = content[spans[:-1][there][:, None] + np.arange(width)]
    return rows
