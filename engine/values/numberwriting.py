"""to_char of numbers: a number's digits put into a template's places.

The digits come as text, '12.30' without a sign, or as signs of overflow ('##.##'). A place before the first
digit is a blank or a 0; the sign is written in front of what stands first, unless it has a place of its own.
"""

from __future__ import annotations

from engine.values.numbertemplates import Template, Token
from storage.errors import InvalidTextRepresentation

_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
    (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_CURRENCY = " "  # of the C locale


def roman(value: int) -> str:
    """Roman numerals of 1 to 3999."""
    if not 1 <= value <= 3999:
        return "#" * 15
    text = ""
    for size, letters in _ROMAN:
        count, value = divmod(value, size)
        text += letters * count
    return text


def ordinal(digits: str) -> str:
    """The ending of an ordinal: st, nd, rd or th. Raises InvalidTextRepresentation for no number."""
    if not digits[-1:].isdigit():
        raise InvalidTextRepresentation(f'"{digits}" is not a number')
    if digits[-2:-1] == "1":
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


def fitted(template: Template, digits: str, decimals: int) -> tuple[str, int]:
    """(digits, places before the first of them); signs of overflow where they are too many.

    `decimals`: how many places behind the point there are, fewer than the template's where the type has
    no more digits to give.
    """
    places = template.places + template.shifted
    lead = places - len(digits.partition(".")[0])
    if lead < 0:
        return "#" * places + "." + "#" * decimals, 0
    return digits, lead


def written(template: Template, digits: str, lead: int, negative: bool, decimals: int) -> str:
    """A number by a template: digits and places before them as `fitted` gives them."""
    return _Layout(template, digits, lead, negative, decimals).text()


def written_roman(template: Template, value: int) -> str:
    """A number as roman numerals where the template has RN; of its other words none means anything."""
    out = []
    for token in template.tokens:
        if token.word == "RN":
            text = roman(value)
            text = text.lower() if token.lower else text
            out.append(text.rjust(15) if template.fill else text)
        elif not token.word:
            out.append(token.text)
        elif token.word == "SG":
            break  # there is no sign: the text ends here
        elif token.word in (",", "G", "MI", "PL") and template.fill:
            out.append(" ")
        elif token.word == "L":
            out.append(_CURRENCY)
    return "".join(out)


class _Layout:
    def __init__(self, template: Template, digits: str, lead: int, negative: bool, decimals: int) -> None:
        self.template = template
        self.digits = digits
        self.decimals = decimals
        self.lead = lead
        self.negative = negative
        self.at = 0  # the next digit
        self.place = 0  # places so far
        self.inside = False  # the place before showed a digit
        self.out: list[str] = []
        self.ended = False
        self.last = self._last_shown()
        own = template.plus or template.minus
        self.bracket = "PR" in template.words and (negative or template.fill or own)
        self.sign = template.sign
        if own:
            self.signed = template.minus
        else:
            self.signed = not negative and not template.fill and not template.sign
            if self.sign == "before" and template.places + template.shifted == template.sign_at:
                self.sign = "after"
        places = template.places + template.shifted
        count = places + decimals - 1 + (not self.signed and lead == 0)
        self.end = count + (lead > 0) + template.point

    def _last_shown(self) -> int:
        """Behind the point the last digit that is shown, where there is no fill; -1: all are."""
        if self.template.fill or not self.template.point or "." not in self.digits:
            return -1
        point = self.digits.index(".")
        last = max(point, len(self.digits.rstrip("0")) - 1)
        if self.template.zero_to > self.lead:
            last = max(last, min(len(self.digits) - 1, self.template.zero_to - self.lead))
        return last

    def text(self) -> str:
        for token in self.template.tokens:
            if self.ended:
                break
            if not token.word:
                self.out.append(token.text)
            elif token.word in ("9", "0", ".", "D"):
                self._digit(token.word)
            else:
                self.out.append(self._other(token))
        return "".join(self.out)

    @property
    def _point_is_last(self) -> bool:
        return self.last >= 0 and self.digits[self.last : self.last + 1] == "."

    @property
    def _hidden_zero(self) -> bool:
        """Whether the next digit is the 0 before a point, which has no 0 of the template to stand in."""
        return self.template.zero_from < 0 and self.at == 0 and self.digits[:1] == "0" and self.decimals != 0

    def _digit(self, word: str) -> None:
        """A place, or the point."""
        zero = self.template.zero_from
        self.inside = False
        if (
            not self.signed
            and (self.place >= self.lead or zero == self.place)
            and (not self._hidden_zero or self._point_is_last)
        ):
            self._write_sign()
        if self.place < self.lead and (zero < 0 or zero > self.place):
            self.out.append(" " if self.template.fill else "")
        elif self.place < self.lead:
            self.out.append("0")
            self.inside = True
        else:
            self._write_digit(word)
            if self.ended:
                return
            self.at += self.at < len(self.digits)
        end = self.place if self.last >= 0 and self.last == self.at else self.end
        if self.place + 1 == end:
            if self.signed and self.bracket:
                self.out.append(">" if self.negative else " ")
            elif self.sign == "after":
                self.out.append("-" if self.negative else "+")
        self.place += 1

    def _write_sign(self) -> None:
        if self.sign:
            if self.sign != "before":
                return
            self.out.append("-" if self.negative else "+")
        elif self.bracket:
            self.out.append("<" if self.negative else " ")
        elif self.negative:
            self.out.append("-")
        else:
            self.out.append(" " if self.template.fill else "")
        self.signed = True

    def _write_digit(self, word: str) -> None:
        digit = self.digits[self.at : self.at + 1]
        if digit == ".":
            if self.last < 0 or not self._point_is_last or not self.template.fill:
                self.out.append(".")
        elif self.last >= 0 and self.at > self.last and word != "0":
            pass
        elif self._hidden_zero:
            if self.template.fill:
                self.out.append(" ")
            elif self._point_is_last:
                self.out.append("0")
        else:
            self.out.append(digit)
            self.inside, self.ended = True, not digit

    def _other(self, token: Token) -> str:
        fill = " " if self.template.fill else ""
        match token.word:
            case "," | "G":
                return "," if self.inside else fill
            case "L":
                return _CURRENCY
            case "MI":
                return "-" if self.negative else fill
            case "PL":
                return fill if self.negative else "+"
            case "SG":
                return "-" if self.negative else "+"
            case "TH":
                if self.negative or self.template.point or self.digits.startswith("#"):
                    return ""
                ending = ordinal(self.digits)
                return ending if token.lower else ending.upper()
        return ""
