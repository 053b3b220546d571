"""Forms of ranges and multiranges: [1,5), (,2020-01-01), empty, {[1,2),[5,7)}; flags and bounds on the wire.

`made` is PostgreSQL's make_range: bounds must ascend, what holds no value is empty, and ranges of integers
and dates take the form [lower,upper).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.forms.numbers import BLANKS
from engine.forms.style import Style
from engine.forms.times import DATE_HIGH, DATE_LOW
from storage.column import Array, Column, Mask
from storage.errors import (
    DataException,
    DatetimeFieldOverflow,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    ProtocolViolation,
)
from storage.ranges import (
    AT,
    BEFORE,
    BEHIND,
    Spans,
    multirange_column,
    pairs_of,
    places,
    range_column,
    sides,
    spans_of,
    spans_of_pairs,
    subtype_of,
    united,
    values_of,
)
from storage.types import BYTEA, DATE, INT4, INT8, RANGE_OF, SUBTYPES, Type

Write = Callable[[Column, Style], pa.Array]
Read = Callable[[Type, "list[str]", Style], "list[Any]"]

_QUOTED = re.compile(r'[\s()\[\],"\\]')
_LAST = {INT4.oid: 2**31 - 1, INT8.oid: 2**63 - 1, DATE.oid: 2145031948}
_TOO_FAR = {INT4.oid: "integer out of range", INT8.oid: "bigint out of range"}
_EMPTY, _LOWER_IN, _UPPER_IN, _LOWER_OFF, _UPPER_OFF = 1, 2, 4, 8, 16


def made(lower: Column, upper: Column, lower_in: Mask, upper_in: Mask, empty: Mask | None = None) -> Spans:
    """Ranges from their bounds, null where there is none, and whether these belong to them.

    Raises DataException for bounds that do not ascend, NumericValueOutOfRange.
    """
    subtype = lower.type
    there = lower.is_valid() & upper.is_valid()
    middle = np.full(len(lower), AT, np.uint8)
    low, high = places(lower, middle, 0), places(upper, middle, 2)
    nothing = np.zeros(len(lower), np.bool_) if empty is None else empty
    wrong = (there & ~nothing & np.asarray(low > high, np.bool_)).any()
    if wrong:
        raise DataException("range lower bound must be less than or equal to range upper bound")
    nothing = nothing | (there & np.asarray(low == high, np.bool_) & ~(lower_in & upper_in))
    if subtype.oid in _LAST:
        lower, lower_in = _stepped(lower, ~lower_in & ~nothing, True, lower_in)
        upper, upper_in = _stepped(upper, upper_in & ~nothing, False, upper_in)
    low = places(lower, np.where(lower_in, AT, BEHIND).astype(np.uint8), 0)
    high = places(upper, np.where(upper_in, AT, BEFORE).astype(np.uint8), 2)
    nothing = nothing | np.asarray(low > high, np.bool_)
    return Spans(subtype, nothing, low, high)


def _stepped(bounds: Column, moved: Mask, inside: bool, before: Mask) -> tuple[Column, Mask]:
    """Bounds of a type whose values have a next one, moved to it; and whether each belongs to its range."""
    values = bounds.values.astype(np.int64)
    moved = moved & bounds.is_valid()
    if bounds.type.oid == DATE.oid:
        moved = moved & (values != DATE_LOW) & (values != DATE_HIGH)
    if (values[moved] == _LAST[bounds.type.oid]).any():
        if bounds.type.oid == DATE.oid:
            raise DatetimeFieldOverflow("date out of range")
        raise NumericValueOutOfRange(_TOO_FAR[bounds.type.oid])
    values = np.where(moved, values + moved, values)
    return Column(bounds.type, values.astype(bounds.type.dtype), bounds.valid), np.where(
        moved, inside, before
    )


@dataclass(frozen=True, slots=True)
class _Text:
    """A range as it is written: the texts of its bounds, None where there is none."""

    lower: str | None = None
    upper: str | None = None
    lower_in: bool = False
    upper_in: bool = False
    empty: bool = False


def _malformed(text: str, detail: str) -> InvalidTextRepresentation:
    return InvalidTextRepresentation(f'malformed range literal: "{text}"', detail=detail)


def _split(text: str) -> _Text:
    """Raises InvalidTextRepresentation."""
    word = text.lstrip(BLANKS)
    if word[:5].lower() == "empty":
        if word[5:].strip(BLANKS):
            raise _malformed(text, 'Junk after "empty" key word.')
        return _Text(empty=True)
    if word[:1] not in ("(", "["):
        raise _malformed(text, "Missing left parenthesis or bracket.")
    lower, at = _bound(text, word, 1)
    if word[at] != ",":
        raise _malformed(text, "Missing comma after lower bound.")
    upper, at = _bound(text, word, at + 1)
    if word[at] == ",":
        raise _malformed(text, "Too many commas.")
    if word[at + 1 :].strip(BLANKS):
        raise _malformed(text, "Junk after right parenthesis or bracket.")
    return _Text(lower, upper, word[0] == "[", word[at] == "]")


def _bound(text: str, word: str, at: int) -> tuple[str | None, int]:
    """(the text of a bound, None where there is nothing, and where the mark behind it stands)."""
    start, inside = at, False
    found: list[str] = []
    while at < len(word) and (inside or word[at] not in ",)]"):
        letter = word[at]
        if letter == "\\":
            at += 1
            if at == len(word):
                break
            found.append(word[at])
        elif letter == '"' and inside and word[at + 1 : at + 2] == '"':
            at += 1
            found.append('"')
        elif letter == '"':
            inside = not inside
        else:
            found.append(letter)
        at += 1
    if at >= len(word):
        raise _malformed(text, "Unexpected end of input.")
    return (None if at == start else "".join(found)), at


def _spans(type: Type, written: Sequence[_Text], style: Style, read: Read) -> Spans:
    """The ranges of these texts; `read` is the input function of the bounds."""
    subtype = subtype_of(type)

    def values(texts: list[str | None]) -> Column:
        found = iter(read(subtype, [text for text in texts if text is not None], style))
        return Column.of(subtype, [None if text is None else next(found) for text in texts])

    lower, upper = values([w.lower for w in written]), values([w.upper for w in written])
    lower_in = np.array([w.lower_in for w in written], np.bool_)
    upper_in = np.array([w.upper_in for w in written], np.bool_)
    return made(lower, upper, lower_in, upper_in, np.array([w.empty for w in written], np.bool_))


def read_range(type: Type, texts: list[str], style: Style, read: Read) -> list[bytes]:
    """Raises what PostgreSQL's input functions raise."""
    spans = _spans(type, [_split(text) for text in texts], style, read)
    items: list[bytes] = range_column(type, spans).values.to_pylist()
    return items


