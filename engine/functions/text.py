"""Text functions: case, length, parts, padding, trimming, and || of texts.

Positions and lengths count characters. What Arrow computes as PostgreSQL does runs there; the rest goes
row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.casts import convert
from engine.functions.compare import truth
from engine.functions.registry import operator, scalar
from engine.run import Run
from storage.column import Column
from storage.errors import InvalidParameterValue, NumericValueOutOfRange, ProgramLimitExceeded, SubstringError
from storage.types import (
    ANYNONARRAY,
    BOOL,
    BPCHAR,
    BYTEA,
    INT4,
    NAME,
    TEXT,
    Type,
)

_MAX_BYTES = 1 << 30
_LOWEST, _HIGHEST = -(1 << 31), (1 << 31) - 1


def each(function: Callable[..., Any], *columns: Column, type: Type = TEXT) -> Column:
    """`function` over the rows of the columns, which have no nulls; None comes out as null."""
    return Column.of(type, [function(*row) for row in zip(*(c.tolist() for c in columns), strict=True)])


def _arrow(function: Callable[[pa.Array], pa.Array], type: Type) -> Callable[[Column], Column]:
    def apply(column: Column) -> Column:
        return Column.from_arrow(type, function(column.values))

    return apply


def _upper(values: pa.Array) -> pa.Array:
    """Capital letters, for which ß has none of its own in C libraries, as it has in Arrow."""
    if not pc.any(pc.match_substring(values, "ß")).as_py():
        return pc.utf8_upper(values)
    parts = pc.split_pattern(values, "ß")
    upper = pc.utf8_upper(parts.flatten())
    return pc.binary_join(pa.ListArray.from_arrays(parts.offsets, upper), pa.scalar("ß", values.type))


scalar("lower", [TEXT], TEXT, total=True)(_arrow(pc.utf8_lower, TEXT))
scalar("upper", [TEXT], TEXT, total=True)(_arrow(_upper, TEXT))
scalar("reverse", [TEXT], TEXT, total=True)(_arrow(pc.utf8_reverse, TEXT))
for _name in ("length", "char_length", "character_length"):
    scalar(_name, [TEXT], INT4, total=True)(_arrow(pc.utf8_length, INT4))
    scalar(_name, [BPCHAR], INT4, total=True)(
        _arrow(lambda values: pc.utf8_length(pc.utf8_rtrim(values, " ")), INT4)
    )
scalar("length", [BYTEA], INT4, total=True)(_arrow(pc.binary_length, INT4))
for _type in (TEXT, BPCHAR, BYTEA):
    scalar("octet_length", [_type], INT4, total=True)(_arrow(pc.binary_length, INT4))
scalar("bit_length", [TEXT], INT4, total=True)(_arrow(lambda v: pc.multiply(pc.binary_length(v), 8), INT4))
scalar("bit_length", [BYTEA], INT4, total=True)(_arrow(lambda v: pc.multiply(pc.binary_length(v), 8), INT4))


def _joined(left: Column, right: Column, type: Type) -> Column:
    empty = pa.scalar("" if type is TEXT else b"", left.values.type)
    return Column(type, pc.binary_join_element_wise(left.values, right.values, empty))


@operator("||", [TEXT, TEXT], TEXT, total=True)
@scalar("textcat", [TEXT, TEXT], TEXT, total=True)
def text_concat(left: Column, right: Column) -> Column:
    """The texts one behind the other."""
    return _joined(left, right, TEXT)


@operator("||", [BYTEA, BYTEA], BYTEA, total=True)
def bytes_concat(left: Column, right: Column) -> Column:
    """The bytes one behind the other."""
    return _joined(left, right, BYTEA)


@operator("||", [TEXT, ANYNONARRAY], TEXT, volatility="s", run=True)
def text_and_other(left: Column, right: Column, run: Run) -> Column:
    """A text and another value's text."""
    return _joined(left, convert(right, TEXT, run), TEXT)


