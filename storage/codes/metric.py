"""What a query asks: a metric, and the query's vector prepared for all cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]

MOST_NORM = 2.0**60
"""Longer rows and queries are outside the range of the proof: they are checked in full."""


LEAST_NORM = 2.0**-100
"""Shorter ones, if they are not zero, as well."""


class Metric(Enum):
    """What the score of a row and a query is."""

    DOT = "dot"
    """The inner product."""
    L2 = "l2"
    """The Euclidean distance."""
    COSINE = "cosine"
    """The cosine distance, 1 - q.x / (|q| |x|); a vector of zeros has none."""
    L1 = "l1"
    """The sum of absolute differences."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A metric and a query."""

    metric: Metric
    dimensions: int
    rotated: Floats
    """(m,) float64, the query rotated."""
    norm: float
    """|q|."""
    usable: bool
    """Whether the proof covers the query: finite, of a norm between LEAST_NORM and MOST_NORM, or 0."""
    prepared: dict[bytes, Any] = field(default_factory=dict)
    """What storage.codes.asked has made of it, by the centroids it was made for."""

    @classmethod
    def of(cls, metric: Metric, query: npt.NDArray[Any]) -> Question:
        """(n,) numbers, as the score's reference takes them. Raises nothing."""
        rotated = kernels.rotate_rows(query.reshape(1, -1))[0]
        with np.errstate(invalid="ignore", over="ignore"):
            norm = float(np.sqrt(rotated @ rotated))
        usable = norm == 0 or LEAST_NORM <= norm <= MOST_NORM
        return cls(metric, len(query), rotated, norm, usable)


ABOVE = (Comparison.GT, Comparison.GE)
BELOW = (Comparison.LT, Comparison.LE)


def near(metric: Metric, op: Comparison) -> bool:
    """Whether `score op threshold` asks for rows near the query: a large product, a small distance."""
    assert op in ABOVE or op in BELOW
    return (op in ABOVE) == (metric is Metric.DOT)


__all__ = ["ABOVE", "BELOW", "LEAST_NORM", "MOST_NORM", "Metric", "Question", "near"]
