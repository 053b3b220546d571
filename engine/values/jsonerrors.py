"""What is wrong with a text that is no JSON, in PostgreSQL's words.

A text is read a token at a time against the stack of what is open, up to the first token that may not stand
where it stands. That is slow, and done only for texts that a fast parser has refused.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from storage.errors import InvalidTextRepresentation

_TOKEN = re.compile(
    r'[ \t\n\r]*(?:([{}\[\]:,])|(")|(-?[0-9A-Za-z_\x80-\U0010ffff][-+.0-9A-Za-z_\x80-\U0010ffff]*)|(.))',
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_SHOWN = 50  # bytes of the line before what is wrong

Expected = Literal["value", "value or ]", "string", "string or }", ":", ", or ]", ", or }", "end of input"]
_EXPECTED: dict[Expected, str] = {
    "value": "JSON value",
    "value or ]": "JSON value",
    "string": "string",
    "string or }": 'string or "}"',
    ":": '":"',
    ", or ]": '"," or "]"',
    ", or }": '"," or "}"',
    "end of input": "end of input",
}


class _Token(NamedTuple):
    kind: str  # a mark, 'string', 'value', '' at the end
    text: str
    end: int


class _Wrong(Exception):
    """What is wrong, and where what is wrong ends."""

    def __init__(self, detail: str, end: int, ended: bool = False) -> None:
        self.detail, self.end, self.ended = detail, end, ended


def json_error(text: str) -> InvalidTextRepresentation:
    """The error of a text that is no JSON; one without a detail if nothing is wrong with it."""
    try:
        _read(text)
    except _Wrong as wrong:
        return InvalidTextRepresentation(
            "invalid input syntax for type json", detail=wrong.detail, where=_context(text, wrong)
        )
    return InvalidTextRepresentation("invalid input syntax for type json")


def _context(text: str, wrong: _Wrong) -> str:
    """The line up to the end of what is wrong."""
    line = text.count("\n", 0, wrong.end)
    begins = text.rfind("\n", 0, wrong.end) + 1
    start = begins
    while len(text[start : wrong.end].encode()) >= _SHOWN:
        start += 1
    if start - begins <= 3:
        start = begins
    behind = "" if wrong.ended or text[wrong.end : wrong.end + 1] in ("", "\n", "\r") else "..."
    return f"JSON data, line {line + 1}: {'...' * (start > begins)}{text[start : wrong.end]}{behind}"


def _read(text: str) -> None:
    opened: list[str] = []
    expected: Expected = "value"
    at = 0
    while True:
        token = _next(text, at)
        at = token.end
        if token.kind == "" and expected == "end of input":
            return
        following = _after(expected, token, opened)
        if following is None:
            if token.kind == "":
                raise _Wrong("The input string ended unexpectedly.", token.end, ended=True)
            raise _Wrong(f'Expected {_EXPECTED[expected]}, but found "{token.text}".', token.end)
        expected = following


def _after(expected: Expected, token: _Token, opened: list[str]) -> Expected | None:
    """What is expected behind a token; None where it may not stand."""
    kind = token.kind
    if kind in ("{", "[") and expected in ("value", "value or ]"):
        opened.append(kind)
        return "string or }" if kind == "{" else "value or ]"
    if kind in ("string", "value") and expected in ("value", "value or ]"):
        return _behind(opened)
    if kind == "string" and expected in ("string", "string or }"):
        return ":"
    if kind == ":" and expected == ":":
        return "value"
    if kind == "," and expected in (", or ]", ", or }"):
        return "value" if expected == ", or ]" else "string"
    if (kind == "]" and expected in ("value or ]", ", or ]")) or (
        kind == "}" and expected in ("string or }", ", or }")
    ):
        opened.pop()
        return _behind(opened)
    return None


def _behind(opened: list[str]) -> Expected:
    """What is expected behind a whole value."""
    if not opened:
        return "end of input"
    return ", or ]" if opened[-1] == "[" else ", or }"


def _next(text: str, at: int) -> _Token:
    found = _TOKEN.match(text, at)
    if found is None:
        return _Token("", "", len(text))
    mark, quote, word, other = found.groups()
    if mark:
        return _Token(mark, mark, found.end())
    if quote:
        return _string(text, found.end() - 1)
    if word:
        return _word(text, word, found.end())
    raise _Wrong(f'Token "{other}" is invalid.', found.end())


def _word(text: str, word: str, end: int) -> _Token:
    """A number or one of three words. Of anything else the whole word is wrong."""
    start = end - len(word)
    if word[0] == "-" or word[0].isdigit():
        if not _NUMBER.match(word):
            raise _Wrong(f'Token "{word}" is invalid.', end)
        return _Token("value", word, end)
    letters = _WORD.match(text, start)
    assert letters
    if letters[0] not in ("true", "false", "null"):
        raise _Wrong(f'Token "{letters[0]}" is invalid.', letters.end())
    return _Token("value", letters[0], letters.end())


def _string(text: str, start: int) -> _Token:
    """A string, which begins with its quote."""
    at = start + 1
    high = False  # the last character was the first half of a pair
    half = "Unicode low surrogate must follow a high surrogate."
    while at < len(text) and text[at] != '"':
        letter = text[at]
        at += 1
        code = -1
        if letter < " ":
            raise _Wrong(f"Character with value 0x{ord(letter):02x} must be escaped.", at - 1)
        if letter == "\\":
            escaped = text[at : at + 1]
            at += 1
            if escaped == "u":
                code, at = _code(text, start, at)
            elif not escaped:
                break
            elif escaped not in '"\\/bfnrt':
                raise _Wrong(f'Escape sequence "\\{escaped}" is invalid.', at)
        if high is not (0xDC00 <= code < 0xE000):
            raise _Wrong(half, at)
        high = 0xD800 <= code < 0xDC00
    if at >= len(text):
        raise _Wrong(f'Token "{text[start:]}" is invalid.', len(text))
    if high:
        raise _Wrong(half, at)
    return _Token("string", text[start : at + 1], at + 1)


def _code(text: str, start: int, at: int) -> tuple[int, int]:
    """(the number that four hexadecimal digits are, where they end)"""
    for place in range(at, at + 4):
        if place >= len(text):
            raise _Wrong(f'Token "{text[start:]}" is invalid.', len(text))
        if text[place] not in "0123456789abcdefABCDEF":
            raise _Wrong('"\\u" must be followed by four hexadecimal digits.', place + 1)
    return int(text[at : at + 4], 16), at + 4