def _bad(text: str, detail: str) -> InvalidTextRepresentation:
    return InvalidTextRepresentation(f'malformed multirange literal: "{text}"', detail=detail)


def _parts(text: str) -> list[_Text]:
    """The ranges of a multirange. Raises InvalidTextRepresentation."""
    at = len(text) - len(text.lstrip(BLANKS))
    if text[at : at + 1] != "{":
        raise _bad(text, "Missing left brace.")
    at += 1
    found: list[_Text] = []
    comma = False
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(BLANKS))
        mark = text[at : at + 1]
        if not mark:
            raise _bad(text, "Unexpected end of input.")
        if mark == "}" and not comma:
            break
        if found and not comma:
            if mark != ",":
                raise _bad(text, "Expected comma or end of multirange.")
            at, comma = at + 1, True
            continue
        if text[at : at + 5].lower() == "empty":
            end = at + 5
        elif mark in "[(":
            end = _range_end(text, at + 1)
        else:
            raise _bad(text, "Expected range start.")
        found.append(_split(text[at:end]))
        at, comma = end, False
    if text[at + 1 :].strip(BLANKS):
        raise _bad(text, "Junk after closing right brace.")
    return found


def _range_end(text: str, at: int) -> int:
    """Behind the mark that closes a range in a multirange."""
    inside = False
    while at < len(text) and (inside or text[at] not in ")]"):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            inside = not inside
        at += 1
    if at >= len(text):
        raise _bad(text, "Unexpected end of input.")
    return at + 1


def read_multirange(type: Type, texts: list[str], style: Style, read: Read) -> list[bytes]:
    """Ranges in braces, in any order; those that meet or overlap become one."""
    parts = [_parts(text) for text in texts]
    flat = _spans(RANGE_OF[type.oid], [part for row in parts for part in row], style, read)
    pairs = iter(pairs_of(range_column(RANGE_OF[type.oid], flat)))
    rows = [united([pair for _ in row for pair in next(pairs)]) for row in parts]
    items: list[bytes] = multirange_column(type, rows).values.to_pylist()
    return items


def _texts(spans: Spans, style: Style, write: Write) -> list[str]:
    lower = write(values_of(spans.subtype, spans.lower), style).to_pylist()
    upper = write(values_of(spans.subtype, spans.upper), style).to_pylist()
    opens, closes = (sides(spans.lower) == AT).tolist(), (sides(spans.upper) == AT).tolist()
    rows = zip(spans.empty.tolist(), opens, lower, upper, closes, strict=True)
    return [
        "empty"
        if empty
        else f"{'[' if first and low is not None else '('}{_shown(low)},"
        f"{_shown(high)}{']' if last and high is not None else ')'}"
        for empty, first, low, high, last in rows
    ]


def _shown(text: str | None) -> str:
    if text is None:
        return ""
    if text and not _QUOTED.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


def write_range(column: Column, style: Style, write: Write) -> pa.Array:
    """See above; `write` is the output function of the bounds."""
    texts = _texts(spans_of(column), style, write)
    mask = None if column.valid is None else ~column.valid
    return pa.array(texts, pa.large_string(), mask=mask)


