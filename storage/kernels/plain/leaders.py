"""Leaders of groups: the k rows of each group whose words are the smallest, found as rows come.

`best` (groups, k) uint64 has the words of each group's leaders so far, ascending, LAST_WORD where there are
fewer; `places` (groups, k) int64 says where their rows stand, LAST_PLACE there. Of equal words the earlier
place leads. Most rows lose to the last of their group's leaders, and cost no more than that look.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LAST_WORD = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
LAST_PLACE = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def lead_rows(groups: Positions, words: Words, start: int, best: Words, places: Positions) -> Mask:
    """(rows,) which rows lead their groups once all are entered; row i stands at `start + i`."""
    _enter(groups, words, start + np.arange(len(groups)), best, places)
    worst, edge = best[groups, -1], places[groups, -1]
    mask: Mask = (words < worst) | ((words == worst) & (start + np.arange(len(groups)) <= edge))
    return mask


def lead_words(groups: Positions, words: Words, best: Words) -> Mask:
    """`lead_rows` by words alone: rows equal to the last of their group's leaders are in, too."""
    _enter(groups, words, np.zeros(len(groups), np.int64), best, np.zeros(best.shape, np.int64))
    mask: Mask = words <= best[groups, -1]
    return mask


def _enter(groups: Positions, words: Words, there: Positions, best: Words, places: Positions) -> None:
    """The leaders among those that are known and these rows."""
    mine, count = np.unique(groups), best.shape[1]
    all_groups = np.concatenate([np.repeat(mine, count), groups])
    all_words = np.concatenate([best[mine].reshape(-1), words])
    all_places = np.concatenate([places[mine].reshape(-1), there])
    order = np.lexsort((all_places, all_words, all_groups))
    ordered = all_groups[order]
    number = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    first = order[number < count]
    best[mine] = all_words[first].reshape(-1, count)
    places[mine] = all_places[first].reshape(-1, count)
