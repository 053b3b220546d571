"""A column of values: numpy or Arrow, as its type's form says, with nulls.

Nulls of a numpy-valued column stand in a mask `valid` (None: no nulls); what lies under a null is
defined but meaningless. Nulls of an Arrow-valued column stand inside the array, and `valid` is read
off it, so that Arrow's functions pass them on by themselves.

A numeric column has one of two bodies: objects (decimal.Decimal, each with its own display scale), or
`units`, an int64 array that counts units of 10^-scale, all values having the display scale `scale`. Whoever
can works on `units`; `values` makes the objects for those who cannot, once. NaN, infinity, values of
several scales and those beyond int64 exist as objects only.

A `constant` column holds one value that stands for every row: expressions make them, numpy spreads
them for nothing, and `spread(rows)` writes them out. Batches hold none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage import lists
from storage.errors import FeatureNotSupported
from storage.numericunits import is_narrow, objects_of, units_of
from storage.rowbytes import rows_of, strings_at, strings_of
from storage.types import BYTEA, Form, Type, numeric_modifier

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
_VARYING = (pa.large_string(), pa.large_binary())
_ARROW = (Form.TEXT, Form.BYTES, Form.LIST, Form.ROW)  # whose values are Arrow arrays


def arrow_type(type: Type) -> pa.DataType:
    """The Arrow type that holds `type`: of list elements, files and Arrow's functions."""
    match type.form:
        case Form.TEXT | Form.DECIMAL:
            return pa.large_string()
        case Form.BYTES | Form.ROWS:
            return pa.large_binary()
        case Form.LIST:
            assert type.element is not None
            return pa.large_list(arrow_type(type.element))
        case Form.ROW:
            assert type.attributes is not None
            return pa.struct([(str(a.number), arrow_type(a.type)) for a in type.attributes])
        case Form.FIXED:
            assert type.dtype is not None
            return pa.large_binary() if type.dtype.names else pa.from_numpy_dtype(type.dtype)


