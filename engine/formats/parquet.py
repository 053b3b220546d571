"""Parquet: COPY's fourth format, of files on the server, through Arrow.

What a column is in the file:

    bool, int2/4/8, float4/8, oid     the same
    numeric(p, s), p up to 38         decimal(p, s); any other numeric is text, which loses no digit
    text and its kin, json, jsonb     string; so is, in its text form, what has no place below
    bytea; binary(n), uuid            binary; fixed-size binary
    date, time, timestamp(tz)         date32, time64, timestamp in microseconds (UTC)
    vector(n), arrays                 list

Reading goes by the columns' names. A string is read by the input function of the table's type; everything
else becomes the SQL type nearest to what the file has and is cast as an assignment casts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from engine import forms
from engine.casts import context, convert
from engine.formats.options import CopyFormat
from engine.forms import vectors
from engine.forms.style import Style
from engine.forms.times import DATE_HIGH, DATE_LOW, EPOCH_DAYS, STAMP_HIGH, STAMP_LOW
from engine.late import bounded_rows
from engine.lists import is_plain, list_column, lists
from storage import types as t
from storage.batch import Batch
from storage.column import Array, Column
from storage.errors import (
    BadCopyFileFormat,
    DatabaseError,
    DatatypeMismatch,
    DatetimeFieldOverflow,
    FeatureNotSupported,
    NumericValueOutOfRange,
)
from storage.types import Form, Type, array_of, numeric, numeric_modifier

GROUP_ROWS, GROUP_BYTES = 1 << 20, 128 << 20
_DIGITS = 38  # of a decimal in 128 bits
_EPOCH = EPOCH_DAYS * 86_400_000_000
_SAME = frozenset(x.oid for x in (t.BOOL, t.INT2, t.INT4, t.INT8, t.FLOAT4, t.FLOAT8, t.OID, t.XID))


class ParquetWriter:
    """COPY ... TO a parquet file. Row groups are bounded in rows and bytes."""

    def __init__(self, format: CopyFormat, style: Style, file: BinaryIO) -> None:
        self._style = style
        fields = [pa.field(n, _kind(x)) for n, x in zip(format.names, format.columns, strict=True)]
        self._schema = pa.schema(fields)
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._parts: list[pa.RecordBatch] = []

    def write(self, batch: Batch) -> None:
        """Rows of the format's columns."""
        arrays = [
            _written(column, field.type, self._style)
            for column, field in zip(batch.columns, self._schema, strict=True)
        ]
        self._parts.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        rows, size = sum(len(part) for part in self._parts), sum(part.nbytes for part in self._parts)
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """What has not been written yet."""
        self._flush()

    def close(self) -> None:
        """Let go of the file: after `finish` it is whole."""
        self._writer.close()

    def _flush(self) -> None:
        if self._parts:
            table = pa.Table.from_batches(self._parts, self._schema)
            self._writer.write_table(table, row_group_size=GROUP_ROWS)
        self._parts = []


def _kind(type: Type) -> pa.DataType:
    """What a column of the type is in a file."""
    if type.oid in _SAME:
        return pa.from_numpy_dtype(type.dtype)
    if type.element is not None:
        return pa.large_list(_kind(type.element))
    if type.oid in t.VECTORS:
        return pa.large_list(pa.from_numpy_dtype(type.dtype))
    if type.form is Form.ROWS:
        return pa.binary(type.width) if type.width >= 0 else pa.large_binary()
    if type.oid == t.NUMERIC.oid and type.modifier != -1:
        precision, scale = numeric_modifier(type)
        if precision <= _DIGITS and 0 <= scale <= precision:
            return pa.decimal128(precision, scale)
    return _KINDS.get(type.oid, pa.large_string())


_KINDS = {
    t.BYTEA.oid: pa.large_binary(),
    t.DATE.oid: pa.date32(),
    t.TIME.oid: pa.time64("us"),
    t.TIMESTAMP.oid: pa.timestamp("us"),
    t.TIMESTAMPTZ.oid: pa.timestamp("us", tz="UTC"),
}


def _written(column: Column, kind: pa.DataType, style: Style) -> pa.Array:
    """A column as an array of what it is in the file."""
    type = column.type
    if pa.types.is_large_string(kind):
        return forms.text_of(column, style).values.cast(kind)
    if pa.types.is_decimal(kind):
        return _decimals(column, kind)
    if type.oid in t.VECTORS:
        items, offsets = vectors.elements_of(column)
        return pa.LargeListArray.from_arrays(pa.array(offsets), items, mask=_mask(column))
    if type.form is Form.ROWS:
        values = np.ascontiguousarray(column.values)
        bits = None if column.valid is None else pa.py_buffer(np.packbits(column.valid, bitorder="little"))
        fixed = pa.binary(values.shape[1])
        return pa.Array.from_buffers(fixed, len(values), [bits, pa.py_buffer(values.reshape(-1))]).cast(kind)
    if type.element is not None:
        if not is_plain(column):
            raise FeatureNotSupported(
                "arrays of several dimensions, and such as do not count from 1, are not supported in Parquet"
            )
        offsets, elements = lists(column)
        items = _written(elements, kind.value_type, style)
        return pa.LargeListArray.from_arrays(pa.array(offsets), items, mask=_mask(column))
    if type.oid == t.DATE.oid:
        _no_infinity(column, DATE_LOW, DATE_HIGH)
        return pa.array(column.values + np.int32(EPOCH_DAYS), mask=~column.is_valid()).cast(kind)
    if type.oid in (t.TIMESTAMP.oid, t.TIMESTAMPTZ.oid):
        _no_infinity(column, STAMP_LOW, STAMP_HIGH - _EPOCH)
        return pa.array(column.values + _EPOCH, mask=~column.is_valid()).cast(kind)
    return column.to_arrow().cast(kind)


