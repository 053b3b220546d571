"""Doubles beyond their 53 bits: sums of several, and products with what rounding has left of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def cascade(parts: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """The sum of arrays of doubles, three doubles each, the largest first.

    What a rounding leaves is summed up in turn, twice (Ogita, Rump and Oishi, Accurate Sum and Dot Product,
    2005), so the error is about 2^-150 of the largest part.
    """
    total, rest, last = (np.zeros_like(parts[0]) for _ in range(3))
    for part in parts:
        total, error = two_sum(total, part)
        rest, error = two_sum(rest, error)
        last += error
    rest, last = two_sum(rest, last)
    total, rest = two_sum(total, rest)
    rest, last = two_sum(rest, last)
    return total, rest, last


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a + b rounded, and what rounding has left."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def products(left: Floats, right: Floats) -> tuple[Floats, Floats | None]:
    """left * right as a rounded product and its rounding error (both exact where nothing underflows).

    None: nothing was rounded.
    """
    with np.errstate(all="ignore"):
        product = left * right
        if _short(left) and _short(right):
            return product, None
        a, b = _split(left), _split(right)
        error = ((a[0] * b[0] - product) + a[0] * b[1] + a[1] * b[0]) + a[1] * b[1]
    return product, np.where(np.isfinite(error), error, 0.0)


def _short(values: Floats) -> bool:
    """Whether all are whole numbers of so few digits that no product of two is rounded."""
    return bool((np.abs(values) < 1 << 26).all() and (values == np.rint(values)).all())


def _split(values: Floats) -> tuple[Floats, Floats]:
    """A float as two of 26 bits each."""
    large = values * 134_217_729.0
    high = large - (large - values)
    return high, values - high
