"""Sums of floats without rounding: the same bits in every order of rows.

A group's sum is a whole number in base 2^32, a signed 64-bit limb a digit, digit k worth
2^(32 k - OFFSET), see storage.kernels.plain.sums, whose kernels add floats to limbs without carries; `_carry`
brings them into canonical form. Only digits that occur are kept.
NaN and infinities are flags beside it. The result is rounded once, at the end.
"""

from __future__ import annotations

import numpy as np

from engine.aggregates.registry import grown
from engine.frames import Pieces, differences
from storage import kernels
from storage.column import Array, Positions
from storage.errors import NumericValueOutOfRange
from storage.kernels.plain.spreads import magnitudes
from storage.kernels.plain.sums import LOW, OFFSET

_CARRY_AFTER = 1 << 30
# As many last digits, of up to 40 bits, as may be added to one.
_MERGED = 1 << 20


class ExactSums:
    """Exact sums of float64 for `count` groups."""

    def __init__(self) -> None:
        self.limbs = np.zeros((0, 0), np.int64)
        self.low = 0  # the digit that column 0 of `limbs` stands for
        self.rows = 0
        self.specials = np.zeros((0, 3), np.bool_)  # NaN, infinity, -infinity seen

    @classmethod
    def of_words(cls, low: Positions, high: Positions, base: int) -> ExactSums:
        """Sums of two words each, the lower and the upper half, in units of 2^(base - 1075)."""
        sums = cls()
        sums.low, shift = divmod(base - 1075 + OFFSET, 32)
        digits = (low & LOW, low >> 32 & LOW, high & LOW, high >> 32)
        sums.limbs = np.zeros((len(low), 4), np.int64)
        for at, digit in enumerate(digits):
            sums.limbs[:, at] += digit << shift if at == 3 else digit << shift & LOW
            if at < 3:
                sums.limbs[:, at + 1] = digit << shift >> 32
        sums.specials = np.zeros((len(low), 3), np.bool_)
        return sums

    def of_groups(self, groups: Positions) -> ExactSums:
        """The sums of these groups."""
        sums = ExactSums()
        sums.limbs, sums.low, sums.rows = self.limbs[groups], self.low, self.rows
        sums.specials = self.specials[groups]
        return sums

    @property
    def count(self) -> int:
        return len(self.limbs)

    def grow(self, count: int) -> None:
        """Have `count` groups."""
        self.limbs = grown(self.limbs, count)
        self.specials = grown(self.specials, count)

    def add(self, groups: Positions, values: Array) -> None:
        """Add each value to its group."""
        values = values.astype(np.float64, copy=False)
        first, behind, finite = kernels.float_digits(values)
        if first == behind and finite:
            return
        self.rows += len(groups)
        if self.rows > _CARRY_AFTER:
            self._carry()
            self.rows = len(groups)
        if first < behind:
            self._widen(first, behind)
        kernels.sum_floats(groups, values, self.low, self.limbs, self.specials)

    def _widen(self, low: int, high: int) -> None:
        """Have columns for digits low to high."""
        if not self.limbs.shape[1]:
            self.low = low
            self.limbs = np.zeros((self.count, high - low), np.int64)
            return
        before = max(self.low - low, 0)
        after = max(high - (self.low + self.limbs.shape[1]), 0)
        if before or after:
            self.limbs = np.pad(self.limbs, ((0, 0), (before, after)))
            self.low -= before

    def _carry(self) -> None:
        """Bring every digit but the last into 0 to 2^32 - 1; the last keeps the sign."""
        if not self.limbs.shape[1]:
            return
        _carry(self.digits())

    def digits(self) -> Positions:
        """The digits without carries, the last of them with room for what others carry to it."""
        if _is_full(self.limbs):
            self._widen(self.low, self.low + self.limbs.shape[1] + 1)
        return self.limbs

    def merge(self, other: ExactSums, groups: Positions) -> None:
        """Add the sums of another, whose group i is this one's groups[i].

        The other stays as it is: the parts of what goes aside are merged with one another's groups at once.
        """
        places = groups[: other.count]
        np.logical_or.at(self.specials, places, other.specials)
        if not other.limbs.shape[1]:
            return
        limbs = np.pad(other.limbs, ((0, 0), (0, int(_is_full(other.limbs)))))
        _carry(limbs)
        self._carry()
        self._widen(other.low, other.low + limbs.shape[1])
        start = other.low - self.low
        behind = start + limbs.shape[1]
        for first in range(0, len(places), _MERGED):
            self._carry()
            piece = places[first : first + _MERGED]
            np.add.at(self.limbs[:, start:behind], piece, limbs[first : first + _MERGED])
        self.rows = min(len(places), _MERGED)

    def over(self, pieces: Pieces) -> ExactSums:
        """Sums over frames of groups: group i of the result is frame i of this one's groups."""
        sums = ExactSums()
        sums.limbs, sums.low, sums.rows = differences(self.limbs, pieces), self.low, self.rows
        sums.specials = np.zeros((len(sums.limbs), 3), np.bool_)
        if self.specials.any():
            sums.specials[:] = differences(self.specials.astype(np.int64), pieces)
        return sums

    def floats(self) -> Array:
        """The sums as float64, by the specials where there are any; 22003 where one is too large."""
        limbs, sign = magnitudes(self.digits())
        total, rest = np.zeros(self.count), np.zeros(self.count)
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(limbs.shape[1] - 1, -1, -1):
                part = np.ldexp(limbs[:, k].astype(np.float64), 32 * (self.low + k) - OFFSET)
                added = total + part
                back = added - total
                rest += (total - (added - back)) + (part - back)
                total = added
            result = sign * (total + rest)
        if not np.isfinite(result).all():
            raise NumericValueOutOfRange("value out of range: overflow")
        return self._special(result)

    def _special(self, result: Array) -> Array:
        nan, plus, minus = self.specials.T
        result[plus] = np.inf
        result[minus] = -np.inf
        result[nan | (plus & minus)] = np.nan
        return result

    @property
    def bits(self) -> int:
        """Bits behind the binary point that the sums have at most."""
        return max(OFFSET - 32 * self.low, 0) if self.limbs.shape[1] else 0

    def whole(self, bits: int) -> list[int]:
        """The sums as integers in units of 2^-bits, as many as they have at least."""
        if not self.limbs.shape[1]:
            return [0] * self.count
        self._carry()
        shift = bits + 32 * self.low - OFFSET
        return [sum(limb << 32 * k for k, limb in enumerate(row)) << shift for row in self.limbs.tolist()]

    def integers(self) -> Positions | None:
        """The sums as int64; None where one is none."""
        if not self.limbs.shape[1]:
            return np.zeros(self.count, np.int64)
        self._carry()
        digits = self.limbs.T
        first = OFFSET // 32 - self.low  # the digit that ones stand in
        if digits[: max(first, 0)].any() or first < 0:
            return None
        low, high = (digits[k] if k < len(digits) else digits[0] * 0 for k in (first, first + 1))
        # the last digit has the sign, and may be long
        found: Positions = (low if first == len(digits) - 1 else low & LOW) + (high << 32)
        signs = found >> 63
        for k, digit in enumerate(digits[first + 1 :], first + 1):
            last = k == len(digits) - 1
            wanted = found >> 32 if k == first + 1 else signs
            if (digit != (wanted if last else wanted & LOW)).any():
                return None
        return found

    def special(self) -> Array:
        """Groups that saw NaN or an infinity."""
        return np.asarray(self.specials.any(axis=1))


def _is_full(limbs: Positions) -> bool:
    """Whether what others carry to a last digit might be too much for it."""
    if not limbs.shape[1]:
        return False
    top = limbs[:, -1]
    return bool(((top > 1 << 40) | (top < -(1 << 40))).any())


def _carry(limbs: Positions) -> None:
    """Bring every digit but the last into 0 to 2^32 - 1; the last keeps the sign."""
    for k in range(limbs.shape[1] - 1):
        carry = limbs[:, k] >> 32
        limbs[:, k] &= LOW
        limbs[:, k + 1] += carry
