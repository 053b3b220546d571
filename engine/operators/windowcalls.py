"""Calls over windows: a function, its arguments, and the window's partitions, order and frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.operators.sortkeys import SortKey
from engine.operators.windowframes import FrameBound
from engine.seams import Expression
from storage.types import Type

_ALL_BEFORE, _HERE = FrameBound("unbounded preceding"), FrameBound("current row")


@dataclass(frozen=True)
class WindowFrame:
    """Which rows of a partition a call sees: PostgreSQL's frame clause, whose default this is.

    `key` is what offsets of RANGE are added to: the one key of the order.
    """

    mode: Literal["rows", "range", "groups"] = "range"
    start: FrameBound = _ALL_BEFORE
    end: FrameBound = _HERE
    exclude: Literal["", "current row", "group", "ties"] = ""
    key: Expression | None = None

    @property
    def offsets(self) -> tuple[Expression, ...]:
        """The offsets of its bounds."""
        return tuple(bound.offset for bound in (self.start, self.end) if bound.offset is not None)


DEFAULT_FRAME = WindowFrame()


@dataclass(frozen=True)
class WindowCall:
    """A window function, or an aggregate, by its id, over the frames of a window."""

    function: str
    type: Type
    arguments: tuple[Expression, ...] = ()
    filter: Expression | None = None
    partition: tuple[Expression, ...] = ()
    order: tuple[SortKey, ...] = ()
    frame: WindowFrame = DEFAULT_FRAME

    @property
    def keys(self) -> tuple[SortKey, ...]:
        """What its rows are sorted by."""
        return (*(SortKey(e) for e in self.partition), *self.order)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that it reads of its input's rows."""
        frame = self.frame
        lone = (self.filter, frame.key, frame.start.value, frame.end.value)
        return (
            *(key.expression for key in self.keys),
            *self.arguments,
            *(expression for expression in lone if expression is not None),
        )
