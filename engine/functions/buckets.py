"""width_bucket of numeric, and by thresholds of any type."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import Any

import numpy as np

from engine.functions.registry import scalar
from engine.functions.text import each
from engine.lists import bounds, lists
from engine.values import decimals
from storage.column import Column
from storage.errors import (
    ArraySubscriptError,
    InvalidArgumentForWidthBucket,
    NullValueNotAllowed,
    NumericValueOutOfRange,
)
from storage.indexes.comparable import Key, column_keys
from storage.types import ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, INT4, NUMERIC


@scalar("width_bucket", [NUMERIC, NUMERIC, NUMERIC, INT4], INT4)
def width_bucket(value: Column, low: Column, high: Column, count: Column) -> Column:
    """The number of the bucket, of `count` equal ones between two bounds, that holds the value."""
    return each(_bucket, value, low, high, count, type=INT4)


def _bucket(value: Decimal, low: Decimal, high: Decimal, count: int) -> int:
    if count <= 0:
        raise InvalidArgumentForWidthBucket("count must be greater than zero")
    if any(number.is_nan() for number in (value, low, high)):
        raise InvalidArgumentForWidthBucket("operand, lower bound, and upper bound cannot be NaN")
    if not low.is_finite() or not high.is_finite():
        raise InvalidArgumentForWidthBucket("lower and upper bounds must be finite")
    if low == high:
        raise InvalidArgumentForWidthBucket("lower bound cannot equal upper bound")
    rising = low < high
    if (value < low) if rising else (value > low):
        return 0
    if (value >= high) if rising else (value <= high):
        if count == 2**31 - 1:
            raise NumericValueOutOfRange("integer out of range")
        return count + 1
    share = decimals.multiply(decimals.subtract(value, low), Decimal(count))
    return int(decimals.quotient(share, decimals.subtract(high, low), 0)) + 1


@scalar("width_bucket", [ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], INT4)
def width_bucket_of(value: Column, thresholds: Column) -> Column:
    """How many of the ascending thresholds are not above the value."""
    if any(len(said) > 2 for said in bounds(thresholds)):
        raise ArraySubscriptError("thresholds must be one-dimensional array")
    offsets, elements = lists(thresholds)
    if not elements.is_valid().all():
        raise NullValueNotAllowed("thresholds array must not contain NULLs")
    steps, wanted = _keys(elements), _keys(value)
    ends = offsets.tolist()
    places = [bisect_right(steps, key, ends[row], ends[row + 1]) for row, key in enumerate(wanted)]
    return Column(INT4, (np.array(places, np.int64) - offsets[:-1]).astype(np.int32))


def _keys(column: Column) -> list[tuple[Any, ...]]:
    """What is ordered as the values are."""
    return list(zip(*map(_listed, column_keys(column)), strict=True))


def _listed(key: Key) -> list[Any]:
    found: list[Any] = key.words.tolist() if key.words is not None else key.strings.to_pylist()
    return found
