"""PostgreSQL's regular expressions (AREs) in terms of Python's `re` and of RE2.

The dialects differ in words more than in meaning: `$` is the very end, `.` takes a newline, \\m \\M \\y
are word boundaries, brackets know [[:alpha:]]. `translate` rewrites a pattern once; the result serves
both engines, unless it needs back references or look-around, which RE2 has not. Character classes are
ASCII, as under collation C. Where alternatives overlap, Python takes the first one that fits and
PostgreSQL the longest: a test for a match cannot tell, a replacement can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from storage.errors import FeatureNotSupported, InvalidParameterValue, InvalidRegularExpression

_CLASSES = {
    "alpha": "a-zA-Z",
    "alnum": "a-zA-Z0-9",
    "digit": "0-9",
    "xdigit": "0-9A-Fa-f",
    "lower": "a-z",
    "upper": "A-Z",
    "space": " \\t-\\r",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "graph": "!-~",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "word": "a-zA-Z0-9_",
    "ascii": "\\x00-\\x7f",
}
# POSIX's names of characters that are no letters, with their codes
_NAMES = """
    NUL:0 SOH:1 STX:2 ETX:3 EOT:4 ENQ:5 ACK:6 alert:7 BEL:7 backspace:8 BS:8 tab:9 HT:9
    newline:10 LF:10 vertical-tab:11 VT:11 form-feed:12 FF:12 carriage-return:13 CR:13 SO:14 SI:15 DLE:16
    DC1:17 DC2:18 DC3:19 DC4:20 NAK:21 SYN:22 ETB:23 CAN:24 EM:25 SUB:26 ESC:27 IS4:28 FS:28 IS3:29 GS:29
    IS2:30 RS:30 IS1:31 US:31 space:32 exclamation-mark:33 quotation-mark:34 number-sign:35 dollar-sign:36
    percent-sign:37 ampersand:38 apostrophe:39 left-parenthesis:40 right-parenthesis:41 asterisk:42
    plus-sign:43 comma:44 hyphen:45 hyphen-minus:45 period:46 full-stop:46 slash:47 solidus:47 zero:48
    one:49 two:50 three:51 four:52 five:53 six:54 seven:55 eight:56 nine:57 colon:58 semicolon:59
    less-than-sign:60 equals-sign:61 greater-than-sign:62 question-mark:63 commercial-at:64
    left-square-bracket:91 backslash:92 reverse-solidus:92 right-square-bracket:93 circumflex:94
    circumflex-accent:94 underscore:95 low-line:95 grave-accent:96 left-brace:123 left-curly-bracket:123
    vertical-line:124 right-brace:125 right-curly-bracket:125 tilde:126 DEL:127
"""
_ELEMENTS = {name: chr(int(code)) for name, code in (pair.split(":") for pair in _NAMES.split())}
_SHORTHANDS = {"d": "0-9", "s": " \\t-\\r", "w": "a-zA-Z0-9_"}
_CONTROLS = {
    "a": "\\x07",
    "b": "\\x08",
    "e": "\\x1b",
    "f": "\\f",
    "n": "\\n",
    "r": "\\r",
    "t": "\\t",
    "v": "\\v",
}
# Anchors: what they are here, and whether RE2 knows that too.
_ANCHORS = {
    "A": ("\\A", True),
    "Z": ("\\Z", True),
    "y": ("(?a:\\b)", True),
    "Y": ("(?a:\\B)", True),
    "m": ("(?a:\\b(?=\\w))", False),
    "M": ("(?a:\\b(?<=\\w))", False),
}
_WORDS = {
    "unterminated subpattern": "parentheses () not balanced",
    "unbalanced parenthesis": "parentheses () not balanced",
    "unterminated character set": "brackets [] not balanced",
    "nothing to repeat": "quantifier operand invalid",
    "multiple repeat": "quantifier operand invalid",
    "bad character range": "invalid character range",
    "min repeat greater than max repeat": "invalid repetition count(s)",
    "invalid group reference": "invalid backreference number",
    "cannot refer to an open group": "invalid backreference number",
    "bad escape": "invalid escape \\ sequence",
}


# of {m,n}; PostgreSQL's own limit of the counts
_COUNTS, _UNCLOSED, _MOST = re.compile(r"(\d+)(,(\d*))?\}"), re.compile(r"\d+(,\d*)?\Z"), 255


def _wrong(words: str) -> InvalidRegularExpression:
    return InvalidRegularExpression(f"invalid regular expression: {words}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A translated pattern: compiled for Python, and as RE2 text where RE2 can do it."""

    compiled: re.Pattern[str]
    re2: str | None
    every: bool  # the flag 'g'


