"""Twin of plain.lines: the places to look at are marked 64 bytes at a time, then walked from one to the next.

A place is a delimiter, a line break, a quote or a backslash: a bit of a word. The end of the data is one.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from storage.kernels.plain.lines import BARE, EMPTIED, ESCAPED, KEPT, QUOTED, Bytes, Integers

_LF, _CR, _POINT, _BACKSLASH = 10, 13, 46, 92
_READ = "Array(uint8, 1, 'C', readonly=True)"
_BLOCK = ir.VectorType(ir.IntType(8), 64)
_FIRST = ir.Constant(ir.IntType(32), 0)
_EVERY = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)


@intrinsic
def _hits(typing, address, one, two, three, four):  # type: ignore[no-untyped-def]
    """Which of the 64 bytes at an address are one of four: bit i says it of byte i."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        block = builder.load(builder.inttoptr(args[0], _BLOCK.as_pointer()), align=1)
        found = ir.Constant(ir.VectorType(ir.IntType(1), 64), [0] * 64)
        for wanted in args[1:]:
            lane = builder.insert_element(ir.Constant(_BLOCK, ir.Undefined), wanted, _FIRST)
            found = builder.or_(
                found, builder.icmp_unsigned("==", block, builder.shuffle_vector(lane, lane, _EVERY))
            )
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(types.int64, *[types.uint8] * 4), generate


@intrinsic
def _lowest(typing, word):  # type: ignore[no-untyped-def]
    """The place of the lowest bit of a word that is not 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@njit(cache=True, nogil=True)
def _mark(data, address, delimiter, other, words):  # type: ignore[no-untyped-def]
    """Fill `words` with the bits of all places; `other` is the quote or the backslash."""
    delimiter, feed, back, other = np.uint8(delimiter), np.uint8(_LF), np.uint8(_CR), np.uint8(other)
    whole = len(data) >> 6
    for word in range(whole):
        words[word] = _hits(address + 64 * word, delimiter, feed, back, other)
    words[whole] = np.uint64(1) << np.uint64(len(data) & 63)
    for at in range(64 * whole, len(data)):
        if data[at] in (delimiter, feed, back, other):
            words[whole] |= np.uint64(1) << np.uint64(at & 63)


@njit(cache=True, nogil=True)
def _step(words, word, bits):  # type: ignore[no-untyped-def]
    """(the next place, the word that it is in, the bits of the word behind it)."""
    while bits == 0:
        word += 1
        bits = words[word]
    return 64 * word + _lowest(bits), word, bits & (bits - np.uint64(1))


@njit(
    f"int64({_READ}, int64, int64, int64, boolean, {_READ}, {_READ}, int64[:, ::1], int64[:, ::1],"
    " uint8[:, ::1], uint64[::1])",
    nogil=True,
    cache=True,
)
def _split(data, address, delimiter, quote, crlf, null, forced, starts, lengths, kinds, words):  # type: ignore[no-untyped-def]
    fields, room = starts.shape
    size = len(data)
    _mark(data, address, delimiter, quote if quote >= 0 else _BACKSLASH, words)
    place, word, bits = _step(words, np.int64(0), words[0])  # the first at or behind `at`
    at = np.int64(0)
    row = np.int64(0)
    while at < size:
        if row == room or (data[at] == _BACKSLASH and at + 1 < size and data[at + 1] == _POINT):
            return -1
        for field in range(fields):
            begin, kind = at, BARE
            if quote >= 0 and at < size and data[at] == quote:
                begin, kind = at + 1, QUOTED
                end = np.int64(-1)
                while end < 0:
                    place, word, bits = _step(words, word, bits)
                    if place >= size:
                        return -1
                    if data[place] != quote:
                        continue
                    if place + 1 < size and data[place + 1] == quote:
                        kind = ESCAPED
                        place, word, bits = _step(words, word, bits)
                    else:
                        end = place
                place, word, bits = _step(words, word, bits)
                at = end + 1
                if place != at:
                    return -1
            else:
                if quote < 0:
                    while place < size and data[place] == _BACKSLASH:
                        kind = ESCAPED
                        hidden = place + 1
                        if hidden == size or data[hidden] in (delimiter, _LF, _CR, _POINT):
                            return -1
                        place, word, bits = _step(words, word, bits)
                        if place == hidden:
                            place, word, bits = _step(words, word, bits)
                at = end = place
            if at >= size:
                return -1
            if field < fields - 1:
                if data[at] != delimiter:
                    return -1
            else:
                if crlf:
                    if data[at] != _CR or at + 1 == size:
                        return -1
                    at += 1
                    place, word, bits = _step(words, word, bits)
                if data[at] != _LF:
                    return -1
            at += 1
            place, word, bits = _step(words, word, bits)
            length = end - begin
            if length == len(null):
                same = True
                for i in range(length):
                    if data[begin + i] != null[i]:
                        same = False
                        break
                quoted = quote >= 0 and kind != BARE
                if same and (forced[field] & EMPTIED != 0 if quoted else forced[field] & KEPT == 0):
                    length = np.int64(-1)
            starts[field, row] = begin
            lengths[field, row] = length
            kinds[field, row] = kind
        row += 1
    return row


@njit(f"int64({_READ}, uint8)", nogil=True, cache=True)
def _times(data, byte):  # type: ignore[no-untyped-def]
    count = 0
    for other in data:
        count += other == byte
    return count


def split_lines(
    data: Bytes,
    marks: tuple[int, int, bool],
    null: Bytes,
    forced: Bytes,
    starts: Integers,
    lengths: Integers,
    kinds: Bytes,
) -> int:
    """See plain.lines.split_lines."""
    data = _read(data)
    words = np.empty((len(data) >> 6) + 1, np.uint64)
    return int(
        _split(data, data.ctypes.data, *marks, _read(null), _read(forced), starts, lengths, kinds, words)
    )


def count_byte(data: Bytes, byte: int) -> int:
    """See plain.lines.count_byte."""
    return int(_times(_read(data), byte))


def _read(data: Bytes) -> Bytes:
    view = np.ascontiguousarray(data).view()
    view.flags.writeable = False
    return view
