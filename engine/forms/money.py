"""money: cents in an int64, written as PostgreSQL writes them where lc_monetary is C: -$1,234.50."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from engine.forms.numbers import invalid
from engine.forms.style import Style
from storage.column import Column
from storage.errors import NumericValueOutOfRange
from storage.types import Type

_AMOUNT = re.compile(r"\s*\$?\s*([-+(]?)\s*\$?\s*([0-9,]*)(?:\.([0-9]*))?\s*([-)]?)(\$?)\s*")


def text(cents: int) -> str:
    """-$1,234.50"""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{rest:02d}"


def write_money(column: Column, style: Style) -> pa.Array:
    """Whole rows of `text`."""
    mask = None if column.valid is None else ~column.valid
    return pa.array([text(cents) for cents in column.values.tolist()], pa.large_string(), mask=mask)


def read_money(type: Type, texts: list[str], style: Style) -> list[int]:
    """An amount with or without $, thousands set off by commas, negative by a sign before or behind it, or
    by a parenthesis. Digits behind the cents round. Raises InvalidTextRepresentation."""
    return [_cents(type, text) for text in texts]


def _cents(type: Type, text: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if found is None or (found[1] and found[4] == "-"):
        raise invalid(type, text)
    fraction = found[3] or ""
    cents = int(found[2].replace(",", "") or "0") * 100 + int(fraction[:2].ljust(2, "0"))
    cents += fraction[2:3] >= "5"
    signed = -cents if found[1] in ("-", "(") or found[4] == "-" else cents
    least = np.iinfo(np.int64).min
    if not least <= signed < -least:
        raise NumericValueOutOfRange(f'value "{text}" is out of range for type {type}')
    return signed
