"""f(a, VARIADIC array): a built-in function that takes any number of values, given an array of them.

Rows whose arrays are equally long make one call, with a column for each place in the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.functions.calls import call
from engine.functions.registry import BY_ID, FUNCTIONS
from engine.lists import lists
from engine.nodes import gather
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Positions
from storage.types import Type

_NULL_IS_EMPTY = frozenset(("format",))
"""Functions that take no array for one without items; of others the result is null then."""


@dataclass(frozen=True, slots=True)
class CallWithItems:
    """A function, by the id of its overload, applied to values and then to the items of an array."""

    function: str
    values: tuple[Expression, ...]
    array: Expression
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (*self.values, self.array)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns = [value.evaluate(batch, run) for value in self.children]
        constant = all(column.constant for column in columns)
        rows = 1 if constant else batch.rows
        *values, array = (column.spread(rows) for column in columns)
        offsets, items = lists(array)
        counts = np.where(array.is_valid(), np.diff(offsets), -1)
        parts: list[tuple[Positions, Column]] = []
        for count in np.unique(counts):
            if count < 0 and BY_ID[self.function].name not in _NULL_IS_EMPTY:
                continue
            chosen = np.flatnonzero(counts == count)
            given = [value.take(chosen) for value in values]
            given += [items.take(offsets[chosen] + place) for place in range(count)]
            parts.append((chosen, self._called(given, len(chosen), run)))
        found = gather(self.type, parts, rows)
        return found.with_valid(found.valid, constant=True) if constant else found

    def _called(self, given: list[Column], rows: int, run: Run) -> Column:
        if given:
            return call(self.function, given, rows, run, self.type)
        overload = BY_ID[self.function]
        for other in FUNCTIONS[overload.name]:
            if not other.arguments:
                return call(other.id, given, rows, run, self.type)
        return Column.scalar(self.type, overload.empty)
