"""generate_series: numbers and times in steps. Other table functions stand with their types.

A table function gets the argument columns of one row, all constant, and returns its rows as a column
or, where it declares `columns`, a list of them. `engine.functions.calls.call_set` is how operators call.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from engine.functions.registry import scalar
from engine.values import decimals
from storage.column import Column
from storage.errors import InvalidParameterValue, OutOfMemory
from storage.types import INT4, INT8, NUMERIC, Type

MAX_ROWS = 200_000_000


def step_zero() -> InvalidParameterValue:
    """The error of a step that leads nowhere."""
    return InvalidParameterValue("step size cannot equal zero")


def check_rows(rows: int) -> None:
    """Refuse a set that would not fit in memory."""
    if rows > MAX_ROWS:
        raise OutOfMemory(
            "generate_series would make too many rows",
            detail=f"{rows} rows are wanted, at most {MAX_ROWS} can be made at once.",
            hint="Generate the rows in several steps.",
        )


def _integers(type: Type) -> Callable[..., Column]:
    def series(start: Column, stop: Column, *step: Column) -> Column:
        """The numbers from the first to the second, in steps."""
        first, last = int(start.values[0]), int(stop.values[0])
        by = int(step[0].values[0]) if step else 1
        if by == 0:
            raise step_zero()
        count = max((last - first) // by + 1, 0)
        check_rows(count)
        return Column(type, (first + by * np.arange(count, dtype=np.int64)).astype(type.dtype))

    return series


for _type in (INT4, INT8):
    scalar("generate_series", [_type, _type], _type, returns_set=True)(_integers(_type))
    scalar("generate_series", [_type, _type, _type], _type, returns_set=True)(_integers(_type))


@scalar("generate_series", [NUMERIC, NUMERIC], NUMERIC, returns_set=True)
@scalar("generate_series", [NUMERIC, NUMERIC, NUMERIC], NUMERIC, returns_set=True)
def numeric_series(start: Column, stop: Column, *step: Column) -> Column:
    """The numbers from the first to the second, in steps."""
    names = ("start", "stop", "step size")
    values: list[Decimal] = [column.values[0] for column in (start, stop, *step)]
    for name, value in zip(names, values, strict=False):
        if not value.is_finite():
            word = "NaN" if value.is_nan() else "infinity"
            raise InvalidParameterValue(f"{name} {'value ' if name != 'step size' else ''}cannot be {word}")
    by = values[2] if step else Decimal(1)
    if by == 0:
        raise step_zero()
    check_rows(int((values[1] - values[0]) / by))
    found, value = [], decimals.add(values[0], Decimal(0).scaleb(-decimals.scale_of(by)))
    while (value <= values[1]) if by > 0 else (value >= values[1]):
        found.append(value)
        value = decimals.add(value, by)
    return decimals.decimals(found)
