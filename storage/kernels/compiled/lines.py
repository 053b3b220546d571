"""Twin of plain.lines: one pass over the bytes."""

from __future__ import annotations

import numpy as np
from numba import njit

from storage.kernels.plain.lines import BARE, EMPTIED, ESCAPED, KEPT, QUOTED, Bytes, Integers

_LF, _CR, _POINT, _BACKSLASH = 10, 13, 46, 92
_READ = "Array(uint8, 1, 'C', readonly=True)"


@njit(cache=True, nogil=True)
def _quoted(data, at, quote):  # type: ignore[no-untyped-def]
    """(where the quotes that opened before `at` close, whether doubled ones stand between)."""
    kind = QUOTED
    while at < len(data):
        if data[at] == quote:
            if at + 1 < len(data) and data[at + 1] == quote:
                kind = ESCAPED
                at += 1
            else:
                return at, kind
        at += 1
    return np.int64(-1), kind


@njit(cache=True, nogil=True)
def _bare(data, at, delimiter, quote):  # type: ignore[no-untyped-def]
    """(the delimiter or line break that ends the field at `at`, its kind)."""
    kind = BARE
    while at < len(data):
        byte = data[at]
        if byte in (delimiter, _LF, _CR):
            return at, kind
        if quote >= 0:
            if byte == quote:
                return np.int64(-1), kind
        elif byte == _BACKSLASH:
            kind = ESCAPED
            at += 1
            if at == len(data) or data[at] in (delimiter, _LF, _CR, _POINT):
                return np.int64(-1), kind
        at += 1
    return np.int64(-1), kind


@njit(
    f"int64({_READ}, int64, int64, boolean, {_READ}, {_READ}, int64[:, ::1], int64[:, ::1], uint8[:, ::1])",
    nogil=True,
    cache=True,
)
def _split(data, delimiter, quote, crlf, null, forced, starts, lengths, kinds):  # type: ignore[no-untyped-def]
    fields, room = starts.shape
    at = 0
    row = 0
    while at < len(data):
        if row == room or (data[at] == _BACKSLASH and at + 1 < len(data) and data[at + 1] == _POINT):
            return -1
        for field in range(fields):
            begin = at
            if quote >= 0 and at < len(data) and data[at] == quote:
                begin = at + 1
                end, kind = _quoted(data, begin, quote)
                if end < 0:
                    return -1
                at = end + 1
            else:
                end, kind = _bare(data, at, delimiter, quote)
                if end < 0:
                    return -1
                at = end
            if at >= len(data):
                return -1
            if field < fields - 1:
                if data[at] != delimiter:
                    return -1
            else:
                if crlf:
                    if data[at] != _CR or at + 1 == len(data):
                        return -1
                    at += 1
                if data[at] != _LF:
                    return -1
            at += 1
            length = end - begin
            if length == len(null):
                same = True
                for i in range(length):
                    if data[begin + i] != null[i]:
                        same = False
                        break
                quoted = quote >= 0 and kind != BARE
                if same and (forced[field] & EMPTIED != 0 if quoted else forced[field] & KEPT == 0):
                    length = -1
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
    return int(_split(_read(data), *marks, _read(null), _read(forced), starts, lengths, kinds))


def count_byte(data: Bytes, byte: int) -> int:
    """See plain.lines.count_byte."""
    return int(_times(_read(data), byte))


def _read(data: Bytes) -> Bytes:
    view = np.ascontiguousarray(data).view()
    view.flags.writeable = False
    return view
