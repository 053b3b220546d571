"""Twins of plain.frames: the same loops, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from storage.kernels.plain.frames import (
    MISCOUNTED,
    NEGATIVE,
    OK,
    SHORT,
    TRAILER,
    Bytes,
    Integers,
)

_READ = "Array(uint8, 1, 'C', readonly=True)"
_SPAN = "Array(int64, 1, 'A', readonly=True)"  # of Arrow's memory it may be a part


@intrinsic
def _copy(context, out, at, data, start, length):  # type: ignore[no-untyped-def]
    """memcpy of `length` bytes from `data[start:]` to `out[at:]`: short fields are most of the work."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        target = make_array(signature.args[0])(context, builder, values[0]).data
        source = make_array(signature.args[2])(context, builder, values[2]).data
        cgutils.raw_memcpy(
            builder, builder.gep(target, [values[1]]), builder.gep(source, [values[3]]), values[4], 1
        )
        return context.get_dummy_value()

    return types.void(out, types.int64, data, types.int64, types.int64), generate


@njit(
    f"UniTuple(int64, 3)({_READ}, int64, int64[:, ::1], int64[:, ::1])",
    nogil=True,
    cache=True,
)
def _find(data, at, starts, lengths):  # type: ignore[no-untyped-def]
    rows, fields = starts.shape
    for row in range(rows):
        here = at
        if here + 2 > len(data):
            return row, at, SHORT
        count = np.int64(np.int16((np.uint16(data[here]) << 8) | np.uint16(data[here + 1])))
        here += 2
        if count == -1:
            return row, at, TRAILER
        if count != fields:
            return row, at, MISCOUNTED
        for field in range(fields):
            if here + 4 > len(data):
                return row, at, SHORT
            word = np.uint32(0)
            for byte in range(4):
                word = np.uint32(word << np.uint32(8)) | np.uint32(data[here + byte])
            length = np.int64(np.int32(word))
            here += 4
            if length < -1:
                return row, at, NEGATIVE
            starts[row, field] = here
            lengths[row, field] = length
            here += max(length, 0)
            if here > len(data):
                return row, at, SHORT
        at = here
    return rows, at, OK


@njit(f"void(uint8[::1], {_SPAN}, {_READ}, {_SPAN}, {_SPAN})", nogil=True, cache=True)
def _scatter(out, places, data, starts, lengths):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        if lengths[i] > 0:
            _copy(out, places[i], data, starts[i], lengths[i])


@njit(f"void(uint8[::1], {_SPAN}, {_SPAN})", nogil=True, cache=True)
def _put(out, places, values):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        at, value = places[i], np.uint32(values[i])
        for byte in range(4):
            out[at + byte] = np.uint8(value >> np.uint32(24 - 8 * byte))


@njit(f"void(uint8[::1], {_SPAN}, {_READ}, {_SPAN}, {_SPAN})", nogil=True, cache=True)
def _fields(out, places, data, starts, lengths):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        at, length, source = places[i], lengths[i], starts[i]
        value = np.uint32(length)
        for byte in range(4):
            out[at + byte] = np.uint8(value >> np.uint32(24 - 8 * byte))
        if length > 0:
            _copy(out, at + 4, data, source, length)


def find_tuples(data: Bytes, at: int, starts: Integers, lengths: Integers) -> tuple[int, int, int]:
    """See plain.frames.find_tuples."""
    rows, end, why = _find(_readonly(data), at, starts, lengths)
    return int(rows), int(end), int(why)


def gather_bytes(data: Bytes, starts: Integers, lengths: Integers) -> Bytes:
    """See plain.frames.gather_bytes."""
    sizes = np.maximum(lengths, 0)
    ends = np.cumsum(sizes)
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    _scatter(out, ends - sizes, _readonly(data), starts, sizes)
    return out


def scatter_bytes(out: Bytes, places: Integers, data: Bytes, starts: Integers, lengths: Integers) -> None:
    """See plain.frames.scatter_bytes."""
    _scatter(out, places, _readonly(data), starts, lengths)


def put_int32(out: Bytes, places: Integers, values: Integers) -> None:
    """See plain.frames.put_int32."""
    _put(out, places, values)


def put_fields(out: Bytes, places: Integers, data: Bytes, starts: Integers, lengths: Integers) -> None:
    """See plain.frames.put_fields."""
    _fields(out, places, _readonly(data), starts, lengths)


def _readonly(data: Bytes) -> Bytes:
    """A read-only view: one signature for mapped files and fresh arrays."""
    view = np.ascontiguousarray(data).view()
    view.flags.writeable = False
    return view
