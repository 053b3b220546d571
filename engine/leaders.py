"""Leaders: the first k rows of each partition, as far as the rows that have come tell.

What leads of the rows that one worker has seen rules out rows that all of it comes before
(storage.kernels.plain.leaders). Partitions are numbered by their keys: one whole number that has a narrow
range by its distance from the lowest, any others by an index. Where a table would take too much, it rules out
nothing: who asks has then more rows to look at, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.groups import KeyIndex
from engine.memory import Grant
from engine.wholekeys import is_whole
from storage import kernels
from storage.column import Column, Mask, Positions
from storage.indexes.comparable import Words
from storage.kernels.plain.leaders import LAST_PLACE, LAST_WORD
from storage.types import Type

MOST = 128
"""The most leaders of a partition: finding the place of one takes as many steps."""
_ROOM = 1 << 22  # places of leaders in a table
_FIRST = 1 << 10  # partitions that a table has room for at once
_TRIED = 1 << 20  # rows of which a few must have been ruled out
_WORTH = 0.9


class Leaders:
    """The leaders of what has been entered, `count` a partition; partitions have keys of `types`."""

    def __init__(self, types: Sequence[Type], count: int, grant: Grant) -> None:
        self._types = tuple(types)
        self._grant = grant
        self._best = np.full((0, count), LAST_WORD)
        self._places = np.full((0, count), LAST_PLACE)
        self._index: KeyIndex | None = None if self._is_one_number else KeyIndex(types)
        self._low = 0  # the key that is number 1; null is 0
        self._seen = self._left = 0
        self._given_up = False

    @property
    def _is_one_number(self) -> bool:
        return len(self._types) == 1 and is_whole(self._types[0])

    def lead(self, keys: Sequence[Column], words: Words, start: int | None) -> Mask | None:
        """(rows,) which of these rows may be among the leaders; None: all.

        Row i stands at `start + i` and, of equal words, the earlier row leads; without `start` they all do.
        """
        numbers = None if self._given_up else self._numbers(keys, len(words))
        if numbers is None:
            return None
        if start is None:
            found = kernels.lead_words(numbers, words, self._best)
        else:
            found = kernels.lead_rows(numbers, words, start, self._best, self._places)
        self._seen += len(words)
        self._left += int(np.count_nonzero(found))
        if self._seen > _TRIED and self._left > _WORTH * self._seen:
            self._give_up()
        return found

    def _give_up(self) -> None:
        self._given_up = True
        self._index = None
        self._best, self._places = self._best[:0], self._places[:0]
        self._grant.release()

    def _numbers(self, keys: Sequence[Column], rows: int) -> Positions | None:
        """The number of each row's partition, which the table has room for; None: it has none."""
        if not self._types:
            return np.zeros(rows, np.int64) if self._has_room(1) else None
        if self._index is None:
            numbers = self._distances(keys[0])
            if numbers is not None:
                return numbers
            # another numbering: what is known of the leaders is lost
            self._index = KeyIndex(self._types)
            self._best, self._places = self._best[:0], self._places[:0]
        numbers, _ = self._index.assign(keys, rows)
        return numbers if self._has_room(self._index.count) else None

    def _distances(self, key: Column) -> Positions | None:
        """The distance of each key from the lowest; None where they lie too far apart."""
        values, valid = key.values, key.valid
        some = values if valid is None else values[valid]
        if not len(some):
            return np.zeros(len(key), np.int64) if self._has_room(1) else None
        low, high = int(some.min()), int(some.max())
        size = len(self._best)
        if not size:
            self._low = low
        before = max(self._low - low, 0)
        needed = max(high - self._low + 2 + before, size + before)
        if needed * self._best.shape[1] > _ROOM or not self._has_room(needed):
            return None
        if before:
            # all numbers but that of nulls move up
            self._best[before + 1 :] = self._best[1 : len(self._best) - before]
            self._best[1 : before + 1] = LAST_WORD
            self._places[before + 1 :] = self._places[1 : len(self._places) - before]
            self._places[1 : before + 1] = LAST_PLACE
            self._low = low
        numbers = values.astype(np.int64) - self._low + 1  # in that order: no number is below the lowest
        return numbers if valid is None else np.where(valid, numbers, 0)

    def _has_room(self, partitions: int) -> bool:
        """Have places for so many partitions. False, and it rules out nothing any more: that is too much."""
        size, count = self._best.shape
        wanted = size if partitions <= size else max(partitions, min(2 * size, _ROOM // count), _FIRST)
        nbytes = wanted * count * (self._best.itemsize + self._places.itemsize)
        nbytes += 0 if self._index is None else self._index.nbytes
        if partitions * count > _ROOM or not self._grant.resize(nbytes):
            self._give_up()
            return False
        if wanted == size:
            return True
        best, places = np.full((wanted, count), LAST_WORD), np.full((wanted, count), LAST_PLACE)
        best[:size], places[:size] = self._best, self._places
        self._best, self._places = best, places
        return True