@lru_cache(1_000)
def translate(pattern: str, flags: str = "") -> Pattern:
    """The pattern under PostgreSQL's flags; InvalidRegularExpression where it is none."""
    options, every = _flags(_Options(), flags), "g" in flags
    if pattern.startswith("***="):
        pattern, options = pattern[4:], replace(options, literal=True)
    elif pattern.startswith("***:"):
        pattern = pattern[4:]
    embedded = None if options.literal else _EMBEDDED.match(pattern)
    if embedded:
        pattern = pattern[embedded.end() :]
        options = _flags(options, embedded[1], embedded=True)
    if options.literal:
        body, portable = re.escape(pattern), True
    else:
        body, portable = _Translation(pattern, options).run()
    python_flags = re.DOTALL | (re.IGNORECASE if options.ignore_case else 0)
    try:
        compiled = re.compile(body, python_flags)
    except re.error as error:
        words = next((w for key, w in _WORDS.items() if key in error.msg), error.msg)
        raise _wrong(words) from None
    except (OverflowError, RecursionError):
        raise _wrong("regular expression is too complex") from None
    re2 = None
    if portable and not (options.anchors or options.dots):
        re2 = f"(?s{'i' if options.ignore_case else ''})" + body.replace("(?a:", "(?:").replace("\\Z", "\\z")
    return Pattern(compiled, re2, every)


@dataclass(frozen=True, slots=True)
class _Options:
    """What flags say of a pattern."""

    ignore_case: bool = False
    anchors: bool = False  # ^ and $ stand at line ends, too
    dots: bool = False  # . and [^...] take no line end
    expanded: bool = False
    literal: bool = False


_EMBEDDED = re.compile(r"\(\?([a-z]+)\)")
_FLAGS: dict[str, dict[str, bool]] = {
    "i": {"ignore_case": True},
    "c": {"ignore_case": False},
    "n": {"anchors": True, "dots": True},
    "m": {"anchors": True, "dots": True},
    "p": {"anchors": False, "dots": True},
    "w": {"anchors": True, "dots": False},
    "s": {"anchors": False, "dots": False},
    "x": {"expanded": True},
    "t": {"expanded": False},
    "q": {"literal": True},
}


def _flags(options: _Options, flags: str, embedded: bool = False) -> _Options:
    """The options that flags make of others."""
    for flag in flags:
        if flag in _FLAGS:
            options = replace(options, **_FLAGS[flag])
        elif flag in "be":  # e means a basic one as well: PostgreSQL takes both bits away
            raise FeatureNotSupported("basic regular expressions are not supported")
        elif embedded:
            raise _wrong("invalid embedded option")
        elif flag != "g":
            raise InvalidParameterValue(f'invalid regular expression option: "{flag}"')
    return options


