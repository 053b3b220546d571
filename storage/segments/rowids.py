"""What follows from row ids: the system columns of rows, and where a ctid may be found."""

from __future__ import annotations

import numpy as np

from storage.column import Column, Positions
from storage.definitions import ColumnDefinition
from storage.predicate import Compare, Comparison, Conjunction
from storage.systemcolumns import CTID, system_values, tids


def system_column(definition: ColumnDefinition, row_ids: Positions) -> Column:
    """A system column (see storage.definitions.Table.definition) of the rows with these ids."""
    return system_values(definition.number, definition.missing, row_ids)


def may_match(predicate: Conjunction, first: int, last: int) -> bool:
    """Whether a committed row with an id from `first` to `last` may have the ctid that is asked for."""
    asked = [term for term in predicate if term.column.number == CTID]
    if not asked:
        return True
    low, high = tids(np.array((first, last), np.int64)).tolist()
    return all(_may_be(term, low, high) for term in asked)


def _may_be(term: Compare, low: int, high: int) -> bool:
    """Whether a tid from `low` to `high` meets the comparison."""
    match term.op:
        case Comparison.EQ:
            return bool(low <= term.value <= high)
        case Comparison.IN:
            return any(low <= value <= high for value in term.value)
        case Comparison.LT | Comparison.LE:
            return bool(low <= term.value)
        case Comparison.GT | Comparison.GE:
            return bool(high >= term.value)
    return True
