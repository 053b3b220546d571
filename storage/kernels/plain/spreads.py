"""Variances of floats out of exact sums, rounded once: most groups are decided by a few doubles.

The sums are digits without carries, see plain.sums: of `limbs` (groups, digits) int64 limb k is worth
2^(32 (first + k) - OFFSET).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.doubles import cascade, products
from storage.kernels.plain.sums import LOW, OFFSET

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LOST = 2.0**-130  # what three doubles, and products of them, may be wrong by, and much more
SURE = 2.0**-90  # what a quotient of two doubles each may be wrong by, and much more
FAR = 2.0**400  # neither this nor one by it is near what a double cannot be split for
EXACT = float(1 << 53)


def near_variances(
    rows: Integers,
    sums: Integers,
    first: int,
    squares: Integers,
    first_square: int,
    sample: bool,
    root: bool,
) -> tuple[Floats, Mask]:
    """(the variance of each group's floats, of a `sample` or not, or its root; where it is for sure).

    One is for sure where all that the sums and quotients may be wrong by would not change the double. Groups
    must have no NaN nor infinity. Those of too few rows are for sure, and any number.
    """
    y, yy = triples(sums, first), triples(squares, first_square)
    n = rows.astype(np.float64)
    null = rows <= sample
    under = np.where(null, 1.0, n * (n - sample))
    with np.errstate(all="ignore"):
        parts = []
        for left, right in ((n, yy[0]), (n, yy[1]), (-y[0], y[0]), (-2 * y[0], y[1])):
            product, error = products(left, right)
            parts += [product] if error is None else [product, error]
        parts += [n * yy[2], -2 * y[0] * y[2] - y[1] * y[1]]
        over, rest, _ = cascade(parts)
        value = over / under
        back, error = products(value, under)
        correction = (over - back - (0 if error is None else error) + rest) / under
        rounded = value + correction
        correction -= rounded - value
        margin = rounded * SURE + n * yy[0] / under * LOST
        sure = (rounded + (correction + margin) == rounded) & (rounded + (correction - margin) == rounded)
        sure &= (n * yy[0] < FAR) & (rounded > 1 / FAR) & (under < EXACT)
        return np.sqrt(rounded) if root else rounded, sure | null


def triples(limbs: Integers, first: int) -> tuple[Floats, Floats, Floats]:
    """Sums as three doubles each, the largest first, right to 2^-140 of them: see `cascade`."""
    limbs, sign = magnitudes(limbs)
    digits = range(limbs.shape[1] - 1, -1, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [np.ldexp(sign * limbs[:, k], 32 * (first + k) - OFFSET) for k in digits]
        return cascade(parts or [np.zeros(len(limbs))])


def magnitudes(limbs: Integers) -> tuple[Integers, Floats]:
    """(the digits of sums without their signs, 32 bits each but for the last one, these signs)."""
    limbs, sign = limbs.copy(), np.ones(len(limbs))
    if limbs.shape[1]:
        _carry(limbs)
        negative = limbs[:, -1] < 0
        limbs[negative] *= -1
        _carry(limbs)
        sign[negative] = -1.0
    return limbs, sign


def _carry(limbs: Integers) -> None:
    """Bring every digit but the last into 0 to 2^32 - 1."""
    for k in range(limbs.shape[1] - 1):
        limbs[:, k + 1] += limbs[:, k] >> 32
        limbs[:, k] &= LOW
