"""The values of calls over windows, of rows that are all there: whole partitions of each call's window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.frames import Layout, Pieces, excluded
from engine.nodes import true_rows
from engine.operators import windowfunctions
from engine.operators.sortkeys import sort_words
from engine.operators.windowaggregates import aggregated
from engine.operators.windowcalls import WindowCall, WindowFrame
from engine.operators.windowframes import FrameBound, RangeKey, border
from engine.orders import sorted_rows, starts
from engine.run import Run
from engine.seams import Expression
from storage.column import Column, Mask, Positions


@dataclass(frozen=True)
class Ordering:
    """Rows in a window's order, and the layout of what they make."""

    order: Positions
    layout: Layout

    @cached_property
    def places(self) -> Positions:
        """(rows,) where each row stands in the order."""
        places = np.empty(len(self.order), np.int64)
        places[self.order] = np.arange(len(self.order))
        return places


class WindowWork:
    """One run's columns, and what calls share: orderings and frames."""

    def __init__(self, columns: Mapping[Expression, Column], rows: int, run: Run) -> None:
        self._columns = columns
        self._rows = rows
        self._run = run
        self._orderings: dict[object, Ordering] = {}
        self._frames: dict[object, Pieces] = {}

    def ordering(self, call: WindowCall) -> Ordering:
        """The order of a call's window."""
        name = (call.partition, call.order)
        found = self._orderings.get(name)
        if found is None:
            self._run.check()
            found = self._orderings[name] = self._ordered(call)
        return found

    def _ordered(self, call: WindowCall) -> Ordering:
        keys = call.keys
        words = [sort_words((key,), (self._columns[key.expression],)) for key in keys]
        flat = [word for found in words for word in found]
        order = sorted_rows(flat, self._run) if flat else np.arange(self._rows)
        width = sum(len(found) for found in words[: len(call.partition)])
        partitions = starts(flat[:width], order)
        peers = partitions | starts(flat[width:], order)
        return Ordering(order, Layout(partitions, peers))

    def values(self, call: WindowCall, wanted: Ordering) -> Column:
        """The call's value of each row, in the order that is wanted."""
        self._run.check()
        ordering = self.ordering(call)
        arguments = [self._columns[e].take(ordering.order) for e in call.arguments]
        function = windowfunctions.BY_ID.get(call.function)
        # a frame's offsets are looked at whether or not the function looks at the frame
        needed = function is None or function.sees_frames or bool(call.frame.offsets)
        pieces = self._pieces(call, ordering) if needed else ()
        if function is not None:
            place = windowfunctions.Place(ordering.layout, pieces, arguments)
            found = function.evaluate(place)
        else:
            kept = self._filter(call, ordering)
            found = aggregated(call.function, arguments, call.type, self._rows, kept, pieces, self._run)
        return found if ordering is wanted else found.take(ordering.places[wanted.order])

    def _filter(self, call: WindowCall, ordering: Ordering) -> Mask | None:
        if call.filter is None:
            return None
        return true_rows(self._columns[call.filter], self._rows)[ordering.order]

    def _pieces(self, call: WindowCall, ordering: Ordering) -> Pieces:
        """The frames of the rows, in the window's order."""
        name = (call.partition, call.order, call.frame)
        found = self._frames.get(name)
        if found is None:
            found = self._frames[name] = self._framed(call, ordering)
        return found

    def _framed(self, call: WindowCall, ordering: Ordering) -> Pieces:
        key = None
        if call.frame.key is not None:
            (order,) = call.order
            column = self._columns[call.frame.key].take(ordering.order)
            key = RangeKey(column, order.descending, order.nulls_first)
        return framed(
            call.frame, ordering.layout, key, lambda e: self._columns[e].take(ordering.order), self._run
        )


def framed(
    frame: WindowFrame,
    layout: Layout,
    key: RangeKey | None,
    ordered: Callable[[Expression], Column],
    run: Run,
) -> Pieces:
    """The frames of a layout's rows; `ordered` gives an expression's values of these, `key` is RANGE's."""

    def place(bound: FrameBound, end: bool) -> Positions:
        value = None if bound.value is None else ordered(bound.value)
        return border(layout, frame.mode, bound, key, value, run, end=end)

    return excluded(layout, place(frame.start, False), place(frame.end, True), frame.exclude)