class Column:
    """Values of one SQL type: `values` (numpy or Arrow), `valid` (mask or None), `constant`."""

    __slots__ = ("_units", "_valid", "_values", "constant", "scale", "type")

    def __init__(self, type: Type, values: Any, valid: Mask | None = None, *, constant: bool = False) -> None:
        self.type = type
        self.constant = constant
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
        if type.form is Form.BYTES and isinstance(values, np.ndarray):  # of a vector without dimensions
            values, valid = strings_of(values, valid), None
        if isinstance(values, pa.Array) and valid is not None and not valid.all():
            values = _with_nulls(values, valid)
        self._values = values
        self._valid = valid
        self._units: Positions | None = None
        self.scale = 0

    @classmethod
    def scaled(
        cls, type: Type, units: Positions, scale: int, valid: Mask | None = None, *, constant: bool = False
    ) -> Column:
        """A numeric column of `units` (rows,) int64, each worth 10^-scale, of a scale up to MAX_SCALE."""
        column = cls(type, None, valid, constant=constant)
        column._units = units
        column.scale = scale
        return column

    @property
    def values(self) -> Any:
        """The values: numpy or Arrow, as the type's form says."""
        if self._values is None:
            assert self._units is not None
            self._values = objects_of(self._units, self.scale)
        return self._values

    @property
    def units(self) -> Positions | None:
        """(rows,) int64, a numeric column's values in units of 10^-scale; None where it has objects only."""
        return self._units

    @property
    def valid(self) -> Mask | None:
        """True where there is a value; None where there are no nulls."""
        if isinstance(self._values, pa.Array):
            if self._values.null_count == 0:
                return None
            return np.asarray(self._values.is_valid().to_numpy(zero_copy_only=False))
        return self._valid

    @property
    def arrow(self) -> bool:
        """Whether the values are an Arrow array."""
        return isinstance(self._values, pa.Array)

    @property
    def nbytes(self) -> int:
        values = self._values if self._units is None else self._units
        if isinstance(values, pa.Array) and len(values) and values.type in _VARYING:
            # Arrow's own answer takes ten times as long, and every small insert asks
            ends = np.frombuffer(values.buffers()[1], np.int64)
            return int(ends[values.offset + len(values)] - ends[values.offset]) + 8 * len(values)
        return int(values.nbytes)

    def __len__(self) -> int:
        return len(self._values if self._units is None else self._units)

    def __repr__(self) -> str:
        return f"Column({self.type}, {self.tolist()!r})"

    def is_valid(self) -> Mask:
        """`valid` written out: a mask in every case."""
        valid = self.valid
        return np.ones(len(self), np.bool_) if valid is None else valid

    def take(self, rows: Positions | Mask) -> Column:
        """The rows at these positions, or where this mask is true."""
        if isinstance(self._values, pa.Array):
            places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
            return Column(self.type, arrow_taken(self._values, places))
        valid = None if self._valid is None else taken(self._valid, rows)
        if self._units is not None:
            return Column.scaled(self.type, taken(self._units, rows), self.scale, valid)
        return Column(self.type, taken(self._values, rows), valid)

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, without copying."""
        if isinstance(self._values, pa.Array):
            return Column(self.type, self._values.slice(start, max(stop - start, 0)))
        valid = None if self._valid is None else self._valid[start:stop]
        if self._units is not None:
            return Column.scaled(self.type, self._units[start:stop], self.scale, valid)
        return Column(self.type, self._values[start:stop], valid)

    def spread(self, rows: int) -> Column:
        """A constant written out to `rows` rows; any other column as it is."""
        if not self.constant:
            return self
        if rows == 1:
            return self.with_valid(self._valid if self._units is not None else self.valid)
        if isinstance(self._values, pa.Array):
            return Column(self.type, self._values.take(pa.array(np.zeros(rows, np.int64))))
        valid = None if self._valid is None else np.repeat(self._valid, rows)
        if self._units is not None:
            return Column.scaled(self.type, np.repeat(self._units, rows), self.scale, valid)
        return Column(self.type, np.repeat(self._values, rows, axis=0), valid)

    def retype(self, type: Type) -> Column:
        """The same values under another type of the same form (text as varchar, int4 as date).

        Vectors with dimensions and vectors without count as of one form. Rows under a type that got or lost
        fields have those of it, null where they had none.
        """
        if type.form is not self.type.form:
            return self._in_form(type)
        if type.form in (Form.ROW, Form.LIST):
            return Column(type, conformed(type, self.values), constant=self.constant)
        if self._units is not None:
            return Column.scaled(type, self._units, self.scale, self._valid, constant=self.constant)
        return Column(type, self._values, self._valid, constant=self.constant)

    def _in_form(self, type: Type) -> Column:
        """A vector with dimensions as one without, and the other way round: then they have to be alike."""
        assert type.base == self.type.base, "another form"
        if type.is_ragged:
            return Column(type, self.values, self.valid, constant=self.constant)
        rows = self.rows()
        assert rows is not None, "vectors of several lengths"
        assert rows.shape[1] in (type.width, 0), "vectors of another length"
        if rows.shape[1] != type.width:
            rows = np.zeros((len(rows), type.width), type.dtype)
        return Column(type, rows, self.valid, constant=self.constant)

    def rows(self) -> Array | None:
        """(rows, n) elements of a vector column; None where its vectors have several lengths."""
        if not self.type.is_ragged:
            values: Array = self.values
            return values
        raw, dtype = rows_of(self.values), self.type.dtype
        assert dtype is not None
        return None if raw is None else np.ascontiguousarray(raw).view(dtype)

    def with_valid(self, valid: Mask | None, *, constant: bool = False) -> Column:
        """The same values, null where `valid` is false; a constant one if that is said."""
        if self._units is not None:
            return Column.scaled(self.type, self._units, self.scale, valid, constant=constant)
        return Column(self.type, self.values, valid, constant=constant)

    def in_units(self) -> Column:
        """A numeric column with `units` where its values have one scale and fit; else as it is.

        Raises nothing; costs a Python step a value where it has objects.
        """
        if self._units is not None or self.type.form is not Form.DECIMAL:
            return self
        units = units_of(self.values, self._valid)
        if units is None:
            return self
        return Column.scaled(self.type, *units, self._valid, constant=self.constant)

    def tolist(self) -> list[Any]:
        """Python values, None for null: bytes a row for binary and uuid, lists for vectors and arrays, tuples
        for rows."""
        if self.type.form is Form.ROW:
            fields = [field.tolist() for field in fields_of(self)]
            rows = zip(*fields, strict=True) if fields else [()] * len(self)
            return [row if ok else None for row, ok in zip(rows, self.is_valid().tolist(), strict=True)]
        if isinstance(self.values, pa.Array):
            to_list = lists.to_lists if self.type.form is Form.LIST else pa.Array.to_pylist
            result: list[Any] = to_list(self.values)
            if self.type.is_ragged:
                return [None if v is None else np.frombuffer(v, self.type.dtype).tolist() for v in result]
            return result
        if self.type.form is Form.ROWS and self.values.dtype == np.uint8:
            items = [row.tobytes() for row in self.values]
        else:
            items = self.values.tolist()
        if self._valid is None:
            return items
        return [item if ok else None for item, ok in zip(items, self._valid, strict=True)]

    def item(self, row: int) -> Any:
        """The value of a row, as `tolist` gives it."""
        if isinstance(self.values, pa.Array):
            return self.values[row].as_py()
        if self._valid is not None and not self._valid[row]:
            return None
        value = self.values[row]
        if self.type.form is Form.ROWS:
            return value.tobytes() if value.dtype == np.uint8 else value.tolist()
        return value.item() if isinstance(value, np.generic) else value

    def to_arrow(self) -> pa.Array:
        """The values as an Arrow array of `arrow_type(type)`; arrays as storage.lists has them."""
        if isinstance(self.values, pa.Array):
            return self.values
        mask = None if self._valid is None else ~self._valid
        if self.type.form is Form.DECIMAL:
            texts = [None if v is None else str(v) for v in self.tolist()]
            return pa.array(texts, pa.large_string())
        if self.type.form is Form.ROWS or (self.values.dtype.names is not None):
            raw = [row.tobytes() for row in self.values]
            return pa.array(raw, pa.large_binary(), mask=mask)
        return pa.array(np.ascontiguousarray(self.values), mask=mask)

    @classmethod
    def of(cls, type: Type, items: Iterable[Any]) -> Column:
        """A column of Python values (None for null) in the type's physical form.

        Dates and times are given as they are stored (integers), vectors as sequences of floats,
        binary and uuid as bytes, intervals as (months, days, micros), numerics as Decimal.
        """
        items = list(items)
        if type.is_ragged:
            items = [None if v is None else _raw(v, type.dtype) for v in items]
        if type.form is Form.LIST:
            return cls(type, lists.from_lists(items, arrow_type(type)))
        if type.form is Form.ROW:
            return _row_of(type, items)
        if type.form in (Form.TEXT, Form.BYTES):
            return cls(type, pa.array(items, arrow_type(type)))
        missing = [item is None for item in items]
        valid = ~np.array(missing, np.bool_) if any(missing) else None
        if type.form is Form.DECIMAL:
            values = np.empty(len(items), object)
            values[:] = items
            column = cls(type, values, valid)
            return column.in_units() if is_narrow(type) else column
        return cls(type, _fixed(type, items), valid)

    @classmethod
    def scalar(cls, type: Type, item: Any) -> Column:
        """A constant column."""
        column = cls.of(type, [item])
        column.constant = True
        return column

    @classmethod
    def nulls(cls, type: Type, rows: int) -> Column:
        """`rows` nulls."""
        if type.form in _ARROW:
            return cls(type, pa.nulls(rows, arrow_type(type)))
        valid = np.zeros(rows, np.bool_)
        if type.form is Form.DECIMAL and is_narrow(type):
            return cls.scaled(type, np.zeros(rows, np.int64), numeric_modifier(type)[1], valid)
        if type.form is Form.DECIMAL:
            return cls(type, np.full(rows, None, object), valid)
        shape = (rows, max(type.width, 0)) if type.form is Form.ROWS else (rows,)
        return cls(type, np.zeros(shape, type.dtype), valid)

    @classmethod
    def from_arrow(cls, type: Type, array: pa.Array) -> Column:
        """The inverse of `to_arrow`."""
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if type.form in (Form.ROW, Form.LIST):
            return cls(type, conformed(type, array))
        if type.form in (Form.TEXT, Form.BYTES):
            return cls(type, array.cast(arrow_type(type)))
        if type.form is Form.FIXED and type.dtype is not None and not type.dtype.names:
            valid = np.asarray(array.is_valid()) if array.null_count else None
            filled = array.fill_null(False if type.dtype == np.bool_ else 0) if array.null_count else array
            return cls(type, np.asarray(filled.to_numpy(zero_copy_only=False), type.dtype), valid)
        return cls.of(type, [_from_raw(type, item) for item in array.to_pylist()])

    @classmethod
    def concat(cls, columns: Sequence[Column]) -> Column:
        """The columns one after another; at least one, all of one form."""
        return columns[0] if len(columns) == 1 else columns[0]._joined(columns)

    def _joined(self, columns: Sequence[Column]) -> Column:
        """`concat` of several columns, of which this is the first."""
        if self.arrow:
            if self.type.form is Form.ROW and len({c.values.type for c in columns}) > 1:
                return _joined_rows(self.type, columns)
            join = lists.joined if self.type.form is Form.LIST else pa.concat_arrays
            return Column(self.type, join([c.values for c in columns]))
        valid = None
        if any(c._valid is not None for c in columns):
            valid = np.concatenate([c.is_valid() for c in columns])
        if self.type.form is Form.ROWS:
            columns = [c for c in columns if len(c)] or [self]
            _check_widths({c.values.shape[1] for c in columns}, self.type)
        units = [c._units for c in columns if c._units is not None and c.scale == self.scale]
        if len(units) == len(columns):
            return Column.scaled(self.type, np.concatenate(units), self.scale, valid)
        return Column(self.type, np.concatenate([c.values for c in columns]), valid)


def row_column(type: Type, rows: int, fields: Sequence[Column], valid: Mask | None = None) -> Column:
    """A column of a row type from its fields, in their order, each of `rows` rows."""
    assert type.attributes is not None
    there = np.ones(rows, np.bool_) if valid is None else valid
    if not fields:
        return Column(type, pa.array([{} if ok else None for ok in there.tolist()], arrow_type(type)))
    mask = None if valid is None else pa.array(~there)
    arrays = [field.to_arrow() for field in fields]
    names = [str(attribute.number) for attribute in type.attributes]
    return Column(type, pa.StructArray.from_arrays(arrays, names, mask=mask))


def fields_of(column: Column) -> list[Column]:
    """The fields of a column of a row type, in their order; null in rows that are null."""
    assert column.type.attributes is not None
    arrays = column.values.flatten()
    return [
        Column.from_arrow(attribute.type, array)
        for attribute, array in zip(column.type.attributes, arrays, strict=True)
    ]


def conformed(type: Type, array: pa.Array) -> pa.Array:
    """An Arrow array of arrays or rows as `type` has them: fields of rows go by their numbers."""
    wanted = arrow_type(type)
    if array.type == wanted:
        return array
    if type.form is Form.LIST:
        return lists.with_bounds(_items(type, lists.items_of(array)), lists.bounds_of(array))
    assert type.attributes is not None
    there = {array.type.field(i).name: i for i in range(array.type.num_fields)}
    parts = array.flatten()
    fields = [
        Column.from_arrow(a.type, parts[there[str(a.number)]])
        if str(a.number) in there
        else Column.nulls(a.type, len(array))
        for a in type.attributes
    ]
    valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False)) if array.null_count else None
    return row_column(type, len(array), fields, valid).values


def _items(type: Type, items: pa.Array) -> pa.Array:
    """The elements of each array, as `type` has them."""
    wanted = arrow_type(type)
    assert type.element is not None
    if items.type == wanted or not _has_rows(type.element):
        return items.cast(wanted)
    inner = conformed(type.element, items.values)
    buffers = items.buffers()[:2]
    return pa.LargeListArray.from_buffers(
        wanted, len(items), buffers, items.null_count, items.offset, [inner]
    )


def _joined_rows(type: Type, columns: Sequence[Column]) -> Column:
    """Rows one after another whose fields differ in form: arrays that are plain, and that are not."""
    fields = [Column.concat(parts) for parts in zip(*map(fields_of, columns), strict=True)]
    valid = np.concatenate([column.is_valid() for column in columns])
    return row_column(type, len(valid), fields, None if valid.all() else valid)


def _row_of(type: Type, items: Sequence[Any]) -> Column:
    """Rows of tuples of their fields' values, or None."""
    assert type.attributes is not None
    fields = [
        Column.of(attribute.type, [None if item is None else item[place] for item in items])
        for place, attribute in enumerate(type.attributes)
    ]
    valid = np.array([item is not None for item in items], np.bool_)
    return row_column(type, len(items), fields, None if valid.all() else valid)


