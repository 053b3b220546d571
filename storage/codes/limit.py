"""The k-th best score so far, shared by the threads of a top-k."""

from __future__ import annotations

import threading
from math import inf

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Limit:
    """The k-th best of the scores that are certain; only ever sharpened.

    Two lists are kept, of scores themselves and of bounds that certain rows cannot be worse than: one row may
    be offered once to each. The sharper one counts. Ties are not decided here: a row whose best possible
    score equals the limit stays.
    """

    def __init__(self, count: int, descending: bool) -> None:
        """`count` >= 1 rows are wanted; `descending`: the largest scores are best."""
        self.count = count
        self.descending = descending
        self._lock = threading.Lock()
        self._scores: Floats = np.empty(0)
        self._bounds: Floats = np.empty(0)
        self._worst = -inf if descending else inf
        self._value = self._worst

    @property
    def value(self) -> float:
        """No row that is worse is among the best k. Minus or plus infinity: nothing is known."""
        return self._value

    def offer(self, scores: Floats) -> None:
        """(any,) float64 scores of rows that certainly count, each row once; NaN counts for nothing."""
        with self._lock:
            self._scores = self._best(self._scores, scores)
            self._sharpen(self._scores)

    def offer_bounds(self, bounds: Floats) -> None:
        """(any,) float64: scores that as many rows, which certainly count, are not worse than."""
        with self._lock:
            self._bounds = self._best(self._bounds, bounds)
            self._sharpen(self._bounds)

    def _best(self, kept: Floats, offered: Floats) -> Floats:
        offered = offered[~np.isnan(offered)]
        if len(kept) == self.count:
            offered = offered[offered > self._value if self.descending else offered < self._value]
        merged = np.concatenate((kept, offered))
        merged.sort()
        return merged[-self.count :] if self.descending else merged[: self.count]

    def _sharpen(self, kept: Floats) -> None:
        if len(kept) < self.count:
            return
        if self.descending:
            self._value = max(self._value, float(kept[0]))
        else:
            self._value = min(self._value, float(kept[-1]))
