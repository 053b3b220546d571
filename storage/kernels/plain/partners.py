"""Partners: which of a join's held rows each row meets, where no two held rows have one key.

The keys are numbers in a bit set (plain.members), asked for straight from packed blocks: nothing is written
out but the answer.
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
