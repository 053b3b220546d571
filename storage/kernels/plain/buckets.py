"""Hash indexes over rows: immutable ones in buckets, growing ones in chains. The meaning of the kernels.

A *hash* is a uint64 whose bits are all equally good. What is found is a candidate: whoever asks compares
the values themselves.

Buckets: rows with the same first bits of their hashes stand together in `entries` (uint32), in row order.
`heads` (uint64, one a bucket and one behind the last) holds where a bucket begins in its upper half, and in
its lower half a filter: bit (hash & 31) of every row in it. An entry is the row's position in its low
bits, as many as `rows - 1` needs, and the hash's bits behind the bucket's in the rest. So a hash that is
not there costs one look at `heads`, nearly always.

Chains: `slots` (int32, a power of two long, -1 empty) holds the newest entry of those with the same first
bits, `following` (int32) the one before each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Entries = npt.NDArray[np.uint32]
Links = npt.NDArray[np.int32]

_FILTER = np.uint64(31)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFF_FFFF)
_ONE = np.uint64(1)


def bucket_bits(count: int) -> int:
    """How many bits of a hash number the buckets of `count` entries: about two entries a bucket."""
    return max((max(count, 1) - 1).bit_length() - 1, 1)


def position_bits(rows: int) -> int:
    """How many bits of an entry are the position."""
    return max(max(rows, 1) - 1, 1).bit_length()


def bucket_rows(hashes: Words, positions: Positions, rows: int) -> tuple[Words, Entries]:
    """(heads, entries) of the ascending `positions` among `rows` rows, whose hashes are `hashes`."""
    bits, low = bucket_bits(len(hashes)), np.uint64(position_bits(rows))
    buckets = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    order = np.argsort(buckets, kind="stable")
    entries = positions[order].astype(np.uint64) | (_tags(hashes[order], bits, rows) << low)
    starts = np.zeros((1 << bits) + 1, np.int64)
    np.cumsum(np.bincount(buckets, minlength=1 << bits), out=starts[1:])
    heads = starts.astype(np.uint64) << _HALF
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        marks = _ONE << (hashes[order] & _FILTER)
        heads[filled] |= np.bitwise_or.reduceat(marks, starts[filled])
    return heads, entries.astype(np.uint32)


def _tags(hashes: Words, bits: int, rows: int) -> Words:
    """The bits of each hash that stand in an entry."""
    width = 32 - position_bits(rows)
    if not width:
        return np.zeros(len(hashes), np.uint64)
    return (hashes >> np.uint64(64 - bits - width)) & np.uint64((1 << width) - 1)


def probe_buckets(heads: Words, entries: Entries, rows: int, hashes: Words) -> tuple[Positions, Positions]:
    """(which of `hashes`, position of a row that may have it), by hash and then by position."""
    bits = (len(heads) - 1).bit_length() - 1
    at = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    asked = np.flatnonzero((heads[at] >> (hashes & _FILTER)) & _ONE)
    at = at[asked]
    starts = (heads[at] >> _HALF).astype(np.int64)
    counts = (heads[at + 1] >> _HALF).astype(np.int64) - starts
    ends = np.cumsum(counts)
    places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + counts, counts)
    found, asked = entries[places].astype(np.uint64), np.repeat(asked, counts)
    low = np.uint64(position_bits(rows))
    same = (found >> low) == _tags(hashes[asked], bits, rows)
    return asked[same], (found[same] & ((_ONE << low) - _ONE)).astype(np.int64)


def chain_words(slots: Links, following: Links, hashes: Words, start: int, stop: int) -> None:
    """Enter hashes[start:stop], each before those that are there."""
    if start == stop:
        return
    at = _home(hashes[start:stop], len(slots))
    order = np.argsort(at, kind="stable")
    at, numbers = at[order], order + start
    before = np.empty(len(at), np.int32)
    first = np.concatenate(([True], at[1:] != at[:-1]))
    before[1:] = numbers[:-1]
    before[first] = slots[at[first]]
    following[numbers] = before
    last = np.concatenate((first[1:], [True]))
    slots[at[last]] = numbers[last]


def probe_chains(slots: Links, following: Links, hashes: Words, asked: Words) -> tuple[Positions, Positions]:
    """(which of `asked`, number of an entry with that hash), by hash and then the newest first."""
    rows = np.arange(len(asked))
    at = slots[_home(asked, len(slots))]
    found_rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while True:
        here = at >= 0
        rows, at = rows[here], at[here]
        if not len(rows):
            break
        hit = hashes[at] == asked[rows]
        found_rows.append(rows[hit])
        found.append(at[hit])
        at = following[at]
    all_rows = np.concatenate(found_rows)
    order = np.argsort(all_rows, kind="stable")
    return all_rows[order], np.concatenate(found)[order].astype(np.int64)


def _home(hashes: Words, size: int) -> Positions:
    """Which slot a hash belongs to."""
    return (hashes >> np.uint64(64 - (size.bit_length() - 1))).astype(np.int64)
