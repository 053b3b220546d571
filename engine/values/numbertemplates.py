"""Templates of numbers: what to_char writes and to_number reads, as '9,990.99MI'.

A template is cut into words of the grammar (9, 0, a point, a sign, ...), in one case, and texts that stand
for themselves. `places` are those for digits before the point, `decimals` behind it, `shifted` behind V.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from storage.errors import SqlSyntaxError

_WORDS = "EEEE FM MI PL PR RN SG SP TH , . 0 9 B C D G L S V"
_PIECE = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.|\\$)*)(?:"|$)|(?P<word>'
    + "|".join(re.escape(word) for text in (_WORDS, _WORDS.lower()) for word in text.split(" "))
    + r')|\\(?P<quote>")|(?P<other>.)',
    re.DOTALL,
)
_TOGETHER = "cannot use {} and {} together"


class Token(NamedTuple):
    """A word of the grammar, in capitals; or, without one, the text itself. `lower`: written small."""

    word: str
    text: str = ""
    lower: bool = False


@dataclass
class Template:
    """A template's tokens, and what they say of the whole."""

    tokens: list[Token] = field(default_factory=list)
    places: int = 0
    decimals: int = 0
    shifted: int = 0
    words: set[str] = field(default_factory=set)
    zero_from: int = -1  # the first 0 before the point: how many places stand before it
    zero_to: int = 0  # the last 0: how many places end with it
    blank: bool = False  # B stands before all places
    sign: str = ""  # of S: 'before' or 'after' the digits
    sign_at: int = 0  # of S before the point: how many places stand before it

    @property
    def fill(self) -> bool:
        """Whether places that nothing stands in are blanks."""
        return "FM" not in self.words

    @property
    def point(self) -> bool:
        """Whether there is a decimal point."""
        return not self.words.isdisjoint((".", "D"))

    @property
    def minus(self) -> bool:
        """Whether a minus has a place of its own."""
        return not self.words.isdisjoint(("MI", "SG"))

    @property
    def plus(self) -> bool:
        """Whether a plus has a place of its own."""
        return not self.words.isdisjoint(("PL", "SG"))


@lru_cache(1_000)
def template_of(text: str) -> Template:
    """The template of a text. Raises SqlSyntaxError for words that do not go together."""
    result = Template()
    for match in _PIECE.finditer(text):
        raw = match["word"]
        if raw is None:
            quoted = match["quoted"]
            plain = match["quote"] or match["other"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            result.tokens += [Token("", letter) for letter in plain]
            continue
        word = raw.upper()
        _add(result, word)
        result.words.add(word)
        result.tokens.append(Token(word, raw, raw != word))
    return result


def _add(result: Template, word: str) -> None:
    """Count a word. Raises SqlSyntaxError where it may not follow what was before."""
    words = result.words
    if "EEEE" in words and word != "EEEE":
        raise SqlSyntaxError('"EEEE" must be the last pattern used')
    match word:
        case "9" | "0":
            _add_place(result, word)
        case "." | "D":
            if result.point:
                raise SqlSyntaxError("multiple decimal points")
            if "V" in words:
                raise SqlSyntaxError('cannot use "V" and decimal point together')
        case "V":
            if result.point:
                raise SqlSyntaxError('cannot use "V" and decimal point together')
        case "S":
            if "S" in words:
                raise SqlSyntaxError('cannot use "S" twice')
            if result.plus or result.minus or "PR" in words:
                raise SqlSyntaxError(_TOGETHER.format('"S"', '"PL"/"MI"/"SG"/"PR"'))
            result.sign = "after" if result.point else "before"
            result.sign_at = 0 if result.point else result.places
        case "MI" | "PL" | "SG":
            if "S" in words:
                raise SqlSyntaxError(_TOGETHER.format('"S"', f'"{word}"'))
        case "PR":
            if "S" in words or result.plus or result.minus:
                raise SqlSyntaxError(_TOGETHER.format('"PR"', '"S"/"PL"/"MI"/"SG"'))
        case "B":
            result.blank = result.blank or (result.places == result.decimals == 0)
        case "EEEE":
            _check_exponent(result)


def _add_place(result: Template, word: str) -> None:
    if "PR" in result.words:
        raise SqlSyntaxError(f'"{word}" must be ahead of "PR"')
    if word == "9" and "V" in result.words:
        result.shifted += 1
        return
    if word == "0" and result.zero_from < 0 and not result.point:
        result.zero_from = result.places
    if result.point:
        result.decimals += 1
    else:
        result.places += 1
    if word == "0":
        result.zero_to = result.places + result.decimals


def _check_exponent(result: Template) -> None:
    if "EEEE" in result.words:
        raise SqlSyntaxError('cannot use "EEEE" twice')
    signed = result.plus or result.minus
    if result.blank or signed or not result.words.isdisjoint(("FM", "S", "PR", "RN", "V")):
        raise SqlSyntaxError(
            '"EEEE" is incompatible with other formats',
            detail='"EEEE" may only be used together with digit and decimal point patterns.',
        )
