"""The small algebra that scans take down to encodings and zone maps: column op constant, joined by AND.

It is advice: a scan may use it to skip rows that cannot match and must not drop one that may. The
engine evaluates the WHERE condition on what is left, without what storage says it has decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from storage.definitions import ColumnDefinition


class Comparison(Enum):
    """The comparisons that zone maps and encodings know."""

    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    IS_NULL = "is null"
    IS_NOT_NULL = "is not null"


@dataclass(frozen=True, slots=True)
class Compare:
    """`column op value`: `value` is a Python value as `Column.tolist` gives it for the column's type
    (a tuple of
    them for IN, None for the null tests)."""

    column: ColumnDefinition
    op: Comparison
    value: Any


Conjunction = tuple[Compare, ...]