@operator("||", [ANYNONARRAY, TEXT], TEXT, volatility="s", run=True)
def other_and_text(left: Column, right: Column, run: Run) -> Column:
    """Another value's text and a text."""
    return _joined(convert(left, TEXT, run), right, TEXT)


@scalar("initcap", [TEXT], TEXT)
def initcap(column: Column) -> Column:
    """Each word with a capital first letter; words are letters and digits."""
    return each(_initcap, column)


def _initcap(text: str) -> str:
    out, inside = [], False
    for letter in text:
        turned = letter.lower() if inside else letter.upper()
        out.append(turned if len(turned) == 1 else letter)
        inside = letter.isalnum()
    return "".join(out)


def _slice(text: Any, start: int, length: int | None) -> Any:
    first = start - 1
    if length is None:
        return text[max(first, 0) :]
    return text[max(first, 0) : max(first + length, 0)]


def _check_length(lengths: Column) -> None:
    if len(lengths) and lengths.values.min() < 0:
        raise SubstringError("negative substring length not allowed")


for _name in ("substring", "substr"):

    @scalar(_name, [TEXT, INT4], TEXT, constants=True)
    def substring_from(column: Column, start: Column) -> Column:
        """The text from a position on, counted from 1."""
        if start.constant:
            first = max(int(start.values[0]) - 1, 0)
            values = pc.utf8_slice_codeunits(column.values, first)
            return Column(TEXT, values, constant=column.constant)
        column = column.spread(len(start))
        return each(lambda t, s: _slice(t, s, None), column, start)

    @scalar(_name, [TEXT, INT4, INT4], TEXT, constants=True)
    def substring(column: Column, start: Column, length: Column) -> Column:
        """So many characters from a position on, counted from 1."""
        _check_length(length)
        if start.constant and length.constant:
            first = int(start.values[0]) - 1
            stop = max(first + int(length.values[0]), 0)
            values = pc.utf8_slice_codeunits(column.values, max(first, 0), max(stop, max(first, 0)))
            return Column(TEXT, values, constant=column.constant)
        rows = max(len(column), len(start), len(length))
        return each(_slice, column.spread(rows), start.spread(rows), length.spread(rows))

    @scalar(_name, [BYTEA, INT4], BYTEA)
    def bytes_from(column: Column, start: Column) -> Column:
        """The bytes from a position on, counted from 1."""
        return each(lambda t, s: _slice(t, s, None), column, start, type=BYTEA)

    @scalar(_name, [BYTEA, INT4, INT4], BYTEA)
    def bytes_slice(column: Column, start: Column, length: Column) -> Column:
        """So many bytes from a position on, counted from 1."""
        _check_length(length)
        return each(_slice, column, start, length, type=BYTEA)


@scalar("left", [TEXT, INT4], TEXT)
def left(column: Column, count: Column) -> Column:
    """The first characters; with a negative count, all but the last."""
    return each(lambda t, n: t[:n], column, count)


@scalar("right", [TEXT, INT4], TEXT)
def right(column: Column, count: Column) -> Column:
    """The last characters; with a negative count, all but the first."""
    return each(lambda t, n: t[-n:] if n and n != _LOWEST else t if n else "", column, count)


def _limited(length: int) -> int:
    if length > _MAX_BYTES:
        raise ProgramLimitExceeded("requested length too large")
    return max(length, 0)