def _mask(column: Column) -> pa.Array | None:
    return None if column.valid is None else pa.array(~column.valid)


def _no_infinity(column: Column, low: int, high: int) -> None:
    values = column.values[column.is_valid()]
    if ((values <= low) | (values >= high)).any():
        raise DatetimeFieldOverflow(f"{column.type.base} out of range for a parquet file")


def _decimals(column: Column, kind: pa.DataType) -> pa.Array:
    if column.units is not None and column.scale == kind.scale:
        words = np.empty((len(column), 2), np.int64)
        words[:, 0], words[:, 1] = column.units, column.units >> 63
        bits = None if column.valid is None else pa.py_buffer(np.packbits(column.valid, bitorder="little"))
        return pa.Array.from_buffers(kind, len(column), [bits, pa.py_buffer(words)])
    items = column.tolist()
    if any(item is not None and not item.is_finite() for item in items):
        raise NumericValueOutOfRange("NaN is no value of a parquet file's decimals")
    return pa.array(items, kind)


class ParquetReader:
    """COPY ... FROM a parquet file. `name` is told in errors, `listed` says that columns were chosen.

    Raises BadCopyFileFormat where it is none, or has not the columns.
    """

    def __init__(self, format: CopyFormat, style: Style, file: BinaryIO, name: str, listed: bool) -> None:
        self._format = format
        self._style = style
        self._name = name
        self._row = 0
        try:
            self._file = parquet.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        there = self._file.schema_arrow.names
        if len(set(there)) < len(there):
            raise BadCopyFileFormat(f'file "{name}" has columns of the same name')
        for wanted in format.names:
            if wanted not in there:
                raise BadCopyFileFormat(f'file "{name}" has no column "{wanted}"')
        extra = next((column for column in there if column not in format.names), None)
        if extra is not None and not listed:
            raise BadCopyFileFormat(
                f'file "{name}" has column "{extra}", which table "{format.table}" has not',
                hint="Name the columns that are to be read: COPY table (column, ...) FROM.",
            )

    def batches(self) -> Iterator[Batch]:
        """The rows."""
        for record in self._records():
            columns = tuple(
                self._column(record.column(name), type, name)
                for name, type in zip(self._format.names, self._format.columns, strict=True)
            )
            yield Batch(columns, record.num_rows)
            self._row += record.num_rows

    def locate(self, row: int, shown: bool) -> str:
        """See Reader."""
        return f"COPY {self._format.table}, row {self._row + row + 1}"

    def _records(self) -> Iterator[pa.RecordBatch]:
        rows = bounded_rows(self._format.columns)
        try:
            yield from self._file.iter_batches(rows, columns=list(self._format.names), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> BadCopyFileFormat:
        return BadCopyFileFormat(
            f'could not read file "{self._name}" as parquet', detail=str(error).split("\n")[0]
        )

    def _column(self, array: pa.Array, type: Type, name: str) -> Column:
        try:
            if type.oid in t.VECTORS and (read := _vectors(array, type)) is not None:
                return read
            if type.element is not None and type.element.oid in t.VECTORS:
                lists_of = _vector_lists(array, type)
                if lists_of is not None:
                    return lists_of
            column = natural(array)
            if type.oid == t.UUID.oid and column.type == t.binary(16):
                return Column(type, column.values, column.valid)
            if column.type.oid == t.TEXT.oid and type.oid != t.TEXT.oid:
                return forms.parse_text(type, column, self._style)
            if context(column.type, type) not in ("i", "a"):
                raise DatatypeMismatch(
                    f'column "{name}" is of type {type} but the file has {column.type}',
                    hint="Read it into a column of that type, and cast it then.",
                )
            return convert(column, type, self._style, explicit=False)
        except DatabaseError as error:
            error.where = f"COPY {self._format.table}, column {name}"
            raise


def natural(array: pa.Array) -> Column:
    """An Arrow array as the SQL type nearest to it. Raises FeatureNotSupported."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    for view, plain in ((pa.types.is_string_view, pa.string()), (pa.types.is_binary_view, pa.binary())):
        if view(array.type):
            array = array.cast(plain)
    kind = array.type
    for test, read in _NATURAL:
        if test(kind):
            return read(array)
    raise FeatureNotSupported(f"parquet's type {kind} is not supported")


def _numbers(type: Type, arrow: pa.DataType) -> Callable[[pa.Array], Column]:
    return lambda array: Column.from_arrow(type, array.cast(arrow))


def _read_decimals(array: pa.Array) -> Column:
    precision, scale = array.type.precision, array.type.scale
    if scale < 0:
        return Column.of(t.NUMERIC, array.to_pylist())
    if precision > 18 or not pa.types.is_decimal128(array.type):
        return Column.of(numeric(precision, scale), array.to_pylist())
    words = np.frombuffer(array.buffers()[1], np.int64)[
        2 * array.offset : 2 * (array.offset + len(array)) : 2
    ]
    valid = _valid(array)
    units = words.copy() if valid is None else np.where(valid, words, 0)
    return Column.scaled(numeric(precision, scale), units, scale, valid)


def _valid(array: pa.Array) -> Array | None:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False)) if array.null_count else None


def _read_fixed_bytes(array: pa.Array) -> Column:
    width = array.type.byte_width
    raw = np.frombuffer(array.buffers()[1], np.uint8)[array.offset * width :][: len(array) * width]
    return Column(t.binary(width), raw.reshape(len(array), width), _valid(array))


def _read_dates(array: pa.Array) -> Column:
    days = array.cast(pa.date32()).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    return Column(t.DATE, days - np.int32(EPOCH_DAYS), _valid(array))


def _read_stamps(array: pa.Array) -> Column:
    zoned = array.type.tz is not None
    micros = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False).cast(pa.int64()).fill_null(0)
    type = t.TIMESTAMPTZ if zoned else t.TIMESTAMP
    return Column(type, micros.to_numpy(zero_copy_only=False) - _EPOCH, _valid(array))


def _read_times(array: pa.Array) -> Column:
    micros = array.cast(pa.time64("us"), safe=False).cast(pa.int64()).fill_null(0)
    return Column(t.TIME, micros.to_numpy(zero_copy_only=False), _valid(array))


def _read_lists(array: pa.Array) -> Column:
    elements = natural(array.flatten())
    counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.append(0, np.cumsum(counts))
    if elements.type.form is Form.LIST:
        raise FeatureNotSupported("arrays of more than one dimension are not supported")
    return list_column(array_of(elements.type.base), offsets, elements, _valid(array))


def _vectors(array: pa.Array, type: Type) -> Column | None:
    """Lists of elements as vectors; None where they are not of one length and finite."""
    elements = pa.from_numpy_dtype(type.dtype)
    if not _any_list(array.type) or array.type.value_type != elements:
        return None
    valid = _valid(array)
    there = array if valid is None else array.filter(pa.array(valid))
    flat, counts = there.flatten(), pc.list_value_length(there).to_numpy(zero_copy_only=False)
    width = int(counts[0]) if len(counts) else max(type.width, 1)
    if flat.null_count or not 1 <= width <= vectors.MOST_DIMENSIONS:
        return None
    if (counts != width).any() or type.width not in (-1, width):
        return None
    rows = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(there), width)
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        return None
    if valid is None:
        return Column(type, rows)
    values = np.zeros((len(array), width), rows.dtype)
    values[valid] = rows
    return Column(type, values, valid)


def _vector_lists(array: pa.Array, type: Type) -> Column | None:
    """Lists of lists of elements as an array of vectors; None where `_vectors` is."""
    assert type.element is not None
    if not _any_list(array.type):
        return None
    flat = _vectors(array.flatten(), type.element)
    if flat is None:
        return None
    counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return list_column(type, np.append(0, np.cumsum(counts)), flat, _valid(array))


def _any_list(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in _LISTS)


_LISTS: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
)
_NATURAL: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Column]], ...] = (
    (pa.types.is_boolean, _numbers(t.BOOL, pa.bool_())),
    (lambda kind: kind in (pa.int8(), pa.uint8(), pa.int16()), _numbers(t.INT2, pa.int16())),
    (lambda kind: kind in (pa.uint16(), pa.int32()), _numbers(t.INT4, pa.int32())),
    (lambda kind: kind in (pa.uint32(), pa.int64()), _numbers(t.INT8, pa.int64())),
    (pa.types.is_uint64, lambda array: _read_decimals(array.cast(pa.decimal128(20, 0)))),
    (lambda kind: kind in (pa.float16(), pa.float32()), _numbers(t.FLOAT4, pa.float32())),
    (pa.types.is_float64, _numbers(t.FLOAT8, pa.float64())),
    (pa.types.is_decimal, _read_decimals),
    (
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        lambda array: Column(t.TEXT, array.cast(pa.large_string())),
    ),
    (pa.types.is_fixed_size_binary, _read_fixed_bytes),
    (
        lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
        lambda array: Column(t.BYTEA, array.cast(pa.large_binary())),
    ),
    (pa.types.is_date, _read_dates),
    (pa.types.is_timestamp, _read_stamps),
    (pa.types.is_time, _read_times),
    (_any_list, _read_lists),
)
