"""Casts: a whole column to another type, by PostgreSQL's rules of rounding and range.

`convert` first changes the type, then applies the target's modifier: varchar(n) cuts in a written cast and
refuses in an assignment; numeric(p, s) rounds; timestamp(p) rounds; binary(n) and vector(n) must fit.
Casts of vectors and of bit strings: engine.vectorcasts; of money and its like: engine.countedcasts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import countedcasts, forms, vectorcasts
from engine.bylength import by_length
from engine.byvalue import by_value
from engine.castings import context
from engine.forms import hardware, intervals, network, numbers, texts, times
from engine.forms.style import Style, style_of
from engine.lists import like, lists
from engine.run import Run
from engine.values import units
from storage import timetz
from storage import types as t
from storage.column import Array, Column, Mask, fields_of, row_column
from storage.errors import (
    CannotCoerce,
    FeatureNotSupported,
    InvalidParameterValue,
    NumericValueOutOfRange,
)
from storage.ranges import multirange_column, pairs_of
from storage.segments.coded import CodedColumn
from storage.types import Form, Type

__all__ = ["context", "convert"]

_WIDE = Context(prec=200_000)
_TEXTS = frozenset((t.TEXT.oid, t.VARCHAR.oid, t.BPCHAR.oid, t.NAME.oid, t.UNKNOWN.oid, t.CSTRING.oid))
_OIDS = frozenset((t.OID.oid, *(reg.oid for reg in t.REG_TYPES)))
_STAMPS = frozenset((t.TIMESTAMP.oid, t.TIMESTAMPTZ.oid))


def convert(column: Column, target: Type, run: Run | Style | None, *, explicit: bool = True) -> Column:
    """The column as `target`. Raises CannotCoerce where there is no such cast."""
    if column.type == target:
        return column
    if isinstance(column, CodedColumn) and column.type.oid in _TEXTS and target.oid in _TEXTS:
        found = by_value(
            column,
            lambda values: convert(values, target, run, explicit=explicit),
            ("cast", target.oid, target.modifier, explicit),
        )
        if found is not None:
            return found
    style = style_of(run)
    same = column.type.oid == target.oid and not (target.element or target).is_row
    if same and target.element is not None:
        same = target.modifier in (-1, column.type.modifier)  # which is that of each element
    converted = column if same else _changed(column, target, style, explicit)
    result = _modified(converted, target, explicit)
    result.constant = column.constant
    return result


def _changed(column: Column, target: Type, style: Style, explicit: bool) -> Column:
    """The column as `target` without its modifier, where source and target differ."""
    source = column.type
    if source.is_row and target.is_row:
        return _row(column, target, style, explicit)
    if source.element is not None and target.element is not None:
        return _array(column, target, style, explicit)
    if source.oid in _TEXTS and target.oid in _TEXTS:
        return _text_to_text(column, target)
    special = _SPECIAL.get((source.oid, target.oid)) or _by_family(source, target)
    if special is not None:
        return special(column, target.base, style)
    if target.oid in _TEXTS:
        return _to_text(column, target, style)
    among = vectorcasts.cast_of(source, target)
    if among is not None:
        # how many bits an integer gives is for bit(n) to say
        plain = target if target.oid == t.BIT.oid and source.oid not in t.BITS else target.base
        return by_length(lambda rows: among(rows, plain), [column])
    if source.oid in _TEXTS:
        # varchar's and its kin's modifiers say what happens to too long text: see _modified
        written = source.oid == t.UNKNOWN.oid and target.oid == t.INTERVAL.oid  # it tells the unit
        plain = target if written or target.form is Form.ROWS else target.base
        parsed = forms.parse_text(plain, column, style)
        return parsed if target.element is None else _array(parsed, target, style, explicit)
    raise CannotCoerce(f"cannot cast type {source.base} to {target.base}")


def _text_to_text(column: Column, target: Type) -> Column:
    values = column.values
    if column.type.oid == t.BPCHAR.oid:
        values = pc.utf8_rtrim(values, characters=" ")
    if target.oid == t.NAME.oid:
        return forms.parse_text(target, Column(t.TEXT, values))
    return Column(target.base, values)


def _to_text(column: Column, target: Type, style: Style) -> Column:
    if column.type.oid == t.BOOL.oid and target.oid != t.NAME.oid:
        words = np.where(column.values, "true", "false").tolist()
        items = [w if ok else None for w, ok in zip(words, column.is_valid().tolist(), strict=True)]
        return Column(target.base, pa.array(items, pa.large_string()))
    return _text_to_text(forms.text_of(column, style), target)


def _array(column: Column, target: Type, style: Style, explicit: bool) -> Column:
    assert target.element is not None
    _, elements = lists(column)
    converted = convert(elements, target.element, style, explicit=explicit)
    return like(column, converted.spread(len(elements)), target.base)


def _row(column: Column, target: Type, style: Style, explicit: bool) -> Column:
    """Rows field by field. `sql.coerce` has seen to it that there are as many fields, and their casts."""
    assert target.attributes is not None
    if target.attributes == column.type.attributes:
        return column.retype(target)
    pairs = zip(fields_of(column), target.attributes, strict=True)
    fields = [convert(field, attribute.type, style, explicit=explicit) for field, attribute in pairs]
    return row_column(target, len(column), fields, column.valid)


def _valid_values(column: Column) -> tuple[Array, Mask | None]:
    """Values with zeros under nulls, and the mask."""
    valid = column.valid
    if valid is None:
        return column.values, None
    return np.where(valid, column.values, np.zeros(1, column.values.dtype)), valid


def _out_of_range(target: Type) -> NumericValueOutOfRange:
    return NumericValueOutOfRange(f"{target.base} out of range")


def _number_to_number(column: Column, target: Type, style: Style) -> Column:
    """Integers, floats and OIDs among each other."""
    values, valid = _valid_values(column)
    dtype = target.dtype
    assert dtype is not None
    if dtype.kind == "f":
        with np.errstate(over="ignore", under="ignore"):
            floats = values.astype(dtype)
        if (np.isinf(floats) & np.isfinite(values)).any():
            raise NumericValueOutOfRange("value out of range: overflow")
        if ((floats == 0) & (values != 0)).any():
            raise NumericValueOutOfRange("value out of range: underflow")
        return Column(target, floats, valid)
    bounds = np.iinfo(dtype)
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.rint(values)
            # the largest integers are no floats: compare with the power of two above them
            if not ((whole >= float(bounds.min)) & (whole < float(bounds.max) + 1)).all():
                raise _out_of_range(target)
        return Column(target, whole.astype(dtype), valid)
    if values.dtype.itemsize > dtype.itemsize or values.dtype.kind != dtype.kind:
        wide = values.astype(np.int64)
        low = -(2**31) if target.oid in _OIDS and values.dtype.itemsize <= 4 else bounds.min
        if len(wide) and not (low <= wide.min() and wide.max() <= bounds.max):
            raise NumericValueOutOfRange("OID out of range") if target.oid in _OIDS else _out_of_range(target)
    return Column(target, values.astype(dtype), valid)


def _number_to_numeric(column: Column, target: Type, style: Style) -> Column:
    """Integers exactly, floats by the digits they are sure of: 15, of real 6."""
    if column.values.dtype.kind != "f":
        if column.values.dtype.itemsize < 8 or units.largest(column.values) < 10**18:
            return Column.scaled(target, column.values.astype(np.int64), 0, column.valid)
        return Column.of(target, [None if v is None else Decimal(v) for v in column.tolist()])
    digits = 6 if column.type.oid == t.FLOAT4.oid else 15
    return Column.of(target, [None if v is None else _decimal(v, digits) for v in column.tolist()])


def _units_to_number(column: Column, target: Type) -> Column | None:
    assert column.units is not None
    assert target.dtype is not None
    filled = column.units if column.valid is None else np.where(column.valid, column.units, 0)
    if target.dtype.kind == "f":
        floats = units.as_floats(filled, column.scale)
        # the nearest float4 of the nearest double need not be that of the number
        if floats is None or target.dtype.itemsize == 4:
            return None
        return Column(target, floats, column.valid)
    whole = units.rounded(filled, column.scale, 0)
    bounds = np.iinfo(target.dtype)
    if whole is None or (len(whole) and not bounds.min <= whole.min() <= whole.max() <= bounds.max):
        return None  # one by one, to find the first
    return Column(target, whole.astype(target.dtype), column.valid)


def _decimal(value: float, digits: int) -> Decimal:
    if value != value or value in (np.inf, -np.inf):
        return Decimal(value)
    return Decimal(format(Decimal(f"{value:.{digits}g}"), "f"))


def _numeric_to_number(column: Column, target: Type, style: Style) -> Column:
    """To integers half away from zero, to floats the nearest."""
    assert target.dtype is not None
    if column.units is not None:
        counted = _units_to_number(column, target)
        if counted is not None:
            return counted
    if target.dtype.kind == "f":
        return forms.parse_text(target, forms.text_of(column))
    bounds = np.iinfo(target.dtype)
    items: list[int | None] = []
    for value in column.tolist():
        if value is None:
            items.append(None)
            continue
        if not value.is_finite():
            word = "NaN" if value.is_nan() else "infinity"
            raise FeatureNotSupported(f"cannot convert {word} to {target.base}")
        whole = int(value.quantize(Decimal(1), ROUND_HALF_UP, _WIDE))
        if not bounds.min <= whole <= bounds.max:
            raise _out_of_range(target)
        items.append(whole)
    return Column.of(target, items)


def _bool_to_int(column: Column, target: Type, style: Style) -> Column:
    return Column(target, column.values.astype(np.int32), column.valid)


def _int_to_bool(column: Column, target: Type, style: Style) -> Column:
    return Column(target, column.values != 0, column.valid)


def _char_to_int(column: Column, target: Type, style: Style) -> Column:
    return Column(target, column.values.view(np.int8).astype(np.int32), column.valid)


def _int_to_char(column: Column, target: Type, style: Style) -> Column:
    values, valid = _valid_values(column)
    if ((values < -128) | (values > 127)).any():
        raise NumericValueOutOfRange('"char" out of range')
    return Column(target, values.astype(np.int8).view(np.uint8), valid)


def _stamp_of_date(values: Array) -> Array:
    stamps: Array = values.astype(np.int64)
    finite = (stamps != times.DATE_LOW) & (stamps != times.DATE_HIGH)
    if (np.abs(stamps[finite]) > 2**63 // times.DAY - 1).any():
        raise NumericValueOutOfRange("date out of range for timestamp")
    ends = np.where(stamps == times.DATE_LOW, times.STAMP_LOW, times.STAMP_HIGH)
    return np.where(finite, np.where(finite, stamps, 0) * times.DAY, ends)


def _date_to_stamp(column: Column, target: Type, style: Style) -> Column:
    stamps = Column(t.TIMESTAMP, _stamp_of_date(_valid_values(column)[0]), column.valid)
    return stamps if target.oid == t.TIMESTAMP.oid else _stamp_to_zone(stamps, target, style)


def _finite(values: Array) -> Mask:
    mask: Mask = (values != times.STAMP_LOW) & (values != times.STAMP_HIGH)
    return mask


def _stamp_to_zone(column: Column, target: Type, style: Style) -> Column:
    """Clocks of the session's zone to moments."""
    values = column.values
    if style.time_zone.upper() in ("UTC", "ETC/UTC", "GMT"):
        return Column(target, values, column.valid)
    zone = style.zone
    known = {v: times.to_utc(v, zone) for v in np.unique(values[_finite(values)]).tolist()}
    moved = [known.get(value, value) for value in values.tolist()]
    return Column(target, np.array(moved, np.int64), column.valid)


