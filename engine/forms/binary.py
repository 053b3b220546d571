"""The wire's binary forms, big-endian, without the length in front.

Fixed-width types are one byte swap of the whole column. `(rows, width)` uint8 arrays stand for columns of
fixed width until they become Arrow's large_binary.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from engine.bylength import by_length
from engine.forms import bits, counters, hardware, network, ranges, records, sparse, times, vectors
from engine.forms.numbers import fitted, spans
from engine.forms.texts import width_error
from engine.forms.utf8 import decoded
from engine.lists import MOST_ELEMENTS, bounds, check_dimensions, count, first_of, lists
from engine.wordnumerics import WordNumerics
from storage import kernels
from storage.column import Column
from storage.errors import (
    DatatypeMismatch,
    InternalError,
    InvalidBinaryRepresentation,
    ProgramLimitExceeded,
    ProtocolViolation,
)
from storage.lists import Bounds, shaped
from storage.numericunits import is_narrow
from storage.rowbytes import content_of, strings_of
from storage.types import (
    BITS,
    BOOL,
    BY_OID,
    BYTEA,
    CIDR,
    INET,
    JSONB,
    JSONPATH,
    MACADDR,
    MACADDR8,
    PG_LSN,
    SPARSEVEC,
    TID,
    TIMETZ,
    UUID,
    VECTORS,
    XID8,
    Form,
    Type,
    numeric_modifier,
)

Receive = Callable[[Type, Column], Column]
_NULL = b"\xff\xff\xff\xff"
_SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_MAX_SCALE = 0x3FFF
EXCESS = "incorrect binary data format"
# (write, read) of what lies in a column in a packing of its own
_PACKED: dict[int, tuple[Callable[[Any], bytes], Callable[[Type, bytes, str], Any]]] = {
    INET.oid: (partial(network.write_wire, cidr=False), network.read_wire),
    CIDR.oid: (partial(network.write_wire, cidr=True), network.read_wire),
    SPARSEVEC.oid: (sparse.write_wire, sparse.read_wire),
    **dict.fromkeys(BITS, (bits.write_wire, bits.read_wire)),
}
# text behind the number of its version; what stands in an error before a number that is not 1
_VERSIONED = {JSONB.oid: "", JSONPATH.oid: ":"}
_ADDRESSES = {type.oid: np.dtype(("u1", hardware.WIDTHS[type.name])) for type in (MACADDR, MACADDR8, TID)}
_COUNTERS = frozenset((PG_LSN.oid, XID8.oid))
_INTERVAL = np.dtype([("micros", ">i8"), ("days", ">i4"), ("months", ">i4")])


def _bytes_of(rows: Any, valid: Any) -> Column:
    """(n, width) uint8 as bytea."""
    return Column(BYTEA, strings_of(rows, valid))


def wire_dtype(type: Type) -> np.dtype[Any] | None:
    """The big-endian dtype of a fixed-width type's wire form; None for types of other shapes."""
    if type.form is not Form.FIXED or type.dtype is None or type.is_enum:
        return None
    if type.oid == TIMETZ.oid:
        return times.WIRE_TIMETZ
    if type.oid in _ADDRESSES:
        return _ADDRESSES[type.oid]
    return _INTERVAL if type.dtype.names else type.dtype.newbyteorder(">")


def fixed_rows(column: Column) -> Any:
    """(rows, width) uint8 of a FIXED, binary, uuid or vector column's wire form; None for others."""
    if column.type.form not in (Form.FIXED, Form.ROWS):
        return None  # before its values are asked for: they may have to be made
    dtype = wire_dtype(column.type)
    values = column.values
    if dtype is not None:
        if column.type.oid in _ADDRESSES:
            return hardware.write_wire(column.type, values)
        if column.type.oid in _COUNTERS:
            return counters.write_wire(values)
        if column.type.oid == TIMETZ.oid:
            swapped = times.write_wire(values)
        elif dtype.names:
            swapped = np.empty(len(values), dtype)
            for name in dtype.names:
                swapped[name] = values[name]
        else:
            swapped = np.ascontiguousarray(values).astype(dtype)
        return swapped.reshape(len(values), 1).view(np.uint8)
    return vectors.write_wire(values) if column.type.oid in VECTORS else values


