"""enum_first, enum_last and enum_range: what values an enum has. The arguments tell the type only."""

from __future__ import annotations

from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.run import Run
from storage.column import Column
from storage.errors import ObjectNotInPrerequisiteState
from storage.types import ANYARRAY, ANYENUM, Type, array_of


def _places(type: Type, run: Run) -> list[int]:
    places = sorted(session_of(run).enum_labels(type.oid))
    if not places:
        raise ObjectNotInPrerequisiteState(f"enum {type} contains no values")
    return places


@scalar("enum_first", [ANYENUM], ANYENUM, volatility="s", strict=False, constants=True, run=True)
def enum_first(value: Column, run: Run) -> Column:
    """The first value of the argument's type."""
    return Column.scalar(value.type, _places(value.type, run)[0])


@scalar("enum_last", [ANYENUM], ANYENUM, volatility="s", strict=False, constants=True, run=True)
def enum_last(value: Column, run: Run) -> Column:
    """The last value of the argument's type."""
    return Column.scalar(value.type, _places(value.type, run)[-1])


@scalar("enum_range", [ANYENUM], ANYARRAY, volatility="s", strict=False, constants=True, run=True)
def enum_range(value: Column, run: Run) -> Column:
    """All values of the argument's type, in their order."""
    places = sorted(session_of(run).enum_labels(value.type.oid))
    return Column.scalar(array_of(value.type), places)


@scalar("enum_range", [ANYENUM, ANYENUM], ANYARRAY, volatility="s", strict=False, run=True)
def enum_between(low: Column, high: Column, run: Run) -> Column:
    """The values from one to another, in their order; null: from the first, to the last."""
    places = sorted(session_of(run).enum_labels(low.type.oid))
    rows = [
        [p for p in places if (a is None or a <= p) and (b is None or p <= b)]
        for a, b in zip(low.tolist(), high.tolist(), strict=True)
    ]
    return Column.of(array_of(low.type), rows)
