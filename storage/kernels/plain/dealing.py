"""Dealing: words into buckets between borders, each bucket's rows together and in their order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]


def deal_words(words: Words, borders: Words) -> tuple[Positions, Positions]:
    """((rows,) the rows by bucket, (borders + 2,) where each bucket begins, and where the last one ends).

    Bucket b has the words from `borders[b - 1]` to below `borders[b]`; these are ascending, fewer than 2^16.
    """
    bucket = np.searchsorted(borders, words, side="right")
    ends = np.zeros(len(borders) + 2, np.int64)
    np.cumsum(np.bincount(bucket, minlength=len(borders) + 1), out=ends[1:])
    return np.argsort(bucket.astype(np.uint16), kind="stable"), ends