class _Translation:
    """One pass over a pattern."""

    def __init__(self, pattern: str, options: _Options) -> None:
        self.pattern = pattern
        self.anchors = options.anchors
        self.dots = options.dots
        self.expanded = options.expanded
        self.at = 0
        self.out: list[str] = []
        self.portable = True

    def run(self) -> tuple[str, bool]:
        """(the rewritten pattern, whether RE2 understands it)"""
        pattern = self.pattern
        while self.at < len(pattern):
            letter = pattern[self.at]
            self.at += 1
            if letter == "\\":
                self._escape()
            elif letter == "[":
                self._bracket()
            elif letter == "(":
                self._group()
            elif letter == "$":
                self.out.append("(?=\\n|\\Z)" if self.anchors else "\\Z")
            elif letter == "^":
                self.out.append("(?m:^)" if self.anchors else "\\A")
            elif letter == "." and self.dots:
                self.out.append("[^\\n]")
            elif letter == "{":
                self._counts()
            elif letter == "+" and self.out and self.out[-1] in ("*", "+", "?", "}"):
                raise _wrong("quantifier operand invalid")
            elif self.expanded and letter.isspace():
                continue
            elif self.expanded and letter == "#":
                end = pattern.find("\n", self.at)
                self.at = len(pattern) if end < 0 else end + 1
            else:
                self.out.append(letter)
        return "".join(self.out), self.portable

    def _counts(self) -> None:
        """{m}, {m,} or {m,n} behind an atom; else a brace as it is."""
        rest = self.pattern[self.at :]
        if not rest[:1].isdigit():
            self.out.append("\\{")
            return
        found = _COUNTS.match(rest)
        if not found:
            raise _wrong("braces {} not balanced" if _UNCLOSED.match(rest) else "invalid repetition count(s)")
        low, high = int(found[1]), int(found[3] or found[1])
        if max(low, high) > _MOST or high < low:
            raise _wrong("invalid repetition count(s)")
        self.out += ["{", found[0][:-1], "}"]
        self.at += found.end()

    def _group(self) -> None:
        rest = self.pattern[self.at :]
        if rest.startswith("?#"):
            end = self.pattern.find(")", self.at)
            self.at = len(self.pattern) if end < 0 else end + 1
            return
        for opening in ("?:", "?=", "?!", "?<=", "?<!"):
            if rest.startswith(opening):
                self.out.append("(" + opening)
                self.at += len(opening)
                self.portable = self.portable and opening == "?:"
                return
        if rest.startswith("?"):
            raise _wrong("quantifier operand invalid")
        self.out.append("(")

    def _escape(self) -> None:
        if self.at >= len(self.pattern):
            raise _wrong("invalid escape \\ sequence")
        letter = self.pattern[self.at]
        self.at += 1
        if letter in _ANCHORS:
            text, portable = _ANCHORS[letter]
            self.out.append(text)
            self.portable = self.portable and portable
        elif letter.lower() in _SHORTHANDS:
            self.out.append(f"[{'^' if letter.isupper() else ''}{_SHORTHANDS[letter.lower()]}]")
        elif letter.isdigit() and letter != "0":
            digits = re.match(r"\d*", self.pattern[self.at :])
            assert digits
            self.at += digits.end()
            self.out.append(f"(?:\\{letter}{digits[0]})")
            self.portable = False
        else:
            self.out.append(self._character(letter))

    def _character(self, letter: str) -> str:
        """An escape that stands for one character, as both engines read it."""
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "B":
            return "\\\\"
        if letter == "0":
            digits = re.match(r"[0-7]{0,2}", self.pattern[self.at :])
            assert digits
            self.at += digits.end()
            return _code(int(digits[0] or "0", 8))
        if letter in "xuU":
            length = {"x": "+", "u": "{4}", "U": "{8}"}[letter]
            digits = re.match(rf"[0-9a-fA-F]{length}", self.pattern[self.at :])
            if not digits:
                raise _wrong("invalid escape \\ sequence")
            self.at += digits.end()
            return _code(int(digits[0], 16))
        if letter == "c" and self.at < len(self.pattern):
            self.at += 1
            return _code(ord(self.pattern[self.at - 1]) & 31)
        if letter.isalnum():
            raise _wrong("invalid escape \\ sequence")
        return re.escape(letter)

    def _bracket(self) -> None:
        pattern = self.pattern
        for word, anchor in (("[:<:]]", "m"), ("[:>:]]", "M")):
            if pattern.startswith(word, self.at):
                self.at += len(word)
                self.out.append(_ANCHORS[anchor][0])
                self.portable = False
                return
        parts = ["["]
        if pattern.startswith("^", self.at):
            self.at += 1
            parts.append("^")
            if self.dots:
                parts.append("\\n")
        first = True
        while True:
            if self.at >= len(pattern):
                raise _wrong("brackets [] not balanced")
            letter = pattern[self.at]
            if letter == "]" and not first:
                self.at += 1
                break
            first = False
            parts.append(self._bracket_item())
        self.out.append("".join(parts) + "]")

    def _bracket_item(self) -> str:
        pattern = self.pattern
        special = re.match(r"\[([:.=])(.*?)\1\]", pattern[self.at :], re.DOTALL)
        if special:
            self.at += special.end()
            if special[1] == ":":
                if special[2] not in _CLASSES:
                    raise _wrong("invalid character class")
                return _CLASSES[special[2]]
            element = _ELEMENTS.get(special[2], special[2])
            if len(element) != 1:
                raise _wrong("invalid collating element")
            return _in_brackets(element)
        letter = pattern[self.at]
        self.at += 1
        if letter == "\\" and self.at < len(pattern):
            letter = pattern[self.at]
            self.at += 1
            if letter in _SHORTHANDS:
                return _SHORTHANDS[letter]
            if letter in "DSW":
                self.portable = False
                return "\\" + letter
            return self._character(letter)
        if letter == "-":
            inner = pattern[self.at - 2] not in "[^" and not pattern.startswith("]", self.at)
            return "-" if inner else "\\-"
        return _in_brackets(letter)


def _in_brackets(letter: str) -> str:
    return "\\" + letter if letter in "\\[]^&~|-" else letter


def _code(code: int) -> str:
    if code > 0x10FFFF:
        raise _wrong("invalid escape \\ sequence")
    return re.escape(chr(code)) if code > 0 else "\\x00"
