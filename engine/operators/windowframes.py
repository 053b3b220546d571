"""Where frames begin and end: the bounds of ROWS, RANGE and GROUPS as positions in the window's order.

A bound of RANGE with an offset is a value a row: the row's key less or plus the offset, which for numbers and
times of day is made here (a sum that leaves the type's range lies behind every key), and else by the type's
own operator. Keys and bounds are ranked together, and as a partition's keys are sorted, a binary search finds
each row's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from engine.frames import Layout, by_groups, by_rows
from engine.orders import order_words, sorted_rows
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Array, Column, Mask, Positions
from storage.errors import InvalidPrecedingOrFollowingSize, NullValueNotAllowed
from storage.timetz import SHIFT
from storage.types import FLOAT8, INT8, TIME, TIMETZ

FrameBoundKind = Literal[
    "unbounded preceding", "preceding", "current row", "following", "unbounded following"
]
_DAY = 86_400_000_000
_FAR = 4 * _DAY  # beyond all instants of timetz


@dataclass(frozen=True)
class FrameBound:
    """A bound of a frame. `offset` is the n of n PRECEDING and n FOLLOWING; `value`, for RANGE where the
    type's operator makes it, the key less or plus the offset."""

    kind: FrameBoundKind
    offset: Expression | None = None
    value: Expression | None = None


@dataclass(frozen=True)
class RangeKey:
    """The one key of an order, for offsets of RANGE: its values in that order, and how they are sorted."""

    column: Column
    descending: bool
    nulls_first: bool

    def search(self, layout: Layout, wanted: Column, run: Run, *, right: bool) -> Positions:
        """The place of each row's value among the keys of its partition; `right`: behind keys like it."""
        return self.among(alike(self.column, wanted), wanted, run, right=right, partition=layout.partition)

    def among(
        self, keys: Column, wanted: Column, run: Run, *, right: bool, partition: Positions | None = None
    ) -> Positions:
        """The place of each value among sorted keys of its type, of one partition or of row i's."""
        words, _ = order_words(Column.concat([keys, wanted]), self.descending, self.nulls_first)
        order = sorted_rows(words, run)
        new = np.zeros(len(order), np.bool_)
        for word in words:
            ordered = word[order]
            new[1:] |= ordered[1:] != ordered[:-1]
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.cumsum(new)
        if partition is not None:
            ranks += np.tile(partition * len(order), 2)
        known, mine = ranks[: len(keys)], ranks[len(keys) :]
        places: Positions = np.searchsorted(known, mine, side="right" if right else "left")
        return places


def alike(keys: Column, wanted: Column) -> Column:
    """Keys in the type of what is looked for among them."""
    if keys.type.oid == wanted.type.oid:
        return keys
    return Column(wanted.type, keys.values.astype(wanted.values.dtype), keys.valid)


def border(
    layout: Layout,
    mode: str,
    bound: FrameBound,
    key: RangeKey | None,
    value: Column | None,
    run: Run,
    *,
    end: bool,
) -> Positions:
    """(rows,) the first position of each row's frame or, of its `end`, the one behind its last.

    Raises NullValueNotAllowed, InvalidPrecedingOrFollowingSize for an offset that is null or negative.
    """
    if bound.kind == "unbounded preceding":
        return layout.first
    if bound.kind == "unbounded following":
        return layout.last
    if bound.offset is None:
        return _current(layout, mode, end)
    offset = _offset(bound.offset, key, mode, run, end)
    backward = bound.kind == "preceding"
    if key is not None:
        made = _Values(value, None) if value is not None else _made(key, offset, backward, end)
        return _by_values(layout, key, made, run, backward=backward, end=end)
    place = by_rows if mode == "rows" else by_groups
    return place(layout, -offset if backward else offset, end=end)


def _current(layout: Layout, mode: str, end: bool) -> Positions:
    if mode == "rows":
        return layout.here + end
    return layout.peer_last if end else layout.peer_first


def _offset(expression: Expression, key: RangeKey | None, mode: str, run: Run, end: bool) -> Any:
    """The offset, which is the same for all rows."""
    offset = expression.evaluate(Batch((), 1), run).tolist()[0]
    which = "ending" if end else "starting"
    if offset is None:
        raise NullValueNotAllowed(f"frame {which} offset must not be null")
    if key is not None and key.column.type.oid in (TIME.oid, TIMETZ.oid):
        offset = offset[2]
        if key.column.type.oid == TIMETZ.oid:
            offset = min(offset, _FAR) << SHIFT  # as instants lie in a value
    if _negative(offset):
        if mode == "range":
            raise InvalidPrecedingOrFollowingSize("invalid preceding or following size in window function")
        raise InvalidPrecedingOrFollowingSize(f"frame {which} offset must not be negative")
    return offset


def _negative(offset: Any) -> bool:
    if isinstance(offset, tuple):
        months, days, micros = offset
        return bool((months * 30 + days) * _DAY + micros < 0)
    if isinstance(offset, Decimal) and offset.is_nan():
        return True
    return not offset >= 0


@dataclass(frozen=True)
class _Values:
    """Bounds, a value a row; `beyond`: where it lies behind all keys in the direction that the bound goes."""

    column: Column
    beyond: Mask | None


def _made(key: RangeKey, offset: Any, backward: bool, end: bool) -> _Values:
    """The keys of numbers or times of day, moved by the offset."""
    valid, lower = key.column.valid, backward is not key.descending
    values: Array = key.column.values
    if values.dtype.kind == "f":
        keys = values.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = keys - offset if lower else keys + offset
        # infinity less infinity takes in everything
        moved[np.isnan(moved) & ~np.isnan(keys)] = np.inf if end is not key.descending else -np.inf
        return _Values(Column(FLOAT8, moved, valid), None)
    keys = values.astype(np.int64)
    ends = np.iinfo(np.int64)
    moved = keys - offset if lower else keys + offset
    beyond = moved > keys if lower else moved < keys
    moved[beyond] = ends.min if lower else ends.max
    return _Values(Column(INT8, moved, valid), beyond)


def _by_values(
    layout: Layout, key: RangeKey, bounds: _Values, run: Run, *, backward: bool, end: bool
) -> Positions:
    """The place of each bound among the keys of its row's partition."""
    places = key.search(layout, bounds.column, run, right=end)
    if bounds.beyond is not None and bounds.beyond.any() and end is backward:
        # no key lies so far: not even those at the end of the type's range
        other = key.search(layout, bounds.column, run, right=not end)
        places = np.where(bounds.beyond, other, places)
    return places
