"""min and max, bool_and and bool_or, bit_and, bit_or and bit_xor, any_value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc

from engine.aggregates.registry import State, aggregate, grown
from engine.frames import Pieces, bit_sums, folded, sizes
from engine.orders import order_words, sorted_rows
from storage import kernels
from storage.column import Array, Column, Positions
from storage.indexes.comparable import column_keys
from storage.types import (
    ANYARRAY,
    ANYELEMENT,
    ANYENUM,
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    MONEY,
    NUMERIC,
    OID,
    PG_LSN,
    TEXT,
    TID,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UUID,
    XID8,
    Form,
    Type,
)


def _with_core(column: Column, pieces: Pieces, core: Any) -> tuple[Column, Pieces]:
    """Values and frames with what is in all of the frames as one more value, where there is one."""
    if core is None:
        return column, pieces
    value, frames = core.finish(1), len(pieces[0][0])
    if not value.is_valid().all():
        return column, pieces
    here = np.full(frames, len(column))
    return Column.concat([column, value.retype(column.type)]), (*pieces, (here, here + 1))


class Folded(State):
    """One number a group, folded by what takes any order of rows."""

    def prepare(self) -> None:
        self.values: Array = np.zeros(0, self.result.dtype)
        self.seen = np.zeros(0, np.bool_)

    def neutral(self, dtype: np.dtype) -> Any:
        """A value that the others pass over."""
        raise NotImplementedError

    def grow(self, count: int) -> None:
        self.values = grown(self.values, count, self.neutral(self.values.dtype))
        self.seen = grown(self.seen, count)

    def take_values(self, values: Array, seen: Array) -> None:
        """Have a value in each group, where one was seen: of an empty state."""
        self.count = len(values)
        self.seen = seen
        self.values = np.where(seen, values, 0).astype(self.result.dtype)
        self.values[~seen] = self.neutral(self.values.dtype)

    def fold(self, groups: Positions, values: Array) -> None:
        """Fold each value into its group's, and mark the groups as seen."""
        raise NotImplementedError

    def over(self, values: Array, pieces: Pieces) -> Array:
        """Values (rows,) folded over frames."""
        raise NotImplementedError

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        column, pieces = _with_core(columns[0], pieces, core)
        found = self.over(column.values, pieces)
        seen = sizes(pieces) > 0
        return Column(self.result, found, None if seen.all() else seen)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        self.fold(groups, columns[0].values)

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        self.reserve(count)
        groups = groups[: other.count][other.seen]
        if len(groups):
            self.fold(groups, other.values[other.seen])

    def finish(self, count: int) -> Column:
        self.reserve(count)
        seen = self.seen[:count]
        return Column(self.result, self.values[:count], None if seen.all() else seen)


class _Smallest(Folded):
    """The smallest value; NaN is the greatest."""

    def neutral(self, dtype: np.dtype) -> Any:
        return np.nan if dtype.kind == "f" else np.iinfo(dtype).max

    def fold(self, groups: Positions, values: Array) -> None:
        kernels.smallest(groups, values, self.values, self.seen)

    def over(self, values: Array, pieces: Pieces) -> Array:
        ufunc = np.fmin if values.dtype.kind == "f" else np.minimum
        return folded(ufunc, values, self.neutral(values.dtype), pieces)


class _Largest(Folded):
    """The largest value; NaN is the greatest."""

    def neutral(self, dtype: np.dtype) -> Any:
        return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min

    def fold(self, groups: Positions, values: Array) -> None:
        kernels.largest(groups, values, self.values, self.seen)

    def over(self, values: Array, pieces: Pieces) -> Array:
        return folded(np.maximum, values, self.neutral(values.dtype), pieces)


for _type in (
    *(INT2, INT4, INT8, FLOAT4, FLOAT8, DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ, OID, TID, ANYENUM),
    *(MONEY, PG_LSN, XID8),
):
    aggregate("min", [_type], _type)(_Smallest)
    aggregate("max", [_type], _type)(_Largest)


class _Combined(Folded):
    """One number a group, combined by a ufunc."""

    ufunc: ClassVar[Any]

    def fold(self, groups: Positions, values: Array) -> None:
        if self.count == 1:
            self.values[0] = self.ufunc(self.values[0], self.ufunc.reduce(values))
            self.seen[0] = True
        else:
            self.ufunc.at(self.values, groups, values)
            self.seen[groups] = True

    def over(self, values: Array, pieces: Pieces) -> Array:
        return folded(self.ufunc, values, self.neutral(values.dtype), pieces)


@aggregate("bool_and", [BOOL], BOOL)
@aggregate("every", [BOOL], BOOL)
class BoolAnd(_Combined):
    """Whether all values are true."""

    ufunc = np.logical_and

    def neutral(self, dtype: np.dtype) -> Any:
        return True


@aggregate("bool_or", [BOOL], BOOL)
class BoolOr(_Combined):
    """Whether any value is true."""

    ufunc = np.logical_or

    def neutral(self, dtype: np.dtype) -> Any:
        return False


class _BitAnd(_Combined):
    """The bits that all values have."""

    ufunc = np.bitwise_and

    def neutral(self, dtype: np.dtype) -> Any:
        return -1


