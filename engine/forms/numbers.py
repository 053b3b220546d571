"""Text forms of booleans and numbers.

Floats are written with the fewest digits that read back the same; exponents from 1e15 (real: 1e6) on and
below 1e-4, with two digits at least. Numerics keep their scale and never have an exponent.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms.style import FEW, Style
from engine.wordnumerics import WordNumerics
from storage import kernels
from storage.column import Array, Column, Mask
from storage.errors import InvalidTextRepresentation, NumericValueOutOfRange
from storage.types import FLOAT4, Type, numeric_modifier

_TRUE = frozenset(("t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"))
_NUMERIC = re.compile(
    r"nan|[+-]?(?:inf(?:inity)?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)", re.IGNORECASE
)
_WIDE = Context(prec=200_000)
_WHOLE, _SCALE = 131_072, 16_383  # digits before the point and behind it
_FALSE = frozenset(("f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"))


BLANKS = " \t\n\v\f\r"
"""What PostgreSQL takes for white space around a value."""


def invalid(type: Type, text: str) -> InvalidTextRepresentation:
    """PostgreSQL's words for text that is no value of the type."""
    return InvalidTextRepresentation(f'invalid input syntax for type {type.base}: "{text}"')


def write_bool(column: Column, style: Style) -> pa.Array:
    """t and f."""
    flags = pa.array(column.values, mask=None if column.valid is None else ~column.valid)
    return pc.if_else(flags, pa.scalar("t", pa.large_string()), pa.scalar("f", pa.large_string()))


def read_bool(type: Type, texts: list[str], style: Style) -> list[bool]:
    """Any unambiguous prefix of true, false, yes, no, on, off; 1 and 0."""
    values = []
    for text in texts:
        word = text.strip(BLANKS).lower()
        if word in _TRUE:
            values.append(True)
        elif word in _FALSE:
            values.append(False)
        else:
            raise invalid(type, text)
    return values


def write_integer(column: Column, style: Style) -> pa.Array:
    """Decimal digits."""
    return column.to_arrow().cast(pa.large_string())


def read_integer(type: Type, texts: list[str], style: Style) -> list[int]:
    """Decimal digits with a sign, white space around them."""
    assert type.dtype is not None
    bounds = np.iinfo(type.dtype)
    values = []
    for text in texts:
        word = text.strip(BLANKS)
        digits = word[1:] if word[:1] in ("-", "+") else word
        if not (digits.isascii() and digits.isdigit()):
            raise invalid(type, text)
        value = int(word)
        if type.dtype.kind == "u" and -(2**31) <= value < 0:
            value += 2**32  # as PostgreSQL reads oid
        if not bounds.min <= value <= bounds.max:
            raise NumericValueOutOfRange(f'value "{text}" is out of range for type {type}')
        values.append(value)
    return values


def _shortest(value: float, single: bool) -> str:
    """The fewest digits that lie nearer to this float than to any other.

    Python also takes those that lie halfway, where they are read as this one; PostgreSQL does not. Halfway
    has fewer digits only between whole numbers two apart or more.
    """
    text = str(np.float32(value)) if single else repr(value)
    if abs(value) < (_ODD_SINGLES if single else _ODD_DOUBLES):
        return text
    number = abs(int(value))
    step = 1 << number.bit_length() - (24 if single else 53)
    below = step // 2 if number & (number - 1) == 0 else step
    digits = len(Decimal(text).as_tuple().digits)
    while 2 * abs(int(Decimal(text))) in (2 * number - below, 2 * number + step):
        text = f"{value:.{digits}e}"
        digits += 1
    return text


_ODD_SINGLES, _ODD_DOUBLES = 2.0**24, 2.0**53  # from here on not every whole number is a float


def float_text(value: float, single: bool = False) -> str:
    """One float as PostgreSQL writes it."""
    if value != value:
        return "NaN"
    if value in (np.inf, -np.inf):
        return "Infinity" if value > 0 else "-Infinity"
    shortest = _shortest(value, single)
    if "e" not in shortest and 1e-4 <= abs(value) < (1e6 if single else 1e15):
        return shortest.removesuffix(".0")
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits))
    point = len(figures) + exponent  # where the decimal point stands among the figures
    minus = "-" if sign else ""
    if value == 0:
        return minus + "0"
    if not -4 < point <= (6 if single else 15):
        power = point - 1
        mantissa = figures[0] + ("." + figures[1:] if len(figures) > 1 else "")
        return f"{minus}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{figures}"
    if point >= len(figures):
        return minus + figures + "0" * (point - len(figures))
    return f"{minus}{figures[:point]}.{figures[point:]}"


def _rounded_text(value: float, digits: int) -> str:
    """One float in as many significant digits, as C's printf writes it with %g."""
    return f"{value:.{digits}g}" if np.isfinite(value) else float_text(value)


def write_float(column: Column, style: Style) -> pa.Array:
    """Floats as extra_float_digits says: above 0 in the fewest digits that are read as the same float."""
    single = column.type.oid == FLOAT4.oid
    if style.extra_float_digits > 0:
        return write_shortest(column)
    digits = max((6 if single else 15) + style.extra_float_digits, 1)
    rounded = [None if value is None else _rounded_text(value, digits) for value in column.tolist()]
    return pa.array(rounded, pa.large_string())


