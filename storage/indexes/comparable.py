"""Keys: values of any type as unsigned words or byte strings whose order and equality are SQL's.

    integers, dates, oids, bool   one word: the value with its sign bit turned
    float4, float8                one word: IEEE bits in order; -0 is 0, every NaN the one greatest
    interval                      two words: days (of 24 hours, months being 30 days), microseconds
    uuid                          two words, big-endian
    text and its kin              bytes as they are (C collation); bpchar without trailing spaces
    bytea, binary(n)              bytes as they are
    vectors                       bytes: the words of their elements, big-endian
    bit, varbit                   bytes: each byte behind a 1, then 0 and how many bits the last byte has
    sparsevec                     bytes, see _sparse_bytes
    numeric                       bytes: sign, exponent, digits, see storage.decimals
    inet, cidr, jsonb             bytes, see storage.indexes.spelt
    ranges and multiranges        bytes: their bounds, see storage.ranges
    arrays                        bytes: elements one after another, each ended; null after all values; of
                                  what is not plain then its shape, so that of two arrays of the same
                                  elements the plain one comes first (not the one that counts from less)
    rows                          bytes: fields one after another, in the same way

A null is a word or string of zeros that is marked in `valid`. Grouping, hashing, joining and sorting
know nothing else of types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage import kernels
from storage.column import Array, Column, Mask, Positions, fields_of
from storage.decimals import decimal_bytes, unit_strings
from storage.indexes.spelt import jsonb_bytes, network_bytes
from storage.lists import bounds_of, items_of
from storage.rowbytes import content_of, same_strings, strings_of
from storage.types import BITS, BPCHAR, CIDR, INET, JSONB, NUMRANGES, SPARSEVEC, UUID, Form, Type

Words = npt.NDArray[np.uint64]

_SIGN = np.uint64(1 << 63)
_DAY = 86_400_000_000
_NULL = np.uint64(0x6E75_6C6C_6B65_7921)


@dataclass(frozen=True, slots=True)
class Key:
    """One comparable array: `words` (uint64) or `strings` (Arrow large_binary), and where it is not null."""

    words: Words | None
    strings: Any  # pa.Array or None
    valid: Mask | None

    def __len__(self) -> int:
        return len(self.words) if self.words is not None else len(self.strings)

    def take(self, rows: Positions) -> Key:
        """The key at these rows."""
        valid = None if self.valid is None else self.valid[rows]
        if self.words is not None:
            return Key(self.words[rows], None, valid)
        return Key(None, self.strings.take(pa.array(rows)), valid)

    def is_valid(self) -> Mask:
        """`valid` written out."""
        return np.ones(len(self), np.bool_) if self.valid is None else self.valid

    @classmethod
    def concat(cls, keys: Sequence[Key]) -> Key:
        """The keys one after another; at least one."""
        if len(keys) == 1:
            return keys[0]
        valid = None
        if any(key.valid is not None for key in keys):
            valid = np.concatenate([key.is_valid() for key in keys])
        if keys[0].words is not None:
            return cls(np.concatenate([key.words for key in keys if key.words is not None]), None, valid)
        return cls(None, pa.concat_arrays([key.strings for key in keys]), valid)


def keys_of(columns: Sequence[Column], rows: int) -> list[Key]:
    """The keys of these columns, written out to `rows` rows."""
    return [key for column in columns for key in column_keys(column.spread(rows))]


def key_count(types: Sequence[Type]) -> int:
    """How many keys columns of these types have."""
    return sum(2 if type.oid == UUID.oid or _is_interval(type) else 1 for type in types)


def column_keys(column: Column) -> list[Key]:
    """The keys of one column, most significant first."""
    type, valid = column.type, column.valid
    match type.form:
        case Form.FIXED:
            return [_cleared(words, valid) for words in _fixed_words(column.values, type)]
        case Form.ROWS if type.oid == UUID.oid:
            halves = np.ascontiguousarray(column.values).view(">u8").astype(np.uint64)
            return [_cleared(halves[:, 0], valid), _cleared(halves[:, 1], valid)]
        case Form.ROWS:
            return [_strings(_row_strings(column.values), valid)]
        case Form.TEXT if type.oid in _SPELT:
            return [_strings(_spelt_strings(column, _SPELT[type.oid]), valid)]
        case Form.TEXT:
            values = column.values
            if type.oid == BPCHAR.oid:
                values = pc.utf8_rtrim(values, " ")
            return [_strings(values.cast(pa.large_binary()), valid)]
        case Form.BYTES if type.is_ragged:
            return [_strings(_vector_strings(column), valid)]
        case Form.BYTES if type.oid in _PACKED:
            make = _PACKED[type.oid]
            items = [b"" if v is None else make(v) for v in column.values.to_pylist()]
            return [_strings(pa.array(items, pa.large_binary()), valid)]
        case Form.BYTES:
            return [_strings(column.values, valid)]
        case Form.DECIMAL if column.units is not None:
            return [_strings(unit_strings(column.units, column.scale), valid)]
        case Form.DECIMAL:
            items = [b"" if v is None else decimal_bytes(v) for v in column.tolist()]
            return [_strings(pa.array(items, pa.large_binary()), valid)]
        case Form.LIST:
            return [_strings(_list_strings(column), valid)]
        case Form.ROW:
            return [_strings(_joined_strings(fields_of(column), len(column)), valid)]


def _is_interval(type: Type) -> bool:
    return type.dtype is not None and type.dtype.names is not None


def _cleared(words: Words, valid: Mask | None) -> Key:
    """A key whose words under nulls are 0, so that nulls are equal."""
    return Key(words if valid is None else np.where(valid, words, np.uint64(0)), None, valid)


def _strings(values: pa.Array, valid: Mask | None) -> Key:
    if values.null_count:
        values = values.fill_null(b"")
    elif valid is not None:
        values = pc.if_else(pa.array(valid), values, pa.scalar(b"", pa.large_binary()))
    return Key(None, values, valid)


def _fixed_words(values: Array, type: Type) -> list[Words]:
    if _is_interval(type):
        return _interval_words(values)
    kind = values.dtype.kind
    if kind == "f":
        return [float_words(values)]
    if kind in "ub":
        return [values.astype(np.uint64)]
    return [values.astype(np.int64).view(np.uint64) ^ _SIGN]


def _interval_words(values: Array) -> list[Words]:
    days, micros = np.divmod(values["micros"].astype(np.int64), _DAY)
    days += values["months"].astype(np.int64) * 30 + values["days"]
    return [days.view(np.uint64) ^ _SIGN, micros.view(np.uint64)]


def float_words(values: Array) -> Words:
    """Floats as words in PostgreSQL's order."""
    doubles = values.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    bits = doubles.view(np.uint64)
    words = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    missing = np.isnan(doubles)
    if missing.any():
        words[missing] = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
    return words


