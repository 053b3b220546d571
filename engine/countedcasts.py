"""Casts of what is counted: money, in cents, and xid8."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from engine.forms.counters import counts_of
from engine.forms.style import Style
from engine.values import decimals
from storage.column import Column
from storage.errors import FeatureNotSupported, NumericValueOutOfRange
from storage.types import INT4, INT8, MONEY, NUMERIC, XID, XID8, Type


def _to_cents(column: Column, target: Type, style: Style) -> Column:
    """Whole numbers, or numerics to the nearest cent. Raises NumericValueOutOfRange."""
    valid = column.is_valid().tolist()
    cents = [_cents(value) if ok else 0 for value, ok in zip(column.values.tolist(), valid, strict=True)]
    try:
        return Column(target, np.array(cents, np.int64), column.valid)
    except OverflowError:
        raise NumericValueOutOfRange("bigint out of range") from None


def _cents(value: int | Decimal) -> int:
    if isinstance(value, int):
        return value * 100
    if not value.is_finite():
        raise FeatureNotSupported(f"cannot convert {'NaN' if value.is_nan() else 'infinity'} to bigint")
    return int(decimals.rounded(decimals.multiply(value, Decimal(100)), 0))


def _from_cents(column: Column, target: Type, style: Style) -> Column:
    return Column.scaled(NUMERIC, column.values, 2, column.valid)


def _lower_half(column: Column, target: Type, style: Style) -> Column:
    """xid: the counter without its higher 32 bits, which say how often it has begun anew."""
    return Column(target, (counts_of(column.values) & np.uint64(0xFFFF_FFFF)).astype(np.uint32), column.valid)


CASTS: dict[tuple[int, int], Callable[[Column, Type, Style], Column]] = {
    **{(type.oid, MONEY.oid): _to_cents for type in (INT4, INT8, NUMERIC)},
    (MONEY.oid, NUMERIC.oid): _from_cents,
    (XID8.oid, XID.oid): _lower_half,
}
"""What the cast of one type to another does."""
