"""Orders: ORDER BY keys as unsigned words that sort as SQL says, and the permutation that sorts them.

A sort key becomes one or more uint64 arrays: first, where there are nulls, one that sets them apart;
then the words of storage.indexes.comparable, all bits turned for DESC. Byte strings are ranked among
themselves, so their words compare within one batch only: `absolute` says whether words of two batches
compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.pool import ordered
from engine.run import Run
from storage import kernels
from storage.column import Column, Mask, Positions
from storage.indexes.comparable import Key, Words, column_keys
from storage.types import INT8, Form

# Rows that are sorted in one go: a few milliseconds.
PIECE = 131_072
_LAST = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_SIGN = np.uint64(1 << 63)


def order_words(column: Column, descending: bool, nulls_first: bool) -> tuple[list[Words], bool]:
    """(arrays that sort the column, most significant first; whether they compare across batches)."""
    words, absolute = [], True
    valid = column.valid
    # Always there, so that columns of two batches have equally many words.
    nulls = np.zeros(len(column), np.uint64)
    if valid is not None:
        nulls[valid] = 1 if nulls_first else 0
        nulls[~valid] = 0 if nulls_first else 1
    elif nulls_first:
        nulls[:] = 1
    words.append(nulls)
    for key in _order_keys(column):
        if key.words is not None:
            mine = key.words
            absolute = absolute and column.type.form is not Form.DECIMAL
        else:
            absolute = False
            mine = rank_strings(key.strings)
        words.append(~mine if descending else mine)
        if descending and key.valid is not None:
            words[-1][~key.valid] = 0
    return words, absolute


def order_word(column: Column, descending: bool, nulls_first: bool) -> tuple[Words, Mask | None] | None:
    """(a word a row that sorts the column, the rows whose word is another value's, too, or None for none).

    Words compare among columns of one type and, of numerics, one scale. None where one word is not enough:
    where values are bytes, or objects.
    """
    keys = _order_keys(column)
    words = keys[0].words
    if len(keys) > 1 or words is None:
        return None
    dtype = column.type.dtype if column.units is None else None
    if dtype is not None and dtype.kind in "ub":
        words = words + np.uint64(1)  # these begin at 0
    # the least and the greatest word are left to nulls, so that the values beside them share one
    inside = np.clip(words, np.uint64(1), _LAST - np.uint64(1))
    shared = None
    if dtype is not None and dtype.kind == "i" and dtype.itemsize == words.itemsize:
        shared = (inside == 1) | (inside == _LAST - np.uint64(1))
    if descending:
        inside = ~inside
    if column.valid is not None:
        inside[~column.valid] = 0 if nulls_first else _LAST
    return inside, shared


def _order_keys(column: Column) -> list[Key]:
    """The column's keys; of numerics words where these do: they compare within one column only."""
    if column.type.form is not Form.DECIMAL:
        return column_keys(column)
    if column.units is not None:
        words = column_keys(Column(INT8, column.units, column.valid))
        return [Key(words[0].words, None, column.valid)]
    return _long_keys(column) or column_keys(column)


_LONG = pa.decimal128(38, 20)
"""Quotients and means have 16 to 20 digits behind the point, mostly."""


def _long_keys(column: Column) -> list[Key] | None:
    """Numerics of objects as two words each; None where one is NaN, infinite, or has more digits."""
    values = column.values if column.valid is None else np.where(column.valid, column.values, None)
    try:
        units = pa.array(values, _LONG)
    except (pa.ArrowInvalid, TypeError):  # the latter of infinity
        return None
    words = np.frombuffer(units.buffers()[1], np.uint64).reshape(-1, 2)[: len(column)]
    upper, lower = words[:, 1] ^ _SIGN, words[:, 0]
    if column.valid is not None:
        upper, lower = (np.where(column.valid, half, np.uint64(0)) for half in (upper, lower))
    return [Key(upper, None, column.valid), Key(lower, None, column.valid)]


def rank_strings(strings: pa.Array) -> Words:
    """The rank of each byte string among the distinct ones."""
    encoded = strings.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.uint64)
    rank[order] = np.arange(len(order), dtype=np.uint64)
    ranks: Words = rank[np.asarray(encoded.indices)]
    return ranks


