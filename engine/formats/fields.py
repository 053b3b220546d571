"""Columns of a block's fields: typed where they lie, by kernels for the types that have one.

Fields that a kernel finds odd, and types without one, are made texts of and read by the type's input
function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import forms
from engine.formats.records import unescape
from engine.forms.numbers import spans
from engine.forms.style import Style
from engine.forms.utf8 import invalid_at
from storage import kernels
from storage import types as t
from storage.column import Array, Column, Mask, Positions
from storage.errors import CharacterNotInRepertoire
from storage.kernels.plain.fields import DIGITS
from storage.kernels.plain.lines import ESCAPED
from storage.numericunits import is_narrow
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import TEXT, Form, Type, numeric_modifier

_MANY, _FEW = 1024, 256
"""Texts are coded if there are so many, and of no more distinct values."""
_BEHIND, _HALF = (1 << 29) - 1, 1 << 28  # of a double's bits those that float4 has not, and half of them


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one column in `data`, as storage.kernels.split_lines finds them.

    `quote` is csv's, -1 for text; `ascii` says that all of `data` is. `shortest` is -1 where
    one is null and else 0, `longest` and `oddest` are the greatest of `lengths` and of `kinds`.
    """

    data: Array
    starts: Array
    lengths: Array
    kinds: Array
    quote: int
    ascii: bool
    shortest: int
    longest: int
    oddest: int

    @property
    def valid(self) -> Mask | None:
        """Where there is a value; None: everywhere."""
        return None if self.shortest >= 0 else self.lengths >= 0

    @property
    def escaped(self) -> bool:
        """Whether a field holds escapes still."""
        return self.oddest == ESCAPED

    def take(self, rows: Mask | Positions) -> Fields:
        """The fields where the mask is true, or of these rows."""
        starts, lengths, kinds = (part[None, rows] for part in (self.starts, self.lengths, self.kinds))
        return fields_of(self.data, starts, lengths, kinds, self.quote, self.ascii)[0]


def fields_of(
    data: Array, starts: Array, lengths: Array, kinds: Array, quote: int, ascii: bool
) -> list[Fields]:
    """Each column's fields, of (columns, rows) starts, lengths and kinds."""
    ends = lengths.min(axis=1, initial=0), lengths.max(axis=1, initial=0)
    shortest, longest = (end.tolist() for end in ends)
    oddest = kinds.max(axis=1, initial=0).tolist()
    found = zip(starts, lengths, kinds, shortest, longest, oddest, strict=True)
    return [
        Fields(data, start, length, kind, quote, ascii, low, high, odd)
        for start, length, kind, low, high, odd in found
    ]


def typed(type: Type, fields: Fields, style: Style) -> Column:
    """The fields as a column of `type`. Raises what the type's input function raises."""
    if type.oid in _QUICK:
        return _QUICK[type.oid](type, fields, style)
    if type.form is Form.TEXT and len(fields.starts) >= _MANY:
        column = _coded(type, fields, style)
        if column is not None:
            return column
    return _written(type, fields, style)


def _coded(type: Type, fields: Fields, style: Style) -> Column | None:
    """Texts of few distinct values, each read once; None where they are not. Raises as `typed`."""
    if fields.escaped:
        return None
    found = kernels.number_fields(fields.data, fields.starts, fields.lengths, _FEW)
    if found is None or not len(found[1]):
        return None
    numbers, firsts = found
    values = _written(type, fields.take(firsts), style)
    # to character(2), 'a' and 'a ' are the same
    distinct = type.oid != t.BPCHAR.oid or len(values.values.unique()) == len(values)
    return CodedColumn(type, Dictionary(values, distinct=distinct), numbers, fields.valid)


def _written(type: Type, fields: Fields, style: Style) -> Column:
    """A column of a type without a kernel of its own."""
    if type.oid in (t.TEXT.oid, t.VARCHAR.oid) and _fits(type, fields):
        return texts(fields).retype(type)
    if type.oid == t.BPCHAR.oid and type.modifier >= 4 and fields.ascii and _fits(type, fields):
        return _padded(type, fields)
    return forms.parse_text(type, texts(fields), style)


def texts(fields: Fields) -> Column:
    """The fields as text. Raises CharacterNotInRepertoire where escapes make no text of one."""
    sizes = np.maximum(fields.lengths, 0)
    content = kernels.gather_bytes(fields.data, fields.starts, sizes)
    if not fields.escaped:
        return _large(content, sizes, fields.valid)
    escaped = fields.kinds == ESCAPED
    if fields.quote >= 0:
        doubled = np.flatnonzero(content == fields.quote)[1::2]
        owners = np.searchsorted(np.cumsum(sizes), doubled, "right")
        sizes = sizes - np.bincount(owners, minlength=len(sizes))
        content = np.delete(content, doubled)
    column = _large(content, sizes, fields.valid)
    escaped &= fields.lengths >= 0
    if fields.quote >= 0 or not escaped.any():
        return column
    raw = [unescape(item.encode()) for item in column.values.filter(pa.array(escaped)).to_pylist()]
    if any(invalid_at(item) is not None for item in raw):
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8"')
    items = pa.array([item.decode() for item in raw], pa.large_string())
    return Column(TEXT, pc.replace_with_mask(column.values, pa.array(escaped), items))


def _large(content: Array, sizes: Array, valid: Mask | None) -> Column:
    return Column(TEXT, spans(pa.large_string(), content, sizes, valid))


def _fits(type: Type, fields: Fields) -> bool:
    """Whether no field can be too long: it has no more bytes than the type has characters."""
    return type.modifier < 4 or fields.longest <= type.modifier - 4


