"""to_number: a text read along a template, character by character.

A place takes a digit, or passes over what is none; a point takes the text's point; texts of the template
pass over as many characters. What is read is a number of no more digits than the template has places.
"""

from __future__ import annotations

from decimal import Decimal

from engine.values.numbertemplates import Template
from storage.errors import FeatureNotSupported, InvalidTextRepresentation, NumericValueOutOfRange

_DATA = "0123456789.,+-"


def read(template: Template, text: str) -> Decimal:
    """The number, before V has moved its point. Raises InvalidTextRepresentation, NumericValueOutOfRange."""
    for word in ("EEEE", "RN"):
        if word in template.words:
            raise FeatureNotSupported(f'"{word}" not supported for input')
    return _Reader(template, text).number()


class _Reader:
    def __init__(self, template: Template, text: str) -> None:
        self.template = template
        self.text = text
        self.at = 0
        self.sign = " "
        self.whole: list[str] = []
        self.fraction: list[str] | None = None  # None: no point so far

    def number(self) -> Decimal:
        for token in self.template.tokens:
            if self.at >= len(self.text):
                break
            if not token.word:
                self.at += 1
            elif token.word in ("9", "0", ".", "D"):
                self._digit(token.word)
                self.at += 1
            else:
                self._other(token.word)
        fraction = self.fraction or []
        shown = self.sign + "".join(self.whole) + ("." + "".join(fraction) if fraction else "")
        if not self.whole and not fraction:
            raise InvalidTextRepresentation(f'invalid input syntax for type numeric: "{shown}"')
        value = Decimal(shown.strip())
        precision = self.template.places + self.template.shifted
        if value and value.adjusted() >= precision:
            limit, scale = f"10^{precision}" if precision else "1", len(fraction)
            raise NumericValueOutOfRange(
                "numeric field overflow",
                detail=f"A field with precision {precision + scale}, scale {scale} must round to an absolute "
                f"value less than {limit}.",
            )
        return value

    @property
    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    @property
    def _count(self) -> int:
        return len(self.whole) + len(self.fraction or ())

    def _digit(self, word: str) -> None:
        """A place or the point: stops at the character that it took."""
        if self._next == " ":
            self.at += 1
        if self.sign == " " and word in ("0", "9") and not self._count:
            self._leading_sign()
        taken, digit = False, self._next
        if digit.isascii() and digit.isdigit():
            if self.fraction is None:
                self.whole.append(digit)
            elif len(self.fraction) < self.template.decimals:
                self.fraction.append(digit)
            else:
                return
            taken = True
        elif digit == "." and self.template.point and self.fraction is None:
            self.fraction = []
            taken = True
        if self.at < len(self.text) and self.sign == " " and self._count:
            self._trailing_sign(taken)

    def _leading_sign(self) -> None:
        character = self._next
        if character == "-" or (character == "<" and "PR" in self.template.words):
            self.sign = "-"
        elif character == "+":
            self.sign = "+"
        else:
            return
        self.at += 1

    def _trailing_sign(self, taken: bool) -> None:
        if self.template.sign:
            following = self.text[self.at + 1 : self.at + 2]
            if taken and following in ("-", "+"):
                self.at += 1
                self.sign = following
        elif not taken and (self.template.plus or self.template.minus) and self._next in ("-", "+"):
            self.sign = self._next

    def _other(self, word: str) -> None:
        match word:
            case "," | "G":
                # what is no separator is left to the next place
                self.at += self.template.fill and self._next == ","
            case "L":
                self._pass(1)
            case "TH":
                if self.sign != "-" and not self.template.point:
                    self._pass(2)
            case "MI" | "PL" | "SG":
                signs = {"MI": "-", "PL": "+", "SG": "+-"}[word]
                if self._next in signs:
                    self.sign = self._next
                    self.at += 1
                else:
                    self._pass(1)

    def _pass(self, count: int) -> None:
        """Pass over so many characters that are no part of a number."""
        while count and self.at < len(self.text) and self._next not in _DATA:
            self.at += 1
            count -= 1
