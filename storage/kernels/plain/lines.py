"""Lines of text and csv: where each field of each line lies, found without making an object of one.

A block is whole lines, each ended by a line feed. Only what is usual is split: every line has the fields it
should have; quotes stand around whole fields; no backslash hides a delimiter, a line break or a point. The
rest of COPY's rules is in engine.formats.records, which reads the blocks that are refused here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

BARE, QUOTED, ESCAPED = 0, 1, 2
KEPT, EMPTIED = 1, 2
"""Bits of `forced`: a bare null string is a value; a quoted one is null."""
_LF, _CR, _POINT, _BACKSLASH = 10, 13, 46, 92


def split_lines(
    data: Bytes,
    marks: tuple[int, int, bool],
    null: Bytes,
    forced: Bytes,
    starts: Integers,
    lengths: Integers,
    kinds: Bytes,
) -> int:
    """Fill `starts`, `lengths` and `kinds`, (fields, rows), with the fields of the lines of `data`.

    `marks`: the delimiter, the quote (-1: there is none, backslashes escape), whether lines end in CR LF.
    A field is null (length -1) where it is `null` and not quoted; `forced`, (fields,), says otherwise. A
    quoted field lies between its quotes; an ESCAPED one holds doubled quotes or backslashes still.
    Gives the number of lines, which has to fit; -1 where something is not usual, then nothing is filled.
    """
    delimiter, quote, crlf = marks
    if not len(data) or data[-1] != _LF:
        return -1 if len(data) else 0
    separators = _csv(data, delimiter, quote) if quote >= 0 else _text(data, delimiter)
    if separators is None or not _one_break(data, separators, quote, crlf):
        return -1
    fields = len(starts)
    rows = len(separators) // fields
    if len(separators) != rows * fields or rows > starts.shape[1]:
        return -1
    ends = separators.reshape(rows, fields)
    if (data[ends] == _LF).sum() != rows or (data[ends[:, -1]] != _LF).any():
        return -1
    begins = np.concatenate([[0], separators[:-1] + 1]).reshape(rows, fields).T
    ends = ends.T - ((np.arange(fields) == fields - 1) & crlf)[:, None]
    if _ending(data, begins[0]):
        return -1
    if quote >= 0:
        found = (data[np.minimum(begins, len(data) - 1)] == quote) & (ends > begins)
        escaped = found & (_count(data == quote, begins, ends) > 2)
        begins, ends = begins + found, ends - found
    else:
        found = np.zeros(begins.shape, np.bool_)
        escaped = _count(data == _BACKSLASH, begins, ends) > 0
    sizes = ends - begins
    same = sizes == len(null)
    at = begins[same]
    alike = np.ones(len(at), np.bool_)
    for offset, byte in enumerate(null.tolist()):
        alike &= data[at + offset] == byte
    same[same] = alike
    bits = np.where(found, forced[:, None] & EMPTIED, ~forced[:, None] & KEPT)
    missing = same & (bits != 0)
    starts[:, :rows], lengths[:, :rows] = begins, np.where(missing, -1, sizes)
    kinds[:, :rows] = np.where(escaped, ESCAPED, np.where(found, QUOTED, BARE))
    return rows


def count_byte(data: Bytes, byte: int) -> int:
    """How often the byte stands in `data`."""
    return int(np.count_nonzero(data == byte))


def _csv(data: Bytes, delimiter: int, quote: int) -> Integers | None:
    """The delimiters and line feeds outside quotes; None where quotes stand inside fields."""
    places = np.flatnonzero(data == quote)
    if len(places) % 2:
        return None
    opening, closing = places[0::2], places[1::2]
    around = (delimiter, _LF, quote)
    before = data[np.maximum(opening - 1, 0)]
    after = data[np.minimum(closing + 1, len(data) - 1)]
    ended = (after == _CR) & (data[np.minimum(closing + 2, len(data) - 1)] == _LF)
    if not ((opening == 0) | np.isin(before, around)).all() or not (ended | np.isin(after, around)).all():
        return None
    outside = np.cumsum(data == quote) % 2 == 0
    return np.flatnonzero(((data == delimiter) | (data == _LF)) & outside)


def _text(data: Bytes, delimiter: int) -> Integers | None:
    """The delimiters and line feeds; None where a backslash hides what it may not."""
    slashes = data == _BACKSLASH
    if slashes.any():
        places = np.arange(len(data))
        run = places - np.maximum.accumulate(np.where(slashes, -1, places))  # backslashes that end here
        hidden = (run[:-1] % 2 == 1) & np.isin(data[1:], (delimiter, _LF, _CR, _POINT))
        if hidden.any() or run[-1] % 2:
            return None
    return np.flatnonzero((data == delimiter) | (data == _LF))


def _one_break(data: Bytes, separators: Integers, quote: int, crlf: bool) -> bool:
    """Whether the lines end alike, and no carriage return stands elsewhere outside quotes."""
    returns = data == _CR
    if quote >= 0:
        returns &= np.cumsum(data == quote) % 2 == 0
    feeds = separators[data[separators] == _LF]
    if not crlf:
        return not returns.any()
    return int(returns.sum()) == len(feeds) and bool((data[np.maximum(feeds - 1, 0)] == _CR).all())


def _ending(data: Bytes, begins: Integers) -> bool:
    """Whether a line begins as the one that ends the data does."""
    there = begins[begins + 1 < len(data)]
    return bool(((data[there] == _BACKSLASH) & (data[there + 1] == _POINT)).any())


def _count(hits: npt.NDArray[np.bool_], begins: Integers, ends: Integers) -> Integers:
    """How many of `hits` lie in each span."""
    upto = np.concatenate([[0], np.cumsum(hits)])
    counts: Integers = upto[ends] - upto[begins]
    return counts