def write_multirange(column: Column, style: Style, write: Write) -> pa.Array:
    """See above."""
    rows = pairs_of(column)
    flat = spans_of_pairs(subtype_of(column.type), [pair for row in rows for pair in row])
    texts = iter(_texts(flat, style, write))
    shown = ["{" + ",".join(next(texts) for _ in row) + "}" for row in rows]
    mask = None if column.valid is None else ~column.valid
    return pa.array(shown, pa.large_string(), mask=mask)


Send = Callable[[Column], Column]
Receive = Callable[[Type, Column], Column]


def write_wire(column: Column, send: Send) -> Column:
    """The wire form of ranges and multiranges; `send` is that of their bounds."""
    valid = column.is_valid().tolist()
    if column.type.oid in SUBTYPES:
        items = _sent(spans_of(column), send)
    else:
        rows = pairs_of(column)
        flat = spans_of_pairs(subtype_of(column.type), [pair for row in rows for pair in row])
        sent = iter(_sent(flat, send))
        items = []
        for row in rows:
            parts = [next(sent) for _ in row]
            items.append(struct.pack(">i", len(row)) + b"".join(map(_counted, parts)))
    shown = [item if ok else None for item, ok in zip(items, valid, strict=True)]
    return Column(BYTEA, pa.array(shown, pa.large_binary()))


def _counted(item: bytes) -> bytes:
    return struct.pack(">i", len(item)) + item


def _sent(spans: Spans, send: Send) -> list[bytes]:
    lower = send(values_of(spans.subtype, spans.lower)).values.to_pylist()
    upper = send(values_of(spans.subtype, spans.upper)).values.to_pylist()
    opens, closes = (sides(spans.lower) == AT).tolist(), (sides(spans.upper) == AT).tolist()
    items = []
    for empty, low, high, first, last in zip(spans.empty.tolist(), lower, upper, opens, closes, strict=True):
        if empty:
            items.append(bytes((_EMPTY,)))
            continue
        flags = (_LOWER_OFF if low is None else _LOWER_IN * first) | (
            _UPPER_OFF if high is None else _UPPER_IN * last
        )
        items.append(bytes((flags,)) + b"".join(_counted(item) for item in (low, high) if item is not None))
    return items


def read_wire(type: Type, column: Column, receive: Receive, excess: str) -> Column:
    """The inverse of `write_wire`. Raises ProtocolViolation, InvalidBinaryRepresentation."""
    items = column.values.to_pylist()
    if type.oid in SUBTYPES:
        spans = _received(type, [b"\1" if item is None else item for item in items], receive, excess)
        return range_column(type, spans, column.valid)
    parts = [[] if item is None else _ranges(item, excess) for item in items]
    inner = RANGE_OF[type.oid]
    flat = _received(inner, [part for row in parts for part in row], receive, excess)
    pairs = iter(pairs_of(range_column(inner, flat)))
    rows = [
        None if item is None else united([pair for _ in row for pair in next(pairs)])
        for item, row in zip(items, parts, strict=True)
    ]
    return multirange_column(type, rows)


def _cut_off() -> ProtocolViolation:
    return ProtocolViolation("insufficient data left in message")


def _field(item: bytes, at: int) -> tuple[bytes, int]:
    """A part behind its length, and where it ends."""
    if len(item) < at + 4:
        raise _cut_off()
    (length,) = struct.unpack_from(">i", item, at)
    if length < 0 or len(item) < at + 4 + length:
        raise _cut_off()
    return item[at + 4 : at + 4 + length], at + 4 + length


def _ranges(item: bytes, excess: str) -> list[bytes]:
    if len(item) < 4:
        raise _cut_off()
    (count,) = struct.unpack_from(">I", item)
    at, found = 4, []
    for _ in range(count):
        part, at = _field(item, at)
        found.append(part)
    if at != len(item):
        raise InvalidBinaryRepresentation(excess)
    return found


def _received(type: Type, items: Sequence[bytes], receive: Receive, excess: str) -> Spans:
    subtype = subtype_of(type)
    flags: list[int] = []
    bounds: tuple[list[bytes | None], list[bytes | None]] = ([], [])
    for item in items:
        if not item:
            raise ProtocolViolation("no data left in message")
        at = 1
        flags.append(item[0])
        for side, off in zip(bounds, (_LOWER_OFF, _UPPER_OFF), strict=True):
            part: bytes | None = None
            if not item[0] & (_EMPTY | off):
                part, at = _field(item, at)
            side.append(part)
        if at != len(item):
            raise InvalidBinaryRepresentation(excess)
    lower, upper = (receive(subtype, Column(BYTEA, pa.array(side, pa.large_binary()))) for side in bounds)
    marks: Array = np.array(flags, np.uint8)
    return made(lower, upper, (marks & _LOWER_IN) != 0, (marks & _UPPER_IN) != 0, (marks & _EMPTY) != 0)
