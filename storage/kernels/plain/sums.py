"""Sums and extremes of groups, exact in any order of the rows.

`groups` (rows,) int64 says which place of the arrays a row belongs to; every kernel adds to what is there.

A group's integers stand in two int64: `low` has their lower 32 bits added up, `high` the rest (signed), so
that 2^31 rows of any int64 fit, and the sum is high * 2^32 + low.

A group's floats stand in `limbs` (groups, digits) int64: limb k is worth 2^(32 (first + k) - OFFSET). The 53
bits of a float fall on three neighbouring digits, which are added without carries: 2^31 rows fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OFFSET = 1152
"""What the smallest digit of a float stands for: the exponent of 2 below every double."""
LOW = (1 << 32) - 1
NAN, INFINITE, MINUS_INFINITE = range(3)
"""The columns of `specials`."""


def count_groups(groups: Integers, counts: Integers) -> None:
    """One more for each row's group."""
    np.add.at(counts, groups, 1)


def sum_integers(
    groups: Integers,
    values: npt.NDArray[np.signedinteger[Any]],
    counts: Integers,
    high: Integers,
    low: Integers,
) -> None:
    """Each value to its group's sum, and one to its count; `values` of 16, 32 or 64 bits."""
    np.add.at(counts, groups, 1)
    np.add.at(high, groups, (values >> min(32, 8 * values.itemsize - 1)).astype(np.int64))
    np.add.at(low, groups, values.astype(np.int64) & LOW)


def smallest(groups: Integers, values: npt.NDArray[Any], out: npt.NDArray[Any], seen: Mask) -> None:
    """The smaller of each value and its group's `out`, of the same dtype; NaN is the greatest.

    Marks in `seen` which groups there are.
    """
    seen[groups] = True
    with np.errstate(invalid="ignore"):  # some processors tell of NaN
        np.fmin.at(out, groups, values)


def largest(groups: Integers, values: npt.NDArray[Any], out: npt.NDArray[Any], seen: Mask) -> None:
    """The larger of each value and its group's `out`; see `smallest`."""
    seen[groups] = True
    with np.errstate(invalid="ignore"):
        np.maximum.at(out, groups, values)


def float_digits(values: Floats) -> tuple[int, int, bool]:
    """(the first digit and the one behind the last of what is finite and not 0, whether all is finite).

    Both digits are 0 where nothing is.
    """
    finite = np.isfinite(values)
    some = values[finite & (values != 0)]
    if not len(some):
        return 0, 0, bool(finite.all())
    digits = _places(some) >> 5
    return int(digits.min()), int(digits.max()) + 3, bool(finite.all())


def sum_floats(groups: Integers, values: Floats, first: int, limbs: Integers, specials: Mask) -> None:
    """Each value to its group's limbs, of which the first is digit `first`; what is not finite is marked.

    The digits are those of `float_digits` at least.
    """
    for kind, hit in enumerate((np.isnan(values), values == np.inf, values == -np.inf)):
        specials[groups[hit], kind] = True
    some = np.isfinite(values) & (values != 0)
    groups, values = groups[some], values[some]
    bits, places = values.view(np.int64), _places(values)
    size = bits & ((1 << 52) - 1) | np.int64(1 << 52) * ((bits >> 52 & 0x7FF) != 0)
    sign, shift = np.where(bits < 0, -1, 1), places & 31
    at = groups * limbs.shape[1] + (places >> 5) - first
    flat = limbs.reshape(-1)
    np.add.at(flat, at, sign * ((size << shift) & LOW))
    np.add.at(flat, at + 1, sign * ((size >> (32 - shift)) & LOW))
    np.add.at(flat, at + 2, sign * ((size >> 32) >> (32 - shift)))


def _places(values: Floats) -> Integers:
    """How far the last of each value's 53 bits stands above 2^-OFFSET."""
    exponents = np.maximum(values.view(np.int64) >> 52 & 0x7FF, 1)
    places: Integers = exponents + (OFFSET - 1075)
    return places
