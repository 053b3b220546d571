"""Bounds: advice for zone maps and encodings, taken from a scan's condition.

A bound says `column op value` of a table's column; its values are found when a run begins. The condition
says the same once more, so a bound may say less than it, never more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.definitions import ColumnDefinition, Table
from storage.errors import DatabaseError, QueryCanceled
from storage.predicate import Compare, Comparison, Conjunction
from storage.types import DATE, TIMESTAMP

_NULL_TESTS = (Comparison.IS_NULL, Comparison.IS_NOT_NULL)
_DAY = 86_400_000_000
_ENDLESS = (-(1 << 63), (1 << 63) - 1)  # -infinity and infinity of a timestamp
_LAST = chr(0x10FFFF)


@dataclass(frozen=True)
class Bound:
    """Advice for zone maps and encodings: the table's column with attnum `number` `op` value.

    `values` need no row (constants, parameters, outer columns, subqueries that are run once) and have the
    column's type, or are a timestamp for a date, or a date for a timestamp. There are several with IN, where
    `array` says that it is one array of them; none with IS NULL and IS NOT NULL; else one. With `pattern` it
    is one of LIKE's: what is said is how the column's text begins.
    """

    number: int
    op: Comparison
    values: tuple[Expression, ...] = ()
    array: bool = False
    pattern: bool = False

    @property
    def whole(self) -> bool:
        """Whether it says all that the part of the condition says which it was taken from."""
        return not self.pattern


def conjunction_of(bounds: Sequence[Bound], table: Table, run: Run) -> tuple[Conjunction, bool] | None:
    """(the bounds with their values, whether all are among them); None where one can never be true."""
    compares: list[Compare] = []
    complete = True
    for bound in bounds:
        column = table.definition(bound.number)
        if bound.op in _NULL_TESTS:
            compares.append(Compare(column, bound.op, None))
            continue
        try:
            values = [value.evaluate(Batch((), 1), run).tolist()[0] for value in bound.values]
        except QueryCanceled:
            raise
        except DatabaseError:
            complete = False  # the condition will raise it, if there is a row to raise it for
            continue
        if bound.array:
            values = values[0] or []
        values = [value for value in values if value is not None]
        if not values:
            return None
        if bound.pattern:
            compares += _begins(column, values[0])
        elif bound.op is Comparison.IN:
            compares.append(Compare(column, bound.op, tuple(values)))
        else:
            found = _compare(column, bound, values[0])
            if found is None:
                return None
            complete = complete and bool(found)
            compares += found
    return tuple(compares), complete


def _compare(column: ColumnDefinition, bound: Bound, value: Any) -> list[Compare] | None:
    """The comparison with a value of the column's type: nothing if none says it, None if it never holds."""
    given, own = bound.values[0].type.oid, column.type.oid
    if given == own or {given, own} != {DATE.oid, TIMESTAMP.oid}:
        return [Compare(column, bound.op, value)]
    if own == TIMESTAMP.oid:
        return [Compare(column, bound.op, value * _DAY)] if abs(value) < _ENDLESS[1] // _DAY else []
    if value in _ENDLESS:
        return []
    days, rest = divmod(value, _DAY)
    if not rest:
        return [Compare(column, bound.op, days)]
    # within the day: a date before it is at most that day
    match bound.op:
        case Comparison.EQ:
            return None
        case Comparison.LT | Comparison.LE:
            return [Compare(column, Comparison.LE, days)]
        case Comparison.GT | Comparison.GE:
            return [Compare(column, Comparison.GT, days)]
    return []


def _begins(column: ColumnDefinition, pattern: str) -> Iterator[Compare]:
    """What texts that are LIKE a pattern are: they begin as it does, up to its first special character."""
    ends = [at for at in map(pattern.find, "%_\\") if at >= 0]
    prefix = pattern[: min(ends, default=len(pattern))]
    if not ends:
        yield Compare(column, Comparison.EQ, pattern)
        return
    if not prefix:
        return
    yield Compare(column, Comparison.GE, prefix)
    above = prefix.rstrip(_LAST)
    if above:
        # code points are in the order of their bytes; between D7FF and E000 there are none
        raised = ord(above[-1]) + 1
        yield Compare(column, Comparison.LT, above[:-1] + chr(0xE000 if raised == 0xD800 else raised))
