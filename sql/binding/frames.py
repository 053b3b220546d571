"""Frames of windows: ROWS, RANGE and GROUPS with their offsets."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from engine.expressions import Expression, Reference, walk
from engine.operators import FrameBound, SortKey, WindowFrame
from engine.operators.windowcalls import DEFAULT_FRAME
from sql.binding.base import Binding
from sql.coerce import can_coerce, coerce
from sql.marks import position_of
from storage.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidColumnReference,
    WindowingError,
)
from storage.types import (
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    Type,
)

# What may be added to a key of a type, the type's own first: a constant is read as that.
_OFFSETS: dict[int, tuple[Type, ...]] = {
    INT2.oid: (INT2, INT4, INT8),
    INT4.oid: (INT4, INT2, INT8),
    INT8.oid: (INT8,),
    FLOAT4.oid: (FLOAT8,),
    FLOAT8.oid: (FLOAT8,),
    NUMERIC.oid: (NUMERIC,),
    DATE.oid: (INTERVAL,),
    TIME.oid: (INTERVAL,),
    TIMETZ.oid: (INTERVAL,),
    TIMESTAMP.oid: (INTERVAL,),
    TIMESTAMPTZ.oid: (INTERVAL,),
    INTERVAL.oid: (INTERVAL,),
}
# Keys that the type's own operator moves; the others are moved by the window operator.
_OPERATED = frozenset(t.oid for t in (NUMERIC, DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL))


def frame_of(
    binding: Binding, spec: exp.WindowSpec | None, order: tuple[SortKey, ...], position: int
) -> WindowFrame:
    """The frame of a window that is sorted by `order`, whose parenthesis opens at `position`."""
    if spec is None:
        return DEFAULT_FRAME
    mode = spec.args["kind"].lower()
    start, end = (_side(spec, which) for which in ("start", "end"))
    if mode == "groups" and not order:
        raise WindowingError("GROUPS mode requires an ORDER BY clause", position=position)
    moved = any(isinstance(offset, exp.Expression) for _, offset in (start, end))
    key = None
    if mode == "range" and moved:
        if len(order) != 1:
            raise WindowingError(
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
                position=position,
            )
        key = order[0].expression
        if key.type.oid == DATE.oid:
            key = coerce(key, TIMESTAMP, "i", position, binding.context)
    first, last = (_bound(binding, mode, side, order, key) for side in (start, end))
    exclude = spec.args.get("exclude")
    words: Any = "" if exclude is None else exclude.name.lower()
    return WindowFrame(mode, first, last, "" if words == "no others" else words, key)


def _side(spec: exp.WindowSpec, which: str) -> tuple[Any, exp.Expression | None]:
    """(the kind of a bound, its offset if it has one)."""
    value = spec.args.get(which)
    if value is None or value == "CURRENT ROW":
        return "current row", None
    word = spec.args[f"{which}_side"].lower()
    return (f"unbounded {word}", None) if value == "UNBOUNDED" else (word, value)


def _bound(
    binding: Binding,
    mode: str,
    side: tuple[Any, exp.Expression | None],
    order: tuple[SortKey, ...],
    key: Expression | None,
) -> FrameBound:
    kind, tree = side
    if tree is None:
        return FrameBound(kind)
    written: Any = tree.unnest()
    words = mode.upper()
    inside = binding.within(clause=f"window {words}", aggregates=None)
    offset, position = inside.bind(written), position_of(written)
    if key is None:
        offset = _count(inside, offset, words, position)
    else:
        offset = inside.coerced(offset, _offset_type(order[0].expression.type, offset, position), position)
    for node in walk(offset):
        if isinstance(node, Reference):
            place = binding.context.place(node, position)
            raise InvalidColumnReference(f"argument of {words} must not contain variables", position=place)
    if key is None or order[0].expression.type.oid not in _OPERATED:
        return FrameBound(kind, offset)
    symbol = "-" if (kind == "preceding") is not order[0].descending else "+"
    return FrameBound(kind, offset, inside.operator(symbol, key, offset, position=position))


def _count(binding: Binding, offset: Expression, words: str, position: int) -> Expression:
    if not can_coerce(offset.type, INT8, "a"):
        raise DatatypeMismatch(
            f"argument of {words} must be type bigint, not type {offset.type.base}", position=position
        )
    return coerce(offset, INT8, "a", position, binding.context)


def _offset_type(key: Type, offset: Expression, position: int) -> Type:
    """What an offset of RANGE becomes."""
    kinds = _OFFSETS.get(key.oid, ())
    refused = f"RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key.base}"
    if not kinds:
        raise FeatureNotSupported(refused, position=position)
    if offset.type.oid == UNKNOWN.oid:
        return kinds[0]
    exact = next((kind for kind in kinds if kind.oid == offset.type.oid), None)
    found = exact or next((kind for kind in kinds if can_coerce(offset.type, kind)), None)
    if found is None:
        raise FeatureNotSupported(
            f"{refused} and offset type {offset.type.base}",
            hint="Cast the offset value to an appropriate type.",
            position=position,
        )
    return found