class _BitOr(_Combined):
    """The bits that any value has."""

    ufunc = np.bitwise_or

    def neutral(self, dtype: np.dtype) -> Any:
        return 0


class _BitXor(_Combined):
    """The bits that an odd number of values have."""

    ufunc = np.bitwise_xor

    def neutral(self, dtype: np.dtype) -> Any:
        return 0

    def over(self, values: Array, pieces: Pieces) -> Array:
        return bit_sums(values, pieces)


for _type in (INT2, INT4, INT8):
    aggregate("bit_and", [_type], _type)(_BitAnd)
    aggregate("bit_or", [_type], _type)(_BitOr)
    aggregate("bit_xor", [_type], _type)(_BitXor)


def _plain(item: Any) -> Any:
    return item


def _decimal_key(item: Decimal) -> tuple[bool, Decimal]:
    return (True, Decimal(0)) if item.is_nan() else (False, item)


def _interval_key(item: tuple[int, int, int]) -> int:
    months, days, micros = item
    return (months * 30 + days) * 86_400_000_000 + micros


def _key(type: Type) -> Callable[[Any], Any]:
    """What Python compares instead of a value of the type."""
    if type.form is Form.DECIMAL:
        return _decimal_key
    if type.name == "interval":
        return _interval_key
    return (lambda text: text.rstrip(" ")) if type.name == "bpchar" else _plain


class Kept(State):
    """One Python value a group; of numerics in units, one a batch."""

    largest: ClassVar[bool]

    def prepare(self) -> None:
        self.items: list[Any] = []
        self.keys: list[Any] = []
        self.key = _key(self.arguments[0])

    def grow(self, count: int) -> None:
        self.items.extend([None] * (count - len(self.items)))
        self.keys.extend([None] * (count - len(self.keys)))

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        column = columns[0]
        if self.count == 1 and column.type.name in ("text", "name", "varchar"):
            ends = pc.min_max(column.values).as_py()
            end = ends["max" if self.largest else "min"]
            self._keep([0], [end], [end])
        elif column.units is not None:
            ends = np.iinfo(np.int64)
            units = np.full(self.count, ends.min if self.largest else ends.max)
            seen = np.zeros(self.count, np.bool_)
            (kernels.largest if self.largest else kernels.smallest)(groups, column.units, units, seen)
            found = Column.scaled(column.type, units[seen], column.scale)
            self._keep(np.flatnonzero(seen).tolist(), found.tolist(), self._keys(found))
        else:
            self._keep(groups.tolist(), column.tolist(), self._keys(column))

    def _keys(self, column: Column) -> list[Any]:
        """What is compared instead of the values."""
        if column.type.is_array or column.type.oid == INET.oid:
            keys: list[Any] = column_keys(column)[0].strings.to_pylist()
            return keys
        return [self.key(item) for item in column.tolist()]

    def _keep(self, groups: list[int], values: list[Any], found: list[Any]) -> None:
        items, keys, largest = self.items, self.keys, self.largest
        for group, item, new in zip(groups, values, found, strict=True):
            old = keys[group]
            if old is None or ((new > old) if largest else (new < old)):
                items[group], keys[group] = item, new

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        """By the places of the values in their order, of equal ones the first."""
        column, pieces = _with_core(columns[0], pieces, core)
        words, _ = order_words(column, self.largest, False)
        return _chosen(column, sorted_rows(words, self.run), pieces)

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        self.reserve(count)
        pairs = zip(groups.tolist(), other.items, strict=False)
        kept = [place for place, (_, item) in enumerate(pairs) if item is not None]
        into, items, keys = groups.tolist(), other.items, other.keys
        self._keep([into[p] for p in kept], [items[p] for p in kept], [keys[p] for p in kept])

    def finish(self, count: int) -> Column:
        self.reserve(count)
        return Column.of(self.result, self.items[:count])


def _chosen(column: Column, order: Positions, pieces: Pieces) -> Column:
    """Of each frame the row that comes first in `order`."""
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    found = folded(np.minimum, ranks, len(order), pieces)
    nothing = found == len(order)
    if not nothing.any():
        return column.take(order[found])
    if not len(order):
        return Column.nulls(column.type, len(found))
    taken = column.take(order[np.where(nothing, 0, found)])
    return taken.with_valid(~nothing)


class _First(Kept):
    """The smallest value."""

    largest = False


class _Last(Kept):
    """The largest value."""

    largest = True


for _type in (TEXT, BPCHAR, NUMERIC, INTERVAL, INET, BYTEA, UUID, ANYARRAY):
    aggregate("min", [_type], _type)(_First)
    aggregate("max", [_type], _type)(_Last)


@aggregate("any_value", [ANYELEMENT], ANYELEMENT)
class AnyValue(Kept):
    """One of the values: the first that comes."""

    largest = False

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        items = columns[0].tolist()
        self._keep(groups.tolist(), items, items)

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        column, pieces = _with_core(columns[0], pieces, core)
        return _chosen(column, np.arange(len(column)), pieces)

    def _keep(self, groups: list[int], values: list[Any], found: list[Any]) -> None:
        for group, item in zip(groups, values, strict=True):
            if self.items[group] is None:
                self.items[group] = self.keys[group] = item
