"""Whole numbers of several words of 64 bits, the upper one first, for other kernels: no kernels of its own.

All words are uint64, and so are all constants beside them: numba takes an int64 beside one for a double.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ZERO, ONE = np.uint64(0), np.uint64(1)
HALF, WORD = np.uint64(32), np.uint64(64)
LOW = np.uint64((1 << 32) - 1)
TENS = np.array([10**power for power in range(20)], np.uint64)
AT_ONCE = 19
"""Decimal digits that one word has room for."""
_BASE = np.uint64(1 << 32)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def product(typing: Any, left: Any, right: Any) -> Any:
    """Two words of the product of two words."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        found = builder.mul(*(builder.zext(each, wide) for each in args))
        high = builder.trunc(builder.lshr(found, ir.Constant(wide, 64)), word)
        return context.make_tuple(builder, signature.return_type, (high, builder.trunc(found, word)))

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def leading_zeros(typing: Any, word: Any) -> Any:
    """How many of a word's upper bits are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@njit(nogil=True, error_model="numpy")
def divide(high, low, divisor):  # type: ignore[no-untyped-def]
    """(quotient, rest) of two words by one that is larger than the upper one.

    A digit of 32 bits at a time: algorithm D of Knuth, The Art of Computer Programming, volume 2, 4.3.1.
    """
    if high == ZERO:
        found = low // divisor
        return found, low - found * divisor
    shift = leading_zeros(divisor)
    divisor <<= shift
    if shift > ZERO:
        high = (high << shift) | (low >> (WORD - shift))
        low <<= shift
    upper, lower = divisor >> HALF, divisor & LOW
    first = high // upper
    rest = high - first * upper
    while first >= _BASE or first * lower > ((rest << HALF) | (low >> HALF)):
        first -= ONE
        rest += upper
        if rest >= _BASE:
            break
    high = (high << HALF) + (low >> HALF) - first * divisor
    second = high // upper
    rest = high - second * upper
    while second >= _BASE or second * lower > ((rest << HALF) | (low & LOW)):
        second -= ONE
        rest += upper
        if rest >= _BASE:
            break
    return (first << HALF) + second, ((high << HALF) + (low & LOW) - second * divisor) >> shift


@njit(nogil=True)
def plus(left, right, carry):  # type: ignore[no-untyped-def]
    """(a word, the carry): two words and a carry."""
    found = left + right
    over = ONE if found < right else ZERO
    found += carry
    return found, over + (ONE if found < carry else ZERO)


@njit(nogil=True)
def less(left, right, borrow):  # type: ignore[no-untyped-def]
    """(a word, the borrow): a word less another and a borrow."""
    found = left - right
    under = ONE if left < right else ZERO
    return found - borrow, under + (ONE if found < borrow else ZERO)


@njit(nogil=True)
def negative(high, low):  # type: ignore[no-untyped-def]
    """Minus two words."""
    return ~high + (ONE if low == ZERO else ZERO), ZERO - low


@njit(nogil=True)
def squared(high, low):  # type: ignore[no-untyped-def]
    """Four words of the square of two."""
    third, fourth = product(low, low)
    upper, lower = product(high, low)
    first, second = product(high, high)
    for _ in range(2):
        third, carry = plus(third, lower, ZERO)
        second, carry = plus(second, upper, carry)
        first += carry
    return first, second, third, fourth


@njit(nogil=True)
def scaled_up(high, low, factor, more):  # type: ignore[no-untyped-def]
    """(whether it fits, two words): two words times a factor and some more."""
    over, upper = product(high, factor)
    carry, lower = product(low, factor)
    upper += carry
    fits = (over == ZERO) & (upper >= carry)
    lower += more
    if lower < more:
        upper += ONE
        fits &= upper != ZERO
    return fits, upper, lower