def write(column: Column) -> Column:
    """A column's wire form as bytea; nulls stay null."""
    rows = fixed_rows(column)
    if rows is not None:
        return _bytes_of(rows, column.valid)
    if column.type.is_ragged:
        return by_length(lambda vectors: write(vectors), [column])
    if column.type.category == "R":
        return ranges.write_wire(column, write)
    packed = _PACKED.get(column.type.oid)
    if packed is not None:
        items = [None if item is None else packed[0](item) for item in column.values.to_pylist()]
        return Column(BYTEA, pa.array(items, pa.large_binary()))
    match column.type.form:
        case Form.BYTES:
            return column.retype(BYTEA)
        case Form.TEXT:
            raw = column.values.cast(pa.large_binary())
            if column.type.oid in _VERSIONED:
                raw = pa.array(
                    [None if v is None else b"\x01" + v for v in raw.to_pylist()], pa.large_binary()
                )
            return Column(BYTEA, raw)
        case Form.DECIMAL if column.units is not None:
            return Column(
                BYTEA,
                spans(pa.large_binary(), *kernels.unit_fields(column.units, column.scale), column.valid),
            )
        case Form.DECIMAL if isinstance(column, WordNumerics):
            return Column(
                BYTEA,
                spans(pa.large_binary(), *kernels.word_fields(column.words, column.scales), column.valid),
            )
        case Form.DECIMAL:
            numerics = [None if v is None else numeric_bytes(v) for v in column.tolist()]
            return Column(BYTEA, pa.array(numerics, pa.large_binary()))
        case Form.ROW:
            return Column(BYTEA, records.write_wire(column, write))
        case _:
            return Column(BYTEA, pa.array(_write_arrays(column), pa.large_binary()))


