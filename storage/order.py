"""The order of values as SQL has it, for whoever compares single values: zone maps and dictionaries.

`order_key` turns a value as `Column.tolist` gives it into one whose Python order and equality are SQL's:

    integers, dates, times, bool   the number
    numeric                        (is NaN, number): NaN is the greatest
    interval                       microseconds, a month being 30 days
    text, varchar, name            UTF-8 bytes (the C collation); char(n) without trailing spaces
    bytea, binary(n), uuid         bytes

Floats are not among them: numpy compares those. Other types have no order that storage knows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from storage.predicate import Comparison
from storage.types import BPCHAR, BYTEA, NAME, TEXT, VARCHAR, Form, Type

_TEXTS = frozenset((TEXT.oid, VARCHAR.oid, NAME.oid))
_DAY = 86_400_000_000


def is_float(type: Type) -> bool:
    """Whether values are float4 or float8."""
    return type.form is Form.FIXED and type.dtype is not None and type.dtype.kind == "f"


def is_integer(type: Type) -> bool:
    """Whether values are whole numbers of at most 64 bits: integers, dates, times, booleans, oids."""
    return type.form is Form.FIXED and type.dtype is not None and type.dtype.kind in "iub"


def order_key(type: Type) -> Callable[[Any], Any] | None:
    """What makes comparable values of a type; None where storage knows no order."""
    if is_integer(type) or type.oid == BYTEA.oid or (type.form is Form.ROWS and type.dtype == np.uint8):
        return _same
    if type.oid in _TEXTS:
        return str.encode
    if type.oid == BPCHAR.oid:
        return _trimmed
    if type.form is Form.DECIMAL:
        return _decimal
    if type.dtype is not None and type.dtype.names:
        return _interval
    return None


def _same(value: Any) -> Any:
    return value


def _trimmed(value: str) -> bytes:
    return value.rstrip(" ").encode()


def _decimal(value: Decimal) -> tuple[bool, Decimal]:
    return (True, Decimal(0)) if value.is_nan() else (False, value)


def _interval(value: tuple[int, int, int]) -> int:
    months, days, micros = value
    return (30 * months + days) * _DAY + micros


class Sorted(Sequence[Any]):
    """Keys of an ascending list, made when they are asked for: what bisection wants."""

    def __init__(self, count: int, key: Callable[[int], Any]) -> None:
        self._count, self._key = count, key

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._key(index)


def matching(keys: Sequence[Any], op: Comparison, value: Any) -> list[tuple[int, int]]:
    """The stretches [first, last) of ascending keys for which `key op value` holds."""
    count = len(keys)
    match op:
        case Comparison.EQ:
            found = [(bisect_left(keys, value), bisect_right(keys, value))]
        case Comparison.IN:
            found = [(bisect_left(keys, item), bisect_right(keys, item)) for item in sorted(set(value))]
        case Comparison.NE:
            found = [(0, bisect_left(keys, value)), (bisect_right(keys, value), count)]
        case Comparison.LT:
            found = [(0, bisect_left(keys, value))]
        case Comparison.LE:
            found = [(0, bisect_right(keys, value))]
        case Comparison.GT:
            found = [(bisect_right(keys, value), count)]
        case Comparison.GE:
            found = [(bisect_left(keys, value), count)]
        case _:
            found = [(0, count)]
    return [(first, last) for first, last in found if first < last]
