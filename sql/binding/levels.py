"""The query level that an aggregate belongs to.

It is that of the innermost columns among its arguments: in `SELECT (SELECT sum(o.x) FROM t) FROM o` the sum
is one of the outer query's, which becomes a grouped one by it, and the subquery takes the result as it takes
a column of `o`. An aggregate without columns belongs to where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from engine.aggregates.registry import AggregateCall
from engine.expressions import Expression, Outer, walk
from sql.binding.base import AggregateValue, Binding
from sql.expressions import references, transform
from sql.scope import Frame
from storage.errors import GroupingError

Captured = list[tuple[Frame, int]]


def captured(binding: Binding) -> Captured:
    """How many columns of outside each frame around a place has taken so far."""
    return [(frame, len(frame.arguments)) for frame in _frames(binding)]


def _frames(binding: Binding) -> Iterator[Frame]:
    frame = binding.scope.frame
    yield frame
    while frame.parent is not None:
        frame = frame.parent.frame
        yield frame


def aggregate_value(binding: Binding, call: AggregateCall, before: Captured, position: int) -> Expression:
    """The value of an aggregate that stands at a place, at whichever level it is computed.

    `before`: what the frames had captured before its arguments were bound; what they took for an
    aggregate of an outer level is that level's own to read. Raises GroupingError where there may be none.
    """
    crossed: list[Frame] = []
    while _is_outer(call):
        frame = binding.scope.frame
        if frame.host is None:
            raise GroupingError(
                "aggregate functions are not allowed in FROM clause of their own query level",
                position=position,
            )
        call = transform(call, partial(_lifted, frame))
        crossed.append(frame)
        binding = frame.host
    if any(isinstance(node, AggregateValue) for root in _roots(call) for node in walk(root)):
        raise GroupingError("aggregate function calls cannot be nested", position=position)
    value: Expression = AggregateValue(binding.refuse_aggregates(position).add(call), call.type)
    for frame, count in before[: len(crossed)]:
        del frame.arguments[count:]
    for frame in reversed(crossed):
        value = frame.capture(value)
    return value


def _lifted(frame: Frame, node: Expression) -> Expression | None:
    return frame.arguments[node.index] if isinstance(node, Outer) else None


def _roots(call: AggregateCall) -> list[Expression]:
    filters = [] if call.filter is None else [call.filter]
    return [*call.arguments, *filters, *(key.expression for key in call.order)]


def _is_outer(call: AggregateCall) -> bool:
    roots = _roots(call)
    return not references(*roots) and any(isinstance(node, Outer) for root in roots for node in walk(root))