def _lpad(text: str, length: int, fill: str = " ") -> str:
    length = _limited(length)
    missing = length - len(text)
    if missing <= 0 or not fill:
        return text[:length]
    return (fill * (missing // len(fill) + 1))[:missing] + text


def _rpad(text: str, length: int, fill: str = " ") -> str:
    length = _limited(length)
    missing = length - len(text)
    if missing <= 0 or not fill:
        return text[:length]
    return text + (fill * (missing // len(fill) + 1))[:missing]


@scalar("lpad", [TEXT, INT4], TEXT)
@scalar("lpad", [TEXT, INT4, TEXT], TEXT)
def lpad(column: Column, *rest: Column) -> Column:
    """Filled up on the left to a length, or cut."""
    return each(_lpad, column, *rest)


@scalar("rpad", [TEXT, INT4], TEXT)
@scalar("rpad", [TEXT, INT4, TEXT], TEXT)
def rpad(column: Column, *rest: Column) -> Column:
    """Filled up on the right to a length, or cut."""
    return each(_rpad, column, *rest)


@scalar("btrim", [TEXT], TEXT, total=True)
def btrim(column: Column) -> Column:
    """Without blanks at both ends."""
    return Column(TEXT, pc.utf8_trim(column.values, " "))


@scalar("ltrim", [TEXT], TEXT, total=True)
def ltrim(column: Column) -> Column:
    """Without blanks at the start."""
    return Column(TEXT, pc.utf8_ltrim(column.values, " "))


@scalar("rtrim", [TEXT], TEXT, total=True)
def rtrim(column: Column) -> Column:
    """Without blanks at the end."""
    return Column(TEXT, pc.utf8_rtrim(column.values, " "))


@scalar("btrim", [TEXT, TEXT], TEXT)
def btrim_of(column: Column, letters: Column) -> Column:
    """Without any of these characters at both ends."""
    return each(lambda t, c: t.strip(c) if c else t, column, letters)


@scalar("ltrim", [TEXT, TEXT], TEXT)
def ltrim_of(column: Column, letters: Column) -> Column:
    """Without any of these characters at the start."""
    return each(lambda t, c: t.lstrip(c) if c else t, column, letters)


@scalar("rtrim", [TEXT, TEXT], TEXT)
def rtrim_of(column: Column, letters: Column) -> Column:
    """Without any of these characters at the end."""
    return each(lambda t, c: t.rstrip(c) if c else t, column, letters)


@scalar("strpos", [TEXT, TEXT], INT4)
@scalar("position", [TEXT, TEXT], INT4)
def strpos(column: Column, wanted: Column) -> Column:
    """Where the second text first stands in the first, from 1; 0 if nowhere."""
    return each(lambda t, w: t.find(w) + 1, column, wanted, type=INT4)


@scalar("position", [BYTEA, BYTEA], INT4)
def bytes_position(column: Column, wanted: Column) -> Column:
    """Where the second bytes first stand in the first, from 1; 0 if nowhere."""
    return each(lambda t, w: t.find(w) + 1, column, wanted, type=INT4)


@scalar("replace", [TEXT, TEXT, TEXT], TEXT, constants=True)
def replace(column: Column, old: Column, new: Column) -> Column:
    """With every `old` replaced by `new`."""
    if old.constant and new.constant and old.values[0].as_py():
        before, after = old.values[0].as_py(), new.values[0].as_py()
        values = pc.replace_substring(column.values, pattern=before, replacement=after)
        return Column(TEXT, values, constant=column.constant)
    rows = max(len(column), len(old), len(new))
    columns = (column.spread(rows), old.spread(rows), new.spread(rows))
    return each(lambda t, o, n: t.replace(o, n) if o else t, *columns)


@scalar("translate", [TEXT, TEXT, TEXT], TEXT)
def translate(column: Column, old: Column, new: Column) -> Column:
    """With each character of `old` as the one at its place in `new`, or without it."""

    def one(text: str, old: str, new: str) -> str:
        table: dict[int, str | None] = {}
        for i, letter in enumerate(old):
            table.setdefault(ord(letter), new[i] if i < len(new) else None)
        return text.translate(table)

    return each(one, column, old, new)


@scalar("repeat", [TEXT, INT4], TEXT)
def repeat(column: Column, count: Column) -> Column:
    """The text so many times."""

    def one(text: str, count: int) -> str:
        if len(text) * max(count, 0) > _MAX_BYTES:
            raise ProgramLimitExceeded("requested length too large")
        return text * count

    return each(one, column, count)


@scalar("split_part", [TEXT, TEXT, INT4], TEXT)
def split_part(column: Column, delimiter: Column, number: Column) -> Column:
    """The n-th piece, from the end where n is negative."""
    return each(_split_part, column, delimiter, number)


def _split_part(text: str, delimiter: str, number: int) -> str:
    if number == 0:
        raise InvalidParameterValue("field position must not be zero")
    pieces = text.split(delimiter) if delimiter else [text]
    at = number - 1 if number > 0 else len(pieces) + number
    return pieces[at] if 0 <= at < len(pieces) else ""


@scalar("starts_with", [TEXT, TEXT], BOOL, constants=True)
@operator("^@", [TEXT, TEXT], BOOL, constants=True)
def starts_with(column: Column, start: Column) -> Column:
    """Whether the first text begins with the second."""
    if start.constant:
        mask = truth(pc.starts_with(column.values, pattern=start.values[0].as_py()))
        return Column(BOOL, mask, constant=column.constant)
    return each(lambda t, s: t.startswith(s), column.spread(len(start)), start, type=BOOL)


@scalar("ascii", [TEXT], INT4)
def ascii_code(column: Column) -> Column:
    """The code of the first character; 0 for no text."""
    return each(lambda t: ord(t[0]) if t else 0, column, type=INT4)


@scalar("chr", [INT4], TEXT)
def character(column: Column) -> Column:
    """The character of a code."""
    return each(_character, column)


def _character(code: int) -> str:
    if code == 0:
        raise ProgramLimitExceeded("null character not permitted")
    if code < 0:
        raise InvalidParameterValue("character number must be positive")
    if code > 0x10FFFF:
        raise ProgramLimitExceeded(f"requested character too large for encoding: {code}")
    if 0xD800 <= code < 0xE000:
        raise ProgramLimitExceeded(f"requested character not valid for encoding: {code}")
    return chr(code)


@scalar("overlay", [TEXT, TEXT, INT4], TEXT)
@scalar("overlay", [TEXT, TEXT, INT4, INT4], TEXT)
def overlay(column: Column, new: Column, start: Column, *length: Column) -> Column:
    """With so many characters from a position on replaced by a text."""

    def one(text: str, new: str, start: int, count: int | None = None) -> str:
        if start <= 0:
            raise SubstringError("negative substring length not allowed")
        stop = start + (len(new) if count is None else count)
        if stop > _HIGHEST:
            raise NumericValueOutOfRange("integer out of range")
        return text[: start - 1] + new + text[max(stop - 1, 0) :]

    return each(one, column, new, start, *length)


@scalar("text", [NAME], TEXT, total=True)
@scalar("text", [BPCHAR], TEXT, total=True)
def to_text(column: Column) -> Column:
    """The value as text; without the blanks that fill up character(n)."""
    values = column.values if column.type.oid != BPCHAR.oid else pc.utf8_rtrim(column.values, " ")
    return Column(TEXT, values)


@scalar("string_to_table", [TEXT, TEXT], TEXT, returns_set=True, strict=False)
@scalar("string_to_table", [TEXT, TEXT, TEXT], TEXT, returns_set=True, strict=False)
def string_to_table(column: Column, delimiter: Column, *null: Column) -> Column:
    """The pieces of a text between delimiters."""
    text = column.tolist()[0]
    pieces = [] if text is None else pieces_of(text, delimiter.tolist()[0])
    missing = null[0].tolist()[0] if null else None
    return Column.of(TEXT, [None if piece == missing else piece for piece in pieces])


def pieces_of(text: str, delimiter: str | None) -> list[str]:
    """The pieces of a text; without a delimiter its characters."""
    if not text:
        return []
    if delimiter is None:
        return list(text)
    return text.split(delimiter) if delimiter else [text]