def _row_strings(values: Array) -> pa.Array:
    """(rows, n) as byte strings: of numbers, their words."""
    return strings_of(values if values.dtype == np.uint8 else _element_words(values))


def _element_words(values: Array) -> Array:
    """Elements as words whose bytes have their order."""
    words = (
        float_words(values) if values.dtype.kind == "f" else values.astype(np.int64).view(np.uint64) ^ _SIGN
    )
    return words.astype(">u8")


def _vector_strings(column: Column) -> pa.Array:
    """Vectors of any length as byte strings: by element, then the shorter first."""
    content, spans = content_of(column.values)
    dtype = column.type.dtype
    assert dtype is not None
    words = _element_words(np.ascontiguousarray(content[spans[0] : spans[-1]]).view(dtype))
    offsets = (spans - spans[0]) // dtype.itemsize * 8
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(words)]
    return pa.Array.from_buffers(pa.large_binary(), len(column), buffers)


def _bit_bytes(raw: bytes) -> bytes:
    """Bits in PostgreSQL's order: as bytes, then the shorter first."""
    body = bytearray(2 * len(raw))
    body[0:-2:2] = b"\1" * (len(raw) - 1)
    body[1:-2:2] = raw[:-1]
    body[-1] = 8 - raw[-1]
    return bytes(body)


def _sparse_bytes(raw: bytes) -> bytes:
    """Sparse vectors in pgvector's order, that of the dense ones: by element, then the shorter first.

    A positive element is 2, its place from the end, its word: an earlier one makes the vector greater. A
    negative one is 1, twice its place and one, its word; the end is 1 and twice the dimensions: what comes
    first of a negative element here and an end there is less.
    """
    count = (len(raw) - 4) // 8
    places, values = np.frombuffer(raw, "<i4", count, 4), np.frombuffer(raw, "<f4", count, 4 + 4 * count)
    element = np.dtype([("tag", "u1"), ("place", ">u4"), ("word", ">u8")])
    body = np.empty(count, element)
    wide = places.astype(np.int64)
    body["tag"] = np.where(values > 0, 2, 1)
    body["place"] = np.where(values > 0, 0xFFFF_FFFF - wide, 2 * wide + 1)
    body["word"] = float_words(values)
    return body.tobytes() + b"\1" + (2 * int.from_bytes(raw[:4], "little")).to_bytes(4, "big")