def _write_arrays(column: Column) -> list[bytes | None]:
    element = column.type.element
    assert element is not None
    offsets, elements = lists(column)
    packed, ends = write(elements).values.to_pylist(), offsets.tolist()
    out: list[bytes | None] = []
    for row, (ok, said) in enumerate(zip(column.is_valid().tolist(), bounds(column), strict=True)):
        if not ok:
            out.append(None)
            continue
        items = packed[ends[row] : ends[row + 1]]
        head = struct.pack(">iiI", len(said) // 2, int(None in items), element.wire_oid)
        sides = [struct.pack(">ii", said[at + 1], said[at]) for at in range(0, len(said), 2)]
        body = [
            b"\xff\xff\xff\xff" if item is None else struct.pack(">i", len(item)) + item for item in items
        ]
        out.append(head + b"".join(sides + body))
    return out


def _cut() -> ProtocolViolation:
    return ProtocolViolation("insufficient data left in message")


def read(type: Type, column: Column, excess: str = EXCESS, receive: Receive | None = None) -> Column:
    """The inverse of `write`. Raises ProtocolViolation for what is cut off, InvalidBinaryRepresentation
    (in the words `excess` for what goes on behind its end), or what the type's input raises.

    `receive` reads elements and fields in place of this."""
    within = receive or (lambda type, column: read(type, column, excess))
    dtype = wire_dtype(type)
    valid = column.valid
    if dtype is not None:
        return _fixed(type, dtype, _joined(type, column, dtype.itemsize, excess), valid)
    if type.category == "R":
        return ranges.read_wire(type, column, read, excess)
    packed = _PACKED.get(type.oid)
    if packed is not None:
        unpack = packed[1]
        return Column.of(
            type, [None if v is None else unpack(type, v, excess) for v in column.values.to_pylist()]
        )
    match type.form:
        case Form.TEXT:
            return _read_text(type, column)
        case Form.BYTES if type.is_ragged:
            return _read_rows(type, column, excess)
        case Form.BYTES:
            return column.retype(type)
        case Form.ROWS:
            return _read_rows(type, column, excess)
        case Form.DECIMAL:
            return _read_numerics(type, column, excess)
        case Form.ROW:
            return records.read_wire(type, column, excess, within)
        case _:
            parse = _array_reader(type, excess, within)
            return Column.of(type, [None if v is None else parse(v) for v in column.values.to_pylist()])


def read_rows(type: Type, rows: Any) -> Column | None:
    """A column of (rows, width) uint8, the wire forms of values of one width, without nulls.

    None where the type's values have no such form, or where one is not as it should be: ask `read`.
    """
    dtype, width = wire_dtype(type), rows.shape[1]
    if dtype is not None:
        return _fixed(type, dtype, np.ascontiguousarray(rows), None) if width == dtype.itemsize else None
    if type.oid in VECTORS:
        return vectors.read_wire_rows(type, rows)
    if type.form is not Form.ROWS or (type.width >= 0 and width != type.width):
        return None
    return Column(type, np.ascontiguousarray(rows))


def _fixed(type: Type, dtype: np.dtype[Any], rows: Any, valid: Any) -> Column:
    """A FIXED column of (rows, width) contiguous wire forms."""
    if type.oid == BOOL.oid:
        return Column(type, rows.reshape(-1) != 0, valid)
    if type.oid in _ADDRESSES:
        return Column(type, hardware.read_wire(type, rows), valid)
    if type.oid in _COUNTERS:
        return Column(type, counters.read_wire(rows), valid)
    raw = rows.reshape(-1).view(dtype)
    if type.oid == TIMETZ.oid:
        return Column(type, times.read_wire(raw, type.modifier), valid)
    assert type.dtype is not None
    if not dtype.names:
        return Column(type, raw.astype(type.dtype), valid)
    values = np.empty(len(raw), type.dtype)
    for name in dtype.names:
        values[name] = raw[name]
    return Column(type, values, valid)


def _joined(type: Type, column: Column, width: int, excess: str) -> Any:
    """(rows, width) uint8, each value checked to have that width; zeros under nulls."""
    values = column.values
    content, spans = content_of(values)
    there = column.is_valid()
    lengths = np.diff(spans)[there]
    wrong = lengths[lengths != width]
    if len(wrong) and wrong[0] > width:
        raise InvalidBinaryRepresentation(excess)
    if len(wrong):
        raise ProtocolViolation("no data left in message") if type.oid == BOOL.oid else _cut()
    if there.all():
        return content[spans[0] : spans[-1]].reshape(len(values), width)
    rows = np.zeros((len(values), width), np.uint8)
    rows[there] = content[spans[:-1][there][:, None] + np.arange(width)]
    return rows


def _read_text(type: Type, column: Column) -> Column:
    values = column.values
    if type.oid in _VERSIONED:
        items = values.to_pylist()
        for item in items:
            if item == b"":
                raise _cut()
            if item is not None and item[0] != 1:
                raise InternalError(f"unsupported {type.name} version number{_VERSIONED[type.oid]} {item[0]}")
        values = pa.array([None if item is None else item[1:] for item in items], pa.large_binary())
    try:
        texts = values.cast(pa.large_string())
    except pa.ArrowInvalid:
        texts = pa.array([None if v is None else decoded(v) for v in values.to_pylist()], pa.large_string())
    content, spans = content_of(values)
    if not content[spans[0] : spans[-1]].all():
        for item in values.to_pylist():
            if item is not None:
                decoded(item)  # raises for a zero byte
    return Column(type, texts)


def _read_rows(type: Type, column: Column, excess: str) -> Column:
    if type.oid in VECTORS:
        items = column.values.to_pylist()
        return Column.of(type, [None if v is None else vectors.read_wire(type, v, excess) for v in items])
    lengths = np.diff(content_of(column.values)[1])[column.is_valid()]
    width = type.width if type.width >= 0 else int(lengths[0]) if len(lengths) else 0
    wrong = lengths[lengths != width]
    if len(wrong) and type.oid != UUID.oid:
        raise width_error(type.of(width), int(wrong[0]))
    return Column(type, _joined(type, column, width, excess), column.valid)


def numeric_bytes(value: Decimal) -> bytes:
    """numeric's wire form: digits in base 10000, the weight of the first, sign, display scale."""
    if value.is_nan():
        return struct.pack(">HhHH", 0, 0, 0xC000, 0)
    if value.is_infinite():
        return struct.pack(">HhHH", 0, 0, 0xF000 if value < 0 else 0xD000, 32)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    scale = max(-exponent, 0)
    text = "".join(map(str, digits)) + "0" * max(exponent, 0)
    text += "0" * (-scale % 4)
    text = text.rjust(-(-len(text) // 4) * 4, "0")
    groups = [int(text[at : at + 4]) for at in range(0, len(text), 4)]
    weight = len(groups) - (scale + 3) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    if not groups:
        sign, weight = 0, 0
    return struct.pack(f">HhHH{len(groups)}H", len(groups), weight, 0x4000 * sign, scale, *groups)


def numeric_of(item: bytes, excess: str = EXCESS) -> Decimal:
    """The inverse of numeric_bytes. Raises ProtocolViolation, InvalidBinaryRepresentation."""
    if len(item) < 8:
        raise _cut()
    count, weight, sign, scale = struct.unpack_from(">HhHH", item)
    special = _SPECIAL.get(sign)
    if special is None and sign not in (0, 0x4000):
        raise InvalidBinaryRepresentation('invalid sign in external "numeric" value')
    if scale > _MAX_SCALE:
        raise InvalidBinaryRepresentation('invalid scale in external "numeric" value')
    if len(item) < 8 + 2 * count:
        raise _cut()
    groups = struct.unpack_from(f">{count}H", item, 8)
    if any(group > 9999 for group in groups):
        raise InvalidBinaryRepresentation('invalid digit in external "numeric" value')
    if len(item) > 8 + 2 * count:
        raise InvalidBinaryRepresentation(excess)
    if special is not None:
        return Decimal(special)
    # the point stands behind group `weight`: zeros fill what is left out on either side
    digits = "".join(f"{group:04d}" for group in groups)
    before = 4 * (weight + 1)
    if before <= 0:
        whole, fraction = "0", "0" * -before + digits
    else:
        whole, fraction = digits[:before].ljust(before, "0"), digits[before:]
    fraction = fraction[:scale].ljust(scale, "0")
    return Decimal(f"{'-' if sign else ''}{whole}{'.' if scale else ''}{fraction}")


def _read_numerics(type: Type, column: Column, excess: str) -> Column:
    """Numerics, of numeric(p, s) rounded to it."""
    if not is_narrow(type):
        return Column.of(type, [_numeric(type, v, excess) for v in column.values.to_pylist()])
    precision, scale = numeric_modifier(type)
    content, offsets = content_of(column.values)
    lengths = np.where(column.is_valid(), np.diff(offsets), -1)
    units, odd = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.bool_)
    starts = np.ascontiguousarray(offsets[:-1])
    if kernels.parse_fields(content, starts, lengths, precision, scale, units, odd):
        rest = Column.of(type, [_numeric(type, v, excess) for v in column.take(odd).values.to_pylist()])
        if rest.units is None:  # NaN
            return Column.of(type, [_numeric(type, v, excess) for v in column.values.to_pylist()])
        units[odd] = rest.units
    return Column.scaled(type, units, scale, column.valid)


def _numeric(type: Type, item: bytes | None, excess: str) -> Decimal | None:
    if item is None:
        return None
    value = numeric_of(item, excess)
    return value if type.modifier == -1 else fitted(type, value)


def _array_reader(type: Type, excess: str, receive: Receive) -> Callable[[bytes], list[Any]]:
    element = type.element
    assert element is not None

    def parse(item: bytes) -> list[Any]:
        try:
            parts, said, end = _parts(item, element)
        except struct.error:
            raise _cut() from None
        if end != len(item):
            raise InvalidBinaryRepresentation(excess)
        column = receive(element, Column(BYTEA, pa.array(parts, pa.large_binary())))
        return shaped(column.to_arrow().to_pylist(), said, first_of(type))

    return parse


def _parts(item: bytes, element: Type) -> tuple[list[bytes | None], Bounds, int]:
    """(the elements' forms, the bounds, where they end). Raises struct.error for an item that is cut off."""
    dimensions, flags, oid = struct.unpack_from(">iiI", item)
    if dimensions < 0:
        raise InvalidBinaryRepresentation(f"invalid number of dimensions: {dimensions}")
    check_dimensions(dimensions)
    if flags not in (0, 1):
        raise InvalidBinaryRepresentation("invalid array flags")
    sent = BY_OID.get(oid, element)
    if sent.form is not element.form or (sent.wire_oid != element.wire_oid and sent.size != element.size):
        raise DatatypeMismatch(
            f"binary data has array element type {oid} ({sent}) instead of expected {element.oid} ({element})"
        )
    sides = struct.unpack_from(f">{2 * dimensions}i", item, 12)
    if any(size < 0 for size in sides[::2]):
        raise ProgramLimitExceeded(f"array size exceeds the maximum allowed ({MOST_ELEMENTS})")
    said = tuple(side for at in range(0, len(sides), 2) for side in (sides[at + 1], sides[at]))
    parts: list[bytes | None] = []
    at = 12 + 8 * dimensions
    for _ in range(count(said)):
        (length,) = struct.unpack_from(">i", item, at)
        at += 4
        if length > len(item) - at or length < -1:
            raise InvalidBinaryRepresentation("insufficient data left in message")
        parts.append(None if length == -1 else item[at : at + length])
        at += max(length, 0)
    return parts, said, at
