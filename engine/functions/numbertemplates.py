"""to_char and to_number: numbers as texts of a template, and back (engine.values.numbertemplates)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import isfinite

import numpy as np

from engine.functions.registry import scalar
from engine.functions.text import each
from engine.values import decimals
from engine.values.numberreading import read
from engine.values.numbertemplates import Template, template_of
from engine.values.numberwriting import fitted, written, written_roman
from storage.column import Column
from storage.errors import FeatureNotSupported, NumericValueOutOfRange
from storage.types import FLOAT4, FLOAT8, INT4, INT8, NUMERIC, TEXT, Type

_DIGITS = {FLOAT4.oid: 6, FLOAT8.oid: 15}
_POWER_SCALE = 16  # digits behind the point that a power of ten has
_BITS = {INT4.oid: 31, INT8.oid: 63}


def numeric(value: Decimal, text: str) -> str:
    """A numeric by a template."""
    template = template_of(text)
    if "RN" in template.words:
        return written_roman(template, _whole(value))
    if "EEEE" in template.words:
        if not value.is_finite():
            return _no_exponent(template)
        return _scientific(value, template.decimals)
    shifted = decimals.EXACT.scaleb(value, template.shifted) if value.is_finite() else value
    number = decimals.rounded(shifted, template.decimals)
    shown = {"n": "NaN", "F": "Infinity"}[number.as_tuple().exponent] if not number.is_finite() else ""  # type: ignore[index]
    return _placed(template, shown or format(abs(number), "f"), number.is_signed(), template.decimals)


def _whole(value: Decimal) -> int:
    """A number as an integer. Raises FeatureNotSupported, NumericValueOutOfRange."""
    if not value.is_finite():
        what = "NaN" if value.is_nan() else "infinity"
        raise FeatureNotSupported(f"cannot convert {what} to integer")
    whole = int(decimals.rounded(value, 0))
    if not -(2**31) <= whole < 2**31:
        raise NumericValueOutOfRange("integer out of range")
    return whole


def integer(type: Type) -> Callable[[int, str], str]:
    """What writes an integer of a type by a template. Raises NumericValueOutOfRange."""

    def one(value: int, text: str) -> str:
        template = template_of(text)
        if "RN" in template.words:
            return written_roman(template, _whole(Decimal(value)))
        if "EEEE" in template.words:
            if type.oid == INT8.oid:
                return _scientific(Decimal(value), template.decimals)
            return _float_exponent(value, template)
        shifted = value * 10**template.shifted
        if not -(2 ** _BITS[type.oid]) <= shifted < 2 ** _BITS[type.oid]:
            raise NumericValueOutOfRange(f"{'bigint' if type.oid == INT8.oid else 'integer'} out of range")
        digits = str(abs(shifted)) + ("." + "0" * template.decimals if template.decimals else "")
        return _placed(template, digits, shifted < 0, template.decimals)

    return one


def floating(type: Type) -> Callable[[float, str], str]:
    """What writes a float of a type by a template: no more digits than the type keeps."""
    most, kind = _DIGITS[type.oid], np.float32 if type.oid == FLOAT4.oid else np.float64

    def one(value: float, text: str) -> str:
        template = template_of(text)
        if "RN" in template.words:
            return written_roman(template, round(value) if isfinite(value) else 0)
        if "EEEE" in template.words:
            return _float_exponent(value, template)
        shifted = float(kind(value) * kind(10.0**template.shifted))
        width = len(
            f"{abs(shifted):.0f}" if isfinite(shifted) else "NaN" if shifted != shifted else "Infinity"
        )
        count = max(min(template.decimals, most - width), 0)
        digits = f"{abs(shifted):.{count}f}" if isfinite(shifted) else _word(shifted)
        return _placed(template, digits, shifted < 0, count)

    return one


def _word(value: float) -> str:
    return "NaN" if value != value else "Infinity"


def _placed(template: Template, digits: str, negative: bool, count: int) -> str:
    digits, lead = fitted(template, digits, count)
    return written(template, digits, lead, negative, count)


def _no_exponent(template: Template) -> str:
    marks = "#" * (template.places + template.decimals + 5)
    return f" {marks[: template.places]}.{marks[template.places + 1 :]}"


def _float_exponent(value: float, template: Template) -> str:
    if not isfinite(value):
        return _no_exponent(template)
    return f"{value: .{template.decimals}e}"


def _scientific(value: Decimal, places: int) -> str:
    """A number with the exponent of its first digit, even where rounding makes a digit more."""
    exponent = value.adjusted() if value else 0
    mantissa = decimals.rounded(decimals.EXACT.scaleb(value, -exponent), places)
    return f"{'-' if value < 0 else ' '}{abs(mantissa):f}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


@scalar("to_char", [NUMERIC, TEXT], TEXT)
def numeric_to_char(column: Column, template: Column) -> Column:
    """A number by a template."""
    return each(lambda v, t: numeric(v, t) if t else "", column, template)


@scalar("to_char", [INT4, TEXT], TEXT)
@scalar("to_char", [INT8, TEXT], TEXT)
def integer_to_char(column: Column, template: Column) -> Column:
    """A number by a template."""
    one = integer(column.type)
    return each(lambda v, t: one(v, t) if t else "", column, template)


@scalar("to_char", [FLOAT4, TEXT], TEXT)
@scalar("to_char", [FLOAT8, TEXT], TEXT)
def float_to_char(column: Column, template: Column) -> Column:
    """A number by a template."""
    one = floating(column.type)
    return each(lambda v, t: one(v, t) if t else "", column, template)


@scalar("to_number", [TEXT, TEXT], NUMERIC)
def to_number(column: Column, template: Column) -> Column:
    """The number that a text of a template names."""
    return decimals.each(_read, column, template)


def _read(text: str, form: str) -> Decimal:
    template = template_of(form)
    value = read(template, text)
    if "V" not in template.words:
        return value
    places = max(_POWER_SCALE, template.shifted)
    return decimals.rounded(decimals.EXACT.scaleb(value, -template.shifted), places)
