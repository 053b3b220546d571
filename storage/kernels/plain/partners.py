"""Partners: which of a join's held rows each row meets, where no two held rows have one key.

The keys are numbers in a bit set (plain.members), or in a table of as many places as there are numbers from
the smallest to the largest. They are asked for straight from packed blocks: only the answer is written out.
"""

from __future__ import annotations

import numpy as np

from storage.kernels.plain.members import Integers, Mask, Words, rank_bits
from storage.kernels.plain.totals import Blocks

Source = Integers | Blocks


def find_partners(
    source: Source, low: int, words: Words, ranks: Integers, held: Integers | None, out: Integers, met: Mask
) -> int:
    """Into `met` (rows,) which of the source's first rows are in a bit set; gives how many are.

    Into `out` (rows,) of each its rank, see plain.members.rank_bits, or `held[rank]`; 0 of all others.
    """
    values = source.unpacked(len(out)) if isinstance(source, Blocks) else source[: len(out)]
    found = rank_bits(values, low, words, ranks)
    np.greater_equal(found, 0, out=met)
    out[:] = np.where(met, found if held is None else held[found], 0)
    return int(np.count_nonzero(met))


def look_up_partners(source: Source, low: int, table: Integers, out: Integers, met: Mask) -> int:
    """The same by a table: of what it has at number - low, -1 where there is no such key, as at its end."""
    values = source.unpacked(len(out)) if isinstance(source, Blocks) else source[: len(out)]
    places = np.minimum((values - np.int64(low)).view(np.uint64), np.uint64(len(table) - 1))
    found = table[places.astype(np.int64)]
    np.greater_equal(found, 0, out=met)
    np.maximum(found, 0, out=out)
    return int(np.count_nonzero(met))
