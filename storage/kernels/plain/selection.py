"""Selection: what stands at given places of groups' values in order, without putting them in order.

A group's values stand in runs, in any order: run r is `lengths[r]` values of `keys` (int64) from `starts[r]`
on, and group g has the runs `ends[g - 1]` to `ends[g]`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def select_places(
    keys: Integers, starts: Integers, lengths: Integers, ends: Integers, places: Integers, asked: Integers
) -> Integers:
    """(places,) the key at each of `places`, from 0 in its group's ascending order.

    Those of group g are `places[asked[g - 1]:asked[g]]`, ascending.
    """
    found = np.empty(len(places), np.int64)
    run = first = 0
    for end, last in zip(ends.tolist(), asked.tolist(), strict=True):
        if last > first:
            mine = [keys[starts[r] : starts[r] + lengths[r]] for r in range(run, end)]
            found[first:last] = np.sort(np.concatenate(mine))[places[first:last]]
        run, first = end, last
    return found
