"""to_char and to_number: numbers as texts of a template, and back.

A template's places are 9 (blank where nothing stands) and 0; around them stand . , D G, a sign (S, MI,
PR, SG or a blank place of its own), L, V, TH, EEEE and RN, FM for no padding, and quoted texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from engine.functions.registry import scalar
from engine.functions.text import each
from engine.functions.timetemplates import ordinal
from engine.values import decimals
from storage.column import Column
from storage.errors import InvalidTextRepresentation, SqlSyntaxError
from storage.types import FLOAT4, FLOAT8, INT4, INT8, NUMERIC, TEXT

_TOKEN = re.compile(r'FM|EEEE|MI|PR|PL|SG|TH|RN|"(?:[^"\\]|\\.)*"|[90.,DGSLVCB]|.', re.IGNORECASE | re.DOTALL)
_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
    (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


@dataclass
class Template:
    """A template's tokens and what they count up to."""

    tokens: list[str] = field(default_factory=list)
    fill: bool = True
    before: int = 0  # places before the point
    after: int = 0
    zero: int = -1  # the place of the first 0 before the point
    zero_after: int = 0  # the place of the last 0 after the point
    sign: str = ""  # 'S<' before, 'S>' after, MI, PR, SG, or '': a blank place
    shift: int = 0  # places behind V
    exponent: bool = False
    roman: bool = False


@lru_cache(1_000)
def template_of(text: str) -> Template:
    """The template of a text; SqlSyntaxError where it is none."""
    result = Template()
    point = shifted = False
    for match in _TOKEN.finditer(text):
        raw = match[0]
        token = raw.upper() if not raw.startswith('"') else raw
        match token:
            case "FM":
                result.fill = False
                continue
            case "9" | "0":
                _place(result, token, point, shifted)
            case "." | "D":
                if point:
                    raise SqlSyntaxError("multiple decimal points")
                point = True
                token = "."
            case "V":
                shifted = True
            case "S":
                result.sign = "S>" if result.before else "S<"
            case "MI" | "PR" | "SG" | "PL":
                result.sign = result.sign or token
            case "EEEE":
                result.exponent = True
            case "RN":
                result.roman = True
            case "TH":
                token = raw
        result.tokens.append(token)
    return result


def _place(result: Template, token: str, point: bool, shifted: bool) -> None:
    if "PR" in result.tokens:
        raise SqlSyntaxError(f'"{token}" must be ahead of "PR"')
    if shifted:
        result.shift += 1
    if point:
        result.after += 1
        if token == "0":
            result.zero_after = result.after
        return
    result.before += 1
    if token == "0" and result.zero < 0:
        result.zero = result.before


def roman(value: int, fill: bool) -> str:
    """Roman numerals of 1 to 3999, in 15 places."""
    if not 1 <= value <= 3999:
        return "#" * 15
    text = ""
    for size, letters in _ROMAN:
        count, value = divmod(value, size)
        text += letters * count
    return text.rjust(15) if fill else text


def written(value: Decimal, text: str) -> str:
    """A number by a template."""
    template = template_of(text)
    if template.roman:
        whole = int(decimals.rounded(value, 0)) if value.is_finite() else 0
        return roman(whole, template.fill)
    if template.exponent:
        return _scientific(value, template)
    if not value.is_finite():
        width = template.before + (template.after + 1 if template.after else 0)
        return " " + ("NaN" if value.is_nan() else "Infinity").rjust(width)
    if template.shift:
        value = decimals.EXACT.scaleb(value, template.shift)
    number = decimals.rounded(value, template.after)
    negative = number < 0
    digits = format(abs(number), "f")
    whole_digits, _, fraction = digits.partition(".")
    if whole_digits == "0" and template.before:
        whole_digits = "" if template.zero < 0 else "0"
    if len(whole_digits) > template.before:
        whole_digits, fraction = "#" * template.before, "#" * template.after
        overflow = True
    else:
        overflow = False
    return _Layout(template, whole_digits, fraction, (negative and not overflow) or negative).text()


def _scientific(value: Decimal, template: Template) -> str:
    if not value.is_finite():
        return " " + "#" * template.before + ("." + "#" * template.after if template.after else "") + "####"
    exponent = value.adjusted() if value else 0
    mantissa = decimals.rounded(decimals.EXACT.scaleb(value, -exponent), template.after)
    if abs(mantissa) >= 10:
        exponent += 1
        mantissa = decimals.rounded(decimals.EXACT.scaleb(value, -exponent), template.after)
    sign = "-" if value < 0 else "+" if template.sign.startswith("S") else " "
    text = f"{format(abs(mantissa), 'f')}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return (sign if template.fill or sign != " " else "") + text