def write_shortest(column: Column) -> pa.Array:
    """Arrow's shortest digits where its notation is PostgreSQL's (it takes exponents from 1e10 on)."""
    single = column.type.oid == FLOAT4.oid
    values = column.values
    if len(values) <= FEW:
        few = [None if value is None else float_text(value, single) for value in column.tolist()]
        return pa.array(few, pa.large_string())
    with np.errstate(invalid="ignore"):
        size = np.abs(values)
        usual = (size == 0) | ((size >= 1e-4) & (size < (1e6 if single else 1e10)))
    texts = column.to_arrow().cast(pa.large_string())
    if (values == np.trunc(values)).any():
        texts = pc.replace_substring_regex(texts, r"\.0$", "")
    if usual.all():
        return texts
    odd = np.flatnonzero(~usual & column.is_valid())
    replacements = [float_text(float(value), single) for value in values[odd]]
    mask = np.zeros(len(values), np.bool_)
    mask[odd] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(replacements, pa.large_string()))


def read_float(type: Type, texts: list[str], style: Style) -> list[float]:
    """Decimal notation, NaN, Infinity, inf, in any case."""
    single = type.oid == FLOAT4.oid
    values = []
    for text in texts:
        word = text.strip(BLANKS)
        plain = word.lower().lstrip("+-")
        if not (plain and word.isascii()) or "_" in word or plain[0] not in "0123456789.ni":
            raise invalid(type, text)
        try:
            value = float.fromhex(word) if plain.startswith("0x") else float(word)
        except OverflowError:
            raise NumericValueOutOfRange(f'"{text}" is out of range for type {type}') from None
        except ValueError:
            raise invalid(type, text) from None
        infinite = "inf" in plain
        vanished = value == 0 and any(c in "123456789" for c in plain.split("e")[0])
        if vanished or (value in (np.inf, -np.inf) and not infinite):
            raise NumericValueOutOfRange(f'"{text}" is out of range for type {type}')
        if single and not infinite and value == value:
            with np.errstate(over="ignore", under="ignore"):
                narrow = np.float32(value)
            if np.isinf(narrow) or (narrow == 0 and value != 0):
                raise NumericValueOutOfRange(f'"{text}" is out of range for type {type}')
        values.append(value)
    return values


def numeric_text(value: Decimal) -> str:
    """One numeric: every digit of its scale, no exponent."""
    if value.is_nan():
        return "NaN"
    if value.is_infinite():
        return "-Infinity" if value < 0 else "Infinity"
    text = format(value, "f")
    return text[1:] if value == 0 and text.startswith("-") else text


def spans(kind: pa.DataType, content: Array, lengths: Array, valid: Mask | None) -> pa.Array:
    """An Arrow array (large_string or large_binary) of byte strings that lie one after another."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(
        kind, len(lengths), [bits, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(content))]
    )


def write_numeric(column: Column, style: Style) -> pa.Array:
    """See numeric_text."""
    if isinstance(column, WordNumerics):
        return spans(pa.large_string(), *kernels.word_texts(column.words, column.scales), column.valid)
    if column.units is not None and len(column) > FEW:
        return spans(pa.large_string(), *kernels.unit_texts(column.units, column.scale), column.valid)
    return pa.array([None if v is None else numeric_text(v) for v in column.tolist()], pa.large_string())


def written(word: str) -> Decimal:
    """The numeric that a word is, without an exponent above 0. Raises NumericValueOutOfRange."""
    value = Decimal(word)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return value
    if exponent < -_SCALE or (value != 0 and value.adjusted() >= _WHOLE) or exponent > _WHOLE:
        raise NumericValueOutOfRange("value overflows numeric format")
    return Decimal(format(value, "f")) if exponent > 0 else value


def read_numeric(type: Type, texts: list[str], style: Style) -> list[Decimal]:
    """Decimal notation, NaN, Infinity; an exponent moves the scale."""
    values = []
    for text in texts:
        word = text.strip(BLANKS)
        if not _NUMERIC.fullmatch(word):
            raise invalid(type, text)
        try:
            value = written(word)
        except InvalidOperation:
            raise invalid(type, text) from None
        value = value if value else value.copy_abs()  # numeric has no other zero
        values.append(value if type.modifier == -1 else fitted(type, value))
    return values


def fitted(type: Type, value: Decimal) -> Decimal:
    """A numeric as numeric(p, s), rounded half away from zero. Raises NumericValueOutOfRange."""
    precision, scale = numeric_modifier(type)
    if value.is_nan():
        return value
    if value.is_finite():
        rounded = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _WIDE)
        if abs(rounded) < Decimal(10) ** (precision - scale):
            rounded = rounded if rounded else rounded.copy_abs()
            return rounded if scale >= 0 else rounded.quantize(Decimal(1), context=_WIDE)
        detail = (
            f"A field with precision {precision}, scale {scale} must round to an absolute value less than "
            f"{'1' if precision == scale else f'10^{precision - scale}'}."
        )
    else:
        detail = f"A field with precision {precision}, scale {scale} cannot hold an infinite value."
    raise NumericValueOutOfRange("numeric field overflow", detail=detail)
