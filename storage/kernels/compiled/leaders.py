"""Twins of plain.leaders: each row is compared with the last of its group's leaders and, if it leads, put in.

A row that has led may have been driven out by later ones; so those that did are looked at once more.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.plain.leaders import Mask, Positions, Words

_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_BEST = types.uint64[:, ::1]
_PLACES = types.int64[:, ::1]
_FOUND = types.boolean[::1]


@njit(types.void(_ROWS, _WORDS, types.int64, _BEST, _PLACES, _FOUND), nogil=True, cache=True)
def _rows(groups, words, start, best, places, found):  # type: ignore[no-untyped-def]
    last = best.shape[1] - 1
    for i in range(len(groups)):
        group, word, place = groups[i], words[i], start + i
        worst = best[group, last]
        if word > worst or (word == worst and place > places[group, last]):
            continue
        at = last
        while at > 0:
            before = best[group, at - 1]
            if word > before or (word == before and place > places[group, at - 1]):
                break
            best[group, at], places[group, at] = before, places[group, at - 1]
            at -= 1
        best[group, at], places[group, at] = word, place
        found[i] = True
    for i in range(len(groups)):
        if found[i]:
            worst = best[groups[i], last]
            found[i] = words[i] < worst or (words[i] == worst and start + i <= places[groups[i], last])


@njit(types.void(_ROWS, _WORDS, _BEST, _FOUND), nogil=True, cache=True)
def _words(groups, words, best, found):  # type: ignore[no-untyped-def]
    last = best.shape[1] - 1
    for i in range(len(groups)):
        group, word = groups[i], words[i]
        if word > best[group, last]:
            continue
        found[i] = True
        at = last
        while at > 0 and word < best[group, at - 1]:
            best[group, at] = best[group, at - 1]
            at -= 1
        if word < best[group, at]:
            best[group, at] = word
    for i in range(len(groups)):
        if found[i]:
            found[i] = words[i] <= best[groups[i], last]


def lead_rows(groups: Positions, words: Words, start: int, best: Words, places: Positions) -> Mask:
    """See plain.leaders.lead_rows."""
    found = np.zeros(len(groups), np.bool_)
    _rows(np.ascontiguousarray(groups), np.ascontiguousarray(words), start, best, places, found)
    return found


def lead_words(groups: Positions, words: Words, best: Words) -> Mask:
    """See plain.leaders.lead_words."""
    found = np.zeros(len(groups), np.bool_)
    _words(np.ascontiguousarray(groups), np.ascontiguousarray(words), best, found)
    return found