def _spelt_strings(column: Column, make: Callable[[str], bytes]) -> pa.Array:
    """Values that lie as texts as byte strings, each distinct text read once; empty under nulls.

    So is the key of the empty text, which is no value of such a type, but stands under nulls in dictionaries.
    """
    texts = column.values if column.valid is None else pc.if_else(pa.array(column.valid), column.values, None)
    encoded = texts.dictionary_encode()
    known = pa.array(
        [make(text) if text else b"" for text in encoded.dictionary.to_pylist()], pa.large_binary()
    )
    return known.take(encoded.indices)


def _without_scales(raw: bytes) -> bytes:
    """A numrange, or a multirange of such, without what follows its order: see storage.ranges."""
    return raw[: -4 - 4 * int.from_bytes(raw[-4:], "big")]


_SPELT = {INET.oid: network_bytes, CIDR.oid: network_bytes, JSONB.oid: jsonb_bytes}
_PACKED = {
    SPARSEVEC.oid: _sparse_bytes,
    **dict.fromkeys(NUMRANGES, _without_scales),
    **dict.fromkeys(BITS, _bit_bytes),
}


def _list_strings(column: Column) -> pa.Array:
    """Arrays as byte strings: elements in order, escaped and ended, a null after every value."""
    values: pa.Array = items_of(column.values)
    element = column.type.element
    assert element is not None
    flat = values.flatten()
    # 2 stands for a null, 1 begins a value: a null is greater, and the end of the array less than both.
    items = _items(Column.from_arrow(element, flat))
    lengths = np.where(
        values.is_valid().to_numpy(zero_copy_only=False), pc.list_value_length(values).fill_null(0), 0
    )
    result, at = [], 0
    for length in lengths.tolist():
        result.append(b"".join(items[at : at + length]))
        at += length
    bounds = bounds_of(column.values)
    if bounds is not None:
        result = [key + _shape(said) for key, said in zip(result, bounds.to_pylist(), strict=True)]
    return pa.array(result, pa.large_binary())


def _shape(bounds: list[int] | None) -> bytes:
    """What follows the elements of an array that is not plain: 0, dimensions, their lengths and lowers."""
    if not bounds:
        return b""
    numbers = [*bounds[1::2], *bounds[::2]]
    return bytes([0, len(bounds) // 2]) + b"".join((n + 0x8000_0000).to_bytes(4, "big") for n in numbers)


def _joined_strings(fields: Sequence[Column], rows: int) -> pa.Array:
    """Rows as byte strings: see _list_strings."""
    items = [_items(field) for field in fields]
    joined = [b"".join(row) for row in zip(*items, strict=True)] if items else [b""] * rows
    return pa.array(joined, pa.large_binary())


def _items(column: Column) -> list[bytes]:
    """The values of a column, each behind a 1 and ended; 2 for a null, which is greater."""
    parts = [_element_items(key) for key in column_keys(column)]
    there = column.is_valid().tolist()
    return [
        b"\x01" + b"".join(part[row] for part in parts) if ok else b"\x02" for row, ok in enumerate(there)
    ]


def _element_items(key: Key) -> list[bytes]:
    if key.words is not None:
        raw = key.words.astype(">u8").tobytes()
        return [raw[i : i + 8] for i in range(0, len(raw), 8)]
    texts: list[Any] = key.strings.to_pylist()
    return [text.replace(b"\0", b"\0\xff") + b"\0\0" for text in texts]


def same_rows(left: Sequence[Key], left_rows: Positions, right: Sequence[Key], right_rows: Positions) -> Mask:
    """Where the keys at these rows are equal, nulls being equal to each other."""
    mask = np.ones(len(left_rows), np.bool_)
    for a, b in zip(left, right, strict=True):
        if a.words is not None and b.words is not None:
            mask &= a.words[left_rows] == b.words[right_rows]
        else:
            mask &= same_strings(a.strings, left_rows, b.strings, right_rows)
        if a.valid is not None or b.valid is not None:
            mask &= a.is_valid()[left_rows] == b.is_valid()[right_rows]
    return mask


def hash_keys(keys: Sequence[Key], rows: int, salt: int = 0) -> Words:
    """One word a row that equal keys share; the word of a single key stands for itself."""
    if len(keys) == 1 and salt == 0 and keys[0].words is not None:
        return keys[0].words if keys[0].valid is None else np.where(keys[0].valid, keys[0].words, _NULL)
    state = np.full(rows, salt, np.uint64)
    for key in keys:
        words = key.words if key.words is not None else _hash_strings(key.strings, salt)
        if key.valid is not None:
            words = np.where(key.valid, words, _NULL)
        state = kernels.mix_words(state, words, salt)
    return state


def _hash_strings(strings: pa.Array, salt: int) -> Words:
    _, offsets, data = strings.buffers()
    starts = np.frombuffer(offsets, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    text = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return kernels.hash_bytes(starts, text, salt)
