"""Twins of plain.texts.

Parts: the first and the last byte of a part are looked for in 32 places at once. Places where both stand are
few, and there the bytes between are compared. See Mula: SIMD-friendly algorithms for substring searching,
2016.

Taking: a short text is one load and one store of 16 bytes; those behind its end are overwritten by the next.
A longer one is several.

Comparing: eight bytes at a time, the last eight perhaps again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from storage.kernels.plain.texts import Bytes, Integers, Mask

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_ENDS = types.Array(types.int64, 1, "C", readonly=True)
_U = np.uint64
_LANES, _ZERO, _ONE = _U(32), _U(0), _U(1)
_NOWHERE = _U(0xFFFF_FFFF_FFFF_FFFF)
_OUT = types.int64[::1]
_SHORT = 16  # bytes that are copied at once
_FEW = 1 << 12
_WORD, _I32 = ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(ir.IntType(8), 32)


def _splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, 32), [0] * 32))


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _hits(typing: Any, data: Any, at: Any, behind: Any, head: Any, tail: Any) -> Any:
    """Bit i says whether data[at + i] is `head` and data[at + i + behind] is `tail`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, at, behind, head, tail = args
        begin = context.make_array(signature.args[0])(context, builder, array).data
        begin = builder.add(builder.ptrtoint(begin, _WORD), at)
        found = None
        for address, byte in ((begin, head), (builder.add(begin, behind), tail)):
            values = builder.load(builder.inttoptr(address, _VECTOR.as_pointer()), align=1)
            equal = builder.icmp_unsigned("==", values, _splat(builder, byte))
            found = equal if found is None else builder.and_(found, equal)
        return builder.zext(builder.bitcast(found, _I32), _WORD)

    return types.uint64(data, at, behind, head, tail), build


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _lowest(typing: Any, word: Any) -> Any:
    """The place of the lowest bit that is set."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), build


@njit(types.boolean(_BYTES, types.uint64, _BYTES, types.uint64, types.uint64), nogil=True, cache=True)
def _stands(data, at, parts, first, size):  # type: ignore[no-untyped-def]
    same = _ZERO
    while same < size and data[at + same] == parts[first + same]:
        same += _ONE
    return same == size


@njit(
    types.uint64(_BYTES, types.uint64, types.uint64, _BYTES, types.uint64, types.uint64),
    nogil=True,
    cache=True,
)
def _find(data, start, stop, parts, first, size):  # type: ignore[no-untyped-def]
    if size == _ZERO:
        return start
    if stop < start + size:
        return _NOWHERE
    head, tail, behind = parts[first], parts[first + size - _ONE], size - _ONE
    at, limit = start, stop - behind  # places where it may begin
    if limit - at < _LANES:
        while at < limit:
            if data[at] == head and _stands(data, at, parts, first, size):
                return at + size
            at += _ONE
        return _NOWHERE
    while True:
        bits = _hits(data, at, behind, head, tail)
        while bits != _ZERO:
            place = at + _lowest(bits)
            if _stands(data, place, parts, first, size):
                return place + size
            bits &= bits - _ONE
        at += _LANES
        if at >= limit:
            return _NOWHERE
        at = min(at, limit - _LANES)


@njit(types.void(_ENDS, _BYTES, _BYTES, _ENDS, types.boolean[::1]), nogil=True, cache=True)
def _match(offsets, data, parts, ends, out):  # type: ignore[no-untyped-def]
    last = len(ends) - 1
    head, tail = _U(ends[0]), _U(ends[last] - ends[last - 1])
    for row in range(len(out)):
        start, stop = _U(offsets[row]), _U(offsets[row + 1])
        found = stop - start >= head + tail and _stands(data, start, parts, _ZERO, head)
        if found:
            found = _stands(data, stop - tail, parts, _U(ends[last - 1]), tail)
        at, stop = start + head, stop - tail
        for part in range(1, last):
            if not found:
                break
            first = _U(ends[part - 1])
            at = _find(data, at, stop, parts, first, _U(ends[part]) - first)
            found = at != _NOWHERE
        out[row] = found


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _copy(typing: Any, out: Any, at: Any, data: Any, start: Any) -> Any:
    """_SHORT bytes from data[start:] to out[at:]."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), _SHORT).as_pointer()
        places = []
        for array, offset, type in zip(args[::2], args[1::2], signature.args[::2], strict=True):
            begin = context.make_array(type)(context, builder, array).data
            place = builder.add(builder.ptrtoint(begin, _WORD), offset)
            places.append(builder.inttoptr(place, vector))
        builder.store(builder.load(places[1], align=1), places[0], align=1)
        return context.get_dummy_value()

    return types.void(out, types.int64, data, types.int64), build


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _word(typing: Any, data: Any, at: Any) -> Any:
    """The eight bytes from data[at] on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        begin = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.add(builder.ptrtoint(begin, _WORD), args[1])
        return builder.load(builder.inttoptr(place, _WORD.as_pointer()), align=1)

    return types.uint64(data, types.int64), build


@njit(
    types.boolean(_ENDS, _BYTES, _ENDS, _ENDS, _BYTES, _ENDS, types.boolean[::1]),
    nogil=True,
    cache=True,
)
def _same(offsets, data, rows, others, more, places, out):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        row, place = rows[i], places[i]
        if _U(row) >= _U(len(offsets) - 1) or _U(place) >= _U(len(others) - 1):
            return False
        start, begin = offsets[row], others[place]
        size = offsets[row + 1] - start
        same = size == others[place + 1] - begin
        at = 0
        if same and size >= 8:
            while at + 8 <= size and _word(data, start + at) == _word(more, begin + at):
                at += 8
            same = at + 8 > size and _word(data, start + size - 8) == _word(more, begin + size - 8)
        elif same:
            while at < size and data[start + at] == more[begin + at]:
                at += 1
            same = at == size
        out[i] = same
    return True


@njit(types.int64(_ENDS, _ENDS, _OUT, _OUT), nogil=True, cache=True)
def _spans(offsets, rows, starts, ends):  # type: ignore[no-untyped-def]
    count = len(offsets) - 1
    at = ends[0] = 0
    for i in range(len(rows)):
        row = rows[i]
        if _U(row) < _U(count):
            starts[i] = offsets[row]
            at += offsets[row + 1] - offsets[row]
        elif row == -1:
            starts[i] = 0
        else:
            return -1
        ends[i + 1] = at
    return at


@njit(types.void(_BYTES, _OUT, _OUT, types.uint8[::1]), nogil=True, cache=True)
def _put(data, starts, ends, out):  # type: ignore[no-untyped-def]
    last = len(data) - _SHORT
    at = 0
    for i in range(len(starts)):
        start, end = starts[i], ends[i + 1]
        if end - at <= _SHORT and start <= last:
            _copy(out, at, data, start)
        else:
            behind = start - at
            while at < end and at + behind <= last:
                _copy(out, at, data, at + behind)
                at += _SHORT
            for place in range(at, end):
                out[place] = data[place + behind]
        at = end


def take_texts(offsets: Integers, data: Bytes, rows: Integers) -> tuple[Integers, Bytes]:
    """See plain.texts.take_texts."""
    rows = np.ascontiguousarray(rows)
    starts, ends = np.empty(len(rows), np.int64), np.empty(len(rows) + 1, np.int64)
    total = _spans(np.ascontiguousarray(offsets), rows, starts, ends)
    if total < 0:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(offsets) - 1}")
    if len(data) < _FEW:  # most of them would stand too near to the end
        data = np.concatenate([data, np.zeros(_SHORT, np.uint8)])
    out = np.empty(total + _SHORT, np.uint8)
    _put(np.ascontiguousarray(data), starts, ends, out)
    return ends, out[:total]


def match_parts(offsets: Integers, data: Bytes, parts: Bytes, ends: Integers) -> Mask:
    """See plain.texts.match_parts."""
    out = np.empty(max(len(offsets) - 1, 0), np.bool_)
    _match(np.ascontiguousarray(offsets), data, parts, ends, out)
    return out


def same_texts(
    offsets: Integers, data: Bytes, rows: Integers, others: Integers, more: Bytes, places: Integers
) -> Mask:
    """See plain.texts.same_texts."""
    out = np.empty(len(rows), np.bool_)
    given = [np.ascontiguousarray(each) for each in (offsets, data, rows, others, more, places)]
    if not _same(*given, out):
        raise IndexError(f"rows of {len(offsets) - 1} or {len(others) - 1} texts")
    return out
