"""Bit packing in blocks: integers as small distances from their block's base, all blocks on their own.

A block is BLOCK rows (the last one holds what is left). Its values are dealt out to LANES lanes: value i
belongs to lane i % LANES and is that lane's value number i // LANES. A lane is a stream of `width` bits a
value in 64-bit words, and the words of all lanes alternate: word k of lane j stands at
`offset + k * LANES + j`. So LANES neighbouring values lie under one shift and are unpacked together, in
the order of the rows, and any value is found by arithmetic.

    words    (n,) uint64        all blocks, one behind the other
    offsets  (blocks + 1,) int64  where each block's words begin, and the end
    widths   (blocks,) uint8    0 to 64: a block of width 0 has no words, its values are its base
    bases    (blocks,) int64    added to each distance, modulo 2**64

Deltas are the same over the differences of neighbours: `firsts` (blocks,) int64 holds each block's first
value, `bases` its smallest difference. The distance of a block's first value is 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 1024
LANES = 16

Array = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Widths = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Blocks(NamedTuple):
    """Integers in packed blocks, from number `start` on; of numerics their units.

    `addresses` are those of the arrays, in their order: to ask an array for its own takes a microsecond.
    """

    words: Words
    offsets: Integers
    widths: Widths
    bases: Integers
    start: int
    addresses: tuple[int, ...]

    def unpacked(self, rows: int) -> Integers:
        """So many of them."""
        out = np.empty(rows, np.int64)
        unpack_blocks(self.words, self.offsets, self.widths, self.bases, self.start, out)
        return out


_SIX, _LOW, _WORD = np.uint64(6), np.uint64(63), np.uint64(64)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def block_offsets(widths: Widths, rows: int) -> Integers:
    """Where each block's words begin, and where the last one's end."""
    counts = np.full(len(widths), BLOCK // LANES, np.int64)
    if len(counts):
        counts[-1] = -(-(rows - (len(counts) - 1) * BLOCK) // LANES)
    sizes = -(-counts * widths.astype(np.int64) // 64) * LANES
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def pack_blocks(values: Integers, bases: Integers, widths: Widths, offsets: Integers) -> Words:
    """The words of `values`, whose distances from their block's base take at most its width."""
    words = np.zeros(int(offsets[-1]), np.uint64)
    for width in np.unique(widths[widths > 0]).tolist():
        for block in np.flatnonzero(widths == width).tolist():
            part = values[block * BLOCK : (block + 1) * BLOCK].view(np.uint64) - bases[block].view(np.uint64)
            rows = -(-len(part) // LANES)
            distances = np.zeros((rows, LANES), np.uint64)
            distances.reshape(-1)[: len(part)] = part
            bits = np.arange(rows) * width
            target = words[offsets[block] : offsets[block + 1]].reshape(-1, LANES)
            shifts = (bits & 63).astype(np.uint64)[:, None]
            np.bitwise_or.at(target, bits >> 6, distances << shifts)
            over = np.flatnonzero((bits & 63) + width > 64)
            np.bitwise_or.at(target, (bits[over] >> 6) + 1, distances[over] >> (_WORD - shifts[over]))
    return words


def unpack_at(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    rows: Integers,
    out: npt.NDArray[np.integer],
) -> None:
    """The values at these rows into `out`, which has an integer dtype that holds them."""
    blocks, within = rows // BLOCK, rows % BLOCK
    width = widths[blocks].astype(np.uint64)
    bits = (within // LANES).astype(np.uint64) * width
    at = offsets[blocks] + (bits >> _SIX).astype(np.int64) * LANES + within % LANES
    shift = bits & _LOW
    distances = np.zeros(len(rows), np.uint64)
    some = width > 0
    distances[some] = words[at[some]] >> shift[some]
    over = shift + width > _WORD
    distances[over] |= words[at[over] + LANES] << (_WORD - shift[over])
    distances[some] &= _ALL >> (_WORD - width[some])
    out[:] = (bases[blocks].view(np.uint64) + distances).astype(out.dtype)


def unpack_blocks(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    start: int,
    out: npt.NDArray[np.integer],
) -> None:
    """The values of the rows from `start` on into `out`, which has an integer dtype that holds them."""
    unpack_at(words, offsets, widths, bases, np.arange(start, start + len(out)), out)


def unpack_table(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    start: int,
    table: Array,
    out: Array,
) -> None:
    """table[value] of the rows from `start` on into `out`, both of one dtype of 1, 2, 4 or 8 bytes.

    Raises IndexError where a value is no index of the table.
    """
    values = np.empty(len(out), np.int64)
    unpack_blocks(words, offsets, widths, bases, start, values)
    out[:] = table[values]


def total_blocks(
    words: Words, offsets: Integers, widths: Widths, bases: Integers, start: int, stop: int
) -> tuple[int, int]:
    """(the sum of the values' upper halves, signed, and of their lower 32 bits) of the rows start to stop.

    The sum of the values is the first times 2^32 and the second, for up to 2^31 rows.
    """
    values = np.empty(max(stop - start, 0), np.int64)
    unpack_blocks(words, offsets, widths, bases, start, values)
    return int((values >> 32).sum()), int((values & 0xFFFF_FFFF).sum())


def undelta_blocks(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    firsts: Integers,
    start: int,
    out: npt.NDArray[np.integer],
) -> None:
    """`unpack_blocks` of deltas."""
    begin = start // BLOCK * BLOCK
    sums = np.empty(start + len(out) - begin, np.int64)
    unpack_blocks(words, offsets, widths, bases, begin, sums)
    for at in range(0, len(sums), BLOCK):
        block = (begin + at) // BLOCK
        sums[at] = firsts[block]
        np.cumsum(sums[at : at + BLOCK], out=sums[at : at + BLOCK])
    out[:] = sums[start - begin :].astype(out.dtype)


def undelta_at(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    firsts: Integers,
    rows: Integers,
    out: npt.NDArray[np.integer],
) -> None:
    """`unpack_at` of deltas: a block is unpacked once for neighbouring rows."""
    blocks = rows // BLOCK
    borders = np.flatnonzero(np.diff(blocks)) + 1
    for part in np.split(np.arange(len(rows)), borders):
        if not len(part):
            continue
        begin = int(blocks[part[0]]) * BLOCK
        within = rows[part] - begin
        values = np.empty(int(within.max()) + 1, out.dtype)
        undelta_blocks(words, offsets, widths, bases, firsts, begin, values)
        out[part] = values[within]