class _Layout:
    """One number put into a template's places."""

    def __init__(self, template: Template, whole: str, fraction: str, negative: bool) -> None:
        self.template = template
        self.whole = whole
        self.fraction = fraction
        self.negative = negative
        lead = template.before - len(whole)
        if template.zero > 0:
            lead = min(lead, template.zero - 1)
        self.first = lead + 1  # the first place before the point that shows a digit
        self.digits = whole.rjust(template.before, "0")
        self.kept = max(len(fraction.rstrip("0")), template.zero_after)

    def text(self) -> str:
        out: list[str] = []
        place = after = 0
        point = False
        signed = self.template.sign in ("MI", "PR", "SG", "S>", "PL")
        for token in self.template.tokens:
            if token in ("9", "0") and not point:
                place += 1
                if place == self.first and not signed:
                    out.append(self._sign())
                    signed = True
                if place >= self.first:
                    out.append(self.digits[place - 1])
                elif self.template.fill:
                    out.append(" ")
            elif token in ("9", "0"):
                if not signed:
                    out.append(self._sign())
                    signed = True
                after += 1
                if self.template.fill or after <= self.kept:
                    out.append(self.fraction[after - 1])
            elif token == ".":
                if not signed:
                    out.append(self._sign())
                    signed = True
                point = True
                out.append(".")
            else:
                out.append(self._other(token, place))
        if not signed:
            out.append(self._sign())
        return self._bracketed("".join(out))

    def _sign(self) -> str:
        if self.template.sign == "S<":
            return "-" if self.negative else "+"
        if self.negative:
            return "-"
        return " " if self.template.fill else ""

    def _other(self, token: str, place: int) -> str:
        negative, fill = self.negative, self.template.fill
        if token in (",", "G"):
            return "," if place >= self.first else (" " if fill else "")
        if token == "S" and self.template.sign == "S>":
            return "-" if negative else "+"
        if token == "MI":
            return "-" if negative else (" " if fill else "")
        if token == "SG":
            return "-" if negative else "+"
        if token == "PL":
            return "+" if not negative else (" " if fill else "")
        if token.upper() == "TH":
            if negative or self.fraction:
                return ""
            suffix = ordinal(int(self.whole or "0")) if "#" not in self.whole else ""
            return suffix.upper() if token.isupper() else suffix
        if token == "L":
            return " " if fill else ""
        if token in ("S", "PR", "V", "B", "C"):
            return ""
        return token[1:-1] if token.startswith('"') else token

    def _bracketed(self, text: str) -> str:
        if self.template.sign != "PR":
            return text
        stripped = text.lstrip(" ")
        pad = " " * (len(text) - len(stripped))
        if self.negative:
            return f"{pad}<{stripped}>"
        return f" {text} " if self.template.fill else text


@scalar("to_char", [NUMERIC, TEXT], TEXT)
def numeric_to_char(column: Column, template: Column) -> Column:
    """A number by a template."""
    return each(written, column, template)


@scalar("to_char", [INT4, TEXT], TEXT)
@scalar("to_char", [INT8, TEXT], TEXT)
def integer_to_char(column: Column, template: Column) -> Column:
    """A number by a template."""
    return each(lambda v, t: written(Decimal(v), t), column, template)


@scalar("to_char", [FLOAT4, TEXT], TEXT)
@scalar("to_char", [FLOAT8, TEXT], TEXT)
def float_to_char(column: Column, template: Column) -> Column:
    """A number by a template."""
    digits = 6 if column.type is FLOAT4 else 15
    return each(lambda v, t: written(Decimal(f"{v:.{digits}g}"), t), column, template)


@scalar("to_number", [TEXT, TEXT], NUMERIC)
def to_number(column: Column, template: Column) -> Column:
    """The number that a text of a template names."""
    return decimals.each(_read, column, template)


def _read(text: str, template: str) -> Decimal:
    form = template_of(template)
    negative = "-" in text or ("<" in text and form.sign == "PR")
    kept = "".join(letter for letter in text if letter.isdigit() or letter == ".")
    whole, point, fraction = kept.partition(".")
    digits = whole[: form.before + 1] + (point + fraction[: form.after] if form.after else "")
    if not any(map(str.isdigit, digits)):
        raise InvalidTextRepresentation(f'invalid input syntax for type numeric: "{text}"')
    value = Decimal(digits.rstrip("."))
    if form.shift:
        value = decimals.EXACT.scaleb(value, -form.shift)
    return -value if negative else value