def _padded(type: Type, fields: Fields) -> Column:
    """character(n): blanks behind what is shorter."""
    if fields.escaped:
        return forms.parse_text(type, texts(fields))
    rows, width = len(fields.starts), type.modifier - 4
    content = np.full(rows * width, 32, np.uint8)
    places = np.arange(rows, dtype=np.int64) * width
    kernels.scatter_bytes(content, places, fields.data, fields.starts, np.maximum(fields.lengths, 0))
    return _large(content, np.full(rows, width, np.int64), fields.valid).retype(type)


Parse = Callable[[Array, Array, Array, Array, Mask], int]


def _parsed(type: Type, fields: Fields, style: Style, parse: Parse) -> Column:
    """A FIXED column read by a kernel, odd fields by the input function."""
    assert type.dtype is not None
    rows = len(fields.starts)
    out = np.empty(rows, np.float64 if type.dtype.kind == "f" else np.int64)
    odd = np.empty(rows, np.bool_)
    count = parse(fields.data, fields.starts, fields.lengths, out, odd)
    values = out.astype(type.dtype, copy=False)
    if count:
        values[odd] = forms.parse_text(type, texts(fields.take(odd)), style).values
    return Column(type, values, fields.valid)


def _integers(type: Type, fields: Fields, style: Style) -> Column:
    assert type.dtype is not None
    bounds = np.iinfo(type.dtype)
    return _parsed(
        type,
        fields,
        style,
        lambda data, starts, lengths, out, odd: kernels.parse_integers(
            data, starts, lengths, int(bounds.min), int(bounds.max), out, odd
        ),
    )


def _floats(type: Type, fields: Fields, style: Style) -> Column:
    return _parsed(type, fields, style, kernels.parse_floats)


def _singles(type: Type, fields: Fields, style: Style) -> Column:
    return _parsed(type, fields, style, _parse_singles)


def _parse_singles(data: Array, starts: Array, lengths: Array, out: Array, odd: Mask) -> int:
    """Doubles of which float4 is the nearest: not those half way between two, which were rounded already."""
    kernels.parse_floats(data, starts, lengths, out, odd)
    odd |= (out.view(np.int64) & _BEHIND) == _HALF
    return int(np.count_nonzero(odd))


def _dates(type: Type, fields: Fields, style: Style) -> Column:
    return _parsed(type, fields, style, kernels.parse_dates)


def _stamps(type: Type, fields: Fields, style: Style) -> Column:
    if type.modifier != -1:
        return forms.parse_text(type, texts(fields), style)
    zone = 0 if type.oid == t.TIMESTAMP.oid else 1 if style.time_zone in ("UTC", "Etc/UTC", "GMT") else 2
    return _parsed(
        type,
        fields,
        style,
        lambda data, starts, lengths, out, odd: kernels.parse_stamps(data, starts, lengths, zone, out, odd),
    )


def _numerics(type: Type, fields: Fields, style: Style) -> Column:
    """In units where the type says so, or where all fields have as many digits behind the point."""
    if is_narrow(type):
        return _units(type, fields, style)
    scale = _digits_behind(fields) if type.modifier == -1 else None
    if scale is not None:
        units, odd = np.empty(len(fields.starts), np.int64), np.empty(len(fields.starts), np.bool_)
        data, starts, lengths = fields.data, fields.starts, fields.lengths
        if not kernels.parse_decimals(data, starts, lengths, DIGITS, scale, units, odd):
            return Column.scaled(type, units, scale, fields.valid)
    return forms.parse_text(type, texts(fields), style)


def _digits_behind(fields: Fields) -> int | None:
    """How many digits stand behind the point of every number that is one; None: not always as many."""
    there = np.flatnonzero(fields.lengths > 0)
    if not len(there) or len(there) < np.count_nonzero(fields.lengths >= 0):
        return None
    starts, lengths = fields.starts[there], fields.lengths[there]
    first = fields.data[starts[0] : starts[0] + lengths[0]].tobytes()
    scale = len(first) - 1 - first.find(b".") if b"." in first else 0
    if scale > DIGITS or lengths.min() <= scale:
        return None
    ends = starts + lengths
    if scale:
        return scale if (fields.data[ends - scale - 1] == ord(".")).all() else None
    content = kernels.gather_bytes(fields.data, starts, lengths)
    return None if (content == ord(".")).any() else 0


def _units(type: Type, fields: Fields, style: Style) -> Column:
    """numeric(p, s) of up to 18 digits."""
    precision, scale = numeric_modifier(type)
    rows = len(fields.starts)
    units, odd = np.empty(rows, np.int64), np.empty(rows, np.bool_)
    data, starts, lengths = fields.data, fields.starts, fields.lengths
    if kernels.parse_decimals(data, starts, lengths, precision, scale, units, odd):
        rest = forms.parse_text(type, texts(fields.take(odd)), style)
        if rest.units is None:  # NaN
            return forms.parse_text(type, texts(fields), style)
        units[odd] = rest.units
    return Column.scaled(type, units, scale, fields.valid)


_QUICK: dict[int, Callable[[Type, Fields, Style], Column]] = {
    **dict.fromkeys((x.oid for x in t.INTEGERS), _integers),
    t.FLOAT4.oid: _singles,
    t.FLOAT8.oid: _floats,
    t.NUMERIC.oid: _numerics,
    t.DATE.oid: _dates,
    t.TIMESTAMP.oid: _stamps,
    t.TIMESTAMPTZ.oid: _stamps,
}
