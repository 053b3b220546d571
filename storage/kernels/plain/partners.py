"""Partners: which of a join's held rows each row meets, where no two held rows have one key.

The keys are numbers in a bit set (plain.members), or in a table of as many places as there are numbers from
the smallest to the largest. They are asked for straight from packed blocks: only the answer is written out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from storage.kernels.plain.members import Integers, Mask, Words, rank_bits
from storage.kernels.plain.packing import Array, Blocks


class Lookup(NamedTuple):
    """Held rows by their keys, numbers from `low` on.

    `words` and `ranks` are of a bit set, see plain.members: a key's row is its rank, or `held[rank]`. Where
    there is a `table`, it is what that has at number - low: -1 where there is no such key, as at its end.
    `addresses` are those of the four arrays, in their order, 0 for none.
    """

    low: int
    words: Words
    ranks: Integers
    held: Integers | None
    table: Integers | None
    addresses: tuple[int, ...]

    @classmethod
    def of(
        cls, low: int, words: Words, ranks: Integers, held: Integers | None, table: Integers | None = None
    ) -> Lookup:
        """With the arrays' addresses."""
        arrays = (words, ranks, held, table)
        places = tuple(0 if a is None else int(a.__array_interface__["data"][0]) for a in arrays)
        return cls(low, words, ranks, held, table, places)


def find_partners(source: Array | Blocks, lookup: Lookup, out: Integers, met: Mask) -> int:
    """Into `met` (rows,) which of the source's first rows have a key that is held; gives how many do.

    Into `out` (rows,) of each the held row; 0 of all others.
    """
    if lookup.table is not None:
        return look_up_partners(source, lookup.low, lookup.table, out, met)
    found = rank_bits(_values(source, len(out)), lookup.low, lookup.words, lookup.ranks)
    if lookup.held is not None:
        found = np.where(found >= 0, lookup.held[found], -1)
    return _told(found, out, met)


def look_up_partners(source: Array | Blocks, low: int, table: Integers, out: Integers, met: Mask) -> int:
    """The same by a table: of what it has at number - low, -1 where there is no such key, as at its end."""
    places = (_values(source, len(out)) - np.int64(low)).view(np.uint64)
    found: Integers = table[np.minimum(places, np.uint64(len(table) - 1)).astype(np.int64)]
    return _told(found, out, met)


def _values(source: Array | Blocks, rows: int) -> Integers:
    if isinstance(source, Blocks):
        return source.unpacked(rows)
    return source[:rows].astype(np.int64, copy=False)


def _told(found: Integers, out: Integers, met: Mask) -> int:
    np.greater_equal(found, 0, out=met)
    np.maximum(found, 0, out=out)
    return int(np.count_nonzero(met))