def _has_rows(type: Type) -> bool:
    return type.is_row or (type.element is not None and _has_rows(type.element))


def taken(values: Array, rows: Positions | Mask) -> Array:
    """values[rows]: of positions by `take`, which needs a third of the time."""
    found: Array = values[rows] if rows.dtype == np.bool_ else values.take(rows, axis=0)
    return found


def arrow_taken(values: pa.Array, rows: Positions, valid: Mask | None = None) -> pa.Array:
    """The values at `rows`, null where `valid` is false."""
    if values.type in _VARYING:
        return strings_at(values, rows, valid)
    return values.take(pa.array(rows, mask=None if valid is None else ~valid))


def _with_nulls(values: pa.Array, valid: Mask) -> pa.Array:
    """`values` with a null wherever `valid` is false."""
    return arrow_taken(values, np.arange(len(values)), valid)


def _check_widths(widths: set[int], type: Type) -> None:
    """Raise for rows that a column cannot hold together: they have one width."""
    if len(widths) > 1:
        low, *_, high = sorted(widths)
        what = "bytes" if type.dtype == np.uint8 else "dimensions"
        raise FeatureNotSupported(
            f"values of {low} and of {high} {what} in one column of type {type.base} are not supported"
        )


def _fixed(type: Type, items: list[Any]) -> Array:
    assert type.dtype is not None
    if type.form is Form.ROWS:
        width = next((len(item) for item in items if item is not None), max(type.width, 0))
        _check_widths({width, *(len(item) for item in items if item is not None)}, type)
        values = np.zeros((len(items), width), type.dtype)
        for row, item in enumerate(items):
            if item is not None:
                values[row] = np.frombuffer(item, np.uint8) if isinstance(item, bytes) else item
        return values
    if type.dtype.names:
        return np.array([(0, 0, 0) if item is None else tuple(item) for item in items], type.dtype)
    return np.array([0 if item is None else item for item in items], type.dtype)


def _raw(item: Any, dtype: np.dtype[Any] | None) -> bytes:
    """A vector's elements as bytes."""
    return item if isinstance(item, bytes) else np.asarray(item, dtype).tobytes()


def _from_raw(type: Type, item: Any) -> Any:
    if item is None:
        return None
    if type.form is Form.DECIMAL:
        return Decimal(item)
    if type.form is Form.ROWS:
        return item if type.dtype == np.uint8 else np.frombuffer(item, type.dtype)
    return np.frombuffer(item, type.dtype)[0].item()


def bytes_column(rows: Array) -> Column:
    """(rows, n) uint8 as a bytea column, without a Python object a row."""
    return Column(BYTEA, strings_of(rows))