def _local(column: Column, style: Style) -> Array:
    """What the session's clocks show at these moments; timestamps without a zone as they are."""
    values = column.values
    if column.type.oid != t.TIMESTAMPTZ.oid or style.time_zone.upper() in ("UTC", "ETC/UTC", "GMT"):
        local: Array = values
        return local
    finite = _finite(values)
    offsets = times.offsets_at(np.where(finite, values, 0), style.zone) * 1_000_000
    moved: Array = np.where(finite, values + np.where(finite, offsets, 0), values)
    return moved


def _zone_to_stamp(column: Column, target: Type, style: Style) -> Column:
    return Column(target, _local(column, style), column.valid)


def _stamp_to_date(column: Column, target: Type, style: Style) -> Column:
    local = _local(column, style)
    days = np.where(local == times.STAMP_HIGH, times.DATE_HIGH, local // times.DAY)
    days = np.where(local == times.STAMP_LOW, times.DATE_LOW, days)
    return Column(target, days.astype(np.int32), column.valid)


def _stamp_to_time(column: Column, target: Type, style: Style) -> Column:
    local = _local(column, style)
    finite = _finite(local)
    valid = column.is_valid() & finite
    return Column(target, local % times.DAY, None if valid.all() else valid)


def _stamp_to_timetz(column: Column, target: Type, style: Style) -> Column:
    finite = _finite(column.values)
    values = np.where(finite, column.values, 0)
    local = values if style.time_zone == "UTC" else values + times.offsets_at(values, style.zone) * 1_000_000
    valid = column.is_valid() & finite
    packed = timetz.packed(local % times.DAY, (values - local) // 1_000_000)
    return Column(target, packed, None if valid.all() else valid)


def _time_to_timetz(column: Column, target: Type, style: Style) -> Column:
    """In the session's zone, with the offset that it has today."""
    clocks, places = np.unique(column.values, return_inverse=True)
    west = np.array([-times.east_today(clock, style) for clock in clocks.tolist()], np.int64)
    return Column(target, timetz.packed(column.values, west[places.reshape(-1)]), column.valid)


def _timetz_to_time(column: Column, target: Type, style: Style) -> Column:
    return Column(target, timetz.clock_of(column.values), column.valid)


def _time_to_interval(column: Column, target: Type, style: Style) -> Column:
    values = np.zeros(len(column), target.dtype)
    values["micros"] = column.values
    return Column(target, values, column.valid)


def _interval_to_time(column: Column, target: Type, style: Style) -> Column:
    return Column(target, column.values["micros"] % times.DAY, column.valid)


def _widen_hardware(column: Column, target: Type, style: Style) -> Column:
    bits = hardware.widened(hardware.bits_of(column.type, column.values))
    return Column(target, hardware.values_of(target, bits), column.valid)


def _narrow_hardware(column: Column, target: Type, style: Style) -> Column:
    bits, valid = hardware.bits_of(column.type, column.values), column.is_valid()
    narrow = np.zeros_like(bits)
    narrow[valid] = hardware.narrowed(bits[valid])
    return Column(target, hardware.values_of(target, narrow), column.valid)


def _inet_to_cidr(column: Column, target: Type, style: Style) -> Column:
    """The network that an address is in."""

    def one(text: str) -> str:
        address = network.parsed(t.INET, text)
        return network.shown(t.CIDR, type(address)(address.network))

    return Column.of(target, [None if text is None else one(text) for text in column.tolist()])


def _cidr_to_inet(column: Column, target: Type, style: Style) -> Column:
    return forms.parse_text(target, column.retype(t.TEXT))


def _inet_to_text(column: Column, target: Type, style: Style) -> Column:
    """With the length of the mask, where that is left out too."""
    texts = column.tolist()
    return Column.of(target, [None if x is None else network.whole(network.parsed(t.INET, x)) for x in texts])


def _json_to_jsonb(column: Column, target: Type, style: Style) -> Column:
    return forms.parse_text(target, column.retype(t.TEXT))


def _relabel(column: Column, target: Type, style: Style) -> Column:
    return Column(target, column.values)


def _jsonb_to_scalar(column: Column, target: Type, style: Style) -> Column:
    items: list[Any] = []
    for text in column.values.to_pylist():
        value = None if text is None else json.loads(text, parse_float=Decimal)
        if text is not None and (value is None or isinstance(value, bool) != (target.oid == t.BOOL.oid)):
            raise _jsonb_error(value, target)
        if isinstance(value, str | list | dict):
            raise _jsonb_error(value, target)
        items.append(value if value is None or isinstance(value, bool) else Decimal(value))
    if target.oid == t.BOOL.oid:
        return Column.of(target, items)
    numbers = Column.of(t.NUMERIC, items)
    return numbers if target.oid == t.NUMERIC.oid else _numeric_to_number(numbers, target, style)


def _jsonb_error(value: Any, target: Type) -> InvalidParameterValue:
    kinds = {type(None): "null", str: "string", bool: "boolean", list: "array", dict: "object"}
    kind = kinds.get(type(value), "numeric")
    return InvalidParameterValue(f"cannot cast jsonb {kind} to type {target}")


def _range_to_multirange(column: Column, target: Type, style: Style) -> Column:
    rows = zip(pairs_of(column), column.is_valid().tolist(), strict=True)
    return multirange_column(target, [pairs if ok else None for pairs, ok in rows])


def _binary_to_bytes(column: Column, target: Type, style: Style) -> Column:
    return Column(target, column.to_arrow())


def _bytes_to_binary(column: Column, target: Type, style: Style) -> Column:
    return forms.parse_binary(target, column)


Special = Callable[[Column, Type, Style], Column]

_SPECIAL: dict[tuple[int, int], Special] = {
    (t.BOOL.oid, t.INT4.oid): _bool_to_int,
    (t.INT4.oid, t.BOOL.oid): _int_to_bool,
    (t.CHAR.oid, t.INT4.oid): _char_to_int,
    (t.INT4.oid, t.CHAR.oid): _int_to_char,
    (t.DATE.oid, t.TIMESTAMP.oid): _date_to_stamp,
    (t.DATE.oid, t.TIMESTAMPTZ.oid): _date_to_stamp,
    (t.TIMESTAMP.oid, t.TIMESTAMPTZ.oid): _stamp_to_zone,
    (t.TIMESTAMPTZ.oid, t.TIMESTAMP.oid): _zone_to_stamp,
    **{(stamp, t.DATE.oid): _stamp_to_date for stamp in _STAMPS},
    **{(stamp, t.TIME.oid): _stamp_to_time for stamp in _STAMPS},
    (t.TIMESTAMPTZ.oid, t.TIMETZ.oid): _stamp_to_timetz,
    (t.TIME.oid, t.TIMETZ.oid): _time_to_timetz,
    (t.TIMETZ.oid, t.TIME.oid): _timetz_to_time,
    (t.TIME.oid, t.INTERVAL.oid): _time_to_interval,
    (t.INTERVAL.oid, t.TIME.oid): _interval_to_time,
    (t.MACADDR.oid, t.MACADDR8.oid): _widen_hardware,
    (t.MACADDR8.oid, t.MACADDR.oid): _narrow_hardware,
    (t.INET.oid, t.CIDR.oid): _inet_to_cidr,
    (t.CIDR.oid, t.INET.oid): _cidr_to_inet,
    **{(t.INET.oid, x.oid): _inet_to_text for x in (t.TEXT, t.VARCHAR, t.BPCHAR)},
    (t.JSON.oid, t.JSONB.oid): _json_to_jsonb,
    (t.JSONB.oid, t.JSON.oid): _relabel,
    (t.PG_NODE_TREE.oid, t.TEXT.oid): _relabel,
    **{
        (t.JSONB.oid, x.oid): _jsonb_to_scalar
        for x in (t.BOOL, t.INT2, t.INT4, t.INT8, t.FLOAT4, t.FLOAT8, t.NUMERIC)
    },
    **{(oid, multirange.oid): _range_to_multirange for oid, (_, multirange) in t.RANGES.items()},
    (t.BINARY.oid, t.BYTEA.oid): _binary_to_bytes,
    (t.BYTEA.oid, t.BINARY.oid): _bytes_to_binary,
    **countedcasts.CASTS,
}
_NUMBERS = frozenset(x.oid for x in (t.INT2, t.INT4, t.INT8, t.FLOAT4, t.FLOAT8)) | _OIDS


def _by_family(source: Type, target: Type) -> Special | None:
    if source.oid in _NUMBERS:
        if target.oid in _NUMBERS:
            return _number_to_number
        if target.oid == t.NUMERIC.oid:
            return _number_to_numeric
    if source.oid == t.NUMERIC.oid and target.oid in _NUMBERS:
        return _numeric_to_number
    return None


def _modified(column: Column, target: Type, explicit: bool) -> Column:
    """The column, of `target`'s type, under its modifier."""
    if target.modifier == -1 or column.type == target:
        return column if column.type == target else column.retype(target)
    if target.oid in (t.VARCHAR.oid, t.BPCHAR.oid):
        fitted = [
            None if v is None else texts.fitted(target, v, cut=explicit) for v in column.values.to_pylist()
        ]
        return Column(target, pa.array(fitted, pa.large_string()))
    if target.oid == t.NUMERIC.oid:
        counted = units.as_numeric(column, target, *t.numeric_modifier(target))
        if counted is not None:
            return counted
        return Column.of(target, [None if v is None else numbers.fitted(target, v) for v in column.tolist()])
    if target.oid in (t.BINARY.oid, t.SPARSEVEC.oid) or target.oid in t.VECTORS:
        return vectorcasts.sized(column, target)
    if target.oid in t.BITS:
        return vectorcasts.cut_bits(column, target, explicit)
    if target.oid == t.TIMETZ.oid:
        return Column(target, times.rounded_timetz(column.values, target.modifier), column.valid)
    if target.oid in (t.TIME.oid, *_STAMPS):
        values = column.values
        unit = 10 ** (6 - min(target.modifier, 6))
        whole = np.where(_finite(values), (values + unit // 2) // unit * unit, values)
        return Column(target, whole, column.valid)
    if target.oid == t.INTERVAL.oid:
        return Column.of(
            target, [None if v is None else intervals.fitted(target, v) for v in column.tolist()]
        )
    return column.retype(target)