def sorted_rows(words: Sequence[Words], run: Run) -> Positions:
    """The rows in order, most significant words first; rows that are equal stay in their order.

    Many rows are first dealt out to buckets by their leading word, which the pool then sorts one by one;
    so no call lasts long, and every core takes part.
    """
    rows = len(words[0]) if words else 0
    if rows <= PIECE:
        return _sorted_piece(words)
    leading = leading_words(words)
    if leading is None:
        return np.arange(rows)
    result = list(ordered(_bucket_tasks(words, buckets(leading, run), run), run))
    return np.concatenate(result)


def starts(words: Sequence[Words], order: Positions) -> Mask:
    """Where the words of a row differ from those of the row before it; the first row begins everything."""
    new = np.zeros(len(order), np.bool_)
    new[:1] = True
    for word in words:
        ordered = word[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return new


def leading_words(words: Sequence[Words]) -> Words | None:
    """The first of these arrays that has different words; None: all rows are equal."""
    return next((array for array in words if array.min() != array.max()), None)


def _bucket_tasks(
    words: Sequence[Words], dealt: Iterator[Positions], run: Run
) -> Iterator[Callable[[], Positions]]:
    for rows in dealt:
        if len(rows) <= 2 * PIECE:
            yield partial(_sorted_bucket, words, rows)
        else:
            # Few distinct words: what is left to sort by stands in the words after this one.
            order = sorted_rows([array[rows] for array in words], run)
            yield partial(np.take, rows, order)


def _sorted_bucket(words: Sequence[Words], rows: Positions) -> Positions:
    return rows[_sorted_piece([array[rows] for array in words])]


def buckets(words: Words, run: Run) -> Iterator[Positions]:
    """Rows in buckets of about PIECE, each bucket's words below the next one's; in a bucket rows keep their
    order."""
    count = len(words) // PIECE + 1
    sample = np.sort(words[:: max(len(words) // (64 * count), 1)])
    borders = sample[:: max(len(sample) // count, 1)]
    # A word that is very frequent gets a bucket of its own, which ends right after it.
    borders = np.unique(np.concatenate([borders, borders[borders < _LAST] + np.uint64(1)]))
    tasks = (partial(_dealt, words, borders, start) for start in range(0, len(words), PIECE))
    dealt = list(ordered(tasks, run))
    for bucket in range(len(borders) + 1):
        parts = [rows[ends[bucket] : ends[bucket + 1]] for rows, ends in dealt]
        rows = np.concatenate(parts)
        if len(rows):
            yield rows


def _dealt(words: Words, borders: Words, start: int) -> tuple[Positions, Positions]:
    """(a piece's rows by bucket, where each bucket ends)."""
    order, ends = kernels.deal_words(words[start : start + PIECE], borders)
    order += start
    return order, ends


def _sorted_piece(words: Sequence[Words]) -> Positions:
    """`sorted_rows` of a few rows.

    Keys and row number are packed into one word wherever they fit, as numpy sorts plain words many times
    faster than it finds a stable order; what does not fit is first replaced by its rank.
    """
    rows = len(words[0]) if words else 0
    packed, used = np.zeros(rows, np.uint64), 0
    for array in words:
        if not rows:
            break
        low, high = array.min(), array.max()
        if low == high:
            continue
        array, bits = array - low, int(high - low).bit_length()
        if used + bits > 64:
            packed, used = _ranked(packed)
            array, bits = _ranked(array)
        packed = (packed << np.uint64(bits)) | array if used else array
        used += bits
    width = max(rows - 1, 0).bit_length()
    if used + width > 64:
        packed, used = _ranked(packed)
    numbered = (packed << np.uint64(width)) | np.arange(rows, dtype=np.uint64)
    numbered.sort()
    return (numbered & np.uint64((1 << width) - 1)).astype(np.int64)


def _ranked(words: Words) -> tuple[Words, int]:
    """(the rank of each word among the distinct ones, the bits that ranks take)."""
    order = np.argsort(words)
    ordered = words[order]
    ranks = np.zeros(len(words), np.uint64)
    np.cumsum(ordered[1:] != ordered[:-1], out=ranks[1:])
    result = np.empty(len(words), np.uint64)
    result[order] = ranks
    return result, int(ranks[-1]).bit_length()
